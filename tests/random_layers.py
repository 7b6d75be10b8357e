"""Random weighted layers for hypothesis, and what masks cost, counted parameter by parameter."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from tf_odl.methods import Mask, Masks, WeightedLayer


@st.composite
def networks(draw: st.DrawFn, largest: int = 5) -> list[WeightedLayer]:
    """Convolutions, depthwise ones and dense layers; the last one is dense."""
    count = draw(st.integers(1, largest))
    layers = []
    for i in range(count):
        kind = "dense" if i == count - 1 else draw(st.sampled_from(["conv", "depthwise", "dense"]))
        channels = draw(st.integers(1, 6))
        window = 1 if kind == "dense" else draw(st.sampled_from([1, 4, 9]))
        positions = 1 if kind == "dense" else draw(st.sampled_from([1, 4, 25]))
        if kind == "depthwise":
            neurons, fan_in = channels * draw(st.integers(1, 2)), window
        else:
            neurons, fan_in = draw(st.integers(1, 9)), window * channels
        scales, shifts = (draw(st.integers(0, 1)) for _ in range(2))
        layers.append(
            WeightedLayer(
                name=f"layer{i}",
                kind=kind,
                neurons=neurons,
                positions=positions,
                fan_in=fan_in,
                has_bias=draw(st.booleans()),
                affine=scales + shifts,
                input_size=channels * draw(st.sampled_from([1, 4, 25])),
                depth=count - 1 - i,
                shifts=shifts,
                in_channels=channels,
            )
        )
    return layers


BUDGETS = st.one_of(
    st.integers(1, 800).map(str),
    st.integers(1, 100).map("{}%".format),
    st.integers(1, 2500).map("{}B".format),
)


def updated(layer: WeightedLayer, mask: Mask) -> tuple[int, int, int, int]:
    """Weights, biases, scales and shifts of a layer that update, each counted one by one."""
    window = layer.fan_in if layer.kind == "depthwise" else layer.fan_in // layer.in_channels
    weights = biases = scales = shifts = 0
    for n in range(layer.neurons):
        reads = [n * layer.in_channels // layer.neurons] if layer.kind == "depthwise" else None
        for channel in range(layer.in_channels) if reads is None else reads:
            seen = mask.inputs is None or layer.kind == "depthwise" or mask.inputs[channel]
            weights += window if mask.kernel[n] and seen else 0
        biases += int(layer.has_bias and mask.bias[n])
        scale = mask.kernel[n] if mask.scale is None else mask.scale[n]
        shift = mask.bias[n] if mask.shift is None else mask.shift[n]
        scales += (layer.affine - layer.shifts) * int(scale)
        shifts += layer.shifts * int(shift)
    return weights, biases, scales, shifts


def parameters_of(layers: Sequence[WeightedLayer], masks: Masks) -> int:
    """Parameters that update."""
    return sum(sum(updated(x, masks[x.name])) for x in layers)


def bytes_of(layers: Sequence[WeightedLayer], masks: Masks, state: int = 0) -> int:
    """int8 weights, int32 biases, state per updated value, and the int8 inputs that are kept.

    On the device batch normalization is part of weights and bias: each neuron has a bias.
    """
    total = 0
    for layer in layers:
        mask = masks[layer.name]
        weights, _, _, _ = updated(layer, mask)
        for n in range(layer.neurons):
            moved = (layer.affine - layer.shifts) and mask.scale is not None and mask.scale[n]
            if moved and not mask.kernel[n]:
                weights += layer.fan_in
        shift = mask.bias if mask.shift is None or not layer.shifts else mask.shift | mask.bias
        biases = int(np.sum(shift))
        total += weights + 4 * biases + state * (weights + biases)
        if mask.kernel.any():
            kept = layer.in_channels if mask.inputs is None else int(mask.inputs.sum())
            total += kept * (layer.input_size // layer.in_channels)
    return total


def limit_of(layers: Sequence[WeightedLayer], text: str) -> Fraction:
    """A budget's text as a number of parameters or bytes."""
    if text.endswith("%"):
        total = sum(x.neurons * (x.fan_in + int(x.has_bias) + x.affine) for x in layers)
        return Fraction(text[:-1]) * total / 100
    return Fraction(text.removesuffix("B"))


def spent(layers: Sequence[WeightedLayer], text: str, masks: Masks, state: int = 0) -> int:
    """What masks cost of a budget given as text."""
    return bytes_of(layers, masks, state) if text.endswith("B") else parameters_of(layers, masks)
