"""Exact top-k with a different k for every sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

RANKED = 192  # entries up to which XLA compares all pairs fastest
_BLOCK = 64


def top_k_mask(magnitude: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """top(delta, k) of meProp and TinyPropv2 eq. 4, as a mask.

    Args:
        magnitude: |delta|, float32 [B, N], not negative.
        k: int32 [B], 1 <= k <= N.

    Returns:
        bool [B, N] with exactly k[b] entries set in row b: the largest, ties in index order.
    """
    import tensorflow as tf

    # Floats that are not negative are ordered as their bits are, those that are no number too.
    bits = tf.bitcast(magnitude, tf.int32)
    if _compiled():
        return _compiled_mask(bits, k)
    threshold = _kth_largest(bits, k)
    reached = bits >= threshold
    count = tf.reduce_sum(tf.cast(reached, tf.int32), axis=1)
    return tf.cond(
        tf.reduce_all(tf.equal(count, k)), lambda: reached, lambda: _first(bits, threshold, k)
    )


def _first(bits: tf.Tensor, threshold: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """The k entries of every row that are not below the k-th largest, int32 [B, 1].

    Of those equal to it the first are taken, up to a place that is looked for block by block, and
    then in one block.
    """
    import tensorflow as tf

    above = bits > threshold
    tied = tf.equal(bits, threshold)
    wanted = k[:, None] - tf.reduce_sum(tf.cast(above, tf.int32), axis=1, keepdims=True)
    size = bits.shape[1]
    blocks = -(-size // _BLOCK)
    marks = tf.pad(tf.cast(tied, tf.int32), [[0, 0], [0, blocks * _BLOCK - size]])
    marks = tf.reshape(marks, [-1, blocks, _BLOCK])
    per_block = tf.reduce_sum(marks, axis=2)
    up_to = tf.cumsum(per_block, axis=1)
    block = tf.reduce_sum(tf.cast(up_to < wanted, tf.int32), axis=1)  # where the last one lies
    before = tf.gather(up_to - per_block, block, batch_dims=1)[:, None]
    inside = before + tf.cumsum(tf.gather(marks, block, batch_dims=1), axis=1)
    last = block * _BLOCK + tf.reduce_sum(tf.cast(inside < wanted, tf.int32), axis=1)
    return above | (tied & (tf.range(size) <= last[:, None]))


def _kth_largest(bits: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """The k[b]-th largest of every row b, int32 [B, 1].

    TensorFlow's selection, much faster than its sorting, takes one k for all rows: the largest
    integers behind a row move its own k there.
    """
    import tensorflow as tf

    most = tf.reduce_max(k)
    places = tf.range(most - tf.reduce_min(k))
    more = tf.where(places < (most - k)[:, None], np.int32(2**31 - 1), np.int32(-1))
    extended = tf.concat([bits, more], axis=1)
    return tf.raw_ops.NthElement(input=extended, n=most - 1, reverse=True)[:, None]


def _compiled() -> bool:
    """Whether XLA compiles what is being traced: it sorts slowly and wants a constant k."""
    from tensorflow.python.framework import ops
    from tensorflow.python.ops import control_flow_util

    return control_flow_util.GraphOrParentsInXlaContext(ops.get_default_graph())


def _compiled_mask(bits: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """`top_k_mask` as XLA runs it fastest for a row or a few: ranks, or the bits one by one."""
    import tensorflow as tf

    size = bits.shape[1]
    if size > RANKED:
        wanted = k[:, None]

        def bisect(bit: tf.Tensor, pattern: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            larger = pattern + tf.bitwise.left_shift(1, bit)
            reached = tf.reduce_sum(tf.cast(bits >= larger, tf.int32), axis=1, keepdims=True)
            return bit - 1, tf.where(reached >= wanted, larger, pattern)

        start = tf.constant(30), tf.zeros_like(wanted)
        pattern = tf.while_loop(lambda bit, _: bit >= 0, bisect, start)[1]
        return _first(bits, pattern, k)
    mine, others = bits[:, :, None], bits[:, None, :]
    earlier = np.tri(size, k=-1, dtype=bool)
    before = (others > mine) | ((others == mine) & earlier)
    return tf.reduce_sum(tf.cast(before, tf.int32), axis=2) < k[:, None]


def round_half_up(x: tf.Tensor) -> tf.Tensor:
    """round() for values >= 0 as C has it; TensorFlow's own rounds halves to even."""
    import tensorflow as tf

    return tf.cast(tf.floor(x + 0.5), tf.int32)
