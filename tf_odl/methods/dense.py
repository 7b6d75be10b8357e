"""No sparsification: ordinary backpropagation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_odl.methods.interfaces import Sparse

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_odl.methods.interfaces import WeightedLayer


@dataclass(frozen=True)
class Dense:
    """Every entry of the error propagates."""

    name: ClassVar[str] = "dense"
    follows_error: ClassVar[bool] = False

    def keep(self, delta: tf.Tensor, y_max: tf.Tensor, layer: WeightedLayer) -> Sparse:
        """Keep all of delta, float32 [B, N]."""
        return Sparse(None, y_max)
