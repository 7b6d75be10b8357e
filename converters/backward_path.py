"""Which ops the error crosses, from the logits down to the lowest layer that trains."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from tf_odl.converters.flatbuffer import FlatModel, schema
from tf_odl.converters.layers import WEIGHTED_OPS
from tf_odl.errors import UserError

PASS_THROUGH = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
POOLS = ("MAX_POOL_2D", "AVERAGE_POOL_2D")


def logits_of(flat: FlatModel) -> int:
    """The tensor softmax and cross-entropy start from.

    Raises:
        UserError: the model does not end in logits or softmax over at least two classes.
    """
    output = flat.outputs[0]
    shape = flat.shape(output)
    classes = shape[-1]
    producer = flat.producer(output)
    kind = None if producer is None else flat.op_name(producer)
    if kind == "LOGISTIC":
        raise UserError(
            "the model ends in a sigmoid: training on a board needs a softmax or logits over the "
            "classes. Use Dense(2, activation='softmax') for two classes"
        )
    if classes < 2 or len(shape) != 2:
        raise UserError(
            f"the model's output has the shape {list(shape)}, which is no classification: training "
            "on a board needs a softmax or logits [1, classes] over at least two classes"
        )
    if producer is not None and kind == "SOFTMAX":
        if producer.builtinOptions.beta != 1.0:
            raise UserError("the final softmax has a beta other than 1, which is not supported")
        return int(producer.inputs[0])
    return output


def backward_path(
    flat: FlatModel, logits: int, trainable: Collection[str], sites: Collection[str]
) -> list[Any]:
    """The ops from the one that computes the logits down to the lowest one that trains.

    Layers are named by their output tensors.

    Raises:
        UserError: an op on the way that no error can cross, with layer, reason and remedy.
    """
    missing = set(trainable)
    path: list[Any] = []
    crossed = 0
    tensor = logits
    while missing:
        op = flat.producer(tensor)
        if op is None:
            raise UserError(
                f"layer {min(missing)!r} is not on the path from the output to the input, "
                "so no error reaches it"
            )
        name = flat.name(tensor)
        reason = _obstacle(flat, op)
        if reason is None and path:
            reason = _branch(flat, tensor)
        if reason is not None:
            raise UserError(_refusal(flat, op, name, reason, crossed))
        path.append(op)
        missing.discard(name)
        crossed += name in sites
        tensor = int(op.inputs[0])
    return path


def _obstacle(flat: FlatModel, op: Any) -> str | None:
    """Why the error cannot cross an op, None if it can."""
    kind = flat.op_name(op)
    options = op.builtinOptions
    if kind in PASS_THROUGH:
        return None
    if kind == "MEAN":
        axes = flat.constant(int(op.inputs[1]))
        if axes is None or sorted(int(a) for a in np.ravel(axes)) != [1, 2]:
            return "it does not average over height and width"
        return None
    if kind not in (*WEIGHTED_OPS, *POOLS):
        return "there is no training op for it"
    known = schema().ActivationFunctionType
    if options.fusedActivationFunction not in (
        known.NONE,
        known.RELU,
        known.RELU6,
        known.RELU_N1_TO_1,
    ):
        return "its fused activation has no training op"
    if kind in POOLS:
        return None
    if kind == "FULLY_CONNECTED":
        is_default = options.weightsFormat == schema().FullyConnectedOptionsWeightsFormat.DEFAULT
        return None if is_default else "its weights are shuffled"
    if (options.dilationHFactor, options.dilationWFactor) != (1, 1):
        return "it is dilated"
    in_c = flat.shape(int(op.inputs[0]))[-1]
    if kind == "CONV_2D" and flat.shape(int(op.inputs[1]))[-1] != in_c:
        return "it is a grouped convolution"
    return None


def _branch(flat: FlatModel, tensor: int) -> str | None:
    if len(flat.consumers(tensor)) > 1 or tensor in flat.outputs:
        return "its output is read by several layers, and their errors would have to be added"
    return None


def _refusal(flat: FlatModel, op: Any, name: str, reason: str, crossed: int) -> str:
    remedy = (
        f"Train only the layers above it with --train-layers {crossed}"
        if crossed
        else "No layer above it can be trained: change the end of the model"
    )
    return (
        f"the error cannot go back through layer {name!r} ({flat.op_name(op)}): {reason}. {remedy}"
    )
