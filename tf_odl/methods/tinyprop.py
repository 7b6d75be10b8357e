"""TinyProp: an adaptive share of the error entries (TinyPropv2 eq. 9-13)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from tf_odl.errors import UserError
from tf_odl.methods.granularity import Granularity, choices, keep_largest, nonzero_choices
from tf_odl.methods.interfaces import Sparse
from tf_odl.methods.settings import check_choices
from tf_odl.methods.top_k import round_half_up

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_odl.methods.interfaces import WeightedLayer

Variant = Literal["paper", "authors"]
ShareOf = Literal["entries", "nonzero"]


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

    variant "authors": k as their PyTorch code has it, halves rounded to even and not clamped, so
    that a small error keeps nothing. dense_bias: biases follow the whole error, as there.
    With granularity "channel", N^l is the number of channels; see `keep_largest`.

    share_of "nonzero", ours: S^l is a share of the entries that are not zero, which takes the
    place of N^l in eq. 12. An error has zeros behind inactive ReLUs and wherever a max pooling
    took another entry; of the paper's k^l they leave a share that differs from layer to layer.
    """

    name: ClassVar[str] = "tinyprop"
    follows_error: ClassVar[bool] = True
    s_min: float = 0.2
    s_max: float = 1.0
    zeta: float = 0.9
    sparsify_output: bool = False
    granularity: Granularity = "element"
    variant: Variant = "paper"
    dense_bias: bool = False
    share_of: ShareOf = "entries"

    def __post_init__(self) -> None:
        check_choices(self)
        if not 0 <= self.s_min <= self.s_max <= 1:
            raise UserError(
                f"tinyprop: 0 <= s_min <= s_max <= 1 is needed, got {self.s_min} and {self.s_max}"
            )
        if not 0 < self.zeta <= 1:
            raise UserError(f"tinyprop: zeta must be in (0, 1], got {self.zeta}")

    def keep(self, delta: tf.Tensor, y_max: tf.Tensor, layer: WeightedLayer) -> Sparse:
        """Keep the k^l largest of |delta|, float32 [B, N], per sample.

        The maximum of the batch enters y_max first, as if its largest error had come first.
        """
        import tensorflow as tf

        y = tf.reduce_sum(tf.abs(delta), axis=1)
        y_max = tf.maximum(y_max, tf.reduce_max(y))
        if layer.depth == 0 and not self.sparsify_output:
            return Sparse(None, y_max)
        size = choices(layer, self.granularity)
        rate = self.s_min + tf.math.divide_no_nan(y, y_max) * (self.s_max - self.s_min)
        wanted = rate * self.zeta**layer.depth
        if self.share_of == "nonzero":
            wanted *= tf.cast(nonzero_choices(delta, layer, self.granularity), wanted.dtype)
        else:
            wanted *= size
        if self.variant == "authors":
            k = tf.cast(tf.round(wanted), tf.int32)
        else:
            k = tf.clip_by_value(round_half_up(wanted), 1, size)
        selected = keep_largest(delta, k, layer, self.granularity)
        return Sparse(selected, y_max, self.dense_bias, k * (layer.outputs // size))
