#!/usr/bin/env python3
"""Train a small convolutional classifier in MXNet and write it as ONNX with its own exporter.

    pip install mxnet==1.9.1 'numpy<1.24' onnx==1.12.0 'protobuf<3.21' onnxruntime==1.16.3     # Python 3.9
    pip install mxnet==1.5.1 'numpy<1.17' onnx==1.3.0 'protobuf<3.18' onnxruntime==1.10.0      # Python 3.6
    python3 mnist_mxnet.py MNIST_DIR

Writes mnist_mxnet.onnx (opset 17, IR 8) or, with MXNet 1.5 as many used it, mnist_mxnet_ir3.onnx (opset 8, IR 3). MXNet
is no longer developed, and needs an old Python. Made with Python 3.9.18, numpy 1.23.5, protobuf 3.20.1 and with
Python 3.6.15, numpy 1.16.6, protobuf 3.17.3, and the versions above.
"""
import argparse
import tempfile

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from mxnet.gluon import nn

import digits

IS_OLD = mx.__version__.startswith("1.5.")
OUTPUT = "mnist_mxnet_ir3.onnx" if IS_OLD else "mnist_mxnet.onnx"


def build():
    full = not IS_OLD  # MXNet 1.5 exports the "full" convention as if it were the other: a broken file
    net = nn.HybridSequential(prefix="")
    net.add(
        nn.Conv2D(8, 3, padding=1, use_bias=False), nn.BatchNorm(scale=False),  # scale=False is fix_gamma
        nn.Activation("relu"), nn.MaxPool2D(3, 2, ceil_mode=full),              # "full" convention: 14 x 14
        nn.Conv2D(16, 3, padding=1, use_bias=False), nn.BatchNorm(),
        nn.Activation("relu"), nn.MaxPool2D(2, 2),                              # "valid" convention: 7 x 7
        nn.Conv2D(24, 3), nn.LeakyReLU(0.125), nn.MaxPool2D(2, 2, ceil_mode=full),  # "full": 3 x 3
        nn.Flatten(), nn.Dropout(0.1), nn.Dense(10))
    return net


def train(net, images, labels, epochs, rng):
    steps = len(images) // 50
    schedule = mx.lr_scheduler.CosineScheduler(epochs * steps, 0.004, 0)
    settings = {"learning_rate": 0.004, "lr_scheduler": schedule, "wd": 1e-5}
    trainer = gluon.Trainer(net.collect_params(), "adam", settings)
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    for _ in range(epochs):
        for x, y in digits.batches(images, labels, rng):
            with autograd.record():
                cost = loss(net(mx.nd.array(x[:, None])), mx.nd.array(y))
            cost.backward()
            trainer.step(len(y))


def export(net, path):
    net.hybridize()
    x = mx.sym.Variable("data")
    logits = net(x)
    softmax = mx.sym.softmax(logits, name="softmax")
    params = {p.name: p.data() for p in net.collect_params().values()}
    if IS_OLD:
        mx.contrib.onnx.export_model(softmax, params, [(1, 1, 28, 28)], np.float32, path)
    else:
        mx.onnx.export_model(softmax, params, [(1, 1, 28, 28)], np.float32, path,
                             dynamic=True, dynamic_input_shapes=[("N", 1, 28, 28)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mnist_dir", help="folder of the gzipped IDX files")
    parser.add_argument("--epochs", type=int, default=40)
    args = parser.parse_args()

    mx.random.seed(1)
    np.random.seed(1)
    net = build()
    net.initialize(mx.init.Xavier())
    train(net, *digits.load_split(args.mnist_dir, "train"), args.epochs, np.random.RandomState(1))
    export(net, OUTPUT)
    images, labels = digits.load_split(args.mnist_dir, "test")
    digits.report(OUTPUT, images[:, None], labels, 1 if IS_OLD else None)


if __name__ == "__main__":
    main()
