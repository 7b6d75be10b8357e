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


def filled(text: str, lines: Iterable[str], marker: str) -> str:
    """The page with these lines between `<!-- MARKER -->` and the next `<!-- end -->`."""
    before, first, rest = text.partition(f"<!-- {marker} -->")
    _, end, after = rest.partition("<!-- end -->")
    if not end:
        raise ValueError(f"the page has no place for {marker!r}")
    body = "\n".join(lines)
    return f"{before}{first}\n{body}\n{end}{after}"


def fill_table(page: Path, lines: Iterable[str], marker: str = "results") -> None:
    """Replace what stands at a marker of the page; see `filled`."""
    page.write_text(filled(page.read_text(), lines, marker))
