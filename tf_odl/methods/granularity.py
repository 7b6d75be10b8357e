"""What a sparsifier chooses: single entries of the error, or whole output channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tf_odl.methods.top_k import top_k_mask

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_odl.methods.interfaces import WeightedLayer

Granularity = Literal["element", "channel"]


def choices(layer: WeightedLayer, granularity: Granularity) -> int:
    """How many there are to choose from; in a dense layer both are the same."""
    return layer.neurons if granularity == "channel" else layer.outputs


def keep_largest(
    delta: tf.Tensor, k: tf.Tensor, layer: WeightedLayer, granularity: Granularity
) -> tf.Tensor:
    """top(delta, k) per sample.

    Args:
        delta: float32 [B, N], neurons fastest.
        k: int32 [B], 0 <= k <= `choices`.
        layer: whose error it is.
        granularity: "element": the k entries of largest |delta|. "channel": all entries of the k
            output channels of largest sum |delta|, which is what a device can leave out as a whole.

    Returns:
        bool [B, N].
    """
    import tensorflow as tf

    magnitude = tf.abs(delta)
    whole = granularity == "channel" and layer.positions > 1
    if whole:
        maps = tf.reshape(magnitude, [-1, layer.positions, layer.neurons])
        magnitude = tf.reduce_sum(maps, axis=1)
    selected = top_k_mask(magnitude, tf.maximum(k, 1)) & (k > 0)[:, None]
    return tf.tile(selected, [1, layer.positions]) if whole else selected
