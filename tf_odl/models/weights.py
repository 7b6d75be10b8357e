"""Pretrained weights of the built-in models: from files, and from keras.applications."""

from __future__ import annotations

import os
import re
import sys
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from tf_odl.errors import UserError
from tf_odl.models.files import read
from tf_odl.models.preprocessing import begin_with

IMAGENET = "imagenet"
APPLICATIONS = {
    "mobilenetv2": keras.applications.MobileNetV2,
    "resnet50": keras.applications.ResNet50,
}
MOBILENETV2_WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
KERAS_HOME = os.environ.get("KERAS_HOME", "~/.keras")
FORMS = ".keras, .weights.h5, .h5 or the word imagenet"


def load_weights(model: keras.Model, source: str) -> keras.Model:
    """A fresh built-in model with pretrained weights.

    The output layer stays fresh where the source has none, or one for another number of classes.
    Weights of keras.applications expect their own range of values: the model then begins with
    a Rescaling layer, so that it takes images of 0..1 like every other.

    Args:
        model: as `build` makes it.
        source: "imagenet", a model file (.keras, .h5), Keras' .weights.h5, or a weight file of
            keras.applications (.h5, with or without "top").

    Raises:
        UserError: no such file, weights of another model (names the first layer that differs), or
            no way to download.
    """
    if source == IMAGENET:
        return _from_keras_applications(model, _download(model))
    path = Path(source)
    if path.suffix not in (".keras", ".h5"):
        raise UserError(f"no weights {source!r}: give {FORMS}")
    if not path.is_file():
        raise UserError(f"{path} does not exist")
    if path.name.endswith(".weights.h5"):
        _fill(model, path)
        return model
    if path.suffix == ".keras" or _holds_model(path):
        donor = read(path)
        _copy(donor, model, str(path))
        rescaling = [x for x in donor.layers if isinstance(x, keras.layers.Rescaling)]
        return _begin_with(model, rescaling[0]) if rescaling else model
    _fill(model, path, by_name=True)
    return _from_keras_applications(model) if _family(model) in APPLICATIONS else model


def _family(model: keras.Model) -> str:
    return model.name.partition("-")[0]


def _with_weights(model: keras.Model) -> list[keras.layers.Layer]:
    return [x for x in model._flatten_layers(include_self=False) if x.weights and not x._layers]


def _shapes(layer: keras.layers.Layer) -> list[tuple[int, ...]]:
    return [tuple(w.shape) for w in layer.weights]


def _copy(donor: keras.Model, model: keras.Model, origin: str) -> None:
    """The weights of `donor`, layer by layer in the order of both models."""
    *body, head = _with_weights(model)
    found = _with_weights(donor)
    for mine, other in zip(body, found, strict=False):
        if _shapes(mine) != _shapes(other):
            raise UserError(
                f"{origin} does not fit {model.name}: layer {mine.name!r} has weights of shape "
                f"{_shapes(mine)}, {other.name!r} there {_shapes(other)}"
            )
    if len(found) not in (len(body), len(body) + 1):
        raise UserError(
            f"{origin} does not fit {model.name}: it has {len(found)} layers with weights, "
            f"{model.name} {len(body) + 1}, the last of which is {head.name!r}"
        )
    for mine, other in zip(body, found, strict=False):
        mine.set_weights(other.get_weights())
    if len(found) > len(body) and _shapes(head) == _shapes(found[-1]):
        head.set_weights(found[-1].get_weights())


def _fill(model: keras.Model, path: Path, **how: Any) -> None:
    """Weights from a file that holds no model, by Keras' own reader.

    The reader passes over what does not match. NaN tells afterwards what that was.
    """
    *body, head = _with_weights(model)
    fresh = head.get_weights()
    for layer in (*body, head):
        layer.set_weights([np.full(shape, np.nan, np.float32) for shape in _shapes(layer)])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.load_weights(path, skip_mismatch=True, **how)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} holds no weights that Keras can read: {error}") from error
    missing = [x for x in (*body, head) if any(np.isnan(w).any() for w in x.get_weights())]
    if missing and missing[0] is not head:
        raise UserError(
            f"{path} does not fit {model.name}: it has no weights of shape {_shapes(missing[0])} "
            f"for layer {missing[0].name!r}"
        )
    if missing:
        head.set_weights(fresh)


def _holds_model(path: Path) -> bool:
    try:
        with h5py.File(path) as file:
            return "model_config" in file.attrs
    except OSError as error:
        raise UserError(f"{path} is no readable HDF5 file: {error}") from error


def _download(model: keras.Model) -> keras.Model:
    """keras.applications' model without its output layer, from Keras' folder or the network."""
    family, _, width = model.name.partition("-")
    enlarging = [x for x in model.layers if isinstance(x, keras.layers.UpSampling2D)]
    shape = tuple((enlarging[0].output if enlarging else model.inputs[0]).shape[1:])
    if family not in APPLICATIONS:
        raise UserError(
            f"keras.applications has no ImageNet weights of {model.name}, only of "
            f"{' and '.join(APPLICATIONS)}: give a file as --weights"
        )
    if shape[-1] != 3:
        raise UserError(
            f"ImageNet weights need images with 3 channels, the samples have shape {shape}"
        )
    options: dict[str, Any] = {}
    if family == "mobilenetv2":
        options["alpha"] = float(width or 1)
        if options["alpha"] not in MOBILENETV2_WIDTHS:
            widths = ", ".join(f"{family}-{x:g}" for x in MOBILENETV2_WIDTHS)
            raise UserError(f"there are no ImageNet weights of {model.name}, only of {widths}")
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")  # sizes without weights of their own take those of 224
            return APPLICATIONS[family](
                input_shape=shape, include_top=False, weights=IMAGENET, **options
            )
    except Exception as error:  # Keras raises no narrower class
        failed = re.search(r"URL fetch failure on (\S+): (.*)", str(error))
        if failed is None:
            raise UserError(f"the ImageNet weights cannot be loaded: {error}") from error
        url, reason = failed[1], failed[2].removeprefix("None -- ")
        raise UserError(
            f"cannot download {url} ({reason}): fetch that file elsewhere and give it as --weights "
            f"{url.rpartition('/')[2]}, or put it into {KERAS_HOME}/models"
        ) from error


def _from_keras_applications(model: keras.Model, donor: keras.Model | None = None) -> keras.Model:
    """Begins with what keras.applications' `preprocess_input` does to images of 0..255."""
    if donor is not None:
        _copy(donor, model, "keras.applications")
    if _family(model) == "mobilenetv2":
        return _begin_with(model, keras.layers.Rescaling(2.0, -1.0, name="rescaling"))
    first = _with_weights(model)[0]  # ResNet50 takes blue, green, red
    kernel, *rest = first.get_weights()
    first.set_weights([kernel[:, :, ::-1], *rest])
    means = [-123.68, -116.779, -103.939]
    return _begin_with(model, keras.layers.Rescaling(255.0, means, name="rescaling"))


def _begin_with(model: keras.Model, rescaling: keras.layers.Rescaling) -> keras.Model:
    if isinstance(model, keras.Sequential):
        raise UserError(
            f"the weights belong to a model that begins with {rescaling.name!r}, {model.name} does "
            "not: give that file as --model"
        )
    layer = keras.layers.Rescaling.from_config(rescaling.get_config())
    return begin_with(model, layer, tuple(model.inputs[0].shape[1:]))
