"""Shuffled batches of stored samples, several per call of the training function.

The order depends on the seed and the epoch alone: a run that is resumed at epoch n sees the same
batches as one that was never interrupted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

SAMPLES_PER_CALL = 512
BYTES_PER_CALL = 16 << 20


class Steps(NamedTuple):
    """Consecutive batches for one call: S steps of B samples.

    x: [S, B, ...]. y: [S, B, ...]. ids: int64 [S, B], positions in the stored data. count: int32,
    the steps that hold data. position: int64, the batches of an epoch without resting samples
    that correspond to those before this call, all epochs included.
    """

    x: tf.Tensor
    y: tf.Tensor
    ids: tf.Tensor
    count: tf.Tensor
    position: tf.Tensor


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Batches per epoch; the last one may be smaller."""
    return -(-samples // batch_size)


def steps_per_call(sample_bytes: int, batch_size: int) -> int:
    """Batches per call, at least 2: enough to hide the cost of a call, few enough for progress."""
    fitting = BYTES_PER_CALL // max(1, sample_bytes * batch_size)
    return max(2, min(SAMPLES_PER_CALL // batch_size, fitting))


def shuffled(samples: int, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch, int64 [samples]."""
    order = tf.random.experimental.stateless_shuffle(
        tf.range(samples, dtype=tf.int64), seed=[seed, epoch]
    )
    return order.numpy()


def epochs(
    x: np.ndarray, y: np.ndarray, *, batch_size: int, seed: int, first: int, last: int
) -> tf.data.Dataset:
    """Single batches (x, y) of epochs first .. last-1, one after the other.

    `steps_per_epoch` of them for every epoch. x: [N, ...], y: [N].
    """
    inputs, labels = tf.constant(x), tf.constant(y)

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(x)), seed=tf.stack([tf.cast(seed, tf.int64), epoch])
        )
        return (
            tf.data.Dataset.from_tensor_slices(order)
            .batch(batch_size)
            .map(lambda i: (tf.gather(inputs, i), tf.gather(labels, i)))
        )

    return tf.data.Dataset.range(first, last).flat_map(one_epoch).prefetch(2)


def calls_per_epoch(samples: int, batch_size: int, steps: int) -> int:
    """Calls that hold an epoch, whoever rests: the last, smaller batch has one of its own."""
    return -(-(samples // batch_size) // steps) + (batch_size > 1)


def stored(
    x: np.ndarray,
    y: np.ndarray,
    *,
    batch_size: int,
    steps: int,
    order: Callable[[], tuple[int, np.ndarray]],
    static: bool,
) -> tf.data.Dataset:
    """The batches of one epoch as `Steps`; every new iteration asks for a new order.

    An iteration has `calls_per_epoch` elements, because Keras wants every epoch to be as long;
    when samples rest, the last ones have no steps.

    Args:
        x: [N, ...].
        y: [N, ...].
        batch_size: B; the last batch of an epoch may be smaller.
        steps: S; calls at the end of an epoch may hold fewer.
        order: gives the epoch and its samples, int64 [n <= N], when an iteration begins.
        static: every call has the same shape [S, B], filled up behind `count`; for B = 1.
    """
    inputs, labels = tf.constant(x), tf.constant(y)
    nominal = steps_per_epoch(len(x), batch_size)
    per_call = steps * batch_size

    def one_epoch(epoch: tf.Tensor, ids: tf.Tensor) -> tf.data.Dataset:
        total = tf.size(ids, tf.int64)
        whole = total - total % batch_size

        def call(begin: tf.Tensor, end: tf.Tensor, size: tf.Tensor) -> Steps:
            rows = ids[begin:end]
            count = tf.cast(tf.size(rows, tf.int64) // size, tf.int32)
            if static:
                rows = tf.reshape(tf.pad(rows, [[0, per_call - tf.size(rows)]]), [steps, 1])
            else:
                rows = tf.reshape(rows, [-1, size])
            done = begin * nominal // tf.maximum(total, 1)
            return Steps(
                tf.gather(inputs, rows),
                tf.gather(labels, rows),
                rows,
                count,
                epoch * nominal + done,
            )

        def whole_batches(number: tf.Tensor) -> Steps:
            begin = tf.minimum(number * per_call, whole)
            return call(
                begin, tf.minimum(begin + per_call, whole), tf.constant(batch_size, tf.int64)
            )

        count = calls_per_epoch(len(x), batch_size, steps)
        if batch_size == 1:
            return tf.data.Dataset.range(count).map(whole_batches)
        rest = tf.data.Dataset.from_tensors(total - whole).map(
            lambda size: call(whole, total, tf.maximum(size, 1))
        )
        return tf.data.Dataset.range(count - 1).map(whole_batches).concatenate(rest)

    orders = tf.data.Dataset.from_generator(
        lambda: iter([order()]),
        output_signature=(tf.TensorSpec([], tf.int64), tf.TensorSpec([None], tf.int64)),
    )
    count = calls_per_epoch(len(x), batch_size, steps)
    sized = orders.flat_map(one_epoch).apply(tf.data.experimental.assert_cardinality(count))
    return sized.prefetch(2)
