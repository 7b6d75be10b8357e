"""Exact top-k with a different k for every sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def top_k_mask(magnitude: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """top(delta, k) of meProp and TinyPropv2 eq. 4, as a mask.

    Args:
        magnitude: |delta|, float32 [B, N], not negative.
        k: int32 [B], 1 <= k <= N.

    Returns:
        bool [B, N] with exactly k[b] entries set in row b: the largest, ties in index order.
    """
    import tensorflow as tf

    largest = tf.math.top_k(magnitude, tf.reduce_max(k)).values
    threshold = tf.gather(largest, k - 1, batch_dims=1)[:, None]
    above = magnitude > threshold
    tied = magnitude == threshold
    wanted = k - tf.reduce_sum(tf.cast(above, tf.int32), axis=1)
    order = tf.cumsum(tf.cast(tied, tf.int32), axis=1)
    return above | (tied & (order <= wanted[:, None]))


def round_half_up(x: tf.Tensor) -> tf.Tensor:
    """round() for values >= 0 as C has it; TensorFlow's own rounds halves to even."""
    import tensorflow as tf

    return tf.cast(tf.floor(x + 0.5), tf.int32)
