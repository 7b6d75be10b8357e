"""The output layer with float32 weights: TFODL_FLOAT_HEAD (docs/training-graph.md)."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

from tf_odl.contract import Flags
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.geometry import NO_MAXIMUM, NO_MINIMUM, activation_range
from tf_odl.converters.options import FloatHeadOptions
from tf_odl.errors import UserError

FLOAT_HEAD_OP, FLOAT_HEAD_BWD_OP = "TFODL_FLOAT_HEAD", "TFODL_FLOAT_HEAD_BWD"


class Head(Enum):
    """What the weights of the output layer are."""

    INT8 = "int8"  # as those of all layers
    FLOAT32 = "float32"  # four bytes each, with steps of any size


def check_head(flat: FlatModel, op: Any, flags: Flags) -> None:
    """Whether the layer that the loss follows can have float32 weights.

    Raises:
        UserError: it is no Dense layer for one vector, it does not train, or has an activation.
    """
    needed = Flags.UPDATE_WEIGHTS | Flags.UPDATE_BIAS
    dense = flat.op_name(op) == "FULLY_CONNECTED"
    if (
        not dense
        or int(np.prod(flat.shape(int(op.outputs[0])))) != flat.shape(int(op.inputs[1]))[0]
        or activation_range(flat, op) != (NO_MINIMUM, NO_MAXIMUM)
        or flags & needed != needed
    ):
        raise UserError(
            "--head float32 is of a model that ends in a Dense layer whose weights and bias train, "
            "as a whole or by a mask, without another activation than softmax or sigmoid"
        )


def make_float(flat: FlatModel, op: Any) -> dict[int, int]:
    """Replace an int8 FULLY_CONNECTED by TFODL_FLOAT_HEAD, in place.

    Weights and biases become float32 variables that have the names and the scales of the int8
    ones, which are called seeds from here on.

    Returns:
        The seed of each of the two variables, by tensor; the weights first.
    """
    x, kernel, bias = (int(i) for i in op.inputs)
    y = int(op.outputs[0])
    factors = tuple(
        float(np.float32(flat.scales(x)[0] * scale / flat.scales(y)[0]))
        for scale in flat.scales(kernel).astype(np.float64)
    )
    options = FloatHeadOptions(flat.zero_point(x), flat.zero_point(y), len(factors), factors)
    seeds = {}
    for constant in (kernel, bias):
        name = flat.name(constant)
        flat.tensors[constant].name = f"{name}/seed"
        quantization = flat.tensors[constant].quantization
        variable = flat.add_tensor(
            name, flat.shape(constant), np.float32, quantization=quantization, is_variable=True
        )
        seeds[variable] = constant
    centered = _scratch(flat, op, "centered")
    custom = flat.custom_op(FLOAT_HEAD_OP, [x, *seeds], [y, centered], options.pack())
    position = next(i for i, known in enumerate(flat.operators) if known is op)
    flat.operators[position] = custom
    return seeds


def _scratch(flat: FlatModel, op: Any, what: str) -> int:
    """Room for the inputs of the layer as floats."""
    count = flat.shape(int(op.inputs[1]))[1]
    return flat.add_tensor(f"{flat.name(int(op.outputs[0]))}/{what}", (count,), np.float32)


def backward_scratch(flat: FlatModel, op: Any) -> int:
    """The second output of TFODL_FLOAT_HEAD_BWD."""
    return _scratch(flat, op, "scratch")


def to_steps(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Learned weights or biases as those of a plain model: halves up, saturated.

    Args:
        values: float32, in steps of their scales.
        dtype: int8 (-127 to 127) or int32.

    Returns:
        That type, of the same shape.
    """
    if np.dtype(dtype) == np.int8:
        return np.clip(np.floor(values + 0.5), -127, 127).astype(np.int8)
    whole = np.floor(values.astype(np.float64) + 0.5)
    return np.clip(whole, -(2**31), 2**31 - 1).astype(np.int32)
