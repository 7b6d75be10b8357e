"""DS-CNN: the small depthwise separable network for keyword spotting.

"Hello Edge: Keyword Spotting on Microcontrollers" (Zhang et al., 2017), size S; also the keyword
spotting model of MLPerf Tiny.
"""

from __future__ import annotations

import keras

from tf_odl.errors import UserError

SMALLEST = (10, 4)  # the first kernel: frames, coefficients
CHANNELS, BLOCKS = 64, 4


def ds_cnn(shape: tuple[int, ...], classes: int) -> keras.Model:
    """For spectra [frames, coefficients] or [frames, coefficients, channels]; logits at the end.

    24,908 parameters at 49x10x1 and 12 classes. Without the dropout of MLPerf's training recipe.

    Raises:
        UserError: the samples are no such spectra.
    """
    if len(shape) not in (2, 3) or any(n < s for n, s in zip(shape, SMALLEST, strict=False)):
        raise UserError(
            f"ds-cnn needs spectra [frames, coefficients] of at least {SMALLEST[0]}x{SMALLEST[1]}, "
            f"such as 49x10, the samples have shape {shape}: use mlp5 or your own .keras model"
        )
    layers = keras.layers
    x = inputs = keras.Input(shape)
    if len(shape) == 2:
        x = layers.Reshape((*shape, 1), name="image")(x)
    x = layers.Conv2D(CHANNELS, SMALLEST, strides=2, padding="same", name="conv")(x)
    x = _normalized(x, "conv")
    for i in range(1, BLOCKS + 1):
        x = layers.DepthwiseConv2D(3, padding="same", name=f"depthwise{i}")(x)
        x = _normalized(x, f"depthwise{i}")
        x = layers.Conv2D(CHANNELS, 1, name=f"pointwise{i}")(x)
        x = _normalized(x, f"pointwise{i}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(classes, name="head")(x), name="ds-cnn")


def _normalized(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)
