"""Numbers in text files, as the UCI repository has them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from tf_odl.errors import UserError


def read_table(path: Path) -> np.ndarray:
    """float32 [rows, columns] of a file of numbers separated by blanks.

    Raises:
        UserError: the file is missing, empty, holds anything else or rows of different length.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of an empty file, refused below
            table = np.loadtxt(path, np.float32, ndmin=2)
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not table.size:
        raise UserError(f"{path} is empty: get it again")
    return table


def read_column(path: Path, rows: int) -> np.ndarray:
    """int64 [rows]: one whole number per line.

    Raises:
        UserError: see `read_table`; or the file has another number of lines, or of columns.
    """
    table = read_table(path)
    if table.shape != (rows, 1) or not (table == np.round(table)).all():
        raise UserError(
            f"{path} must hold {rows} lines of one whole number, it has {table.shape[0]} lines "
            f"of {table.shape[1]} numbers"
        )
    return table[:, 0].astype(np.int64)
