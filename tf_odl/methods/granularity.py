"""What a sparsifier chooses: single entries of the error, or whole output channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tf_odl.methods.top_k import TopK, top_k

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_odl.methods.interfaces import WeightedLayer

Granularity = Literal["element", "channel"]


def choices(layer: WeightedLayer, granularity: Granularity) -> int:
    """How many there are to choose from; in a dense layer both are the same."""
    return layer.neurons if granularity == "channel" else layer.outputs


def nonzero_choices(delta: tf.Tensor, layer: WeightedLayer, granularity: Granularity) -> tf.Tensor:
    """Of the `choices`, how many are not zero: from delta, float32 [B, N], to int32 [B]."""
    import tensorflow as tf

    nonzero = tf.not_equal(delta, 0)
    if granularity == "channel":
        maps = tf.reshape(nonzero, [-1, layer.positions, layer.neurons])
        nonzero = tf.reduce_any(maps, axis=1)
    return tf.reduce_sum(tf.cast(nonzero, tf.int32), axis=1)


def keep_largest(
    delta: tf.Tensor, k: tf.Tensor, layer: WeightedLayer, granularity: Granularity
) -> TopK:
    """top(delta, k) per sample, masks [B, N].

    Args:
        delta: float32 [B, N], neurons fastest.
        k: int32 [B], 0 <= k <= `choices`.
        layer: whose error it is.
        granularity: "element": the k entries of largest |delta|. "channel": all entries of the k
            output channels of largest sum |delta|, which is what a device can leave out as a whole.
    """
    import tensorflow as tf

    magnitude = tf.abs(delta)
    if granularity == "element" or layer.positions == 1:
        return top_k(magnitude, k)
    maps = tf.reshape(magnitude, [-1, layer.positions, layer.neurons])
    channels = top_k(tf.reduce_sum(maps, axis=1), k)
    whole = [1, layer.positions]
    nonzero = tf.tile(channels.nonzero, whole) & (magnitude > 0)
    count = tf.reduce_sum(tf.cast(nonzero, tf.int32), axis=1)
    return TopK(tf.tile(channels.mask, whole), nonzero, count)
