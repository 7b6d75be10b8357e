"""Shuffled batches of stored samples, several per call of the training function.

The order depends on the seed and the epoch alone: a run that is resumed at epoch n sees the same
batches as one that was never interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


class Batch(NamedTuple):
    """One batch, of which every device takes a part.

    x: [B, ...]. y: [B, ...]. ids: int64 [B], positions in the stored data. position: int64 [B],
    that of `Steps` for this batch, the same in all entries.
    """

    x: tf.Tensor
    y: tf.Tensor
    ids: tf.Tensor
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


def single(
    x: np.ndarray,
    y: np.ndarray,
    *,
    batch_size: int,
    steps: int,
    order: Callable[[], tuple[int, np.ndarray]],
) -> tf.data.Dataset:
    """The batches of one epoch as `Batch`: those of `stored`, one by one.

    At least one, which is empty if all samples rest. Keras wants to know how many there are, and
    is told `steps_per_epoch`: who lets samples rest has to stop at the last one.

    Args:
        x, y, batch_size, order: as for `stored`.
        steps: per call of `stored`, which the positions follow.
    """
    inputs, labels = tf.constant(x), tf.constant(y)
    nominal = steps_per_epoch(len(x), batch_size)

    def numbered() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        epoch, ids = order()
        number = np.arange(len(ids)) // batch_size
        first = number // steps * steps  # batch of the call
        whole = len(ids) // batch_size
        first[number == whole] = whole  # the smaller one has a call of its own
        position = epoch * nominal + first * batch_size * nominal // max(1, len(ids))
        yield ids, position + number - first

    def one_epoch(ids: tf.Tensor, positions: tf.Tensor) -> tf.data.Dataset:
        def batch(number: tf.Tensor) -> Batch:
            rows = slice(number * batch_size, (number + 1) * batch_size)
            chosen = ids[rows]
            return Batch(
                tf.gather(inputs, chosen), tf.gather(labels, chosen), chosen, positions[rows]
            )

        count = (tf.size(ids, tf.int64) + batch_size - 1) // batch_size
        return tf.data.Dataset.range(tf.maximum(count, 1)).map(batch)

    vector = tf.TensorSpec([None], tf.int64)
    orders = tf.data.Dataset.from_generator(numbered, output_signature=(vector, vector))
    found = orders.flat_map(one_epoch).prefetch(2)
    return found.apply(tf.data.experimental.assert_cardinality(nominal))
