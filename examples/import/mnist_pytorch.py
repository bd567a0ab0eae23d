#!/usr/bin/env python3
"""Train the small digit classifier of the first example and write it as ONNX.

    pip install torch numpy onnx onnxruntime
    python3 mnist_pytorch.py MNIST_DIR ../mnist.onnx

MNIST_DIR holds {train,test}-images-idx3-ubyte.gz and {train,test}-labels-idx1-ubyte.gz.
The result is shipped as examples/mnist.onnx, so that nobody who uses espquant needs this script.

The graph is built node by node from the trained weights instead of by torch.onnx.export: names
stay readable, every BatchNormalization stays a node of its own (the optimizer's work), and the
same weights always give the same bytes.
"""
import argparse
import math
import time

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F

import digits

CLASSES = 10
OPSET, IR = 13, 7


# Data

def load_split(folder, split):
    """Images [N,1,28,28] in [0, 1) and labels [N] of one split."""
    images, labels = digits.load_split(folder, split)
    return torch.from_numpy(images[:, None]), torch.from_numpy(labels)


def augment(images):
    """Each image under its own small rotation, zoom, shear and shift."""
    def uniform(limit):
        return (torch.rand(len(images)) * 2 - 1) * limit

    angle, shear = uniform(math.radians(12)), uniform(0.15)
    zoom_x, zoom_y = 1 + uniform(0.12), 1 + uniform(0.12)
    cos, sin = torch.cos(angle), torch.sin(angle)
    shift = 2 * 2 / images.shape[-1]  # two pixels, in the grid's units of half an image
    theta = torch.stack([
        torch.stack([zoom_x * cos, shear - sin, uniform(shift)], 1),
        torch.stack([shear + sin, zoom_y * cos, uniform(shift)], 1)], 1)
    grid = F.affine_grid(theta, images.shape, align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


# Network

class Net(nn.Module):
    """Conv, a depthwise-separable pair and one residual block, each followed by a max-pool."""

    def __init__(self):
        super().__init__()

        def conv(inputs, outputs, kernel, groups=1):
            return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)

        self.conv1, self.bn1 = conv(1, 16, 3), nn.BatchNorm2d(16)
        self.dw2, self.bn2 = conv(16, 16, 3, groups=16), nn.BatchNorm2d(16)
        self.pw3, self.bn3 = conv(16, 32, 1), nn.BatchNorm2d(32)
        self.conv4, self.bn4 = conv(32, 32, 3), nn.BatchNorm2d(32)
        self.conv5, self.bn5 = conv(32, 32, 3), nn.BatchNorm2d(32)
        self.fc = nn.Linear(32 * 3 * 3, CLASSES)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)    # 16 x 14 x 14
        x = F.relu(self.bn2(self.dw2(x)))
        x = F.max_pool2d(F.relu(self.bn3(self.pw3(x))), 2)      # 32 x 7 x 7
        y = F.relu(self.bn4(self.conv4(x)))
        x = F.relu(self.bn5(self.conv5(y)) + x)
        x = F.max_pool2d(x, 3, 2)                               # 32 x 3 x 3
        return self.fc(torch.flatten(x, 1))


def train(net, images, labels, epochs, batch=50):
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.02)
    steps = math.ceil(len(images) / batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.006, epochs * steps)
    net.train()
    for epoch in range(epochs):
        total = 0.0
        for index in torch.randperm(len(images)).split(batch):
            logits = net(augment(images[index]))
            # Smoothed labels keep the logits small, and with them the last layer's exponent.
            loss = F.cross_entropy(logits, labels[index], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(index)
        if (epoch + 1) % 5 == 0:
            print(f"epoch {epoch + 1:3d}  loss {total / len(images):.4f}", flush=True)
    net.eval()


# Export

class Graph:
    """An ONNX graph under construction; each method adds one node and returns its output."""

    def __init__(self):
        self.nodes, self.initializers = [], []

    def parameter(self, name, tensor):
        array = tensor.detach().numpy().astype(np.float32)
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op, name, inputs, output=None, **attributes):
        output = output or name + "_out"
        self.nodes.append(helper.make_node(op, inputs, [output], name, **attributes))
        return output

    def conv(self, name, x, m):
        weight = self.parameter(name + "_weight", m.weight)
        return self.node("Conv", name, [x, weight], dilations=m.dilation, group=m.groups,
                         kernel_shape=m.kernel_size, pads=m.padding * 2, strides=m.stride)

    def batch_norm(self, name, x, m):
        parts = {"scale": m.weight, "bias": m.bias, "mean": m.running_mean, "var": m.running_var}
        inputs = [x] + [self.parameter(f"{name}_{key}", part) for key, part in parts.items()]
        return self.node("BatchNormalization", name, inputs, epsilon=m.eps)

    def max_pool(self, name, x, kernel, stride):
        return self.node("MaxPool", name, [x], kernel_shape=[kernel] * 2, pads=[0] * 4,
                         strides=[stride] * 2)

    def relu(self, name, x):
        return self.node("Relu", name, [x])

    def gemm(self, name, x, m, output):
        inputs = [x, self.parameter(name + "_weight", m.weight),
                  self.parameter(name + "_bias", m.bias)]
        return self.node("Gemm", name, inputs, output, transB=1)

    def model(self, name, inputs, outputs):
        def info(shapes):
            return [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape)
                    for key, shape in shapes.items()]

        graph = helper.make_graph(self.nodes, name, info(inputs), info(outputs), self.initializers)
        return helper.make_model(graph, producer_name="espquant examples/import/mnist_pytorch.py",
                                 opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)


def to_onnx(net):
    """The trained network as a ModelProto: Net.forward, node by node."""
    g = Graph()
    x = g.relu("relu1", g.batch_norm("bn1", g.conv("conv1", "input", net.conv1), net.bn1))
    x = g.max_pool("pool1", x, 2, 2)
    x = g.relu("relu2", g.batch_norm("bn2", g.conv("dw2", x, net.dw2), net.bn2))
    x = g.relu("relu3", g.batch_norm("bn3", g.conv("pw3", x, net.pw3), net.bn3))
    x = g.max_pool("pool3", x, 2, 2)
    y = g.relu("relu4", g.batch_norm("bn4", g.conv("conv4", x, net.conv4), net.bn4))
    y = g.batch_norm("bn5", g.conv("conv5", y, net.conv5), net.bn5)
    x = g.relu("relu5", g.node("Add", "add5", [y, x]))
    x = g.max_pool("pool5", x, 3, 2)
    g.gemm("fc", g.node("Flatten", "flatten", [x], axis=1), net.fc, "output")
    return g.model("mnist", {"input": ["N", 1, 28, 28]}, {"output": ["N", CLASSES]})


def verify(path, net, images, labels):
    """Run the file that was written and compare it with the network that was trained."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    got = session.run(None, {"input": images.numpy()})[0]
    with torch.no_grad():
        want = net(images).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    correct = int((got.argmax(1) == labels.numpy()).sum())
    print(f"{path}: {len(model.graph.node)} nodes, "
          f"{sum(p.numel() for p in net.parameters())} trained parameters, "
          f"{correct} of {len(labels)} test images right ({100 * correct / len(labels):.2f} %), "
          f"largest difference to PyTorch {np.abs(got - want).max():.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mnist_dir", help="folder of the gzipped IDX files")
    parser.add_argument("output", help="ONNX file to write")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    torch.set_num_threads(1)  # one order of summation, so that a seed means one result
    torch.manual_seed(args.seed)
    net, start = Net(), time.monotonic()
    train(net, *load_split(args.mnist_dir, "train"), args.epochs)
    print(f"trained in {time.monotonic() - start:.0f} s")
    onnx.save(to_onnx(net), args.output)
    verify(args.output, net, *load_split(args.mnist_dir, "test"))


if __name__ == "__main__":
    main()
