"""MobileNetV2 (Sandler et al., 2018) of any width; the layers are keras.applications'."""

from __future__ import annotations

import keras

from tf_odl.models.samples import need_images

SMALLEST = 32


def mobilenetv2(shape: tuple[int, ...], classes: int, alpha: float = 1.0) -> keras.Model:
    """For images [height, width, channels] of at least 32x32; logits at the end.

    Args:
        alpha: the width; channels are multiples of 8.

    Raises:
        UserError: the samples are no such images.
    """
    name = "mobilenetv2" if alpha == 1 else f"mobilenetv2-{alpha:g}"
    need_images(name, shape, SMALLEST)
    return keras.applications.MobileNetV2(
        shape, alpha, weights=None, classes=classes, classifier_activation=None, name=name
    )
