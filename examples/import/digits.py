"""The handwritten digits for the training scripts of this folder: reading, shaking, scoring. Needs numpy only."""
import gzip
import struct

import numpy as np


def read_idx(path):
    """An IDX file of unsigned bytes, gzipped, as an array."""
    with gzip.open(path, "rb") as f:
        data = f.read()
    zeros, dtype, rank = struct.unpack_from(">HBB", data)
    if zeros != 0 or dtype != 8:
        raise ValueError(f"{path}: expected an IDX file of unsigned bytes")
    shape = struct.unpack_from(f">{rank}I", data, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def load_split(folder, split):
    """Images [N,28,28] float32 in [0, 1) and labels [N] int64 of one split ("train", "test")."""
    images = read_idx(f"{folder}/{split}-images-idx3-ubyte.gz")
    labels = read_idx(f"{folder}/{split}-labels-idx1-ubyte.gz")
    # 256 and not 255: the quantizer fixes the input to [-1, 1), which excludes 1 itself.
    return images.astype(np.float32) / 256, labels.astype(np.int64)


def augment(images, rng):
    """Each image [N,28,28] under its own small rotation, zoom, shear and shift, by bilinear interpolation."""
    count, size = len(images), images.shape[-1]

    def uniform(limit):
        return rng.uniform(-limit, limit, (count, 1, 1)).astype(np.float32)

    angle, shear = uniform(np.radians(12)), uniform(0.15)
    y, x = np.mgrid[:size, :size].astype(np.float32) - (size - 1) / 2
    source_x = (1 + uniform(0.12)) * np.cos(angle) * x + (shear - np.sin(angle)) * y + uniform(2)
    source_y = (shear + np.sin(angle)) * x + (1 + uniform(0.12)) * np.cos(angle) * y + uniform(2)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)), "constant")
    source_x = np.clip(source_x + (size + 1) / 2, 0, size + 0.999)
    source_y = np.clip(source_y + (size + 1) / 2, 0, size + 0.999)
    left, top = source_x.astype(np.intp), source_y.astype(np.intp)
    right_part, low_part = source_x - left, source_y - top
    image = np.arange(count)[:, None, None]
    upper = padded[image, top, left] * (1 - right_part) + padded[image, top, left + 1] * right_part
    lower = padded[image, top + 1, left] * (1 - right_part) + padded[image, top + 1, left + 1] * right_part
    return (upper * (1 - low_part) + lower * low_part).astype(np.float32)


def batches(images, labels, rng, size=50):
    """One epoch in random order: images [size,28,28], augmented, and labels."""
    for index in np.array_split(rng.permutation(len(images)), len(images) // size):
        yield augment(images[index], rng), labels[index]


def report(path, images, labels, batch=None):
    """Runs an ONNX file with onnxruntime, `batch` images at a time, and prints its accuracy."""
    import onnxruntime
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name, batch = session.get_inputs()[0].name, batch or len(images)
    got = np.concatenate([session.run(None, {name: images[i:i + batch]})[0] for i in range(0, len(images), batch)])
    right = int((got.argmax(1) == labels).sum())
    print(f"{path}: {right} of {len(labels)} test digits right ({100 * right / len(labels):.2f} %)")
    return got
