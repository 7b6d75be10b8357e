"""ResNet8: the image classification model of MLPerf Tiny, for CIFAR-10's 32x32 images."""

from __future__ import annotations

import keras

from tf_odl.models.samples import need_images

SMALLEST = 8
CHANNELS = (16, 32, 64)


def resnet8(shape: tuple[int, ...], classes: int) -> keras.Model:
    """For images [height, width, channels] of at least 8x8; logits at the end.

    Three residual blocks. 78,666 parameters at 32x32x3 and 10 classes, as MLPerf's; without the
    weight decay of its training recipe.

    Raises:
        UserError: the samples are no such images.
    """
    need_images("resnet8", shape, SMALLEST)
    inputs = keras.Input(shape)
    x = keras.layers.ReLU(name="conv_relu")(_convolution(inputs, CHANNELS[0], 1, "conv"))
    for i, channels in enumerate(CHANNELS, 1):
        x = _block(x, channels, strides=1 if i == 1 else 2, name=f"block{i}")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(classes, name="head")(x), name="resnet8")


def _convolution(x: keras.KerasTensor, channels: int, strides: int, name: str) -> keras.KerasTensor:
    x = keras.layers.Conv2D(
        channels, 3, strides, "same", kernel_initializer="he_normal", name=name
    )(x)
    return keras.layers.BatchNormalization(name=f"{name}_bn")(x)


def _block(x: keras.KerasTensor, channels: int, strides: int, name: str) -> keras.KerasTensor:
    """Two convolutions beside the identity, or beside a 1x1 convolution where sizes change."""
    layers = keras.layers
    y = _convolution(x, channels, strides, f"{name}_conv1")
    y = layers.ReLU(name=f"{name}_relu1")(y)
    y = _convolution(y, channels, 1, f"{name}_conv2")
    if strides > 1:  # MLPerf's shortcut has a bias and no batch normalization
        x = layers.Conv2D(
            channels, 1, strides, kernel_initializer="he_normal", name=f"{name}_shortcut"
        )(x)
    y = layers.Add(name=f"{name}_add")([x, y])
    return layers.ReLU(name=f"{name}_relu2")(y)
