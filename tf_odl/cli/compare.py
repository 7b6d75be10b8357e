"""`tf-odl compare`: single runs side by side."""

from __future__ import annotations

from pathlib import Path
from string import ascii_lowercase, ascii_uppercase

import click

from tf_odl.cli.output import emit_json, print_table
from tf_odl.errors import UserError


@click.command(short_help="Runs side by side.")
@click.argument("run_dirs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--plot", type=click.Path(path_type=Path), help="Draw their curves into this file (.png, .svg)."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(run_dirs: tuple[Path, ...], plot: Path | None, as_json: bool) -> None:
    """Show in what runs differ, what they reached and what it cost.

    RUN_DIRS are folders of `tf-odl finetune`, or cells of a benchmark. Multiply-accumulates (MACs)
    are a share of those of full training for as many epochs as the run itself took.
    """
    from tf_odl.benchmark import comparison

    runs = comparison.compare(run_dirs)
    if plot is not None:
        comparison.plot(runs, plot)
    if as_json:
        emit_json([run.to_dict() for run in runs])
        return
    letters = ascii_uppercase + ascii_lowercase
    if len(runs) > len(letters):
        raise UserError(f"a table has room for {len(letters)} runs, got {len(runs)}: use --json")
    for letter, run in zip(letters, runs, strict=False):
        click.echo(f"{letter}  {run.name}")
    rows = [
        [key, *("" if run.differs[key] is None else str(run.differs[key]) for run in runs)]
        for key in runs[0].differs
    ]
    rows += [["epochs", *(str(len(run.record["epochs"])) for run in runs)]]
    for key, text in _TEXTS.items():
        values = [run.record["result"].get(key) for run in runs]
        if any(value is not None for value in values):
            rows.append([text, *("" if v is None else _text(key, v) for v in values)])
    print_table(["", *letters[: len(runs)]], rows)
    if plot is not None:
        click.echo(str(plot))


def _text(key: str, value: float) -> str:
    if key == "seconds":
        return f"{value:.1f} s"
    return f"{value:.4g}" if key.startswith(("rmse", "mse")) else f"{value:.2%}"


_TEXTS = {
    "accuracy_before": "accuracy before",
    "accuracy": "accuracy after",
    "rmse_before": "root mean squared error before",
    "rmse": "root mean squared error after",
    "mse_before": "mean squared error before",
    "mse": "mean squared error after",
    "auc_before": "AUC before",
    "auc": "AUC after",
    "effort": "backward MACs",
    "effort_nonzero": "  non-zero",
    "effort_total": "all MACs",
    "skipped": "skipped",
    "seconds": "time",
}
