"""Neurons that the board chooses anew: TFODL_RESELECT (docs/training-graph.md, "Reselection")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_odl.converters.options import ReselectOptions, SelectionRule
from tf_odl.errors import UserError
from tf_odl.methods.budget import Budget
from tf_odl.methods.interfaces import Masks, Selector, WeightedLayer
from tf_odl.methods.random import Random
from tf_odl.methods.velocity import Velocity

REFERENCES = 8
MAX_REFERENCES = 64
_NOT_ON_A_BOARD = {"scope": "all", "depthwise_cost": "exact", "variant": "authors"}


@dataclass(frozen=True)
class Reselection:
    """How the board chooses neurons.

    Args:
        selector: random or velocity.
        budget: in parameters, or a share of those of the layers that may train.
        interval: labelled samples between two choices.
        references: samples that the outputs of the neurons are compared on, with velocity.

    Raises:
        UserError: a selector, setting or number that the board does not have.
    """

    selector: Selector
    budget: Budget
    interval: int
    references: int = REFERENCES

    def __post_init__(self) -> None:
        if not isinstance(self.selector, (Random, Velocity)):
            raise UserError(
                f"the selector {self.selector.name!r} does not exist on a board: use --selector "
                "random or velocity, or bake masks in with --masks"
            )
        for setting, device in _NOT_ON_A_BOARD.items():
            value = getattr(self.selector, setting, device)
            if value != device:
                raise UserError(
                    f"{self.selector.name} with {setting}={value} does not exist on a board, "
                    f"which has {setting}={device}"
                )
        if self.budget.kind == "bytes":
            raise UserError(
                "the budget of a board is in parameters or a share of them: "
                "the memory is planned for all neurons, whichever are chosen"
            )
        if not 1 <= self.interval < 2**32:
            raise UserError(f"--reselect must be at least 1 labelled sample, got {self.interval}")
        if not 1 <= self.references <= MAX_REFERENCES:
            raise UserError(f"--references must be from 1 to {MAX_REFERENCES}")

    @property
    def observes(self) -> bool:
        """Whether the outputs of the neurons are looked at."""
        return isinstance(self.selector, Velocity)

    def to_dict(self) -> dict[str, Any]:
        """For the record of an export."""
        return {
            "selector": self.selector.name,
            "budget": str(self.budget),
            "interval": self.interval,
            "references": self.references if self.observes else 0,
        }

    def reference_samples(self, samples: np.ndarray) -> np.ndarray:
        """`references` of the samples [N, *input], spread evenly.

        Raises:
            UserError: there are fewer.
        """
        if len(samples) < self.references:
            raise UserError(
                f"velocity needs {self.references} reference samples, there are {len(samples)}"
            )
        return samples[np.linspace(0, len(samples) - 1, self.references).astype(int)]

    def first_masks(self, layers: Sequence[WeightedLayer], seed: int) -> Masks:
        """Random neurons within the budget, as both selectors start.

        Raises:
            UserError: the budget has no room for one neuron, or for more than there are.
        """
        total = sum(layer.neurons * layer.parameters_per_neuron for layer in layers)
        if self.budget.limit(layers) > total:
            raise UserError(
                f"the budget of {self.budget} is more than the {total} parameters that train: "
                "lower --budget, or leave out --selector"
            )
        return Random().select(layers, self.budget, 0, np.random.default_rng(seed), {})

    def options(
        self, layers: Sequence[WeightedLayer], zero_points: Sequence[int]
    ) -> ReselectOptions:
        """The options of the op.

        Args:
            layers: those that may train, in the order of the forward pass.
            zero_points: of their outputs.
        """
        return ReselectOptions(
            rule=SelectionRule.VELOCITY if self.observes else SelectionRule.RANDOM,
            interval=self.interval,
            budget=int(self.budget.limit(layers)),
            n_references=self.references if self.observes else 0,
            mu=self.selector.mu if isinstance(self.selector, Velocity) else 0.0,
            n_layers=len(layers),
            layers=tuple(
                (layer.neurons, layer.parameters_per_neuron, zero_point)
                for layer, zero_point in zip(layers, zero_points, strict=True)
            ),
        )
