#!/usr/bin/env python3
"""Train two small classifiers in TensorFlow (Keras) and write them as ONNX with tf2onnx.

    pip install tensorflow-cpu==2.15.1 tf2onnx==1.16.1 onnx==1.15.0 'numpy<2' onnxruntime
    python3 mnist_tf.py MNIST_DIR

Writes mnist_tf_dense.onnx (Flatten, three Dense, Softmax; opset 13) and mnist_tf_conv.onnx (images as
[N,28,28,1], channels last; opset 13). Made with Python 3.11.7 and the versions above.
"""
import argparse

import numpy as np
import tensorflow as tf
import tf2onnx
from tensorflow.keras import layers

import digits

OPSET = 13


def dense():
    return tf.keras.Sequential([
        layers.InputLayer(input_shape=(28, 28)), layers.Flatten(),
        layers.Dense(84, activation="relu"), layers.Dense(48, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ])


def conv():
    return tf.keras.Sequential([
        layers.InputLayer(input_shape=(28, 28, 1)),
        layers.Conv2D(8, 3, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU(6.0),
        layers.MaxPooling2D(2),                                            # 14 x 14 x 8
        layers.DepthwiseConv2D(3, padding="same"), layers.ReLU(),
        layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),  # 7 x 7 x 16
        layers.Conv2D(24, 3, padding="valid", activation="relu"),          # 5 x 5 x 24
        layers.Dropout(0.1), layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ])


def train(net, images, labels, epochs, rng):
    steps = len(images) // 50
    rate = tf.keras.optimizers.schedules.CosineDecay(0.004, epochs * steps)
    net.compile(optimizer=tf.keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy")
    for _ in range(epochs):
        for x, y in digits.batches(images, labels, rng):
            net.train_on_batch(x.reshape(-1, *net.input_shape[1:]), y)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mnist_dir", help="folder of the gzipped IDX files")
    parser.add_argument("--epochs", type=int, default=40)
    args = parser.parse_args()

    for name, build, more in [("mnist_tf_dense.onnx", dense, 3), ("mnist_tf_conv.onnx", conv, 1)]:
        tf.keras.utils.set_random_seed(1)
        net = build()
        train(net, *digits.load_split(args.mnist_dir, "train"), args.epochs * more, np.random.default_rng(1))
        shape = net.input_shape
        tf2onnx.convert.from_keras(net, [tf.TensorSpec(shape, tf.float32, name="input")], opset=OPSET, output_path=name)
        images, labels = digits.load_split(args.mnist_dir, "test")
        digits.report(name, images.reshape(-1, *shape[1:]), labels)


if __name__ == "__main__":
    main()
