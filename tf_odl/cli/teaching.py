"""A lesson on the command line: a progress bar while it lasts, files and a table afterwards."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tf_odl.cli.output import print_table, progress_bar

if TYPE_CHECKING:
    from tf_odl.board.client import Board
    from tf_odl.data import Dataset
    from tf_odl.teaching import Teaching

INTERRUPTED = 130
ENOUGH_TEST_SAMPLES = 200
RECENT = 100  # samples in a mean


def run(
    board: Board,
    data: Dataset,
    *,
    export_dir: Path | None,
    quiet: bool,
    samples: int | None,
    passes: int,
    test_share: float | None,
    lr: float | None,
    save: bool,
) -> Teaching:
    """Teach with a progress bar.

    Of a model without classes the figures are measured if the export is known.
    """
    from tf_odl import learned, simulation, teaching
    from tf_odl.cli.tensorflow import load_tensorflow

    test_samples = ENOUGH_TEST_SAMPLES
    if test_share is not None:
        test_samples = round(test_share * len(data.x_test))
    figures = None
    if export_dir is not None and not board.hello.classes:
        load_tensorflow()
        record = simulation.read_export(export_dir)
        figures = partial(learned.figures_of, export_dir=export_dir, record=record)
    with progress_bar(quiet=quiet) as progress:
        return teaching.teach(
            board,
            data,
            samples=samples,
            passes=passes,
            test_samples=test_samples,
            learning_rate=lr,
            save=save,
            figures=figures,
            progress=progress,
        )


def write(result: Teaching, data: Dataset, board: str, out: Path) -> dict[str, Any]:
    """Write teach.json and teach.png; returns the figures."""
    from tf_odl.files import make_folder, write_file, write_json
    from tf_odl.stream_plot import plot_stream

    figures = result.to_dict() | {"board": board, "data": data.name, "shift": data.shift}
    make_folder(out)
    write_json(out / "teach.json", figures)
    if len(result.losses):
        write_file(
            out / "teach.png",
            lambda path: plot_stream(path, _title(data, board), result),
        )
    return figures


def show(result: Teaching, data: Dataset, board: str, out: Path) -> None:
    """Print the final table."""
    account = result.account
    answered = len(result.losses)
    rows = [
        *_learned(result),
        ["samples taught", f"{account.taught:,}"],
        ["  learned", f"{account.confirmed + account.unanswered:,}"],
        ["  lost on the line", f"{account.lost:,}"],
        *(
            []
            if result.correct is None
            else [["right before it was learned", _share(int(result.correct.sum()), answered)]]
        ),
        ["skipped", _share(answered - result.trained, answered)],
        ["saturated weight updates", f"{result.saturated:,}"],
        ["abandoned steps (not finite)", f"{result.non_finite:,}"],
        ["samples per second", f"{result.samples_per_second:.1f}"],
    ]
    if result.clipped:
        rows.append(["clipped errors", _share(result.clipped, answered)])
    if result.seedings:
        rows.append(["returns to the exported weights", f"{result.seedings:,}"])
    if result.microseconds_per_step is not None:
        rows.append(["time per step on the board", f"{result.microseconds_per_step:,.0f} us"])
    if account.restarts:
        rows.append(["forgotten in restarts of the board", f"{account.forgotten:,}"])
    if account.own:
        rows.append(["steps the sketch took by itself", f"{account.own:,}"])
    saved = "no" if result.saved_sequence is None else f"yes, as number {result.saved_sequence}"
    rows.append(["saved on the board", saved])
    print_table(["", "value"], rows, title=_title(data, board))
    if result.interrupted:
        click.echo("interrupted: what was learned so far is kept")
    click.echo(f"\n{out / 'teach.json'}")
    if answered:
        click.echo(out / "teach.png")


def _learned(result: Teaching) -> list[list[str]]:
    """How much better it got: by its test, and without classes also by the samples it learned."""
    from tf_odl.figures import tested

    if result.correct is not None:
        return [
            ["test accuracy before", _percent(result.accuracy_before)],
            ["test accuracy after", _percent(result.accuracy_after)],
        ]
    rows = tested(result.before, result.after)
    few = min(RECENT, len(result.losses) // 2)
    if not few:
        return rows
    return [
        *rows,
        [f"error before it was learned, first {few}", f"{result.losses[:few].mean():.4g}"],
        [f"error before it was learned, last {few}", f"{result.losses[-few:].mean():.4g}"],
    ]


def _title(data: Dataset, board: str) -> str:
    return f"learning on {board}: {data.name}, {data.shift or 'no shift'}"


def _percent(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2%}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "-"
