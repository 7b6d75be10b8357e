"""Random neurons within a budget, redrawn every epoch (the Velocity poster's baseline)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tf_odl.methods.interfaces import Masks, Selector, SelectorState, WeightedLayer
from tf_odl.methods.scope import DepthwiseCost, Order, Scope, fill_budget
from tf_odl.methods.settings import check_choices

if TYPE_CHECKING:
    from tf_odl.methods.budget import Budget


def shuffled(rng: np.random.Generator) -> Order:
    """All neurons of all layers in random order."""

    def order(layers: Sequence[WeightedLayer]) -> list[tuple[int, int]]:
        neurons = [(i, n) for i, layer in enumerate(layers) for n in range(layer.neurons)]
        return [neurons[j] for j in rng.permutation(len(neurons))]

    return order


@dataclass(frozen=True)
class Random(Selector):
    """A new random choice of neurons every epoch, filled up to the budget."""

    name: ClassVar[str] = "random"
    needs_budget: ClassVar[bool] = True
    scope: Scope = "all"
    depthwise_cost: DepthwiseCost = "exact"

    def __post_init__(self) -> None:
        check_choices(self)

    def select(
        self,
        layers: Sequence[WeightedLayer],
        budget: Budget | None,
        epoch: int,
        rng: np.random.Generator,
        state: SelectorState,
    ) -> Masks:
        """A random prefix within the budget."""
        assert budget is not None
        return fill_budget(layers, budget, shuffled(rng), self.scope, self.depthwise_cost)
