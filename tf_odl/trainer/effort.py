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

from tf_odl.methods import WeightedLayer
from tf_odl.methods.macs import full_backward_macs, propagates

__all__ = ["forward_macs", "full_backward_macs", "layer_backward_macs", "propagates"]


def forward_macs(layers: Sequence[WeightedLayer]) -> int:
    """MACs of the forward pass of one sample."""
    return sum(layer.outputs * layer.fan_in for layer in layers)


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
