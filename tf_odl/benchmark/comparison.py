"""Single runs side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_odl.benchmark.runner import read_record
from tf_odl.errors import UserError, reason_of
from tf_odl.figures import ALL, Figure
from tf_odl.files import write_file

COSTS = ("effort", "effort_nonzero", "effort_total", "skipped", "seconds")
_PLACES = ("data_dir",)  # settings that say where, not what


@dataclass(frozen=True)
class Compared:
    """A complete run: its folder's name, the settings in which the runs differ, its record."""

    name: str
    differs: dict[str, Any]
    record: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        result = self.record["result"]
        merits = (f"{merit.key}{when}" for merit in ALL for when in ("_before", ""))
        figures = {key: result[key] for key in (*merits, *COSTS) if key in result}
        return {"run": self.name, **self.differs, **figures}


def compare(run_dirs: Sequence[Path]) -> list[Compared]:
    """Read complete runs and find the settings in which they differ.

    Raises:
        UserError: a folder holds no run, or one that is not complete.
    """
    records = []
    for folder in run_dirs:
        record = read_record(folder)
        if record is None:
            raise UserError(f"{folder} holds no run (run.json is missing or damaged)")
        if record["status"] != "complete":
            raise UserError(
                f"{folder} is not complete: continue it with tf-odl finetune --out {folder} "
                "--resume"
            )
        records.append(record)
    keys = dict.fromkeys(key for record in records for key in record["settings"])
    differing = [
        key
        for key in keys
        if key not in _PLACES and len({str(r["settings"].get(key)) for r in records}) > 1
    ]
    return [
        Compared(name, {key: _short(record["settings"].get(key)) for key in differing}, record)
        for name, record in zip(_names(run_dirs), records, strict=True)
    ]


def _short(value: Any) -> Any:
    """Of the path of a model the folder and the file."""
    is_path = isinstance(value, str) and value.endswith(".keras")
    return str(Path(*Path(value).parts[-2:])) if is_path else value


def _names(run_dirs: Sequence[Path]) -> list[str]:
    """The last part of each path, or as many as tell them apart."""
    paths = [folder.absolute() for folder in run_dirs]
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = [str(Path(*path.parts[-depth:])) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def plot(runs: Sequence[Compared], path: Path) -> None:
    """A figure per epoch, the same against what it cost, and effort per epoch.

    It is the accuracy, or what else all of the runs have been tested by.

    Raises:
        UserError: the file cannot be written, its name does not say PNG, SVG or PDF, or no figure
            is known of all runs.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, MaxNLocator

    from tf_odl.benchmark.plots import LEAST, percent_axis

    if path.suffix not in (".png", ".svg", ".pdf"):
        raise UserError(f"--plot takes a .png, .svg or .pdf file, got {str(path)!r}")
    merit = _common(runs)
    unit, factor = (" (%)", 100) if merit.is_share else ("", 1)
    figure = Figure(figsize=(14, 3.8), layout="constrained")
    by_epoch, by_cost, effort = figure.subplots(1, 3)
    for run in runs:
        rows = run.record["epochs"]
        epochs = [row["epoch"] for row in rows]
        values = [run.record["result"][f"{merit.key}_before"]]
        values += [row[f"val_{merit.key}"] for row in rows]
        values = [factor * value for value in values]
        macs, total = [], 0.0
        for row in rows:
            total += row["forward_macs"] + row["backward_macs"] + row["selection_macs"]
            macs.append(total)
        label = "\n".join([run.name, *textwrap.wrap(_described(run.differs), 44)])
        (line,) = by_epoch.plot([0, *epochs], values, marker=".", label=label)
        by_cost.plot([0, *macs], values, marker=".", color=line.get_color())
        shares = [100 * max(row["effort"], LEAST) for row in rows]
        effort.plot(epochs, shares, marker=".", color=line.get_color())
    for axes, x, y in (
        (by_epoch, "epoch", f"test {merit.title}{unit}"),
        (by_cost, "multiply-accumulates so far, forward and backward", f"test {merit.title}{unit}"),
        (effort, "epoch", "backward MACs of full training"),
    ):
        axes.set_xlabel(x, fontsize=9)
        axes.set_ylabel(y, fontsize=9)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    by_cost.xaxis.set_major_formatter(EngFormatter(sep=""))
    percent_axis(effort, "y")
    figure.legend(loc="outside right upper", fontsize=7, frameon=False)
    try:
        write_file(path, lambda temporary: figure.savefig(temporary, dpi=130))
    except OSError as error:
        raise UserError(f"cannot write {path}: {reason_of(error)}") from error


def _common(runs: Sequence[Compared]) -> Figure:
    """The first figure of which all runs have the values of every epoch and before."""
    for merit in ALL:
        if all(f"val_{merit.key}" in run.record["epochs"][0] for run in runs):
            return merit
    raise UserError("--plot draws what all runs have: these have learned different things")


def _described(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items() if value is not None)
