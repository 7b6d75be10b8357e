"""Your own arrays in an .npz file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from tf_odl.data.dataset import Dataset, checked, split
from tf_odl.errors import UserError


def load_npz(path: Path) -> Dataset:
    """Arrays `x_train`, `y_train`, `x_test`, `y_test`, or `x` and `y`, which are split 80 : 20.

    Raises:
        UserError: the file or an array is missing or damaged, or cannot be trained on.
    """
    arrays = read_npz(path)
    whole, parts = ("x", "y"), ("x_train", "y_train", "x_test", "y_test")
    if all(name in arrays for name in parts):
        x_train, y_train, x_test, y_test = (arrays[name] for name in parts)
        return checked(path.stem, (x_train, y_train), (x_test, y_test), source=str(path))
    if not all(name in arrays for name in whole):
        raise UserError(
            f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}: it needs the arrays "
            f"{', '.join(parts)}, or x and y"
        )
    x, y = arrays["x"], arrays["y"]
    checked(path.stem, (x, y), (x, y), source=str(path))  # speaks of samples as the file has them
    train, test = split(x, y.reshape(len(y)))
    return checked(path.stem, train, test, source=str(path))


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
