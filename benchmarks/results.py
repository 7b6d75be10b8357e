"""What benchmarks measured: rows in a .csv file, and a table between the markers of a page."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from tf_odl.files import write_file

Row = dict[str, str]


def read_rows(path: Path) -> list[Row]:
    """The rows of the file, none where it is not there yet."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, fields: Sequence[str], rows: Iterable[Row]) -> None:
    """Replace the file; killed in between, the old one is left."""

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, fields, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, write)


def fill_table(page: Path, lines: Iterable[str], marker: str = "results") -> None:
    """Replace what stands between `<!-- MARKER -->` and the first `<!-- end -->`."""
    text = page.read_text()
    first = f"<!-- {marker} -->"
    start, end = text.index(first), text.index("<!-- end -->")
    body = "\n".join(lines)
    page.write_text(f"{text[:start]}{first}\n{body}\n{text[end:]}")
