"""Your own arrays in an .npz file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from tf_odl.data.dataset import NO_LABELS, Dataset, checked, measured, split
from tf_odl.errors import UserError, reason_of
from tf_odl.task import CLASSIFICATION, CLASSIFYING, Loss, Task


def load_npz(path: Path, task: Task = CLASSIFICATION) -> Dataset:
    """Arrays `x_train`, `y_train`, `x_test`, `y_test`, or `x` and `y`, which are split 80 : 20.

    Labels are numbers 0, 1, 2, .. or names, which are numbered in their alphabetical order.
    Targets of a regression are floats [N] or [N, targets]; fractions tell where the task does not.
    An autoencoder needs no `y_..`, and one that holds no labels is not used.

    Raises:
        UserError: the file or an array is missing or damaged, or cannot be trained on.
    """
    arrays = read_npz(path)
    parts = ("train", "test")
    whole = not all(f"x_{part}" in arrays for part in parts)
    names = ("x", "y") if whole else tuple(f"{n}_{part}" for part in parts for n in "xy")
    lacking = [name for name in names if name not in arrays]
    if task.loss not in CLASSIFYING and all(name[0] == "y" for name in lacking):
        lacking = []
    if lacking:
        raise UserError(
            f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}: it needs the arrays "
            "x_train, y_train, x_test, y_test, or x and y"
        )
    x = [arrays[name] for name in names if name[0] == "x"]
    y = [arrays[name] for name in names if name in arrays and name[0] == "y"]
    given: dict[str, Any] = {"source": str(path), "one_class": task.loss not in CLASSIFYING}
    if len(y) < len(x) or (task.loss is Loss.RECONSTRUCTION and not _are_labels(y, x)):
        y = [np.zeros(len(np.atleast_1d(part)), np.int64) for part in x]
        given["class_names"] = NO_LABELS
    elif task.loss is Loss.MSE or (task.loss is None and _are_targets(y)):
        y = [part[:, None] if part.ndim == 1 else part for part in y]
        given["target_names"] = tuple(str(i) for i in range(y[0].shape[-1]))
    else:
        y_train, y_test, given["class_names"] = _numbered(y[0], y[-1])
        y = [y_train, y_test]
    if not whole:
        return checked(path.stem, (x[0], y[0]), (x[1], y[1]), **given)
    # The first check speaks of samples as the file has them.
    checked(path.stem, (x[0], y[0]), (x[0], y[0]), **given)
    labels = y[0][:, 0] if y[0].ndim == 2 and "target_names" not in given else y[0]
    train, test = split(x[0], labels)
    return checked(path.stem, train, test, **given)


def _are_labels(y: list[np.ndarray], x: list[np.ndarray]) -> bool:
    """Whether there is a class for every sample, as far as an autoencoder's data need any."""
    whole = all(part.dtype.kind in "uibUS" for part in y)
    return whole and all(a.shape == (len(np.atleast_1d(b)),) for a, b in zip(y, x, strict=True))


def _are_targets(y: list[np.ndarray]) -> bool:
    """Whether some are numbers and count no class."""
    return any(part.dtype.kind in "uif" and bool(measured(part).any()) for part in y)


def _numbered(*labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """The labels of both parts as numbers, and the names of the classes if they were names."""
    if not all(y.dtype.kind in "US" and y.ndim == 1 for y in labels):
        train, test = (y.astype(np.int64) if y.dtype == np.bool_ else y for y in labels)
        return train, test, ()
    names, numbers = np.unique(np.concatenate(labels).astype(np.str_), return_inverse=True)
    train, test = np.split(numbers, [len(labels[0])])
    return train, test, tuple(str(name) for name in names)


def read_npz(path: Path, *names: str) -> dict[str, np.ndarray]:
    """The arrays of an .npz file; nothing in it is executed.

    Raises:
        UserError: the file is missing or damaged, or one of the arrays `names` is not in it.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError) as error:
        raise UserError(f"{path} is no readable .npz file: {reason_of(error)}") from error
    lacking = [name for name in names if name not in arrays]
    if lacking:
        raise UserError(
            f"{path} lacks {', '.join(lacking)}: it holds {', '.join(sorted(arrays)) or 'nothing'}"
        )
    return arrays
