"""What to train so that a model fits a board: the layers worth most within its memory and time.

Training deeper needs more: weights in RAM, saved activations, and errors of every layer crossed. So
the layers are added from the output down; whenever the board is too small, the layer that is worth
least for the RAM it takes is left out, the output layer never.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tf_odl.errors import UserError

Plan = dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """Layers that could train, what they are worth as a share of all layers', and their plan."""

    layers: tuple[str, ...]
    worth: float
    plan: Plan
    allowed: bool


@dataclass(frozen=True)
class Fit:
    """What was tried, in the order of depth, and the best of it."""

    choices: list[Choice]
    best: Choice


def fit_layers(
    sites: Sequence[str],
    worth: Mapping[str, float],
    plan_of: Callable[[Sequence[str]], Plan],
    *,
    milliseconds: float | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Fit:
    """The set of layers that is worth most among those that fit.

    Args:
        sites: the weighted layers in the order of the forward pass.
        worth: of each of them, >= 0: Fisher information, or the same for all.
        plan_of: plans the training of some layers; see `export.plan_export`.
        milliseconds: the longest training step, estimated; None for any.
        progress: called with ("fit", depths done, depths in all).

    Raises:
        UserError: not even the output layer fits.
    """
    total = sum(worth.values()) or 1.0

    def choice(layers: Sequence[str]) -> Choice:
        plan = plan_of(layers)
        step = plan["training"]["milliseconds"]
        allowed = plan["fits"] and (milliseconds is None or step <= milliseconds)
        return Choice(tuple(layers), sum(worth[s] for s in layers) / total, plan, allowed)

    head = sites[-1]
    first = choice([head])
    if not first.allowed:
        raise UserError(_nothing_fits(first, milliseconds))
    found = [first]
    kept = [head]
    for depth, site in enumerate(reversed(sites[:-1]), start=1):
        if progress is not None:
            progress("fit", depth, len(sites) - 1)
        alone = choice([site, head])
        if _too_deep(alone.plan):
            break
        if not alone.allowed:
            continue  # its own weights are too large, or the step takes too long
        trial = choice([site, *kept])
        while not trial.allowed:
            trial = choice(_without_the_least(trial, worth, head))
        if trial.layers != tuple(kept):
            found.append(trial)
        kept = list(trial.layers)
    best = max(found, key=lambda c: (c.worth, -c.plan["training"]["arena_bytes"]))
    return Fit(found, best)


def _too_deep(plan: Plan) -> bool:
    """Whether activations and errors alone are too large: then deeper layers do not fit either."""
    training, limit = plan["training"], plan["target"]["arena_bytes"]
    # Where the weights alone are too large nobody has tried to make the rest smaller.
    weights_fit = training["arena_bytes"] - training["planned_bytes"] < limit
    return bool(weights_fit and training["planned_bytes"] + training["struct_bytes"] > limit)


def _without_the_least(choice: Choice, worth: Mapping[str, float], head: str) -> list[str]:
    """The layers but the one that is worth least per byte of RAM it takes to train it."""
    ops = {op["name"]: op for op in choice.plan["ops"]}

    def value(site: str) -> float:
        op = ops[site]
        return worth[site] / max(op["trainable_bytes"] + op["error_bytes"], 1)

    least = min((s for s in choice.layers if s != head), key=value)
    return [s for s in choice.layers if s != least]


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
