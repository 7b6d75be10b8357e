"""Keras models from files, checked for what every later step relies on."""

from __future__ import annotations

import math
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from tf_odl.errors import UserError, reason_of
from tf_odl.models.form import form_of
from tf_odl.task import CLASSIFYING, Loss, check_fits

if TYPE_CHECKING:
    from tf_odl.data import Dataset

SUFFIXES = (".keras", ".h5")
_GIVEN_BY_KERAS = re.compile(r"(sequential|functional|model)(_\d+)?")


def load(path: Path) -> keras.Model:
    """The model in a .keras or .h5 file; of a saved OdlModel the one it wraps.

    It has the name of the file if it has none but Keras' own.

    Raises:
        UserError: as `read`; the model does not have one input and one output.
    """
    model = read(path)
    _check_form(model, path)
    if _GIVEN_BY_KERAS.fullmatch(model.name):
        # TensorFlow takes fewer characters for a name than files do.
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", Path(path).stem).lstrip("_-")
        model.name = name or model.name
    return model


def read(path: Path) -> keras.Model:
    """The model in a .keras or .h5 file, whatever it does; of a saved OdlModel the one it wraps.

    Raises:
        UserError: the file is missing or damaged, or has a layer we do not know.
    """
    from tf_odl.trainer.model import OdlModel  # also teaches Keras the name

    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise UserError(f"no model {str(path)!r}: give a .keras file or the name of a model")
    if not path.is_file():
        raise UserError(f"{path} does not exist")
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        raise UserError(f"{path} is no readable Keras model: it is damaged or of another format")
    try:
        model = keras.models.load_model(path, compile=False)
    except (OSError, KeyError, IndexError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is no readable Keras model: {reason_of(error)}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} cannot be loaded: {_advice(error)}") from error
    return model.model if isinstance(model, OdlModel) else model


def _advice(error: Exception) -> str:
    unknown = re.search(r"Could not locate (?:class|function) '(\w+)'", str(error))
    if unknown:
        return (
            f"layer or function {unknown[1]!r} is not part of Keras; register it with "
            "keras.saving.register_keras_serializable and use tf-odl from Python"
        )
    if "Lambda" in str(error):
        return "Lambda layers hold Python code and are not loaded: replace them by Keras layers"
    return reason_of(error)


def _check_form(model: keras.Model, path: Path) -> None:
    if not model.built or not model.weights:
        raise UserError(f"{path} has no weights: build and train the model before saving it")
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not inputs or not outputs:
        raise UserError(f"{path} is a subclassed model: rebuild it with the functional API")
    if len(inputs) != 1 or len(outputs) != 1:
        counts = (
            f"{len(found)} {what}{'s' if len(found) > 1 else ''}"
            for found, what in ((inputs, "input"), (outputs, "output"))
        )
        raise UserError(f"{path} has {' and '.join(counts)}, one of each is supported")
    if None in inputs[0].shape[1:]:
        raise UserError(
            f"{path} takes samples of shape {tuple(inputs[0].shape[1:])}: "
            "all sizes but the batch must be fixed"
        )


def check_fits_data(
    model: keras.Model, data: Dataset, loss: Loss | None = Loss.CROSS_ENTROPY
) -> None:
    """Raises UserError if the samples of `data`, or its labels or targets, do not suit `model`."""
    check_fits(form_of(model), data, loss)


def check_learns(model: keras.Model, data: Dataset, loss: Loss) -> None:
    """Raises UserError if `model` cannot learn from `data` by this loss; after check_fits_data."""
    form = form_of(model)
    inputs, outputs = form.inputs, form.outputs
    what = f"model {model.name!r} has outputs of shape {outputs}"
    if loss is Loss.RECONSTRUCTION and math.prod(outputs) != math.prod(inputs):
        raise UserError(f"{what}, an autoencoder has as many as inputs, {inputs}")
    if loss is Loss.MSE and (not data.target_names or len(outputs) != 1):
        raise UserError(
            f"{data.source} has no targets"
            if not data.target_names
            else f"{what}, a regression has one for each target"
        )
    if loss in CLASSIFYING and data.classes < 2:
        has = "has targets of a regression" if not data.classes else "has no labels"
        if any(data.class_names):
            has = f"has only samples of the class {data.class_names[0]!r}"
        raise UserError(f"{data.source} {has}: a classifier needs at least two classes")
    if loss is Loss.CROSS_ENTROPY and (len(outputs) != 1 or outputs[0] < 2):
        raise UserError(f"{what}, a classifier has one for each of two or more classes")
    if loss is Loss.BINARY and math.prod(outputs) != 1:
        raise UserError(f"{what}, binary cross-entropy needs a single one")
