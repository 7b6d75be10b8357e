"""Accuracy, or error, of a float and of an int8 model on test samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_odl.converters import reference
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.losses import ends_in_sigmoid
from tf_odl.converters.quantize import check_samples
from tf_odl.errors import UserError

if TYPE_CHECKING:
    import keras

Progress = Callable[[str, int, int], None]


def accuracy_of(
    original: keras.Model,
    model: bytes,
    test: tuple[np.ndarray, np.ndarray],
    progress: Progress | None,
) -> dict[str, Any]:
    """Accuracy of the float and of the int8 model on test samples, in 0..1.

    Args:
        original: the float model.
        model: the int8 one.
        test: samples float [N, *input] and class numbers int [N].
        progress: called with (what, done, total).

    Raises:
        UserError: samples or labels of another shape.
    """
    x, labels = check_samples(original, test[0], "test data"), np.asarray(test[1])
    if labels.shape != (len(x),):
        raise UserError(
            f"test data: {len(x)} samples need as many class numbers, got an array of shape "
            f"{list(labels.shape)}"
        )
    outputs = original.predict(x, batch_size=256, verbose=0)
    middle = 0.5 if ends_in_sigmoid(FlatModel(model)) else 0.0
    return {
        "samples": len(x),
        "float": float((_classes(outputs, middle) == labels).mean()),
        "int8": int8_accuracy(model, x, labels, progress),
    }


def error_of(
    original: keras.Model,
    model: bytes,
    test: tuple[np.ndarray, np.ndarray],
    progress: Progress | None,
) -> dict[str, Any]:
    """Mean squared error of the float and of the int8 model on test samples, in the outputs' units.

    Args:
        original: the float model.
        model: the int8 one.
        test: samples float [N, *input] and wanted outputs float [N, ..].
        progress: called with (what, done, total).

    Raises:
        UserError: samples or outputs of another shape.
    """
    x, wanted = check_samples(original, test[0], "test data"), np.asarray(test[1], np.float64)
    outputs = original.predict(x, batch_size=256, verbose=0)
    if outputs.size != wanted.size:
        raise UserError(
            f"test data: outputs of shape {list(outputs.shape[1:])} are wanted, got "
            f"{list(wanted.shape[1:])}"
        )
    return {
        "samples": len(x),
        "float": float(((outputs - wanted.reshape(outputs.shape)) ** 2).mean()),
        "int8": int8_error(model, x, wanted, progress),
    }


def int8_error(model: bytes, x: np.ndarray, wanted: np.ndarray, progress: Progress | None) -> float:
    """Mean squared error of the int8 model's outputs, in their units.

    Args:
        x: samples, float [N, *input].
        wanted: outputs, float [N, ..].
    """
    outputs = reference.real_outputs(model, _outputs(model, x, progress))
    return float(((outputs - np.reshape(wanted, outputs.shape)) ** 2).mean())


def int8_accuracy(
    model: bytes, x: np.ndarray, labels: np.ndarray, progress: Progress | None
) -> float:
    """The share of samples, float [N, *input], whose class the int8 model finds."""
    codes = _outputs(model, x, progress)
    return float((decided(model, codes) == np.asarray(labels)).mean())


def _outputs(model: bytes, x: np.ndarray, progress: Progress | None) -> np.ndarray:
    """int8 [N, ..] of samples float [N, *input]."""
    tell = None if progress is None else lambda done, total: progress("test int8", done, total)
    return reference.infer(model, reference.quantize_input(model, x), tell)


def decided(model: bytes, codes: np.ndarray) -> np.ndarray:
    """The classes an int8 classifier decides for by its outputs int8 [N, ...].

    A single output decides between 0 and 1: by a sigmoid of 0.5, without one by its sign.
    """
    flat = FlatModel(model)
    output = flat.outputs[0]
    # A sigmoid's int8 output is its value * 256 - 128.
    middle = 0 if ends_in_sigmoid(flat) else flat.zero_point(output)
    return _classes(codes, middle)


def _classes(outputs: np.ndarray, threshold: float) -> np.ndarray:
    """The class of each row: the largest output, or whether a single one reaches the threshold."""
    rows = outputs.reshape(len(outputs), -1)
    return rows[:, 0] >= threshold if rows.shape[1] == 1 else rows.argmax(axis=1)
