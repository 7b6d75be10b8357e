"""Five-layer convolutional networks: three convolutions, two dense layers."""

from __future__ import annotations

import keras

from tf_odl.errors import UserError
from tf_odl.models.samples import need_images

SMALLEST = 4  # two poolings by two
CHANNELS, HIDDEN = (8, 16, 16), 32


def cnn5(shape: tuple[int, ...], classes: int) -> keras.Model:
    """For images [height, width, channels] of at least 4x4; logits at the end.

    Raises:
        UserError: the samples are no such images.
    """
    need_images("cnn5", shape, SMALLEST)
    return _cnn5("cnn5", keras.layers.Conv2D, keras.layers.MaxPooling2D, shape, classes)


def cnn5_1d(shape: tuple[int, ...], classes: int) -> keras.Model:
    """For time series [steps, channels] of at least 4 steps; logits at the end.

    Raises:
        UserError: the samples are no such series.
    """
    if len(shape) != 2 or shape[0] < SMALLEST:
        raise UserError(
            f"cnn5-1d needs time series [steps, channels] of at least {SMALLEST} steps, "
            f"the samples have shape {shape}: use mlp5, cnn5 or your own .keras model"
        )
    return _cnn5("cnn5_1d", keras.layers.Conv1D, keras.layers.MaxPooling1D, shape, classes)


def _cnn5(
    name: str, convolution: type, pooling: type, shape: tuple[int, ...], classes: int
) -> keras.Model:
    layers = keras.layers
    init = {"kernel_initializer": "he_normal"}
    first, second, third = (
        convolution(n, 3, padding="same", activation="relu", **init) for n in CHANNELS
    )
    return keras.Sequential(
        [
            keras.Input(shape),
            *(first, pooling(), second, pooling(), third),
            layers.Flatten(),
            layers.Dense(HIDDEN, activation="relu", **init),
            layers.Dense(classes, **init),
        ],
        name=name,
    )
