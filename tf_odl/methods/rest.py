"""TinyPropv2's decision, and rest for those it skips: beyond the paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from tf_odl.errors import UserError
from tf_odl.methods.settings import check_choices
from tf_odl.methods.tinypropv2 import TinyPropV2

Pace = Literal["epochs", "learning-rate"]


@dataclass(frozen=True)
class Rest(TinyPropV2):
    """A sample skipped at its last s visits is not even forwarded for the next epochs:

        min(2^(s-1), longest_rest) of them: 1, 2, 4, ..

    The forward pass is 45 % of training a perceptron, so no rule that looks at every sample gets
    below that; with rest most samples cost nothing in most epochs. It takes one small counter
    per stored sample, and stored samples.

    pace "learning-rate": an epoch is worth its learning rate, as a share of the largest so far.
    What a sample's rest risks is that the network changes meanwhile, and it changes by as much.
    """

    name: ClassVar[str] = "rest"
    longest_rest: int = 4
    pace: Pace = "epochs"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self)
        if self.longest_rest < 1 or self.longest_rest != int(self.longest_rest):
            raise UserError(
                f"rest: longest_rest is a whole number of epochs from 1, got {self.longest_rest}"
            )

    @property
    def rests(self) -> int:
        """Epochs at most for which a skipped sample is not even forwarded."""
        return int(self.longest_rest)
