"""meProp: a fixed share of the error entries (Sun et al., 2017; TinyPropv2 eq. 4-8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_odl.errors import UserError
from tf_odl.methods.granularity import Granularity, choices, keep_largest
from tf_odl.methods.interfaces import Sparse
from tf_odl.methods.settings import check_choices

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_odl.methods.interfaces import WeightedLayer


@dataclass(frozen=True)
class MeProp:
    """Top-k with k = clamp(round(ratio * N), 1, N) in every layer.

    The output layer stays dense unless `sparsify_output`: with few classes k becomes 1 and
    learning turns fragile. With granularity "channel", N counts channels; see `keep_largest`.
    """

    name: ClassVar[str] = "meprop"
    follows_error: ClassVar[bool] = False
    ratio: float = 0.2
    sparsify_output: bool = False
    granularity: Granularity = "element"

    def __post_init__(self) -> None:
        check_choices(self)
        if not 0 < self.ratio <= 1:
            raise UserError(f"meprop: ratio must be in (0, 1], got {self.ratio}")

    def keep(self, delta: tf.Tensor, y_max: tf.Tensor, layer: WeightedLayer) -> Sparse:
        """Keep the k largest of |delta|, float32 [B, N], per sample."""
        import tensorflow as tf

        if layer.depth == 0 and not self.sparsify_output:
            return Sparse(None, y_max)
        size = choices(layer, self.granularity)
        k = tf.fill([tf.shape(delta)[0]], min(max(int(self.ratio * size + 0.5), 1), size))
        selected = keep_largest(delta, k, layer, self.granularity)
        return Sparse(selected, y_max, entries=k * (layer.outputs // size))
