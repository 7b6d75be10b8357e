"""ResNet18 (He et al., 2015), with the padding and the shortcuts of torchvision's."""

from __future__ import annotations

import keras

from tf_odl.models.samples import need_images

SMALLEST = 32
CHANNELS = (64, 128, 256, 512)  # of the four stages, each of two blocks


def resnet18(shape: tuple[int, ...], classes: int) -> keras.Model:
    """For images [height, width, channels] of at least 32x32; logits at the end.

    11,166,912 convolution weights at three channels.

    Raises:
        UserError: the samples are no such images.
    """
    need_images("resnet18", shape, SMALLEST)
    layers = keras.layers
    inputs = keras.Input(shape)
    x = _convolution(inputs, CHANNELS[0], 7, 2, "stem_conv")
    x = layers.ReLU(name="stem_relu")(x)
    x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)  # zero is the least a ReLU gives
    x = layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    for stage, channels in enumerate(CHANNELS, 1):
        x = _block(x, channels, 1 if stage == 1 else 2, f"stage{stage}_block1")
        x = _block(x, channels, 1, f"stage{stage}_block2")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(classes, name="head")(x), name="resnet18")


def _convolution(
    x: keras.KerasTensor, channels: int, kernel: int, strides: int, name: str
) -> keras.KerasTensor:
    """Convolution without bias, padded alike on all sides, and batch normalization."""
    layers = keras.layers
    if strides == 1 or kernel == 1:
        padding = "same"
    else:  # "same" would pad even sizes at the right and the bottom only
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
        padding = "valid"
    x = layers.Conv2D(
        channels,
        kernel,
        strides,
        padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)


def _block(x: keras.KerasTensor, channels: int, strides: int, name: str) -> keras.KerasTensor:
    """Two convolutions beside the identity, or beside a 1x1 convolution where sizes change."""
    layers = keras.layers
    y = _convolution(x, channels, 3, strides, f"{name}_conv1")
    y = layers.ReLU(name=f"{name}_relu1")(y)
    y = _convolution(y, channels, 3, 1, f"{name}_conv2")
    if strides > 1:
        x = _convolution(x, channels, 1, strides, f"{name}_shortcut")
    y = layers.Add(name=f"{name}_add")([x, y])
    return layers.ReLU(name=f"{name}_relu2")(y)
