"""Models by name, and from files."""

from __future__ import annotations

from collections.abc import Callable

import keras

from tf_odl.models.cnn5 import cnn5, cnn5_1d
from tf_odl.models.digits_cnn import pretrain_digits
from tf_odl.models.ds_cnn import ds_cnn
from tf_odl.models.files import check_fits_data, load
from tf_odl.models.mlp5 import mlp5
from tf_odl.models.resnet8 import resnet8

__all__ = ["MODELS", "build", "check_fits_data", "load", "pretrain_digits"]

MODELS: dict[str, Callable[[tuple[int, ...], int], keras.Model]] = {
    "mlp5": mlp5,
    "cnn5": cnn5,
    "cnn5-1d": cnn5_1d,
    "ds-cnn": ds_cnn,
    "resnet8": resnet8,
}


def build(name: str, shape: tuple[int, ...], classes: int, seed: int) -> keras.Model:
    """A fresh model of MODELS for samples of `shape`.

    Raises:
        UserError: the model does not suit such samples.
    """
    keras.utils.set_random_seed(seed)
    return MODELS[name](shape, classes)
