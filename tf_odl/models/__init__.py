"""Models by name, and from files."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import keras

from tf_odl.errors import UserError
from tf_odl.models.cnn5 import cnn5, cnn5_1d
from tf_odl.models.digits_cnn import pretrain_digits
from tf_odl.models.ds_cnn import ds_cnn
from tf_odl.models.files import check_fits_data, load
from tf_odl.models.mlp5 import mlp5
from tf_odl.models.mobilenetv2 import mobilenetv2
from tf_odl.models.resnet8 import resnet8
from tf_odl.models.resnet18 import resnet18
from tf_odl.models.resnet50 import resnet50
from tf_odl.models.statistics import set_statistics
from tf_odl.models.weights import load_weights

__all__ = [
    "MODELS",
    "build",
    "check_fits_data",
    "is_built_in",
    "load",
    "load_weights",
    "pretrain_digits",
    "set_statistics",
]

Builder = Callable[[tuple[int, ...], int], keras.Model]

MODELS: dict[str, Builder] = {
    "mlp5": mlp5,
    "cnn5": cnn5,
    "cnn5-1d": cnn5_1d,
    "ds-cnn": ds_cnn,
    "resnet8": resnet8,
    "mobilenetv2": mobilenetv2,
    "resnet18": resnet18,
    "resnet50": resnet50,
}
WIDTHS = (0.1, 2.0)  # of mobilenetv2-ALPHA


def is_built_in(name: str) -> bool:
    """Whether `build` knows the name: one of MODELS, or MobileNetV2 with a width."""
    return _builder(name) is not None


def build(name: str, shape: tuple[int, ...], classes: int, seed: int) -> keras.Model:
    """A fresh built-in model for samples of `shape`; logits at the end.

    Raises:
        UserError: no such model, or it does not suit such samples.
    """
    builder = _builder(name)
    if builder is None:
        raise UserError(f"no model {name!r}: choose one of {', '.join(MODELS)}")
    keras.utils.set_random_seed(seed)
    return builder(tuple(shape), classes)


def _builder(name: str) -> Builder | None:
    width = re.fullmatch(r"mobilenetv2-(\d+(?:\.\d+)?)", name)
    if width is None:
        return MODELS.get(name)
    alpha = float(width[1])
    if not WIDTHS[0] <= alpha <= WIDTHS[1]:
        raise UserError(
            f"{name}: the width of MobileNetV2 is {WIDTHS[0]} to {WIDTHS[1]}, "
            "as in mobilenetv2-0.35"
        )
    return partial(mobilenetv2, alpha=alpha)
