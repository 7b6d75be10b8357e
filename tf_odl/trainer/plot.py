"""Curves of a run: accuracy or error, effort and skipped samples per epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tf_odl.figures import FIGURES
from tf_odl.task import recorded_loss

ACCURACY, EFFORT, SKIPPED = "#1b6ca8", "#c0392b", "#6c757d"


def plot_curves(record: dict[str, Any], path: Path) -> None:
    """Draw `curves.png` from a run record with at least one epoch."""
    from matplotlib.figure import Figure

    rows = record["epochs"]
    epoch = [0] + [r["epoch"] for r in rows]
    figure_of_merit = FIGURES[recorded_loss(record)][0]
    key = figure_of_merit.key
    merit = [record["before"][key]] + [r[f"val_{key}"] for r in rows]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    percent = figure_of_merit.is_share
    left.plot(epoch, [100 * m if percent else m for m in merit], color=ACCURACY, marker=".")
    left.set_title(f"test {figure_of_merit.title}{' (%)' if percent else ''}", fontsize=10)
    middle.plot(epoch[1:], [100 * r["effort"] for r in rows], color=EFFORT, marker=".")
    middle.set_title("effort: backward MACs\n(% of full training)", fontsize=10)
    right.plot(epoch[1:], [100 * r["skipped"] for r in rows], color=SKIPPED, marker=".")
    right.set_title("samples skipped (%)", fontsize=10)
    for axis in (middle, right):
        axis.set_ylim(0, 103)
    for axis in (left, middle, right):
        axis.set_xlabel("epoch")
        axis.set_xlim(0, epoch[-1] + 0.2)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    name = record["method"]["name"]
    figure.suptitle(f"{record['data']['name']} ({record['data']['shift'] or 'no shift'}), {name}")
    figure.savefig(path, dpi=130)
