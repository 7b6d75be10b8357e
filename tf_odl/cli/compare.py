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
    from tf_odl.figures import ALL

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
    if "epochs" not in runs[0].differs:
        rows.append(["epochs", *(str(len(run.record["epochs"])) for run in runs)])
    results = [run.record["result"] for run in runs]
    for merit in ALL:
        title = merit.title.partition(",")[0]
        for when, key in (("before", f"{merit.key}_before"), ("after", merit.key)):
            if any(key in result for result in results):
                texts = (merit.text(result[key]) if key in result else "" for result in results)
                rows.append([f"{title} {when}", *texts])
    for key, title in _COSTS.items():
        rows.append([title, *(_cost(key, result[key]) for result in results)])
    print_table(["", *letters[: len(runs)]], rows)
    if plot is not None:
        click.echo(str(plot))


def _cost(key: str, value: float) -> str:
    return f"{value:.1f} s" if key == "seconds" else f"{value:.2%}"


_COSTS = {
    "effort": "backward MACs",
    "effort_nonzero": "  non-zero",
    "effort_total": "all MACs",
    "skipped": "skipped",
    "seconds": "time",
}
