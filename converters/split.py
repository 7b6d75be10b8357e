"""Layers in parts, so that less has to be in RAM at a time. The results are the same bits.

Channels in groups, one group after the other. For layers that only run forward:

An expanding convolution and the depthwise one behind it have the largest activations of a mobile
network. A depthwise channel needs no other channel, so the two can run for a few channels at a
time, and the tensor between them never exists as a whole:

    x -> CONV_2D -> t -> DEPTHWISE_CONV_2D -> u        max |t| + |u|
    x -> n times (CONV_2D -> t/n -> DEPTHWISE_CONV_2D -> u/n) -> CONCATENATION -> u
                                                       max |x| + |t|/n + |u|, and 2 |u|

The same for a convolution and the mean over its map, where what follows trains and something below
them does: the error of the map is one number per channel, spread over all positions in float32. It
exists for one group at a time, and what the groups hand on is added up.

A window of neurons, for layers of which only some neurons train: theirs are the weights in RAM,
those of the others stay in flash.

    x -> L -> y         x -> (L[0:a], L[a:b], L[b:n]) -> CONCATENATION -> y
"""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np

from tf_odl.converters.flatbuffer import FlatModel, schema
from tf_odl.converters.layers import BIAS, KERNEL
from tf_odl.converters.memory import Memory
from tf_odl.converters.rescale import has_bias
from tf_odl.methods import Mask

GROUPS = (2, 3, 4, 6, 8)
_WORTH_A_SPLIT = 1024  # bytes of weights
_PART = re.compile(r"/part\d+$")
_WINDOW = re.compile(r"(.+)\[(\d+):(\d+)\]")


def split_to_fit(
    model: FlatModel,
    trainable: Collection[str],
    memory: Callable[[FlatModel], Memory],
    arena_bytes: int,
) -> tuple[FlatModel, dict[str, int]]:
    """The int8 model with as many layers in groups as it takes to fit, or as many as help.

    Args:
        model: its layers' outputs are named like the layers.
        trainable: the layers that train; they are left as they are, and so is what follows them
            unless it ends in a mean.
        memory: plans what is to fit, for the training graph of such a model.
        arena_bytes: the limit.

    Returns:
        The model, and the number of groups by the name of the second op of each pair that is in
        groups. The same model and nothing where grouping does not help.
    """
    groups: dict[str, int] = {}
    grouped, need = model, memory(model)
    while need.arena_bytes > arena_bytes:
        best: tuple[FlatModel, dict[str, int]] | None = None
        for name in _pairs_at_peak(grouped, trainable, need):
            for count in GROUPS:
                if count <= groups.get(name, 1):
                    continue
                more = groups | {name: count}
                candidate = _in_groups(model, more)
                if candidate is None:
                    continue
                smaller = memory(candidate)
                if smaller.arena_bytes <= arena_bytes:
                    return candidate, more
                if smaller.arena_bytes < need.arena_bytes:
                    best, need = (candidate, more), smaller
        if best is None:
            break
        grouped, groups = best
    return grouped, groups


def least_bytes(flat: FlatModel) -> int:
    """Bytes of activations that no groups go below: a convolution needs its input and its output.

    Where the op behind it can run in groups with it, that op's output counts in place of its own.
    """
    ends = {int(pair[0].outputs[0]): int(pair[1].outputs[0]) for pair in _pairs(flat)}
    needs = [0]
    for op in flat.operators:
        if flat.op_name(op) == "CONV_2D":
            x, y = int(op.inputs[0]), int(op.outputs[0])
            needs.append(sum(math.prod(flat.shape(t)) for t in (x, ends.get(y, y))))
    return max(needs)


def _in_groups(model: FlatModel, groups: Mapping[str, int]) -> FlatModel | None:
    """None where a pair has too few channels."""
    flat = model.copy()
    whole = all(split_channels(flat, name, count) for name, count in groups.items())
    return flat if whole else None


def split_channels(flat: FlatModel, name: str, groups: int) -> bool:
    """Run the depthwise layer or the mean `name` and the convolution before it in groups.

    The model is edited in place; the output keeps its name.

    Returns:
        Whether there is such a pair, with at least as many channels as groups.
    """
    pair = next((p for p in _pairs(flat) if flat.name(int(p[1].outputs[0])) == name), None)
    if pair is None:
        return False
    output = int(pair[1].outputs[0])
    channels = flat.shape(output)[-1]
    if channels < groups:
        return False
    ops: list[Any] = []
    parts = []
    for i, chosen in enumerate(np.array_split(np.arange(channels), groups)):
        x = int(pair[0].inputs[0])
        for op in pair:
            name = flat.name(int(op.outputs[0]))
            x = _part(flat, op, x, chosen, f"{name}/part{i}", ops)
        parts.append(x)
    ops.append(_concatenation(flat, parts, output))
    first = _position(flat, pair[0])
    del flat.operators[_position(flat, pair[1])]
    flat.operators[first : first + 1] = ops
    flat.drop_unused_tensors()
    return True


NARROWABLE = ("CONV_2D", "FULLY_CONNECTED")


def window_name(site: str, first: int, end: int) -> str:
    """The name of the neurons `first` to `end` - 1 of a layer."""
    return f"{site}[{first}:{end}]"


def parse_window(name: str) -> tuple[str, int | None, int | None]:
    """The layer, and the first and the end of the window if the name has one."""
    match = _WINDOW.fullmatch(name)
    return (name, None, None) if match is None else (match[1], int(match[2]), int(match[3]))


def narrow(model: FlatModel, masks: Mapping[str, Mask]) -> tuple[FlatModel, dict[str, Mask]]:
    """The model with the neurons that train apart from those that do not, where that saves RAM.

    Of a layer with a mask, the smallest window around the neurons that train is split off if
    the weights outside of it take more than 1 KB.

    Args:
        model: an int8 model whose layers' outputs are named like the layers.
        masks: which neurons may update.

    Returns:
        A model, the same where nothing is split off, and the masks of its layers: those that were
        split are called `layer[a:b]`.
    """
    flat = model.copy()
    narrowed: dict[str, Mask] = {}
    for site, mask in masks.items():
        trains = np.flatnonzero(mask.kernel | mask.bias)
        first, end = (int(trains[0]), int(trains[-1]) + 1) if len(trains) else (0, 0)
        if len(trains) and _split_off(flat, site, first, end):
            name = window_name(site, first, end)
            narrowed[name] = Mask(mask.kernel[first:end], mask.bias[first:end])
        else:
            narrowed[site] = mask
    return (flat, narrowed) if set(narrowed) != set(masks) else (model, dict(masks))


def _split_off(flat: FlatModel, site: str, first: int, end: int) -> bool:
    output = flat.find(site)
    op = None if output is None else flat.producer(output)
    if op is None or flat.op_name(op) not in NARROWABLE or not _is_constant(flat, op):
        return False
    assert output is not None
    kernel = flat.shape(int(op.inputs[1]))
    neurons = kernel[0]
    if math.prod(kernel[1:]) * (neurons - (end - first)) <= _WORTH_A_SPLIT:
        return False
    ops: list[Any] = []
    edges = sorted({0, first, end, neurons})
    parts = [
        _part(flat, op, int(op.inputs[0]), np.arange(a, b), window_name(site, a, b), ops)
        for a, b in itertools.pairwise(edges)
    ]
    ops.append(_concatenation(flat, parts, output))
    position = _position(flat, op)
    flat.operators[position : position + 1] = ops
    flat.drop_unused_tensors()
    return True


def _position(flat: FlatModel, op: Any) -> int:
    return next(i for i, known in enumerate(flat.operators) if known is op)


def _pairs(flat: FlatModel) -> Iterator[tuple[Any, Any]]:
    """Convolutions whose only reader is an op that keeps the channels apart."""
    for op in flat.operators:
        if flat.op_name(op) not in ("DEPTHWISE_CONV_2D", "MEAN"):
            continue
        between = int(op.inputs[0])
        before = flat.producer(between)
        if (
            before is not None
            and flat.op_name(before) == "CONV_2D"
            and _keeps_channels(flat, op)
            and len(flat.consumers(between)) == 1
            and between not in flat.outputs
            and all(_is_constant(flat, pair) for pair in (before, op))
        ):
            yield before, op


def _keeps_channels(flat: FlatModel, op: Any) -> bool:
    if flat.op_name(op) != "MEAN":
        return flat.shape(int(op.inputs[0]))[3] == flat.shape(int(op.outputs[0]))[3]
    axes = flat.constant(int(op.inputs[1]))
    return axes is not None and set(np.ravel(axes) % 4) == {1, 2}


def _is_constant(flat: FlatModel, op: Any) -> bool:
    weights = [int(i) for i in op.inputs[1:] if i >= 0]
    return all(flat.constant(i) is not None for i in weights)


def _pairs_at_peak(flat: FlatModel, trainable: Collection[str], memory: Memory) -> list[str]:
    """The second ops of pairs without training whose tensors live where most memory is."""
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
        is_mean = flat.op_name(op) == "MEAN"
        if flat.name(t) in trainable or is_mean != (u in moving):
            continue
        if at_peak & {flat.name(t), flat.name(u), f"{flat.name(t)}/error"}:
            names.append(_PART.sub("", flat.name(u)))
    return list(dict.fromkeys(names))


def _part(flat: FlatModel, op: Any, x: int, chosen: np.ndarray, name: str, ops: list[Any]) -> int:
    """Append a copy of `op` for some channels to `ops`; returns its output."""
    output = int(op.outputs[0])
    part = copy.copy(op)
    if flat.op_name(op) == "MEAN":
        inputs = [x, int(op.inputs[1])]
    else:
        axis = 3 if flat.op_name(op) == "DEPTHWISE_CONV_2D" else 0
        inputs = [x, _slice(flat, int(op.inputs[1]), chosen, axis, f"{name}/{KERNEL}")]
        if has_bias(op):
            inputs.append(_slice(flat, int(op.inputs[2]), chosen, 0, f"{name}/{BIAS}"))
    tensor = copy.copy(flat.tensors[output])
    tensor.name = name
    tensor.shape = np.asarray([*flat.shape(output)[:-1], len(chosen)], np.int32)
    flat.tensors.append(tensor)
    part.inputs = np.asarray(inputs, np.int32)
    part.outputs = np.asarray([len(flat.tensors) - 1], np.int32)
    ops.append(part)
    return len(flat.tensors) - 1


def _slice(flat: FlatModel, constant: int, chosen: np.ndarray, axis: int, name: str) -> int:
    """A new constant with some channels of another one."""
    values = flat.constant(constant)
    assert values is not None
    tensor = flat.tensors[constant]
    quantization = copy.copy(tensor.quantization)
    if len(flat.scales(constant)) > 1:
        quantization.scale = flat.scales(constant)[chosen]
        quantization.zeroPoint = np.asarray(quantization.zeroPoint)[chosen]
    taken = np.take(values, chosen, axis)
    return flat.add_tensor(
        name, taken.shape, taken.dtype.type, values=taken, quantization=quantization
    )


def _concatenation(flat: FlatModel, parts: list[int], output: int) -> Any:
    op = flat.builtin_op("CONCATENATION", parts, [output], version=2)
    options = schema().ConcatenationOptionsT()
    options.axis = len(flat.shape(output)) - 1
    op.builtinOptions = options
    op.builtinOptionsType = schema().BuiltinOptions.ConcatenationOptions
    return op
