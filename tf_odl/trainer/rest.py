"""Samples that were skipped rest: for some epochs they are not even forwarded."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf


def worth_of_epochs(optimizer: keras.optimizers.Optimizer, steps: int, epochs: int) -> np.ndarray:
    """Learning rates of the first epochs as shares of the largest so far, float64 [epochs].

    That of an epoch is the schedule's in the epoch's middle; without a schedule all are worth 1.

    Args:
        optimizer: whose learning rate it is.
        steps: of an epoch, at which nobody rests.
        epochs: how many to look at.
    """
    rate = _schedule(optimizer)
    if rate is None:
        return np.ones(epochs)
    middles = (np.arange(epochs) + 0.5) * steps
    rates = np.array([float(rate(middle)) for middle in middles])
    largest = np.maximum.accumulate(rates)
    return np.divide(rates, largest, out=np.ones(epochs), where=largest > 0)


def _schedule(optimizer: keras.optimizers.Optimizer) -> Any:
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # of one that scales the loss
    rate = inner._learning_rate  # the property gives its value at this step
    return rate if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) else None


class RestingSamples:
    """Who rests until when, for stored samples.

    A sample skipped at s visits in a row rests for min(2^(s-1), longest): 1, 2, 4, .. Time is
    counted in epochs, or in what they are worth.

    Args:
        longest: a sample rests, 0 lets nobody rest.
        skips: of every sample, at its last visits, int32 [N].
        due: time of every sample's next visit, float32 [N]; it is in the epoch in whose first half
            or before which this lies.
    """

    def __init__(self, longest: int, skips: np.ndarray, due: np.ndarray) -> None:
        self.samples, self.longest = len(skips), longest
        self.skips, self.due, self.middle, self.end = (
            tf.Variable(
                values,
                trainable=False,
                dtype=dtype,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,  # devices say the same
            )
            for values, dtype in (
                (skips, tf.int32),
                (due, tf.float32),
                (0.5, tf.float32),
                (1.0, tf.float32),
            )
        )

    @classmethod
    def of(cls, samples: int, longest: int) -> RestingSamples:
        """So many samples, all awake."""
        return cls(longest, np.zeros(samples, np.int32), np.zeros(samples, np.float32))

    def begin(self, time: float, worth: float = 1.0) -> None:
        """An epoch begins: time so far and the epoch's, both in epochs."""
        self.middle.assign(time + worth / 2)
        self.end.assign(time + worth)

    def awake(self) -> np.ndarray:
        """Who is visited in this epoch, bool [N]."""
        return self.due.numpy() <= self.middle.numpy()

    def state(self) -> dict[str, np.ndarray]:
        """`skips`, int32 [N], and `due`, float32 [N] in epochs, to be saved."""
        return {"skips": self.skips.numpy(), "due": self.due.numpy()}

    def visited(self, ids: tf.Tensor, trained: tf.Tensor) -> None:
        """Note who trained, bool [n], of the samples ids, int64 [n], at their visit."""
        skips = tf.where(trained, 0, tf.gather(self.skips, ids) + 1)
        doublings = tf.clip_by_value(skips - 1, 0, 30)
        rest = tf.minimum(tf.bitwise.left_shift(tf.ones_like(skips), doublings), self.longest)
        due = self.end + tf.cast(tf.where(trained, 0, rest), tf.float32)
        self.skips.scatter_update(tf.IndexedSlices(skips, ids))
        self.due.scatter_update(tf.IndexedSlices(due, ids))
