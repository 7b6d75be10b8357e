"""Shuffled batches whose order depends on the seed and the epoch alone.

A run that is resumed at epoch n sees the same batches as one that was never interrupted.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Batches per epoch; the last one may be smaller."""
    return -(-samples // batch_size)


def epochs(
    x: np.ndarray, y: np.ndarray, *, batch_size: int, seed: int, first: int, last: int
) -> tf.data.Dataset:
    """The batches of epochs first .. last-1, one after the other.

    Args:
        x: float32 [N, ...].
        y: int64 [N].
        batch_size: samples per batch.
        seed: of the shuffling.
        first, last: range of epochs.

    Returns:
        A dataset of (x, y) batches, `steps_per_epoch` of them for every epoch.
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
