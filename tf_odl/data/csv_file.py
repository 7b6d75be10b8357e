"""Rows of a .csv file, each with its line, so that messages can say where something is wrong."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tf_odl.errors import UserError

DELIMITERS = ",;\t"
LEFT_OUT = ("", "timestamp")  # an index that a program wrote, and the time of a row
LABELS = ("label", "class", "target")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
TARGET = "target_"  # begins the names of several


@dataclass(frozen=True)
class CsvFile:
    """The cells of a file without its header.

    names: of the columns, without blanks around; None without a header.
    lines: of every row, from 1. starts: the rows behind a blank line or a repeated header, and 0.
    """

    path: Path
    names: tuple[str, ...] | None
    rows: list[list[str]]
    lines: list[int]
    starts: list[int]

    @property
    def columns(self) -> list[int]:
        """All columns but those that are LEFT_OUT."""
        return [i for i in range(len(self.rows[0])) if self.key(i) not in LEFT_OUT]

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for every column that is left out."""
        unused = [self.name(i) for i in range(len(self.rows[0])) if self.key(i) in LEFT_OUT]
        return tuple(
            f"{self.path.name}: the column {repr(name) if name else 'without a name'} is left out"
            for name in unused
        )

    def name(self, column: int) -> str:
        """What messages call a column."""
        return f"{column + 1}" if self.names is None else self.names[column]

    def key(self, column: int) -> str:
        """Its name without capitals, which columns are known by."""
        return self.name(column).lower()

    def numbers(self, columns: Sequence[int]) -> np.ndarray:
        """float32 [rows, columns].

        Raises:
            UserError: names the line and the column of the first cell that is no finite number.
        """
        try:
            values = np.array([[row[i] for i in columns] for row in self.rows], np.float64)
            if np.isfinite(values).all():
                return values.astype(np.float32)
        except ValueError:
            pass
        for row, line in zip(self.rows, self.lines, strict=True):
            for i in columns:
                if not _is_finite(row[i]):
                    hint = ": decimals have a point" if _DECIMAL_COMMA.fullmatch(row[i]) else ""
                    raise UserError(
                        f"{self.path}, line {line}: {row[i]!r} in column {self.name(i)} is no "
                        f"number{hint}"
                    )
        raise AssertionError("unreachable")


def read_csv(path: Path) -> CsvFile:
    """Cells separated by commas, semicolons or tabs; the first line tells which.

    The first row is a header if no cell of it is a number, or one names a label or target. A row
    that repeats it begins a new part, as a blank line does.

    Raises:
        UserError: the file is missing, no text, or empty; a row has more or fewer cells than the
            first one.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = next((line for line in file if line.strip()), "")
            delimiter = max(DELIMITERS, key=first.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter)
            found = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text in UTF-8: save it so") from error
    except (OSError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as CSV: {error}") from error
    header = next((row for _, row in found if any(row)), [])
    if any(map(_is_number, header)) and not any(map(names_label, header)):
        header = []
    rows: list[list[str]] = []
    lines: list[int] = []
    starts, width, new = [0], len(header), True
    for line, row in found:
        if not any(row) or row == header:
            new = True
            continue
        width = width or len(row)
        if len(row) != width:
            before = "the header" if header else f"line {lines[0]}"
            raise UserError(f"{path}, line {line}: {len(row)} values, {before} has {width}")
        if new and rows:
            starts.append(len(rows))
        new = False
        rows.append(row)
        lines.append(line)
    if not rows:
        raise UserError(f"{path} holds no rows" + (" below its header" if header else ""))
    names = tuple(header) or None
    if names is not None:
        twice = next((n for n in names if n and names.count(n) > 1), None)
        if twice is not None:
            raise UserError(f"{path}: two columns are called {twice!r}")
    return CsvFile(path, names, rows, lines, starts)


def names_label(cell: str) -> bool:
    """Whether a column of that name holds what is to be learned."""
    return cell.lower() in LABELS or cell.lower().startswith(TARGET)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_finite(cell: str) -> bool:
    return _is_number(cell) and bool(np.isfinite(float(cell)))
