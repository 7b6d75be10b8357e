"""Random neurons within a budget, redrawn every epoch (the Velocity poster's baseline)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tf_odl.methods.budget import take_prefix
from tf_odl.methods.interfaces import Masks, Selector, SelectorState, WeightedLayer

if TYPE_CHECKING:
    from tf_odl.methods.budget import Budget


def random_neurons(
    layers: Sequence[WeightedLayer], budget: Budget, rng: np.random.Generator
) -> Masks:
    """Shuffle all neurons of all layers, take the prefix that fits the budget."""
    neurons = [(i, n) for i, layer in enumerate(layers) for n in range(layer.neurons)]
    return take_prefix(layers, (neurons[j] for j in rng.permutation(len(neurons))), budget)


@dataclass(frozen=True)
class Random(Selector):
    """A new random choice of neurons every epoch, filled up to the budget."""

    name: ClassVar[str] = "random"
    needs_budget: ClassVar[bool] = True

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
        return random_neurons(layers, budget, rng)
