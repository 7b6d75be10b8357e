"""Effort as Keras metrics: exact counts over an epoch, logged beside loss and accuracy."""

from __future__ import annotations

import keras
import tensorflow as tf


class Count(keras.metrics.Metric):
    """A sum that stays exact up to 2^53."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, dtype="float64")
        self.total = self.add_weight(name="total", initializer="zeros", dtype="float64")

    def update_state(self, value: tf.Tensor) -> None:
        self.total.assign_add(tf.cast(value, tf.float64))

    def result(self) -> tf.Tensor:
        return tf.convert_to_tensor(self.total)


class Share(keras.metrics.Metric):
    """The quotient of two exact sums, 0 before the first sample."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, dtype="float64")
        self.part = self.add_weight(name="part", initializer="zeros", dtype="float64")
        self.whole = self.add_weight(name="whole", initializer="zeros", dtype="float64")

    def update_state(self, part: tf.Tensor, whole: tf.Tensor) -> None:
        self.part.assign_add(tf.cast(part, tf.float64))
        self.whole.assign_add(tf.cast(whole, tf.float64))

    def result(self) -> tf.Tensor:
        return tf.math.divide_no_nan(
            tf.convert_to_tensor(self.part), tf.convert_to_tensor(self.whole)
        )
