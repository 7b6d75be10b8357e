"""Extents, windows and activation ranges of int8 ops, as TFLite computes them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_odl.converters.flatbuffer import FlatModel, schema

NO_MINIMUM, NO_MAXIMUM = -129, 128  # outside int8: every value passes


@dataclass(frozen=True)
class Window:
    """A sliding window over a map of height, width and channels."""

    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    out_c: int
    window_h: int
    window_w: int
    stride_h: int
    stride_w: int
    pad_top: int
    pad_left: int

    def fields(self, window: str) -> dict[str, Any]:
        """By the names of an op's options, which call the window `kernel` or `filter`."""
        return {name.replace("window", window): value for name, value in vars(self).items()}


def sliding_window(flat: FlatModel, op: Any, window_h: int, window_w: int) -> Window:
    """The geometry of a convolution or pooling op without dilation."""
    _, in_h, in_w, in_c = flat.shape(int(op.inputs[0]))
    _, out_h, out_w, out_c = flat.shape(int(op.outputs[0]))
    options = op.builtinOptions
    stride_h, stride_w = int(options.strideH), int(options.strideW)
    pads = options.padding == schema().Padding.SAME
    return Window(
        in_h,
        in_w,
        in_c,
        out_h,
        out_w,
        out_c,
        window_h,
        window_w,
        stride_h,
        stride_w,
        pad_top=_pad_before(in_h, out_h, window_h, stride_h) if pads else 0,
        pad_left=_pad_before(in_w, out_w, window_w, stride_w) if pads else 0,
    )


def _pad_before(size: int, out: int, window: int, stride: int) -> int:
    return max((out - 1) * stride + window - size, 0) // 2


def reduction_window(flat: FlatModel, op: Any) -> Window | None:
    """The geometry of a MEAN or REDUCE_MAX as a pooling op.

    What lies before the axes that are reduced counts as positions, what lies behind them as
    channels. None where the axes are not known or do not follow each other.
    """
    axes = flat.constant(int(op.inputs[1]))
    shape = flat.shape(int(op.inputs[0]))
    if axes is None or axes.size == 0:
        return None
    reduced = {int(axis) % len(shape) for axis in np.ravel(axes)}
    first, end = min(reduced), max(reduced) + 1
    if any(shape[axis] != 1 for axis in range(first, end) if axis not in reduced):
        return None
    outer, rows = math.prod(shape[:first]), shape[first]
    columns, inner = math.prod(shape[first + 1 : end]), math.prod(shape[end:])
    return Window(
        *(outer * rows, columns, inner),
        *(outer, 1, inner),
        *(rows, columns),
        stride_h=rows if outer > 1 else 1,
        stride_w=1,
        pad_top=0,
        pad_left=0,
    )


def one_to_one(rows: int, in_c: int, out_c: int) -> Window:
    """A fully connected layer on `rows` vectors: a 1x1 convolution over a map of height 1."""
    return Window(1, rows, in_c, 1, rows, out_c, 1, 1, 1, 1, 0, 0)


def map_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Height, width and channels of a tensor with batch 1 and at most four dimensions."""
    sizes = (1, 1, 1, *shape[1:])
    return sizes[-3], sizes[-2], sizes[-1]


def activation_range(flat: FlatModel, op: Any) -> tuple[int, int]:
    """(low, high): the error passes where low < y < high.

    The activation is fused into the op, or is the op itself. Without one, or where its bound lies
    outside int8, the range ends beyond int8.
    """
    kinds = schema().ActivationFunctionType
    bounds = {
        kinds.NONE: (None, None),
        kinds.RELU: (0, None),
        kinds.RELU6: (0, 6),
        kinds.RELU_N1_TO_1: (-1, 1),
    }
    fused = getattr(op.builtinOptions, "fusedActivationFunction", kinds.NONE)
    lowest, highest = bounds[getattr(kinds, flat.op_name(op), fused)]
    y = int(op.outputs[0])
    scale, zero_point = flat.scales(y)[0], flat.zero_point(y)

    def code(bound: int) -> int:
        """In float32 and with halves away from zero, as TFLite does."""
        steps = float(np.float32(bound) / scale)
        return zero_point + int(np.copysign(np.floor(abs(steps) + 0.5), steps))

    low = NO_MINIMUM if lowest is None else max(NO_MINIMUM, code(lowest))
    high = NO_MAXIMUM if highest is None else min(NO_MAXIMUM, code(highest))
    return low, high
