"""On how many devices a run trains."""

from __future__ import annotations

import functools

import tensorflow as tf


@functools.cache  # collective operations of two strategies would get in each other's way
def strategy(name: str) -> tf.distribute.Strategy:
    """One device ("none"), or all graphics cards, without any all logical CPUs ("mirrored")."""
    if name == "none":
        return tf.distribute.get_strategy()
    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in found])
