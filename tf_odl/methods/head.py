"""Only the output layer updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tf_odl.methods.interfaces import Masks, SelectorState, WeightedLayer, all_neurons

if TYPE_CHECKING:
    from tf_odl.methods.budget import Budget


@dataclass(frozen=True)
class Head:
    """Only the output layer updates: the cheapest baseline, no error is propagated."""

    name: ClassVar[str] = "head"
    static: ClassVar[bool] = True
    needs_budget: ClassVar[bool] = False
    needs_outputs: ClassVar[bool] = False

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

    def observe(
        self,
        layers: Sequence[WeightedLayer],
        outputs: Sequence[np.ndarray],
        state: SelectorState,
    ) -> SelectorState:
        """No state."""
        return state
