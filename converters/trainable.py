"""Which neurons of which layer may update."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from tf_odl.converters.split import parse_window
from tf_odl.errors import UserError
from tf_odl.methods import Mask


def allowed_masks(
    neurons: Mapping[str, int],
    masks: Mapping[str, Mask] | None,
    layers: Sequence[str] | None,
    train_layers: int | None,
    frozen: Collection[str] = (),
) -> dict[str, Mask]:
    """The mask of every weighted layer.

    Where nothing else says what trains, that are all layers but `frozen`, or all if all are frozen.

    Args:
        neurons: of each layer, in the order of the forward pass.
        masks: of the layers that train; the others are frozen.
        layers: names of those that train, or of a window of one, `conv[8:16]`.
        train_layers: only so many of the last ones.
        frozen: layers that the model itself does not train.

    Raises:
        UserError: no layer has weights, or a name, a window or `train_layers` does not fit them.
    """
    sites = list(neurons)
    if (masks, layers, train_layers) == (None, None, None) and set(frozen) < set(sites):
        layers = [site for site in sites if site not in frozen]
    if not sites:
        raise UserError("the model has no Dense or convolution layer to train")
    if train_layers is not None and not 1 <= train_layers <= len(sites):
        raise UserError(
            f"--train-layers {train_layers}: the model has {len(sites)} layers with weights"
        )
    windows = dict(_window(name, neurons) for name in layers or ())
    for what, names in (("the masks name", masks), ("--layers names", windows)):
        unknown = sorted(set(names or ()) - set(sites))
        if unknown:
            raise UserError(f"{what} a layer {unknown[0]!r}, the model has {', '.join(sites)}")
    result = {}
    for site, count in neurons.items():
        if layers is not None and site not in windows:
            result[site] = _frozen(count)
        elif masks is None:
            result[site] = Mask(np.ones(count, bool), np.ones(count, bool))
        else:
            result[site] = masks.get(site, _frozen(count))
        if site in windows:
            chosen = windows[site]
            result[site] = Mask(result[site].kernel & chosen, result[site].bias & chosen)
    return result if train_layers is None else last_layers(result, train_layers)


def _window(name: str, neurons: Mapping[str, int]) -> tuple[str, np.ndarray]:
    """The layer of `conv` or `conv[8:16]`, and which of its neurons are meant."""
    site, first, end = parse_window(name)
    count = neurons.get(site, 0)
    if site in neurons and first is not None and end is not None and not first < end <= count:
        raise UserError(
            f"--layers {name}: layer {site!r} has the neurons 0 to {count - 1}, "
            f"so a window is [FIRST:END] with FIRST < END <= {count}"
        )
    chosen = np.zeros(count, bool)
    chosen[first:end] = True
    return site, chosen


def _frozen(neurons: int) -> Mask:
    return Mask(np.zeros(neurons, bool), np.zeros(neurons, bool))


def last_layers(masks: Mapping[str, Mask], count: int) -> dict[str, Mask]:
    """The masks with all but the last `count` layers frozen."""
    kept = list(masks)[-count:]
    return {s: m if s in kept else _frozen(len(m.kernel)) for s, m in masks.items()}


def trains(mask: Mask) -> bool:
    """Whether any of its neurons updates."""
    return bool(mask.kernel.any() or mask.bias.any())
