"""Multiply-accumulates of a dense backward pass, as far as masks need it.

One entry of a layer's error costs fan_in MACs for the weight gradient of its neuron and fan_in
MACs to be propagated.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tf_odl.methods.interfaces import Masks, WeightedLayer


def upstream_of(layers: Sequence[WeightedLayer]) -> list[frozenset[str]]:
    """Per layer the names of those its input depends on."""
    names = [x.name for x in layers]
    return [
        frozenset(names[:i]) if x.upstream is None else x.upstream for i, x in enumerate(layers)
    ]


def propagates(layers: Sequence[WeightedLayer], masks: Masks) -> np.ndarray:
    """Whether each layer has to send its error down: bool [layers].

    It has to when anything of a layer upstream of it updates. A shortcut does not lie upstream
    of the branch beside it, nor the branch upstream of the shortcut.
    """
    trains = {x.name for x in layers if x.name in masks and masks[x.name].trains}
    return np.array([not trains.isdisjoint(upstream) for upstream in upstream_of(layers)])


def full_backward_macs(layers: Sequence[WeightedLayer]) -> int:
    """MACs of the dense backward pass of one sample with every layer trainable.

    The error of a layer with none upstream, such as the first, is not propagated.
    """
    return sum(
        x.outputs * x.fan_in * (2 if upstream else 1)
        for x, upstream in zip(layers, upstream_of(layers), strict=True)
    )


def masked_backward_macs(layers: Sequence[WeightedLayer], masks: Masks) -> int:
    """MACs of the dense backward pass of one sample under masks.

    Args:
        layers: all weighted layers of the model.
        masks: of some of them; the others do not update but may have to propagate.
    """
    total = 0
    for layer, on in zip(layers, propagates(layers, masks), strict=True):
        total += layer.outputs * layer.fan_in * int(on)
        if layer.name in masks:
            mask = masks[layer.name]
            updated = int(np.count_nonzero(mask.kernel)) * layer.positions
            total += updated * layer.fan_in_from(mask.inputs)
    return total
