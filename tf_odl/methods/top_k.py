"""Exact top-k with a different k for every sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tf_odl.methods.largest import largest, library

if TYPE_CHECKING:
    import tensorflow as tf

RANKED = 192  # entries up to which XLA compares all pairs fastest
CALLED = 256  # entries from which calling C++ pays
_BLOCK = 64


class TopK(NamedTuple):
    """The k[b] largest of every row b, ties in index order, as masks bool [B, N].

    mask: exactly k[b] entries. nonzero: those of them that are not zero. Behind a ReLU most
    entries are zero and a row often has no more than k others: then all of these are kept without
    a search, and only who asks for `mask` pays for finding the first zeros. count: how many are
    not zero, int32 [B].
    """

    mask: tf.Tensor
    nonzero: tf.Tensor
    count: tf.Tensor


def top_k(magnitude: tf.Tensor, k: tf.Tensor) -> TopK:
    """top(delta, k) of meProp and TinyPropv2 eq. 4.

    Args:
        magnitude: |delta|, float32 [B, N], not negative.
        k: int32 [B], 0 <= k <= N.
    """
    import tensorflow as tf

    # Floats that are not negative are ordered as their bits are, those that are no number too.
    bits = tf.bitcast(magnitude, tf.int32)
    if _compiled():
        mask = _compiled_mask(bits, k)
        nonzero = mask & (bits > 0)
        return TopK(mask, nonzero, tf.reduce_sum(tf.cast(nonzero, tf.int32), axis=1))
    if bits.shape[1] >= CALLED and library() is not None:
        nonzero, count = tf.numpy_function(largest, [bits, k], [tf.bool, tf.int32], stateful=False)
        nonzero, count = tf.ensure_shape(nonzero, bits.shape), tf.ensure_shape(count, k.shape)
    else:
        filled = bits > 0
        count = tf.reduce_sum(tf.cast(filled, tf.int32), axis=1)
        search = tf.reduce_any(count > k)
        nonzero = tf.cond(search, lambda: _largest(bits, k, count), lambda: filled)
        count = tf.minimum(k, count)
    return TopK(nonzero | _first(tf.equal(bits, 0), k - count), nonzero, count)


def _largest(bits: tf.Tensor, k: tf.Tensor, filled: tf.Tensor) -> tf.Tensor:
    """The k largest of those that are not zero, `filled` in each row, int32 [B]."""
    import tensorflow as tf

    full = tf.where(filled > k)
    found = _kth_largest(tf.gather_nd(bits, full), tf.gather_nd(k, full))
    threshold = tf.tensor_scatter_nd_update(tf.ones_like(k), full, found)[:, None]
    wanted = tf.minimum(k, filled)
    reached = bits >= threshold
    count = tf.reduce_sum(tf.cast(reached, tf.int32), axis=1)
    exact = tf.reduce_all(tf.equal(count, wanted))
    return tf.cond(exact, lambda: reached, lambda: _above(bits, threshold, wanted))


def _above(bits: tf.Tensor, threshold: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """Entries above the k-th largest, int32 [B, 1], and the first of those equal to it."""
    import tensorflow as tf

    above = bits > threshold
    wanted = k - tf.reduce_sum(tf.cast(above, tf.int32), axis=1)
    return above | _first(tf.equal(bits, threshold), wanted)


def _first(tied: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """The first of the entries set in every row: as many as wanted, int32 [B], or none if < 1.

    They reach up to a place that is looked for block by block, and then in one block.
    """
    import tensorflow as tf

    wanted = wanted[:, None]
    size = tied.shape[1]
    blocks = -(-size // _BLOCK)
    marks = tf.pad(tf.cast(tied, tf.int32), [[0, 0], [0, blocks * _BLOCK - size]])
    marks = tf.reshape(marks, [-1, blocks, _BLOCK])
    per_block = tf.reduce_sum(marks, axis=2)
    up_to = tf.cumsum(per_block, axis=1)
    block = tf.reduce_sum(tf.cast(up_to < wanted, tf.int32), axis=1)  # where the last one lies
    before = tf.gather(up_to - per_block, block, batch_dims=1)[:, None]
    inside = before + tf.cumsum(tf.gather(marks, block, batch_dims=1), axis=1)
    last = block * _BLOCK + tf.reduce_sum(tf.cast(inside < wanted, tf.int32), axis=1)
    end = tf.where(wanted > 0, last[:, None], -1)
    return tied & (tf.range(size) <= end)


def _kth_largest(bits: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """The k[b]-th largest of every row b, int32 [B].

    TensorFlow's selection, much faster than its sorting, takes one k for all rows: the largest
    integers behind a row move its own k there.
    """
    import tensorflow as tf

    most = tf.maximum(tf.reduce_max(k), 1)
    places = tf.range(most - tf.reduce_min(k))
    more = tf.where(places < (most - k)[:, None], np.int32(2**31 - 1), np.int32(-1))
    extended = tf.concat([bits, more], axis=1)
    return tf.raw_ops.NthElement(input=extended, n=most - 1, reverse=True)


def _compiled() -> bool:
    """Whether XLA compiles what is being traced: it sorts slowly and wants a constant k."""
    from tensorflow.python.framework import ops
    from tensorflow.python.ops import control_flow_util

    return control_flow_util.GraphOrParentsInXlaContext(ops.get_default_graph())


def _compiled_mask(bits: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """The mask as XLA runs it fastest for a row or a few: ranks, or the bits one by one."""
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
        return _above(bits, pattern, k)
    mine, others = bits[:, :, None], bits[:, None, :]
    earlier = np.tri(size, k=-1, dtype=bool)
    before = (others > mine) | ((others == mine) & earlier)
    return tf.reduce_sum(tf.cast(before, tf.int32), axis=2) < k[:, None]


def round_half_up(x: tf.Tensor) -> tf.Tensor:
    """C's round() of floats >= 0, int32 of the same shape; TensorFlow's rounds halves to even."""
    import tensorflow as tf

    return tf.cast(tf.floor(x + 0.5), tf.int32)
