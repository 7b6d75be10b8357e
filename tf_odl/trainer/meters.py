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
        "backward_macs",
        "forward_macs",
        "recompute_macs",
    )

    def __init__(self, forward: int, backward: int) -> None:
        super().__init__(name="effort_meter", dtype="float64")
        self.forward, self.backward = forward, backward
        self.totals = self.add_weight(
            name="totals", shape=(5,), initializer="zeros", dtype="float64"
        )

    def update_state(
        self, macs: tf.Tensor, batch: tf.Tensor, kept: tf.Tensor, repeated: tf.Tensor
    ) -> None:
        """Add one step.

        Args:
            macs: nominal and non-zero backward MACs, int64 [2].
            batch: samples, int32.
            kept: samples that trained, int32.
            repeated: samples that went forward twice, int32.
        """
        counts = tf.cast(tf.stack([batch, kept, repeated]), tf.float64)
        self.totals.assign_add(tf.concat([tf.cast(macs, tf.float64), counts], axis=0))

    def result(self) -> dict[str, tf.Tensor]:
        """LOGS; shares are 0 before the first sample."""
        totals = tf.convert_to_tensor(self.totals)
        nominal, nonzero, batch, kept, repeated = tf.unstack(totals)
        full = batch * self.backward
        values = (
            tf.math.divide_no_nan(nominal, full),
            tf.math.divide_no_nan(nonzero, full),
            tf.math.divide_no_nan(batch - kept, batch),
            nominal,
            batch * self.forward,
            repeated * self.forward,
        )
        return dict(zip(self.LOGS, values, strict=True))
