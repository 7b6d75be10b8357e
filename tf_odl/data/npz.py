"""Your own arrays in an .npz file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from tf_odl.data.dataset import Dataset, checked, split
from tf_odl.errors import UserError


def load_npz(path: Path, *, labelled: bool = True) -> Dataset:
    """Arrays `x_train`, `y_train`, `x_test`, `y_test`, or `x` and `y`, which are split 80 : 20.

    Labels are numbers 0, 1, 2, .. or names, which are numbered in their alphabetical order.

    Args:
        labelled: without, `y_..` may be missing or hold anything: every sample gets the class 0.

    Raises:
        UserError: the file or an array is missing or damaged, or cannot be trained on.
    """
    arrays = read_npz(path)
    if not labelled:
        arrays |= {
            f"y{name[1:]}": np.zeros(len(np.atleast_1d(x)), np.int64)
            for name, x in arrays.items()
            if name in ("x", "x_train", "x_test")
        }
    whole, parts = ("x", "y"), ("x_train", "y_train", "x_test", "y_test")
    if all(name in arrays for name in parts):
        x_train, y_train, x_test, y_test = (arrays[name] for name in parts)
        y_train, y_test, names = _numbered(y_train, y_test)
        return checked(
            path.stem,
            (x_train, y_train),
            (x_test, y_test),
            source=str(path),
            class_names=names if labelled else ("",),
        )
    if not all(name in arrays for name in whole):
        raise UserError(
            f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}: it needs the arrays "
            f"{', '.join(parts)}, or x and y"
        )
    x = arrays["x"]
    y, _, names = _numbered(arrays["y"], arrays["y"])
    names = names if labelled else ("",)
    # The first check speaks of samples as the file has them.
    checked(path.stem, (x, y), (x, y), source=str(path), class_names=names)
    train, test = split(x, y.reshape(len(y)))
    return checked(path.stem, train, test, source=str(path), class_names=names)


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
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is no readable .npz file: {reason}") from error
    lacking = [name for name in names if name not in arrays]
    if lacking:
        raise UserError(
            f"{path} lacks {', '.join(lacking)}: it holds {', '.join(sorted(arrays)) or 'nothing'}"
        )
    return arrays
