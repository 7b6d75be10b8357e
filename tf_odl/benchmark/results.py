"""What came out of a grid: a row per cell, and rows of means over the seeds."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_odl.benchmark.cell import Cell
from tf_odl.benchmark.grid import AXES, Grid, Published
from tf_odl.benchmark.runner import read_record
from tf_odl.benchmark.work import Outcome

MEASURES = (
    "accuracy_before",
    "accuracy",
    "effort",
    "effort_nonzero",
    "effort_total",
    "skipped",
)


@dataclass(frozen=True)
class Row:
    """A finished cell with its figures."""

    cell: Cell
    values: Mapping[str, float]
    effort_per_epoch: Sequence[float]
    record: Mapping[str, Any]


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1) over seeds; None with a single seed."""

    mean: float
    deviation: float | None


@dataclass(frozen=True)
class Group:
    """The repetitions of one row of the results: a Spread per measure."""

    labels: Mapping[str, str | None]
    epochs: int
    nominal_epochs: int
    rows: tuple[Row, ...]
    measures: Mapping[str, Spread]
    published: Published | None

    @property
    def seeds(self) -> int:
        return len({row.cell.seed for row in self.rows})


def read_row(cell: Cell, folder: Path) -> Row | None:
    """The figures of a cell, None if its run is not complete.

    Effort is relative to full training for the group's nominal number of epochs, whatever number
    the run itself took: only so can full training with fewer epochs be compared.
    """
    record = read_record(folder)
    if record is None or record["status"] != "complete":
        return None
    result, model = record["result"], record["model"]
    samples, epochs = record["data"]["train"][0], len(record["epochs"])
    per_epoch = samples * (model["forward_macs"] + model["full_backward_macs"])
    macs = result["forward_macs"] + result["backward_macs"] + result["selection_macs"]
    share = epochs / cell.nominal_epochs
    values = {key: float(result[key]) for key in ("accuracy_before", "accuracy", "skipped")}
    values |= {key: result[key] * share for key in ("effort", "effort_nonzero")}
    values["effort_total"] = macs / (per_epoch * cell.nominal_epochs)
    return Row(cell, values, [row["effort"] for row in record["epochs"]], record)


def group(rows: Sequence[Row], published: Sequence[Published]) -> list[Group]:
    """Rows with the same labels become one; of a seed's rows the mean counts."""
    members: dict[tuple[str | None, ...], list[Row]] = {}
    for row in rows:
        members.setdefault(tuple(row.cell.labels[axis] for axis in AXES), []).append(row)
    groups = []
    for mine in members.values():
        cell = mine[0].cell
        groups.append(
            Group(
                cell.labels,
                cell.run.settings.epochs,
                cell.nominal_epochs,
                tuple(mine),
                {key: spread(mine, key) for key in MEASURES},
                next((p for p in published if p.matches(cell.labels)), None),
            )
        )
    return groups


def spread(rows: Sequence[Row], measure: str) -> Spread:
    """Mean over the seeds, each seed being the mean of its rows."""
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        by_seed.setdefault(row.cell.seed, []).append(row.values[measure])
    means = [statistics.fmean(values) for values in by_seed.values()]
    return Spread(statistics.fmean(means), statistics.stdev(means) if len(means) > 1 else None)


def to_csv(grid: Grid, outcomes: Mapping[str, Outcome], rows: Sequence[Row | None]) -> str:
    """A line per cell in the order of the grid: labels, outcome, figures, masks, settings.

    Nothing in it depends on time, machine or folders.
    """
    repeated = list(dict.fromkeys(key for cell in grid.cells for key in cell.repeat))
    lines = []
    for cell, row in zip(grid.cells, rows, strict=True):
        run = cell.run
        line: dict[str, Any] = {axis: cell.labels[axis] for axis in AXES}
        line |= {"seed": cell.seed, **{key: cell.repeat.get(key) for key in repeated}}
        line["status"] = outcomes[run.name].status if run.name in outcomes else "not done"
        line |= {"epochs": run.settings.epochs, "nominal_epochs": cell.nominal_epochs}
        line |= {key: row.values[key] if row else None for key in MEASURES}
        masks = row.record["masks"].values() if row else []
        line["neurons"] = sum(m["neurons"] for m in masks) if row else None
        line["neurons_updated"] = sum(m["updated"] for m in masks) if row else None
        line |= {"cell": run.name, "pretrain_cell": run.pretrain.name if run.pretrain else None}
        settings = run.settings.to_dict()
        del settings["data_dir"]
        settings["set"] = " ".join(f"{k}={v}" for k, v in sorted(settings["set"].items()))
        line |= {f"setting_{key}": value for key, value in settings.items()}
        lines.append(line)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
