"""NEq: neurons at equilibrium rest (Bragagnolo et al., 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tf_odl.errors import UserError
from tf_odl.methods.interfaces import Mask, Masks, SelectorState, WeightedLayer, all_neurons
from tf_odl.methods.velocity import WatchesVelocity

if TYPE_CHECKING:
    from tf_odl.methods.budget import Budget


@dataclass(frozen=True)
class Neq(WatchesVelocity):
    """Per epoch the neurons with |velocity| >= eps; there is no budget.

    All neurons update in the first epoch. See `WatchesVelocity` for the recurrence.
    """

    name: ClassVar[str] = "neq"
    eps: float = 0.001

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.eps >= 0:
            raise UserError(f"neq: eps must not be negative, got {self.eps}")

    def select(
        self,
        layers: Sequence[WeightedLayer],
        budget: Budget | None,
        epoch: int,
        rng: np.random.Generator,
        state: SelectorState,
    ) -> Masks:
        """All neurons but those whose output has settled."""
        if f"{layers[0].name}/velocity" not in state:
            return {layer.name: all_neurons(layer) for layer in layers}
        moving = {x.name: np.abs(state[f"{x.name}/velocity"]) >= self.eps for x in layers}
        return {name: Mask(mask, mask.copy()) for name, mask in moving.items()}
