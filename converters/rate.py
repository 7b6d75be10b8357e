"""The learning rate over time, and how much of a large error counts: TFODL_RATE."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from tf_odl.converters.options import RateOptions, ScheduleCode
from tf_odl.errors import UserError

DEFAULT_FACTOR = 0.1
_U32_MAX = 2**32 - 1


class Schedule(Enum):
    """How the learning rate changes with the labelled samples a device has seen."""

    CONSTANT = "constant"
    STEP = "step"  # multiplied by `factor` after every `samples`
    COSINE = "cosine"  # falls to `factor` of itself within `samples`, and stays there


@dataclass(frozen=True)
class RateSettings:
    """What TFODL_RATE does; without any of it the op is left out.

    `samples` and `warm_up` count labelled samples; the rate rises linearly during the warm-up.
    `clip` bounds alpha, the sum of the magnitudes of the output error: a larger error trains as if
    it were scaled down to it. None does not clip.
    """

    schedule: Schedule = Schedule.CONSTANT
    samples: int | None = None
    factor: float = DEFAULT_FACTOR
    warm_up: int = 0
    clip: float | None = None

    def __post_init__(self) -> None:
        varies = self.schedule is not Schedule.CONSTANT
        if varies and self.samples is None:
            raise UserError(
                f"the {self.schedule.value} schedule needs --schedule-samples: how many labelled "
                "samples it takes"
            )
        if not varies and self.samples is not None:
            raise UserError("--schedule-samples needs --schedule step or cosine")
        if self.samples is not None and not 1 <= self.samples <= _U32_MAX:
            raise UserError(f"--schedule-samples must be at least 1, got {self.samples}")
        if not 0 <= self.factor <= 1:
            raise UserError(f"--schedule-factor must be 0 to 1, got {self.factor}")
        if not 0 <= self.warm_up <= _U32_MAX:
            raise UserError(f"--warm-up must be 0 samples or more, got {self.warm_up}")
        if self.clip is not None and not (math.isfinite(self.clip) and self.clip > 0):
            raise UserError(f"--clip must be positive, got {self.clip}")

    def options(self) -> RateOptions | None:
        """Of TFODL_RATE, None where the rate never changes."""
        if self == RateSettings(factor=self.factor):
            return None
        code = ScheduleCode[self.schedule.name]
        clip = 0.0 if self.clip is None else self.clip
        return RateOptions(code, self.samples or 1, self.warm_up, self.factor, clip)


CONSTANT_RATE = RateSettings()
