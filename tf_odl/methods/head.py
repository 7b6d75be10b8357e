"""Only the output layer updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tf_odl.methods.interfaces import Masks, Selector, SelectorState, WeightedLayer, all_neurons

if TYPE_CHECKING:
    from tf_odl.methods.budget import Budget


@dataclass(frozen=True)
class Head(Selector):
    """Only the output layer updates: the cheapest baseline, no error is propagated."""

    name: ClassVar[str] = "head"
    static: ClassVar[bool] = True

    def select(
        self,
        layers: Sequence[WeightedLayer],
        budget: Budget | None,
        epoch: int,
        rng: np.random.Generator,
        state: SelectorState,
    ) -> Masks:
        """All neurons of the output layer, none of the others."""
        return {layer.name: all_neurons(layer, layer.depth == 0) for layer in layers}
