#!/usr/bin/env python3
"""Train a small convolutional classifier in PyTorch and let both of its exporters write it as ONNX.

    pip install torch==2.13.0 numpy onnx onnxscript onnxruntime
    python3 mnist_torch_export.py MNIST_DIR

Writes mnist_torch_script.onnx (the tracing exporter, opset 13, a batch of 10 built in) and
mnist_torch_dynamo.onnx with mnist_torch_dynamo.onnx.data (torch.export, opset 18, weights outside).
Made with Python 3.11.7, torch 2.13.0, onnx 1.23.2, onnxscript 0.7.2, numpy 2.4.6, onnxruntime 1.32.0.
"""
import argparse

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional as F

import digits

BATCH = 10


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.conv3 = nn.Conv2d(16, 24, 3)
        self.drop = nn.Dropout(0.1)
        self.fc1, self.fc2 = nn.Linear(24 * 2 * 2, 32), nn.Linear(32, 10)

    def logits(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)    # 8 x 14 x 14
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)    # 16 x 7 x 7
        x = F.max_pool2d(F.relu6(self.conv3(x)), 2)             # 24 x 2 x 2
        x = x.view(x.size(0), -1)
        return self.fc2(self.drop(F.relu(self.fc1(x))))

    def forward(self, x):
        return F.softmax(self.logits(x), dim=1)


def train(net, images, labels, epochs, rng):
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.006, epochs * (len(images) // 50))
    net.train()
    for epoch in range(epochs):
        for x, y in digits.batches(images, labels, rng):
            loss = F.cross_entropy(net.logits(torch.from_numpy(x[:, None])), torch.from_numpy(y), label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    net.eval()


def drop_stack_traces(path):
    """The dynamo exporter writes into every node where it stands in the source: paths of one's own machine."""
    model = onnx.load(path, load_external_data=False)
    for node in model.graph.node:
        kept = [p for p in node.metadata_props if not p.key.endswith("stack_trace")]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    onnx.save(model, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mnist_dir", help="folder of the gzipped IDX files")
    parser.add_argument("--epochs", type=int, default=40)
    args = parser.parse_args()

    torch.set_num_threads(1)  # one order of summation, so that a seed means one result
    torch.manual_seed(1)
    net = Net()
    train(net, *digits.load_split(args.mnist_dir, "train"), args.epochs, np.random.default_rng(1))

    dummy = torch.zeros(BATCH, 1, 28, 28)
    torch.onnx.export(net, (dummy,), "mnist_torch_script.onnx", dynamo=False, opset_version=13,
                      input_names=["input"], output_names=["output"])
    torch.onnx.export(net, (dummy,), "mnist_torch_dynamo.onnx", dynamo=True, opset_version=18, external_data=True,
                      input_names=["input"], output_names=["output"])
    drop_stack_traces("mnist_torch_dynamo.onnx")
    images, labels = digits.load_split(args.mnist_dir, "test")
    for path in ["mnist_torch_script.onnx", "mnist_torch_dynamo.onnx"]:
        digits.report(path, images[:, None], labels, BATCH)


if __name__ == "__main__":
    main()
