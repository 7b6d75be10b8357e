"""Five-layer convolutional networks: three convolutions, two dense layers."""

from __future__ import annotations

import keras

from tf_odl.errors import UserError

SMALLEST = 4  # two poolings by two


def cnn5(shape: tuple[int, ...], classes: int) -> keras.Model:
    """For images [height, width, channels] of at least 4x4; logits at the end.

    Raises:
        UserError: the samples are no such images.
    """
    if len(shape) != 3 or min(shape[:2]) < SMALLEST:
        raise UserError(
            f"cnn5 needs images [height, width, channels] of at least {SMALLEST}x{SMALLEST}, "
            f"the samples have shape {shape}: use mlp5, cnn5-1d or your own .keras model"
        )
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(classes),
        ],
        name="cnn5",
    )


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
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv1D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling1D(),
            layers.Conv1D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling1D(),
            layers.Conv1D(16, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(classes),
        ],
        name="cnn5_1d",
    )
