#!/usr/bin/env python3
"""Writes quantization tables and data sets as Python pickles, for spec/fixtures/pickle/python.tar.gz.

    python scripts/import/pickles.py FOLDER && tar -C FOLDER -cz --sort=name --format=ustar . > python.tar.gz

Run it once for each Python and numpy that the fixtures cover; every file's name tells which it was. Neither the product nor the tests need Python.
"""
import json
import os
import pickle
import sys

import numpy as np

FOLDER = sys.argv[1]
MAKER = "py%d.%d_np%s" % (sys.version_info[0], sys.version_info[1], np.__version__)


def small_table():
    """Every kind of entry; a scalar under two names, a count beyond one byte, a name that is not ASCII."""
    shared = np.float64(2.0 ** -4)
    return {
        "input": np.float64(2.0 ** -7),
        "conv_out": shared,
        "relu_out": shared,
        "dead": np.float64(0.0),
        "shape_out": "ShapeInfo",
        "shape_2_out": "ShapeInfo",
        "caf\u00e9/\u4e2d:0": np.float64(2.0 ** 3),
        "weight": np.array([2.0 ** -5]),
        "wide": np.array([2.0 ** -(i % 12) for i in range(300)]),
        "bias": np.array([2.0 ** -11, 2.0 ** -12]),
        "odd": np.float64(0.3),
        "slope": 2.0 ** -9,
    }


def long_table():
    """More than 1000 entries (several SETITEMS), more than 256 memo numbers."""
    table = {"input": np.float64(2.0 ** -7)}
    for i in range(1100):
        table["tensor_%d" % i] = np.float64(2.0 ** -(i % 9)) if i % 3 else np.array([2.0 ** -(i % 7)] * (1 + i % 2))
    return table


def number(value):
    return value if isinstance(value, str) else float(value).hex()


def describe(table):
    kinds = {np.float64: "float64", np.ndarray: "array", float: "float", str: "str"}
    return [[name, kinds[type(v)], [number(x) for x in (v if isinstance(v, np.ndarray) else [v])]]
            for name, v in table.items()]


def arrays():
    """One array of each type, in C and in Fortran order."""
    found = {}
    for code in ("f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", ">f4", ">i2"):
        a = np.arange(12).reshape(2, 2, 3).astype(code)
        found[code] = a
        found[code + " fortran"] = np.asfortranarray(a)
    return found


def write(name, protocol, value):
    with open(os.path.join(FOLDER, "%s.%s.p%d.pickle" % (name, MAKER, protocol)), "wb") as file:
        pickle.dump(value, file, protocol)


images = (np.arange(24) % 7).reshape(4, 1, 2, 3).astype(np.uint8)
for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
    write("small", protocol, small_table())
    if protocol in (3, 5):  # the original's, and the newest
        write("long", protocol, long_table())
    write("arrays", protocol, arrays())
    write("labelled", protocol, (images, np.array([3, 1, 0, 2])))
    write("list", protocol, [images[0], images[1], images[2]])
for name, table in (("small", small_table()), ("long", long_table())):
    with open(os.path.join(FOLDER, name + ".json"), "w") as file:
        json.dump(describe(table), file)
