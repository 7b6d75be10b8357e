"""Which ops the error crosses, from the logits down to the layers that train."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_odl.converters.flatbuffer import FlatModel, schema
from tf_odl.converters.geometry import reduction_window
from tf_odl.converters.layers import WEIGHTED_OPS
from tf_odl.errors import UserError

PASS_THROUGH = ("RESHAPE",)
POOLS = ("MAX_POOL_2D", "AVERAGE_POOL_2D")
REDUCTIONS = ("MEAN", "REDUCE_MAX")
SUMS = ("ADD", "RELU", "RELU6", "QUANTIZE")  # y = activation of the sum of the inputs
BOXES = ("PAD", "PADV2", "CONCATENATION")  # every input fills a box of the output


@dataclass(frozen=True)
class BackwardPath:
    """`ops` in the order of the backward pass, and the tensors whose error they need."""

    ops: list[Any]
    tensors: frozenset[int]


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
            f"the model ends in a sigmoid with the shape {list(shape)}: cross-entropy over classes "
            "needs a softmax or logits"
        )
    if classes < 2 or len(shape) != 2:
        raise UserError(
            f"the model's output has the shape {list(shape)}, which is no classification: "
            "cross-entropy needs a softmax or logits [1, classes] over at least two classes. "
            "Other losses are --loss mse, reconstruction and, of one output, binary-cross-entropy"
        )
    if producer is not None and kind == "SOFTMAX":
        if producer.builtinOptions.beta != 1.0:
            raise UserError("the final softmax has a beta other than 1, which is not supported")
        return int(producer.inputs[0])
    return output


def backward_path(
    flat: FlatModel, logits: int, trainable: Collection[str], sites: Sequence[str]
) -> BackwardPath:
    """The ops between the logits and the layers that train, whatever branches there are.

    Layers are named by their output tensors. The order is that of the forward pass reversed, so
    all readers of a tensor come before the op that computes it.

    Raises:
        UserError: an op on the way that no error can cross, with layer, reason and remedy.
    """
    feeding = _ops_above(flat, logits)
    reached = {flat.name(int(op.outputs[0])) for op in feeding}
    unreached = set(trainable) - reached
    if unreached:
        raise UserError(
            f"layer {min(unreached)!r} is not on the path from the output to the input, "
            "so no error reaches it"
        )
    tensors: set[int] = set()
    ops = []
    for op in feeding:
        y = int(op.outputs[0])
        if flat.name(y) in trainable or any(int(i) in tensors for i in op.inputs):
            tensors.update(int(i) for i in op.outputs)
            ops.append(op)
    for op in reversed(ops):
        reason = _obstacle(flat, op, tensors)
        if reason is not None:
            raise UserError(_refusal(flat, op, reason, sites))
    return BackwardPath(ops[::-1], frozenset(tensors))


def _ops_above(flat: FlatModel, tensor: int) -> list[Any]:
    """The ops that compute a tensor, in the order of the forward pass."""
    needed = {tensor}
    ops = []
    for op in reversed(flat.operators):
        if any(int(i) in needed for i in op.outputs):
            needed.update(int(i) for i in op.inputs)
            ops.append(op)
    return ops[::-1]


def _obstacle(flat: FlatModel, op: Any, tensors: Collection[int]) -> str | None:
    """Why the error cannot cross an op to those of its inputs, None if it can."""
    kind = flat.op_name(op)
    if kind in PASS_THROUGH:
        return None
    if kind in REDUCTIONS:
        reduces = reduction_window(flat, op) is not None
        return None if reduces else "the axes it reduces do not follow each other"
    if kind in BOXES:
        return _box_obstacle(flat, op)
    if kind not in (*WEIGHTED_OPS, *POOLS, *SUMS):
        return "there is no training op for it"
    known = schema().ActivationFunctionType
    if getattr(op.builtinOptions, "fusedActivationFunction", known.NONE) not in (
        known.NONE,
        known.RELU,
        known.RELU6,
        known.RELU_N1_TO_1,
    ):
        return "its fused activation has no training op"
    if kind in POOLS:
        return None
    if kind in SUMS:
        sizes = {np.prod(flat.shape(int(i))) for i in op.inputs if int(i) in tensors}
        if sizes != {np.prod(flat.shape(int(op.outputs[0])))}:
            return "one of its inputs is repeated to the size of the other"
        return None
    return _layer_obstacle(flat, op)


def _layer_obstacle(flat: FlatModel, op: Any) -> str | None:
    options = op.builtinOptions
    if flat.constant(int(op.inputs[1])) is None:
        return "its weights are computed"
    if flat.op_name(op) == "FULLY_CONNECTED":
        is_default = options.weightsFormat == schema().FullyConnectedOptionsWeightsFormat.DEFAULT
        return None if is_default else "its weights are shuffled"
    if (options.dilationHFactor, options.dilationWFactor) != (1, 1):
        return "it is dilated"
    in_c = flat.shape(int(op.inputs[0]))[-1]
    if flat.op_name(op) == "CONV_2D" and flat.shape(int(op.inputs[1]))[-1] != in_c:
        return "it is a grouped convolution"
    return None


def _box_obstacle(flat: FlatModel, op: Any) -> str | None:
    shape = flat.shape(int(op.outputs[0]))
    if len(shape) > 4:
        return "its tensors have more than four dimensions"
    if flat.op_name(op) == "CONCATENATION":
        if int(op.builtinOptions.axis) % len(shape) == 0:
            return "it joins along the batch"
        return None
    margins = flat.constant(int(op.inputs[1]))
    if margins is None:
        return "its padding is not constant"
    return "it pads the batch" if margins[0].any() else None


def _refusal(flat: FlatModel, op: Any, reason: str, sites: Sequence[str]) -> str:
    position = flat.operators.index(op)
    above = {flat.name(int(o.outputs[0])) for o in flat.operators[position + 1 :]}
    count = 0
    while count < len(sites) and sites[-1 - count] in above:
        count += 1
    remedy = (
        f"Train only the layers above it with --train-layers {count}"
        if count
        else "No layer above it can be trained: change the end of the model"
    )
    name = flat.name(int(op.outputs[0]))
    return (
        f"the error cannot go back through layer {name!r} ({flat.op_name(op)}): {reason}. {remedy}"
    )
