"""The plots of docs/methods: every method on the demonstration, beside full training.

    python benchmarks/method_plots.py [METHOD ...] [--seeds 3] [--out docs/methods]

A small CNN, pretrained on upright digits, is adapted to digits rotated by 30 degrees with the
settings of `tf-odl finetune`. Draws METHOD.png and prints a row of figures per method: mean and
standard deviation over the seeds. Ten seconds per run.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from matplotlib.figure import Figure

from tf_odl.methods import METHODS

GREY, COLOUR = "0.6", "tab:blue"


def run(method: str, seed: int) -> dict[str, Any]:
    """The record of one run."""
    from tf_odl.trainer import finetune
    from tf_odl.trainer.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(method=method, seed=seed)
        finetune.start(settings, Path(folder) / "run")
        return finetune.resume(Path(folder) / "run")


def accuracies(records: list[dict[str, Any]]) -> np.ndarray:
    """Test accuracy in percent before and after every epoch, [seeds, epochs + 1]."""
    return 100 * np.array(
        [[r["before"]["accuracy"], *(row["val_accuracy"] for row in r["epochs"])] for r in records]
    )


def all_macs(records: list[dict[str, Any]]) -> np.ndarray:
    """All MACs of every epoch in percent of full training, selection included, [seeds, epochs]."""
    rows = []
    for record in records:
        model, samples = record["model"], record["data"]["train"][0]
        full = samples * (model["forward_macs"] + model["full_backward_macs"])
        parts = ("forward_macs", "backward_macs", "selection_macs")
        rows.append([sum(e[p] for p in parts) / full for e in record["epochs"]])
    return 100 * np.array(rows)


def draw(
    method: str, records: list[dict[str, Any]], full: list[dict[str, Any]], path: Path
) -> None:
    """Accuracy and cost by epoch, full training in grey."""
    figure = Figure(figsize=(7, 2.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, measure, first in ((left, accuracies, 0), (right, all_macs, 1)):
        for name, found, colour in (("full", full, GREY), (method, records, COLOUR)):
            values = measure(found)
            epochs = np.arange(first, values.shape[1] + first)
            axes.plot(epochs, values.mean(axis=0), color=colour, label=name)
            axes.fill_between(epochs, values.min(0), values.max(0), color=colour, alpha=0.2, lw=0)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
    left.set_ylabel("test accuracy, %")
    right.set_ylabel("all MACs, % of full")
    right.set_ylim(bottom=0)
    left.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=110)


def row(method: str, records: list[dict[str, Any]]) -> str:
    """A row of the table in docs/methods.md."""

    def spread(key: str) -> str:
        values = 100 * np.array([r["result"][key] for r in records])
        return f"{values.mean():.1f} +- {values.std():.1f}"

    columns = ("accuracy", "effort", "effort_nonzero", "effort_total")
    return f"| `{method}` | {' | '.join(spread(key) for key in columns)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", metavar="METHOD", default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("docs/methods"))
    arguments = parser.parse_args()
    full = [run("full", seed) for seed in range(arguments.seeds)]
    print("| | accuracy, % | effort, % | non-zero | all MACs, % |\n|---|---|---|---|---|")
    for method in arguments.methods:
        records = full
        if method != "full":
            records = [run(method, seed) for seed in range(arguments.seeds)]
            draw(method, records, full, arguments.out / f"{method}.png")
        print(row(method, records), flush=True)


if __name__ == "__main__":
    main()
