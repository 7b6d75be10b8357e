"""Every neuron updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tf_odl.methods.interfaces import Masks, Selector, SelectorState, WeightedLayer, all_neurons

if TYPE_CHECKING:
    from tf_odl.methods.budget import Budget


@dataclass(frozen=True)
class Full(Selector):
    """Every neuron of every trainable layer updates."""

    name: ClassVar[str] = "full"
    static: ClassVar[bool] = True

    def select(
        self,
        layers: Sequence[WeightedLayer],
        budget: Budget | None,
        epoch: int,
        rng: np.random.Generator,
        state: SelectorState,
    ) -> Masks:
        """All neurons."""
        return {layer.name: all_neurons(layer) for layer in layers}
