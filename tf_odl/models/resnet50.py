"""ResNet50 (He et al., 2015); the layers are keras.applications'."""

from __future__ import annotations

import keras

from tf_odl.models.samples import need_images

SMALLEST = 32


def resnet50(shape: tuple[int, ...], classes: int) -> keras.Model:
    """For images [height, width, channels] of at least 32x32; logits at the end.

    Raises:
        UserError: the samples are no such images.
    """
    need_images("resnet50", shape, SMALLEST)
    return keras.applications.ResNet50(
        weights=None,
        input_shape=shape,
        classes=classes,
        classifier_activation=None,
        name="resnet50",
    )
