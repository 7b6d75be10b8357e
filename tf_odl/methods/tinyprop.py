"""TinyProp: an adaptive share of the error entries (TinyPropv2 eq. 9-13)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_odl.errors import UserError
from tf_odl.methods.interfaces import Sparse
from tf_odl.methods.top_k import round_half_up, top_k_mask

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class TinyProp:
    """Top-k whose k follows the layer's error.

        Y^l = sum |delta_z^l|                                              (eq. 9)
        S^l = (s_min + Y^l (s_max - s_min) / Y_max^l) * zeta^(L-l)         (eq. 11)
        k^l = clamp(round(S^l N^l), 1, N^l)                                (eq. 12)

    Y_max^l is the running maximum of Y^l over all samples seen. The paper gives no values for
    s_min, s_max and zeta; these defaults are measured (docs/methods.md). The output
    layer stays dense unless `sparsify_output`, the paper's reading: with 6 to 10 classes k
    becomes 1 and learning turns fragile.
    """

    name: ClassVar[str] = "tinyprop"
    s_min: float = 0.2
    s_max: float = 1.0
    zeta: float = 0.9
    sparsify_output: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.s_min <= self.s_max <= 1:
            raise UserError(
                f"tinyprop: 0 <= s_min <= s_max <= 1 is needed, got {self.s_min} and {self.s_max}"
            )
        if not 0 < self.zeta <= 1:
            raise UserError(f"tinyprop: zeta must be in (0, 1], got {self.zeta}")

    def keep(self, delta: tf.Tensor, y_max: tf.Tensor, depth: int) -> Sparse:
        """Keep the k^l largest of |delta|, float32 [B, N], per sample.

        The maximum of the batch enters y_max first, as if its largest error had come first.
        """
        import tensorflow as tf

        magnitude = tf.abs(delta)
        y = tf.reduce_sum(magnitude, axis=1)
        y_max = tf.maximum(y_max, tf.reduce_max(y))
        if depth == 0 and not self.sparsify_output:
            return Sparse(None, y_max)
        size = int(delta.shape[1])
        rate = self.s_min + tf.math.divide_no_nan(y, y_max) * (self.s_max - self.s_min)
        k = round_half_up(rate * self.zeta**depth * size)
        return Sparse(top_k_mask(magnitude, tf.clip_by_value(k, 1, size)), y_max)
