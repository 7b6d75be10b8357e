"""TinyPropv2's decision to train or to skip a sample (TinyPropv2 eq. 14)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_odl.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class TinyPropV2:
    """Train iff D > threshold, with

        D = (d_min + alpha (d_max - d_min) / alpha_max) * beta             (eq. 14)

    alpha = Y^L, the output layer's total error, and alpha_max its running maximum, which skipped
    samples raise too. With softmax and cross-entropy D is 1 - p(true class). The paper names a
    threshold of 0.5 as a starting point; it costs 0.4 to 0.9 points, 0.1 does not.

    Of squared errors D is the share of the largest error so far. What is within the threshold of it
    is not learned, so that it bounds how well a regression can do: `of_squared_errors`.
    """

    name: ClassVar[str] = "tinypropv2"
    of_squared_errors: ClassVar[Mapping[str, float]] = {"threshold": 0.02}
    always_trains: ClassVar[bool] = False
    threshold: float = 0.1
    d_min: float = 0.0
    d_max: float = 1.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, str) and not math.isfinite(value):
                raise UserError(f"tinypropv2: {name} must be a finite number, got {value}")
        if not self.d_min <= self.d_max:
            raise UserError(
                f"tinypropv2: d_min <= d_max is needed, got {self.d_min} and {self.d_max}"
            )
        if self.beta <= 0:
            raise UserError(f"tinypropv2: beta must be positive, got {self.beta}")

    @property
    def rests(self) -> int:
        """0: every sample is visited in every epoch."""
        return 0

    def decide(self, alpha: tf.Tensor, alpha_max: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """From alpha, float32 [B], to (trains bool [B], new alpha_max)."""
        import tensorflow as tf

        alpha_max = tf.maximum(alpha_max, tf.reduce_max(alpha))
        share = tf.math.divide_no_nan(alpha, alpha_max)
        decision = (self.d_min + share * (self.d_max - self.d_min)) * self.beta
        return decision > self.threshold, alpha_max
