"""Samples that were skipped rest: for some epochs they are not even forwarded."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


class RestingSamples:
    """Who rests until when, for stored samples.

    A sample skipped at s visits in a row rests for min(2^(s-1), longest) epochs: 1, 2, 4, ..

    Args:
        longest: epochs, 0 lets nobody rest.
        skips: of every sample, at its last visits, int32 [N].
        due: the epoch of every sample's next visit, int32 [N].
    """

    def __init__(self, longest: int, skips: np.ndarray, due: np.ndarray) -> None:
        self.samples, self.longest = len(skips), longest
        self.skips, self.due = (
            tf.Variable(
                values,
                trainable=False,
                dtype=tf.int32,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,  # devices say the same
            )
            for values in (skips, due)
        )

    @classmethod
    def of(cls, samples: int, longest: int) -> RestingSamples:
        """So many samples, all awake."""
        return cls(longest, np.zeros(samples, np.int32), np.zeros(samples, np.int32))

    def awake(self, epoch: int) -> np.ndarray:
        """Who is visited in this epoch, bool [N]."""
        return self.due.numpy() <= epoch

    def state(self) -> dict[str, np.ndarray]:
        """skips and due, to be saved."""
        return {"skips": self.skips.numpy(), "due": self.due.numpy()}

    def visited(self, ids: tf.Tensor, trained: tf.Tensor, epoch: tf.Tensor) -> None:
        """Note who trained, bool [n], of the samples ids, int64 [n], at their visit."""
        skips = tf.where(trained, 0, tf.gather(self.skips, ids) + 1)
        doublings = tf.clip_by_value(skips - 1, 0, 30)
        rest = tf.minimum(tf.bitwise.left_shift(tf.ones_like(skips), doublings), self.longest)
        due = tf.cast(epoch, tf.int32) + 1 + tf.where(trained, 0, rest)
        self.skips.scatter_update(tf.IndexedSlices(skips, ids))
        self.due.scatter_update(tf.IndexedSlices(due, ids))
