"""Multiply-accumulates, counted exactly per layer.

One kept entry of a layer's error costs fan_in MACs to propagate and fan_in MACs for the weight
gradient of its neuron. A layer propagates its error only if a layer upstream of it trains. Padding
is counted as if it were data, biases, activations and sums of branches are not counted.

"Nominal" counts the k entries a sparsifier keeps; "non-zero" leaves out entries that are exactly
zero behind a ReLU, which cost nothing to skip. Effort is nominal backward MACs over those of
full training on the same samples, skipped ones included.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tf_odl.methods import Masks, WeightedLayer


def forward_macs(layers: Sequence[WeightedLayer]) -> int:
    """MACs of the forward pass of one sample."""
    return sum(layer.outputs * layer.fan_in for layer in layers)


def full_backward_macs(layers: Sequence[WeightedLayer]) -> int:
    """MACs of the dense backward pass of one sample with every layer trainable.

    The error of a layer with none upstream, such as the first, is not propagated.
    """
    return sum(
        x.outputs * x.fan_in * (2 if upstream else 1)
        for x, upstream in zip(layers, _upstream(layers), strict=True)
    )


def propagates(layers: Sequence[WeightedLayer], masks: Masks) -> np.ndarray:
    """Whether each layer has to send its error down: bool [layers].

    It has to when any neuron of a layer upstream of it updates. A shortcut does not lie upstream
    of the branch beside it, nor the branch upstream of the shortcut.
    """
    trains = {x.name for x in layers if masks[x.name].trains}
    return np.array([not trains.isdisjoint(upstream) for upstream in _upstream(layers)])


def _upstream(layers: Sequence[WeightedLayer]) -> list[frozenset[str]]:
    """Per layer the names of those its input depends on."""
    names = [x.name for x in layers]
    return [
        frozenset(names[:i]) if x.upstream is None else x.upstream for i, x in enumerate(layers)
    ]


def layer_backward_macs(
    layer: WeightedLayer, entries: np.ndarray, kernel_mask: np.ndarray, propagate: bool
) -> int:
    """MACs of one layer for given entries.

    Args:
        layer: the layer.
        entries: entries of the error used, per neuron, summed over samples and positions [neurons].
        kernel_mask: neurons whose weights update, bool [neurons].
        propagate: whether the error goes on to the layer below.
    """
    weight_gradient = int(entries[kernel_mask].sum())
    return layer.fan_in * (weight_gradient + (int(entries.sum()) if propagate else 0))
