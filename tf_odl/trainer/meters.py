"""Effort as a Keras metric: exact counts over an epoch, logged beside loss and accuracy."""

from __future__ import annotations

import keras
import tensorflow as tf


class EffortMeter(keras.metrics.Metric):
    """What an epoch has cost so far, exact up to 2^53 multiply-accumulates.

    One variable for everything: on small models every operation per step counts.

    Args:
        forward: MACs of the forward pass of one sample.
        backward: MACs of one sample's backward pass in full training.
    """

    LOGS = (
        "effort",
        "effort_nonzero",
        "skipped",
        "resting",
        "backward_macs",
        "forward_macs",
        "recompute_macs",
    )

    def __init__(self, forward: int, backward: int) -> None:
        super().__init__(name="effort_meter", dtype="float64")
        self.forward, self.backward = forward, backward
        self.totals = self.add_weight(
            name="totals", shape=(6,), initializer="zeros", dtype="float64"
        )

    def update_state(self, counts: tf.Tensor) -> None:
        """Add one or more steps.

        Args:
            counts: int64 [5]: nominal and non-zero backward MACs, samples, samples that trained,
                samples that went forward twice.
        """
        self.totals.assign_add(tf.concat([tf.cast(counts, tf.float64), [0.0]], axis=0))

    def add_resting(self, samples: int) -> None:
        """Add samples that are not visited in this epoch."""
        self.totals.assign_add([0.0, 0.0, 0.0, 0.0, 0.0, float(samples)])

    def result(self) -> dict[str, tf.Tensor]:
        """LOGS, float64 scalars: shares of all samples, resting ones included, and MACs.

        Shares are 0 before the first sample.
        """
        totals = tf.convert_to_tensor(self.totals)
        nominal, nonzero, visited, trained, repeated, resting = tf.unstack(totals)
        samples = visited + resting
        full = samples * self.backward
        values = (
            tf.math.divide_no_nan(nominal, full),
            tf.math.divide_no_nan(nonzero, full),
            tf.math.divide_no_nan(samples - trained, samples),
            tf.math.divide_no_nan(resting, samples),
            nominal,
            visited * self.forward,
            repeated * self.forward,
        )
        return dict(zip(self.LOGS, values, strict=True))
