"""Less memory for the layers that only run forward: channels in groups, one group after the other.

An expanding convolution and the depthwise one behind it have the largest activations of a mobile
network. A depthwise channel needs no other channel, so the two can run for a few channels at a
time, and the tensor between them never exists as a whole:

    x -> CONV_2D -> t -> DEPTHWISE_CONV_2D -> u        max |t| + |u|
    x -> n times (CONV_2D -> t/n -> DEPTHWISE_CONV_2D -> u/n) -> CONCATENATION -> u
                                                       max |x| + |t|/n + |u|, and 2 |u|

Every value is computed as before, so the results are the same bits.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np

from tf_odl.converters.flatbuffer import FlatModel, schema
from tf_odl.converters.memory import Memory
from tf_odl.converters.rescale import has_bias

GROUPS = (2, 3, 4, 6, 8)
_OUT_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}


def split_to_fit(
    model: bytes,
    trainable: Collection[str],
    memory: Callable[[bytes], Memory],
    arena_bytes: int,
) -> tuple[bytes, dict[str, int]]:
    """The int8 model with as many layers in groups as it takes to fit, or as many as help.

    Args:
        model: a .tflite file whose layers' outputs are named like the layers.
        trainable: the layers that train; they and what follows them are left as they are.
        memory: plans what is to fit, for the training graph of such a model.
        arena_bytes: the limit.

    Returns:
        The model, and the number of groups of each depthwise layer that is in groups. Both are
        unchanged and empty where grouping does not help.
    """
    groups: dict[str, int] = {}
    need = memory(model)
    while need.arena_bytes > arena_bytes:
        best, chosen = need, None
        for name in _pairs_at_peak(FlatModel(model), trainable, need):
            for count in GROUPS:
                flat = FlatModel(model)
                if not split_channels(flat, name, count):
                    continue
                smaller = memory(flat.pack())
                if smaller.arena_bytes < best.arena_bytes:
                    best, chosen = smaller, (name, count)
        if chosen is None:
            break
        flat = FlatModel(model)
        split_channels(flat, *chosen)
        model, need = flat.pack(), best
        groups[chosen[0]] = chosen[1]
    return model, groups


def split_channels(flat: FlatModel, name: str, groups: int) -> bool:
    """Run the depthwise layer `name` and the convolution before it in groups of channels.

    The model is edited in place; the depthwise layer's output keeps its name.

    Returns:
        Whether there is such a pair, with at least as many channels as groups.
    """
    pair = next((p for p in _pairs(flat) if flat.name(int(p[1].outputs[0])) == name), None)
    if pair is None:
        return False
    output = int(pair[1].outputs[0])
    channels = flat.shape(output)[3]
    if channels < groups:
        return False
    ops: list[Any] = []
    parts = []
    for i, chosen in enumerate(np.array_split(np.arange(channels), groups)):
        x = int(pair[0].inputs[0])
        for op in pair:
            x = _part(flat, op, x, chosen, f"part{i}", ops)
        parts.append(x)
    ops.append(_concatenation(flat, parts, output))
    first = _position(flat, pair[0])
    del flat.operators[_position(flat, pair[1])]
    flat.operators[first : first + 1] = ops
    flat.drop_unused_tensors()
    return True


def _position(flat: FlatModel, op: Any) -> int:
    return next(i for i, known in enumerate(flat.operators) if known is op)


def _pairs(flat: FlatModel) -> Iterator[tuple[Any, Any]]:
    """Convolutions whose only reader is a depthwise one that keeps the channels apart."""
    for op in flat.operators:
        if flat.op_name(op) != "DEPTHWISE_CONV_2D":
            continue
        between = int(op.inputs[0])
        before = flat.producer(between)
        if (
            before is not None
            and flat.op_name(before) == "CONV_2D"
            and flat.shape(between)[3] == flat.shape(int(op.outputs[0]))[3]
            and len(flat.consumers(between)) == 1
            and between not in flat.outputs
            and all(_is_constant(flat, pair) for pair in (before, op))
        ):
            yield before, op


def _is_constant(flat: FlatModel, op: Any) -> bool:
    weights = [int(i) for i in op.inputs[1:] if i >= 0]
    return all(flat.constant(i) is not None for i in weights)


def _pairs_at_peak(flat: FlatModel, trainable: Collection[str], memory: Memory) -> list[str]:
    """The depthwise layers of pairs without training whose tensors live where most memory is."""
    moving: set[int] = set()
    for op in flat.operators:
        y = int(op.outputs[0])
        if flat.name(y) in trainable or any(int(i) in moving for i in op.inputs):
            moving.add(y)
    placed = [t for t in memory.tensors if t.offset is not None]
    last = max((t.last for t in placed), default=0)
    live = [sum(t.bytes for t in placed if t.first <= i <= t.last) for i in range(last + 1)]
    # Within a tenth of the largest: the planner's gaps make another op the decisive one at times.
    peak = [i for i, n in enumerate(live) if n >= 0.9 * max(live)]
    at_peak = {t.name for t in placed if any(t.first <= i <= t.last for i in peak)}
    names = []
    for before, op in _pairs(flat):
        t, u = int(before.outputs[0]), int(op.outputs[0])
        if u not in moving and at_peak & {flat.name(t), flat.name(u)}:
            names.append(flat.name(u))
    return names


def _part(flat: FlatModel, op: Any, x: int, chosen: np.ndarray, suffix: str, ops: list[Any]) -> int:
    """Append a copy of `op` for some channels to `ops`; returns its output."""
    kind = flat.op_name(op)
    output = int(op.outputs[0])
    part = copy.copy(op)
    inputs = [x, _slice(flat, int(op.inputs[1]), chosen, _OUT_AXIS[kind], suffix)]
    if has_bias(op):
        inputs.append(_slice(flat, int(op.inputs[2]), chosen, 0, suffix))
    tensor = copy.copy(flat.tensors[output])
    tensor.name = f"{flat.name(output)}/{suffix}"
    tensor.shape = np.asarray([*flat.shape(output)[:3], len(chosen)], np.int32)
    flat.tensors.append(tensor)
    part.inputs = np.asarray(inputs, np.int32)
    part.outputs = np.asarray([len(flat.tensors) - 1], np.int32)
    ops.append(part)
    return len(flat.tensors) - 1


def _slice(flat: FlatModel, constant: int, chosen: np.ndarray, axis: int, suffix: str) -> int:
    """A new constant with some channels of another one."""
    values = flat.constant(constant)
    assert values is not None
    tensor = flat.tensors[constant]
    quantization = copy.copy(tensor.quantization)
    if len(flat.scales(constant)) > 1:
        quantization.scale = flat.scales(constant)[chosen]
        quantization.zeroPoint = np.asarray(quantization.zeroPoint)[chosen]
    taken = np.take(values, chosen, axis)
    name = f"{flat.name(constant)}/{suffix}"
    return flat.add_tensor(
        name, taken.shape, taken.dtype.type, values=taken, quantization=quantization
    )


def _concatenation(flat: FlatModel, parts: list[int], output: int) -> Any:
    op = flat.builtin_op("CONCATENATION", parts, [output], version=2)
    options = schema().ConcatenationOptionsT()
    options.axis = 3
    op.builtinOptions = options
    op.builtinOptionsType = schema().BuiltinOptions.ConcatenationOptions
    return op
