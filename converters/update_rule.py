"""How int8 weights take the steps of training: the update rule (docs/training-graph.md, step 5)."""

from __future__ import annotations

from enum import Enum

RESIDUAL = "residual"  # the last part of the name of a residual tensor
RESIDUAL_STEPS = 256  # of a residual, in one of its weight


class UpdateRule(Enum):
    """Both follow float training; they differ in memory and in noise."""

    STOCHASTIC = "stochastic"  # rounds at random, nothing beside the weights
    RESIDUAL = "residual"  # keeps what rounding leaves: a byte per trainable weight


def residual_name(weights: str) -> str:
    """The name of the residual of a weight tensor."""
    return f"{weights}/{RESIDUAL}"


def is_residual(name: str) -> bool:
    """Whether a variable of a training graph is the residual of the one before."""
    return name.rsplit("/", 1)[-1] == RESIDUAL
