"""RELU6 ops as RELU, where that is the same.

TensorFlow Lite Micro computes a RELU6 of its own by the scale of its output alone. Where int8 ends
at 6 or below, saturation bounds the output as RELU6 does, and RELU gives the bits of RELU6 in
TFLite's reference kernels.
"""

from __future__ import annotations

import numpy as np

from tf_odl.converters.flatbuffer import DTYPES, FlatModel
from tf_odl.converters.geometry import activation_range

_LARGEST = 127  # of int8


def replace_relu6(flat: FlatModel) -> None:
    """In place; a RELU6 whose output reaches beyond 6 stays, and one that is not int8."""
    for op in flat.operators:
        if flat.op_name(op) != "RELU6" or not _is_int8(flat, int(op.outputs[0])):
            continue
        _, high = activation_range(flat, op)
        if high >= _LARGEST:
            op.opcodeIndex = flat.builtin_op("RELU", [], [], version=2).opcodeIndex


def _is_int8(flat: FlatModel, tensor: int) -> bool:
    return DTYPES.get(flat.tensors[tensor].type) is np.int8 and len(flat.scales(tensor)) > 0
