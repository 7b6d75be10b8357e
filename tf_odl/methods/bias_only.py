"""Only biases update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tf_odl.methods.interfaces import Mask, Masks, Selector, SelectorState, WeightedLayer

if TYPE_CHECKING:
    from tf_odl.methods.budget import Budget


@dataclass(frozen=True)
class BiasOnly(Selector):
    """All biases (and the shifts of batch normalization) update, no weights.

    No input has to be kept and no weight gradient is computed; the error still propagates.
    """

    name: ClassVar[str] = "bias-only"
    static: ClassVar[bool] = True

    def select(
        self,
        layers: Sequence[WeightedLayer],
        budget: Budget | None,
        epoch: int,
        rng: np.random.Generator,
        state: SelectorState,
    ) -> Masks:
        """All biases."""
        return {
            layer.name: Mask(np.zeros(layer.neurons, bool), np.ones(layer.neurons, bool))
            for layer in layers
        }
