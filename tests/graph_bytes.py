"""Training graphs as the bytes that cpp/graph_runner.h reads: their own ops, without the others."""

import struct
from typing import Any

import numpy as np

from tf_odl.converters.flatbuffer import FlatModel

TYPES = {t: i for i, t in enumerate(map(np.dtype, ("float32", "int32", "int8", "int16")))}
PREFIX = "TFODL_"


def graph_bytes(model: bytes) -> bytes:
    """The training ops of a .tflite file and the tensors they mention."""
    flat = FlatModel(model)
    ops = [op for op in flat.operators if flat.op_name(op).startswith(PREFIX)]
    assert ops, "this is no training graph"
    mentioned = sorted({int(i) for op in ops for i in (*op.inputs, *op.outputs)} - {-1})
    position = {-1: -1} | {tensor: new for new, tensor in enumerate(mentioned)}
    packed = [struct.pack("<HH", len(mentioned), len(ops))]
    for tensor in mentioned:
        shape = flat.shape(tensor)
        constant = flat.constant(tensor) is not None
        kind = TYPES[flat.dtype(tensor)]
        packed.append(struct.pack(f"<BBB{len(shape)}h", kind, constant, len(shape), *shape))
    packed += [_node(flat, op, position) for op in ops]
    return b"".join(packed)


def _node(flat: FlatModel, op: Any, position: dict[int, int]) -> bytes:
    options = bytes(bytearray(op.customOptions))
    tensors = [position[int(i)] for i in (*op.inputs, *op.outputs)]
    head = struct.pack("<BH", op_hash(flat.op_name(op)), len(options)) + options
    counts = len(op.inputs), len(op.outputs)
    return head + struct.pack(f"<BB{len(tensors)}h", *counts, *tensors)


def op_hash(name: str) -> int:
    """One byte that stands for an op, also where others are added to the list."""
    value = 0
    for character in name.encode():
        value = (value * 41 + character) % 256
    return value
