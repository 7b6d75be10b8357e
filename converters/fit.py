"""What to train so that a model fits a board: the neurons worth most within its memory and time.

Training deeper needs more: weights in RAM, saved activations, and errors of every layer crossed. So
the layers are added from the output down; whenever the board is too small, the layer that is worth
least for the RAM it takes is halved to the window of its neurons that is worth most, and left out
when it is at an eighth. The output layer always trains as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_odl.converters.split import window_name
from tf_odl.errors import UserError

Plan = dict[str, Any]

SMALLEST = 8  # a window is at least one in so many neurons of its layer


@dataclass(frozen=True)
class Choice:
    """What could train, what it is worth as a share of all neurons, and its plan.

    `layers` are named as `export --layers` takes them: `conv`, or `conv[8:16]` for some neurons.
    """

    layers: tuple[str, ...]
    worth: float
    plan: Plan
    allowed: bool


@dataclass(frozen=True)
class Fit:
    """What was tried, in the order of depth, and the best of it."""

    choices: list[Choice]
    best: Choice


Windows = dict[str, tuple[int, int]]  # layer: the first neuron that trains, and the end


def fit_layers(
    worth: Mapping[str, np.ndarray],
    plan_of: Callable[[Sequence[str]], Plan],
    narrowable: Collection[str] = (),
    *,
    milliseconds: float | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Fit:
    """The neurons that are worth most among the sets that fit.

    Args:
        worth: of each neuron of each weighted layer, float [neurons] >= 0, in the order of the
            forward pass: the squared gradient of the loss, or the same for all layers.
        plan_of: plans the training of some layers; see `planner.Planner`.
        narrowable: the layers of which a window of neurons can train alone.
        milliseconds: the longest training step, estimated; None for any.
        progress: called with ("fit", depths done, depths in all).

    Raises:
        UserError: not even the output layer fits.
    """
    total = sum(float(w.sum()) for w in worth.values()) or 1.0
    sites = list(worth)
    head = sites[-1]

    plans: dict[tuple[str, ...], Plan] = {}  # a layer tried in vain leaves what was before it

    def choice(windows: Windows) -> Choice:
        names = tuple(_name(s, windows[s], len(worth[s])) for s in sites if s in windows)
        if names not in plans:
            plans[names] = plan_of(names)
        plan = plans[names]
        step = plan["training"]["milliseconds"]
        allowed = plan["fits"] and (milliseconds is None or step <= milliseconds)
        return Choice(names, _worth(windows, worth) / total, plan, allowed)

    kept: Windows = {head: (0, len(worth[head]))}
    first = choice(kept)
    if not first.allowed:
        raise UserError(_nothing_fits(first, milliseconds))
    found = [first]
    for depth, site in enumerate(reversed(sites[:-1]), start=1):
        if progress is not None:
            progress("fit", depth, len(sites) - 1)
        smallest = -(-len(worth[site]) // SMALLEST) if site in narrowable else len(worth[site])
        try:
            alone = choice({site: _best(worth[site], smallest), head: kept[head]})
        except UserError:
            continue  # the error cannot get there, or the layer cannot train
        if _too_deep(alone.plan):
            break
        if not alone.allowed:
            continue  # its weights are too large, or the step takes too long
        windows = {site: (0, len(worth[site])), **kept}
        trial = choice(windows)
        while not trial.allowed:
            windows = _less(windows, worth, trial.plan, narrowable, head)
            trial = choice(windows)
        if windows != kept:
            found.append(trial)
        kept = windows
    best = max(found, key=lambda c: (c.worth, -c.plan["training"]["arena_bytes"]))
    return Fit(found, best)


def _name(site: str, window: tuple[int, int], neurons: int) -> str:
    return site if window == (0, neurons) else window_name(site, *window)


def _worth(windows: Windows, worth: Mapping[str, np.ndarray]) -> float:
    return sum(float(worth[s][first:end].sum()) for s, (first, end) in windows.items())


def _best(worth: np.ndarray, width: int) -> tuple[int, int]:
    """The window of so many neighbours that is worth most."""
    sums = np.convolve(worth, np.ones(width), "valid")
    first = int(np.argmax(sums))
    return first, first + width


def _less(
    windows: Windows,
    worth: Mapping[str, np.ndarray],
    plan: Plan,
    narrowable: Collection[str],
    head: str,
) -> Windows:
    """Half of the neurons of what is worth least per byte of RAM, or none of it."""
    ops = {op["name"]: op for op in plan["ops"]}

    def value(site: str) -> float:
        first, end = windows[site]
        # A window that saves little stays a mask in its layer.
        op = ops.get(_name(site, (first, end), len(worth[site]))) or ops[site]
        needs = op["trainable_bytes"] + op["error_bytes"]
        return float(worth[site][first:end].sum()) / max(needs, 1)

    site = min((s for s in windows if s != head), key=value)
    first, end = windows[site]
    width = -(-(end - first) // 2)
    fewer = dict(windows)
    if site in narrowable and width * SMALLEST >= len(worth[site]) and width < end - first:
        fewer[site] = _best(worth[site], width)
    else:
        del fewer[site]
    return fewer


def _too_deep(plan: Plan) -> bool:
    """Whether activations and errors alone are too large: then deeper layers do not fit either."""
    training, limit = plan["training"], plan["target"]["arena_bytes"]
    # Where the weights alone are too large nobody has tried to make the rest smaller.
    weights_fit = training["arena_bytes"] - training["planned_bytes"] < limit
    return bool(weights_fit and training["planned_bytes"] + training["struct_bytes"] > limit)


def _nothing_fits(head: Choice, milliseconds: float | None) -> str:
    plan, target = head.plan, head.plan["target"]
    inference, training = plan["inference"]["arena_bytes"], plan["training"]["arena_bytes"]
    if plan["fits"]:
        step = plan["training"]["milliseconds"]
        return (
            f"no step that trains fits into {milliseconds:g} ms on {target['board']}: training the "
            f"output layer alone takes about {step:.1f} ms. Allow more, or use a smaller model"
        )
    flash = plan["flash"]["total_bytes"]
    if flash > target["flash_bytes"]:
        missing = f"{flash - target['flash_bytes']:,} B of flash are missing"
    else:
        missing = f"{training - target['arena_bytes']:,} B of arena are missing"
    only = "inference" if inference > target["arena_bytes"] else "training the output layer alone"
    return (
        f"the model does not fit {target['board']}: {only} is too much, {missing}. Use a smaller "
        "input or model, or another board (tf-odl targets)"
    )
