"""Numbers in text files, as the UCI repository has them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

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


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty and no comment (`#`), without outer blanks.

    Raises:
        UserError: the file is missing, empty or no text.
    """
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    lines = [line for line in lines if line and line[0] != "#"]
    if not lines:
        raise UserError(f"{path} is empty: get it again")
    return lines


def read_fields(path: Path, types: tuple[type, ...]) -> list[tuple[Any, ...]]:
    """The leading fields of every line, separated by blanks; more may follow.

    Raises:
        UserError: see `read_lines`; or names the first line that lacks a field or has another type.
    """
    rows = []
    for line in read_lines(path):
        try:
            rows.append(tuple(t(f) for t, f in zip(types, line.split()[: len(types)], strict=True)))
        except ValueError:
            wanted = " ".join("NUMBER" if t is int else "NAME" for t in types)
            raise UserError(f"{path}: line {line!r} should be {wanted}") from None
    return rows
