"""What a functional Keras model costs, counted from Keras' own layers and graph alone."""

from __future__ import annotations

import math

import keras
import numpy as np

from tf_odl.methods import Masks

WEIGHTED = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D)


def weighted(model: keras.Model) -> list[keras.layers.Layer]:
    """Layers with a kernel; depthwise convolutions are none of Keras' convolutions."""
    return [x for x in model.layers if isinstance(x, WEIGHTED) or _is_depthwise(x)]


def _is_depthwise(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.DepthwiseConv2D)


def forward_macs(layer: keras.layers.Layer) -> int:
    """Multiply-accumulates of a layer for one sample: output entries x weights behind each."""
    entries = math.prod(layer.output.shape[1:])
    if isinstance(layer, keras.layers.Dense):
        return entries * layer.input.shape[-1]
    channels = 1 if _is_depthwise(layer) else layer.input.shape[-1]
    return entries * math.prod(layer.kernel_size) * channels


def sources(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layers whose outputs a layer takes."""
    return [t._keras_history.operation for t in keras.tree.flatten(layer.input)]


def upstream(layer: keras.layers.Layer) -> set[str]:
    """Names of all layers that the input of a layer depends on, weighted or not."""
    found: set[str] = set()
    waiting = [layer]
    while waiting:
        current = waiting.pop()
        if isinstance(current, keras.layers.InputLayer):
            continue
        for source in sources(current):
            if source.name not in found:
                found.add(source.name)
                waiting.append(source)
    return found


def full_backward_macs(model: keras.Model) -> int:
    """The weight gradient of every layer, and the propagation where there is somewhere to go."""
    layers = weighted(model)
    names = {x.name for x in layers}
    return sum(forward_macs(x) * (2 if upstream(x) & names else 1) for x in layers)


def masked_backward_macs(model: keras.Model, masks: Masks) -> int:
    """Of one sample with a dense error, where only the neurons of the masks train."""
    total = 0
    training = {n for n, m in masks.items() if m.kernel.any() or m.bias.any()}
    for layer in weighted(model):
        mask = masks[layer.name].kernel
        macs = forward_macs(layer)
        total += macs // len(mask) * int(mask.sum())
        total += macs if upstream(layer) & training else 0
    return total


def neurons_that_moved(
    model: keras.Model, before: dict[str, np.ndarray]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Per weighted layer: bool [neurons] of its kernel and scale, and of its bias and shift.

    A batch normalization belongs to the layer it takes its input from.
    """
    owner = {
        x.name: sources(x)[0].name
        for x in model.layers
        if isinstance(x, keras.layers.BatchNormalization)
    }
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for layer in model.layers:
        name = owner.get(layer.name, layer.name)
        for v in layer.trainable_variables:
            old, new = before[v.path], np.array(v)
            if _is_depthwise(layer) and v.name == "kernel":
                old, new = (a.reshape(*a.shape[:2], -1) for a in (old, new))
            change = (old != new).reshape(-1, old.shape[-1]).any(axis=0)
            none = np.zeros_like(change)
            kernel, bias = found.get(name, (none, none))
            if v.name in ("kernel", "gamma"):
                kernel = kernel | change
            else:
                bias = bias | change
            found[name] = kernel, bias
    return found
