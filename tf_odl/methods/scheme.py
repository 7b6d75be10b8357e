"""A Sparse Update scheme: which biases update, and which share of which layers' weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from tf_odl.methods.interfaces import Mask, Masks, WeightedLayer, all_neurons

if TYPE_CHECKING:
    from tf_odl.methods.budget import Budget

Channels = Literal["input", "output"]
RATIOS = (0.125, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Scheme:
    """The classifier updates whole; of the layers before it, biases and shares of the weights.

    biases: how many layers from the end, classifier included, update their bias. weights: by
    layer the share of its channels whose weights update; only layers whose bias updates.
    """

    biases: int
    weights: Mapping[str, float] = field(default_factory=dict)


def channel_order(kernel: np.ndarray, layer: WeightedLayer, channels: Channels) -> np.ndarray:
    """Channels by the Euclidean norm of their weights, largest first; ties to the lower index.

    Args:
        kernel: float [in_channels, window, neurons], depthwise [1, window, neurons].
        layer: whose weights they are.
        channels: "output" orders the neurons. "input" orders what they read, as MIT's code does;
            in a depthwise convolution each neuron reads the channel it belongs to.
    """
    squares = np.square(kernel, dtype=np.float64)
    if channels == "output":
        strength = squares.sum(axis=(0, 1))
    elif layer.kind == "depthwise":
        strength = squares.sum(axis=(0, 1)).reshape(layer.in_channels, -1).sum(axis=1)
    else:
        strength = squares.sum(axis=(1, 2))
    return np.argsort(-strength, kind="stable")


def layer_mask(
    layer: WeightedLayer, ratio: float, channels: Channels, order: np.ndarray | None = None
) -> Mask:
    """The mask of a layer whose bias updates, and the weights of a share of its channels.

    Args:
        layer: the layer.
        ratio: 0 for the bias alone; otherwise of max(1, floor(ratio * channels)) channels.
        channels: what a channel is, see `channel_order`.
        order: int [channels], most wanted first; the first ones by default, which cost the same.
    """
    bias = np.ones(layer.neurons, bool)
    if ratio == 0:
        return Mask(np.zeros(layer.neurons, bool), bias)
    count = layer.neurons if channels == "output" else layer.in_channels
    if ratio == 1:
        return Mask(np.ones(layer.neurons, bool), bias)
    chosen = np.zeros(count, bool)
    chosen[(np.arange(count) if order is None else order)[: max(1, int(ratio * count))]] = True
    if channels == "output":
        return Mask(chosen, bias)
    if layer.kind == "depthwise":
        return Mask(np.repeat(chosen, layer.neurons // count), bias, inputs=chosen)
    # The scale of batch normalization would move the other weights too: it rests.
    every = np.ones(layer.neurons, bool)
    return Mask(every, bias, inputs=chosen, scale=~every)


def masks_of(
    scheme: Scheme,
    layers: Sequence[WeightedLayer],
    kernels: Mapping[str, np.ndarray],
    channels: Channels,
) -> Masks:
    """The masks of a scheme; channels by the magnitude of their weights.

    Args:
        scheme: which layers update, and the share of their channels.
        layers: all of the model, in the order of the forward pass.
        kernels: by layer, as `channel_order` takes them.
        channels: what a channel is.
    """
    masks = {x.name: all_neurons(x, False) for x in layers}
    masks[layers[-1].name] = all_neurons(layers[-1])
    for layer in layers[max(0, len(layers) - scheme.biases) : -1]:
        order = channel_order(kernels[layer.name], layer, channels)
        ratio = scheme.weights.get(layer.name, 0)
        masks[layer.name] = layer_mask(layer, ratio, channels, order)
    return masks


def scheme_cost(
    scheme: Scheme, layers: Sequence[WeightedLayer], channels: Channels, budget: Budget
) -> int:
    """What a scheme costs of a budget."""
    chosen = layers[max(0, len(layers) - scheme.biases) : -1]
    return budget.mask_cost(layers[-1], all_neurons(layers[-1])) + sum(
        budget.mask_cost(x, layer_mask(x, scheme.weights.get(x.name, 0), channels)) for x in chosen
    )
