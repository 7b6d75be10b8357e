"""Start fresh models from the statistics of data instead of zeros and ones."""

from __future__ import annotations

import keras
import numpy as np

from tf_odl.models.form import last_layer

SAMPLES = 256


def set_statistics(model: keras.Model, x: np.ndarray) -> None:
    """Set all moving means and variances to those of up to 256 samples, float32 [N, ...].

    For fresh models: skip rules train with the moving statistics as they are, and at means of 0
    and variances of 1 nothing is normalized, so that the maps of a deep network vanish or grow
    from layer to layer and it learns little or nothing. Models without batch normalization stay
    as they are.
    """
    layers = [x for x in model._flatten_layers() if isinstance(x, keras.layers.BatchNormalization)]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    try:
        for layer in layers:
            layer.momentum = 0.0  # the statistics of this batch, nothing of those before
        model(x[:SAMPLES], training=True)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def set_mean(model: keras.Model, y: np.ndarray) -> None:
    """Set the biases of the output layer to the means of the targets, float32 [N, targets].

    A fresh regression that starts far from them takes steps that it does not survive.
    """
    last_layer(model).bias.assign(y.mean(axis=0))
