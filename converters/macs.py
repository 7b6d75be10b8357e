"""The work of training an int8 model."""

from __future__ import annotations

import math

from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.layers import WEIGHTED_OPS


def full_backward_macs(model: bytes) -> int:
    """Multiply-accumulates of one backward pass in which every layer of a .tflite model trains.

    For each weighted layer as many as forwards for the gradient of its weights, and as many again
    for that of its input where a layer below needs it.
    """
    flat = FlatModel(model)
    needed: set[int] = set()
    total = 0
    for op in flat.operators:
        passes_error = any(int(i) in needed for i in op.inputs)
        kind = flat.op_name(op)
        if kind in WEIGHTED_OPS:
            kernel = flat.shape(int(op.inputs[1]))
            fan_in = math.prod(kernel[1:3] if kind == "DEPTHWISE_CONV_2D" else kernel[1:])
            total += math.prod(flat.shape(int(op.outputs[0]))) * fan_in * (1 + passes_error)
        if kind in WEIGHTED_OPS or passes_error:
            needed.update(int(i) for i in op.outputs)
    return total
