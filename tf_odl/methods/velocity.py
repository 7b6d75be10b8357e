"""Velocity: the neurons that change fastest (NEq, Bragagnolo et al. 2022; the Velocity poster)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from tf_odl.methods.interfaces import Masks, Selector, SelectorState, WeightedLayer
from tf_odl.methods.random import shuffled
from tf_odl.methods.scope import DepthwiseCost, Scope, fill_budget
from tf_odl.methods.settings import check_choices

if TYPE_CHECKING:
    from tf_odl.methods.budget import Budget

Variant = Literal["authors", "paper"]


def similarity(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """phi of every neuron: the cosine similarity of its output now and one epoch ago.

    Args:
        now, before: float [samples, positions, neurons] on the same samples.

    Returns:
        float64 [neurons]. With maps (positions > 1) the mean over samples of the cosine over the
        flattened map; with vectors the cosine over the samples. Two zero maps have similarity
        1, one zero map 0.
    """
    if now.shape[1] == 1:
        now, before = now.transpose(1, 0, 2), before.transpose(1, 0, 2)
    now, before = now.astype(np.float64), before.astype(np.float64)
    dot = (now * before).sum(axis=1)
    norms = np.sqrt((now * now).sum(axis=1)), np.sqrt((before * before).sum(axis=1))
    product = norms[0] * norms[1]
    cosine = np.divide(dot, product, out=np.zeros_like(dot), where=product > 0)
    cosine[(norms[0] == 0) & (norms[1] == 0)] = 1.0
    return cosine.mean(axis=0)


@dataclass(frozen=True)
class WatchesVelocity(Selector):
    """Keeps phi, its change and the velocity v of every neuron; what to do with v is left open.

        dphi_t = phi_t - phi_{t-1}
        v_t = dphi_t - dphi_{t-1} + mu v_{t-1}      variant "authors", which made the tables
        v_t = dphi_t - mu v_{t-1}                   variant "paper", as NEq prints it

    phi_0 = 1 (a neuron is similar to itself), dphi_0 = v_0 = 0.
    """

    needs_outputs: ClassVar[bool] = True
    mu: float = 0.5
    variant: Variant = "authors"

    def __post_init__(self) -> None:
        check_choices(self)

    def observe(
        self,
        layers: Sequence[WeightedLayer],
        outputs: Sequence[np.ndarray],
        state: SelectorState,
    ) -> SelectorState:
        """Update phi, dphi and v of every neuron, float64 [neurons].

        The first call only remembers the outputs, float [samples, positions, neurons] by layer.
        """
        new: dict[str, np.ndarray] = {}
        for layer, now in zip(layers, outputs, strict=True):
            key = layer.name
            new[f"{key}/outputs"] = np.asarray(now, np.float32)
            if f"{key}/outputs" not in state:
                continue
            zeros = np.zeros(layer.neurons)
            phi = similarity(now, state[f"{key}/outputs"])
            change = phi - state.get(f"{key}/phi", np.ones(layer.neurons))
            momentum = self.mu * state.get(f"{key}/velocity", zeros)
            if self.variant == "authors":
                velocity = change - state.get(f"{key}/change", zeros) + momentum
            else:
                velocity = change - momentum
            new |= {f"{key}/phi": phi, f"{key}/change": change, f"{key}/velocity": velocity}
        return new


@dataclass(frozen=True)
class Velocity(WatchesVelocity):
    """Per epoch the neurons of largest |velocity| per parameter, up to the budget.

    The first epoch is random, as in the poster.
    """

    name: ClassVar[str] = "velocity"
    needs_budget: ClassVar[bool] = True
    scope: Scope = "all"
    depthwise_cost: DepthwiseCost = "exact"

    def select(
        self,
        layers: Sequence[WeightedLayer],
        budget: Budget | None,
        epoch: int,
        rng: np.random.Generator,
        state: SelectorState,
    ) -> Masks:
        """|v| / parameters, descending; ties in layer and neuron order."""
        assert budget is not None

        def fastest_first(charged: Sequence[WeightedLayer]) -> list[tuple[int, int]]:
            score = np.concatenate(
                [np.abs(state[f"{x.name}/velocity"]) / x.parameters_per_neuron for x in charged]
            )
            neurons = [(i, n) for i, layer in enumerate(charged) for n in range(layer.neurons)]
            return [neurons[j] for j in np.argsort(-score, kind="stable")]

        known = f"{layers[0].name}/velocity" in state
        order = fastest_first if known else shuffled(rng)
        return fill_budget(layers, budget, order, self.scope, self.depthwise_cost)
