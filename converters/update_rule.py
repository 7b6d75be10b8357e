"""How int8 weights take the steps of training: the update rule (docs/training-graph.md, step 5)."""

from __future__ import annotations

from enum import Enum

from tf_odl.errors import UserError

RESIDUAL = "residual"  # the last part of the name of a residual tensor
SUMS = "sums"  # that of a tensor of sums
ACCUMULATED = "tfodl/accumulated"  # how many samples the sums are of
RESIDUAL_STEPS = 256  # of a residual, in one of its weight


class UpdateRule(Enum):
    """All follow float training; they differ in memory and in noise."""

    STOCHASTIC = "stochastic"  # rounds at random: a byte per trainable weight
    RESIDUAL = "residual"  # keeps what rounding leaves: two bytes
    CHANGES = "changes"  # rounds at random; half a byte for what changes of weights in flash


def with_less_memory(rule: UpdateRule, accumulate: int) -> list[UpdateRule]:
    """The rules that take less RAM per weight than this one, the one that takes most first."""
    rules = [UpdateRule.RESIDUAL, UpdateRule.STOCHASTIC, UpdateRule.CHANGES]
    less = rules[rules.index(rule) + 1 :]
    return [r for r in less if accumulate == 1 or r is not UpdateRule.CHANGES]


def residual_name(weights: str) -> str:
    """The name of the residual of a weight tensor."""
    return f"{weights}/{RESIDUAL}"


def sums_name(variable: str) -> str:
    """The name of the sums of what a weight tensor or a bias will change by."""
    return f"{variable}/{SUMS}"


def is_of_accumulation(name: str) -> bool:
    """Whether a variable of a training graph holds sums, or counts the samples in them."""
    return name == ACCUMULATED or name.rsplit("/", 1)[-1] == SUMS


def check_accumulation(samples: int, rule: UpdateRule, *, variable_masks: bool) -> None:
    """Whether the gradients of so many samples can be added up before weights change.

    Raises:
        UserError: no number of samples, sums of neurons that may become others, or no weights in
            RAM that sums could change.
    """
    if not 1 <= samples < 2**32:
        raise UserError(f"--accumulate must be 1 sample or more, got {samples}")
    if samples > 1 and rule is UpdateRule.CHANGES:
        raise UserError(
            "--accumulate takes two bytes per weight, --update-rule changes is there to save them: "
            "leave one of them out"
        )
    if samples > 1 and variable_masks:
        raise UserError(
            "--accumulate keeps sums of the neurons that may update: "
            "leave out --variable-masks, --selector and --reselect"
        )


def is_residual(name: str) -> bool:
    """Whether a variable of a training graph is the residual of the one before."""
    return name.rsplit("/", 1)[-1] == RESIDUAL
