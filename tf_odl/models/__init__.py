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
from tf_odl.models.files import check_fits_data, check_learns, load
from tf_odl.models.form import form_of
from tf_odl.models.mlp5 import mlp5
from tf_odl.models.mobilenetv2 import mobilenetv2
from tf_odl.models.pixels import as_the_model_takes
from tf_odl.models.preprocessing import begin_with
from tf_odl.models.resnet8 import resnet8
from tf_odl.models.resnet18 import resnet18
from tf_odl.models.resnet50 import resnet50
from tf_odl.models.samples import need_images
from tf_odl.models.statistics import set_mean, set_statistics
from tf_odl.models.weights import load_weights

__all__ = [
    "MODELS",
    "as_the_model_takes",
    "build",
    "check_fits_data",
    "check_learns",
    "form_of",
    "is_built_in",
    "load",
    "load_weights",
    "pretrain_digits",
    "set_mean",
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
SCALABLE = ("mobilenetv2", "resnet18", "resnet50")
WIDTHS = (0.1, 2.0)
_FORM = re.compile(r"(?P<base>.+?)(?:-(?P<width>\d+(?:\.\d+)?))?(?:@(?P<size>\d+))?")


def is_built_in(name: str) -> bool:
    """Whether `build` knows the name.

    That is one of MODELS; of SCALABLE ones also NAME@SIZE, which enlarges images to SIZE x SIZE
    first; and mobilenetv2-WIDTH.

    Raises:
        UserError: such a name with a width or a size that cannot be.
    """
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
    if name in MODELS:
        return MODELS[name]
    form = _FORM.fullmatch(name)
    base, width, size = form.group("base", "width", "size") if form else ("", None, None)
    if base not in SCALABLE or (width and base != "mobilenetv2"):
        return None
    builder = MODELS[base]
    if width:
        if not WIDTHS[0] <= float(width) <= WIDTHS[1]:
            raise UserError(
                f"{name}: the width of MobileNetV2 is {WIDTHS[0]} to {WIDTHS[1]}, "
                "as in mobilenetv2-0.35"
            )
        builder = partial(mobilenetv2, alpha=float(width))
    return partial(_scaled, name, builder, int(size)) if size else builder


def _scaled(
    name: str, builder: Builder, size: int, shape: tuple[int, ...], classes: int
) -> keras.Model:
    """The model for images of size x size, behind a layer that enlarges images of `shape`."""
    need_images(name, shape, smallest=1)
    if size % shape[0] or size % shape[1]:
        raise UserError(
            f"{name}: {size} is no multiple of the samples' {shape[0]}x{shape[1]}; name one, or "
            "scale images with --data-size"
        )
    model = builder((size, size, shape[2]), classes)
    if shape[:2] == (size, size):
        return model
    factors = (size // shape[0], size // shape[1])
    # Not Resizing: called without `training`, it sets all layers after it to training (Keras 3.15).
    enlarge = keras.layers.UpSampling2D(factors, interpolation="bilinear", name="enlarge")
    return begin_with(model, enlarge, shape)
