"""Never skip: every sample trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class Never:
    """Every sample trains."""

    name: ClassVar[str] = "never"
    always_trains: ClassVar[bool] = True

    @property
    def rests(self) -> int:
        """0: every sample is visited in every epoch."""
        return 0

    def decide(self, alpha: tf.Tensor, alpha_max: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Train every sample of alpha, float32 [B]."""
        import tensorflow as tf

        return tf.ones_like(alpha, dtype=tf.bool), alpha_max
