"""Exact top-k with a different k for every sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

LARGE = 1024  # entries from which bisecting beats sorting
RANKED = 192  # entries up to which XLA compares all pairs fastest
_BLOCK = 64
_EARLIER = np.triu(np.ones((_BLOCK, _BLOCK), np.float32))


def top_k_mask(magnitude: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """top(delta, k) of meProp and TinyPropv2 eq. 4, as a mask.

    Args:
        magnitude: |delta|, float32 [B, N], not negative.
        k: int32 [B], 1 <= k <= N.

    Returns:
        bool [B, N] with exactly k[b] entries set in row b: the largest, ties in index order.
    """
    import tensorflow as tf

    if _compiled():
        return _compiled_mask(magnitude, k)
    if magnitude.shape[1] < LARGE:
        largest = tf.math.top_k(magnitude, tf.reduce_max(k)).values
        threshold = tf.gather(largest, k - 1, batch_dims=1)[:, None]
    else:
        threshold = _kth_largest(magnitude, k[:, None])
    return _above(magnitude, threshold, k)


def _above(magnitude: tf.Tensor, threshold: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """The k entries of every row that are not below the k-th largest, float32 [B, 1]."""
    import tensorflow as tf

    above = magnitude > threshold
    tied = magnitude == threshold
    wanted = k - tf.reduce_sum(tf.cast(above, tf.int32), axis=1)
    return above | (tied & (_running_count(tied) <= tf.cast(wanted[:, None], tf.float32)))


def _kth_largest(magnitude: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """The k-th largest of every row, float32 [B, 1], without sorting.

    Floats that are not negative are ordered as their bits are: the largest pattern that at least
    k entries reach is found bit by bit. Most errors behind a ReLU are zero, often all that k
    leaves out; then there is nothing to find.
    """
    import tensorflow as tf

    bits = tf.bitcast(magnitude, tf.int32)

    def reached(pattern: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.cast(bits >= pattern, tf.int32), axis=1, keepdims=True)

    def bisect() -> tf.Tensor:
        pattern = tf.zeros_like(k)
        for bit in range(30, -1, -1):
            larger = pattern + (1 << bit)
            pattern = tf.where(reached(larger) >= k, larger, pattern)
        return pattern

    none_left = tf.reduce_all(reached(tf.ones_like(k)) < k)
    return tf.bitcast(tf.cond(none_left, lambda: tf.zeros_like(k), bisect), tf.float32)


def _compiled() -> bool:
    """Whether XLA compiles what is being traced: it sorts slowly and wants a constant k."""
    from tensorflow.python.framework import ops
    from tensorflow.python.ops import control_flow_util

    return control_flow_util.GraphOrParentsInXlaContext(ops.get_default_graph())


def _compiled_mask(magnitude: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """`top_k_mask` as XLA runs it fastest for a row or a few: ranks, or the bits one by one."""
    import tensorflow as tf

    size = magnitude.shape[1]
    if size > RANKED:
        bits, wanted = tf.bitcast(magnitude, tf.int32), k[:, None]

        def bisect(bit: tf.Tensor, pattern: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            larger = pattern + tf.bitwise.left_shift(1, bit)
            reached = tf.reduce_sum(tf.cast(bits >= larger, tf.int32), axis=1, keepdims=True)
            return bit - 1, tf.where(reached >= wanted, larger, pattern)

        start = tf.constant(30), tf.zeros_like(wanted)
        pattern = tf.while_loop(lambda bit, _: bit >= 0, bisect, start)[1]
        return _above(magnitude, tf.bitcast(pattern, tf.float32), k)
    mine, others = magnitude[:, :, None], magnitude[:, None, :]
    earlier = np.tri(size, k=-1, dtype=bool)
    before = (others > mine) | ((others == mine) & earlier)
    return tf.reduce_sum(tf.cast(before, tf.int32), axis=2) < k[:, None]


def _running_count(marked: tf.Tensor) -> tf.Tensor:
    """How many of a row, bool [B, N], are marked up to each entry, itself included: float32.

    A triangular matrix counts within blocks, several times faster than one long `tf.cumsum`.
    """
    import tensorflow as tf

    count = tf.cast(marked, tf.float32)
    size = marked.shape[1]
    if size < LARGE:
        return tf.cumsum(count, axis=1)
    blocks = -(-size // _BLOCK)
    padded = tf.pad(count, [[0, 0], [0, blocks * _BLOCK - size]])
    inside = tf.matmul(tf.reshape(padded, [-1, _BLOCK]), _EARLIER)
    inside = tf.reshape(inside, [-1, blocks, _BLOCK])
    before = tf.cumsum(inside[:, :, -1], axis=1, exclusive=True)
    return tf.reshape(inside + before[:, :, None], [-1, blocks * _BLOCK])[:, :size]


def round_half_up(x: tf.Tensor) -> tf.Tensor:
    """round() for values >= 0 as C has it; TensorFlow's own rounds halves to even."""
    import tensorflow as tf

    return tf.cast(tf.floor(x + 0.5), tf.int32)
