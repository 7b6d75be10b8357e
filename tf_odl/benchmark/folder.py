"""The folder of a benchmark: one grid, its runs, its results, and what is needed to repeat it.

grid.yaml           the grid as it was read
benchmark.json      the command, the versions, the machine
cells/NAME/         a run directory per cell, as `tf-odl finetune` leaves it
errors/NAME.txt     what went wrong, with the traceback
workers.log         what the workers printed
results.csv         a line per cell; the same whenever and wherever it was made
timings.csv         seconds per cell
results.md, *.png   tables and plots
"""

from __future__ import annotations

import fcntl
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from tf_odl import __version__
from tf_odl.benchmark import plots, report
from tf_odl.benchmark.grid import Grid
from tf_odl.benchmark.results import Group, Row, group, read_row, to_csv
from tf_odl.benchmark.work import Outcome
from tf_odl.errors import UserError, reason_of
from tf_odl.files import write_file, write_json

_OURS = "benchmark.json"


class Folder:
    """A folder for a benchmark, new or to be continued.

    Raises:
        UserError: it holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is no folder: choose another --out")
        if path.is_dir() and any(path.iterdir()) and not (path / _OURS).is_file():
            raise UserError(f"{path} holds no benchmark: choose another --out")

    @property
    def cells(self) -> Path:
        return self.path / "cells"

    @property
    def errors(self) -> Path:
        return self.path / "errors"

    @property
    def log(self) -> Path:
        return self.path / "workers.log"

    def begin(self, grid: Grid, command: str) -> None:
        """Write what is needed to repeat the benchmark."""
        try:
            self.cells.mkdir(parents=True, exist_ok=True)
            about = {"command": command, "versions": versions(), "platform": platform.platform()}
            write_json(self.path / _OURS, about)
            write_file(self.path / "grid.yaml", lambda path: _write(path, grid.source))
        except OSError as error:
            raise UserError(f"cannot write to {self.path}: {reason_of(error)}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second benchmark out of the folder.

        Raises:
            UserError: there is one at work already.
        """
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError(f"another benchmark is at work in {self.path}") from None
            yield

    def finish(self, grid: Grid, outcomes: Mapping[str, Outcome], command: str) -> list[Group]:
        """Write the results of all cells that are done."""
        rows = [read_row(cell, self.cells / cell.run.name) for cell in grid.cells]
        done = [row for row in rows if row is not None]
        groups = group(done, grid.published)
        self._write("results.csv", to_csv(grid, outcomes, rows))
        self._write("timings.csv", _timings(done))
        drawn = plots.draw(groups, self.path)
        text = report.markdown(grid, groups, outcomes, drawn, command, versions())
        self._write("results.md", text)
        return groups

    def _write(self, name: str, text: str) -> None:
        write_file(self.path / name, lambda path: _write(path, text))


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def versions() -> dict[str, str]:
    """What the numbers depend on."""
    packages = {name: version(name) for name in ("tensorflow", "keras", "numpy")}
    return {"tf-odl": __version__, "Python": platform.python_version(), **packages}


def _timings(rows: list[Row]) -> str:
    seconds = {row.cell.run.name: row.record["result"]["seconds"] for row in rows}
    return "cell,seconds\n" + "".join(f"{name},{value:.1f}\n" for name, value in seconds.items())
