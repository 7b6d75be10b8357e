"""`tf-odl benchmark`: a grid of runs, resumed, in parallel, reported beside published numbers."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tf_odl.cli.output import emit_json, print_table
from tf_odl.errors import UserError

if TYPE_CHECKING:
    from tf_odl.benchmark.grid import Grid
    from tf_odl.benchmark.results import Group
    from tf_odl.benchmark.runner import Progress, Workers
    from tf_odl.benchmark.work import Outcome

# Of the columns of results.md those that fit a terminal.
_SHOWN = {
    "method": "method",
    "budget": "budget",
    "epochs": "ep",
    "before": "before",
    "accuracy": "accuracy",
    "difference": "paper",
    "backward %": "bwd %",
    "all MACs %": "all %",
}


@click.command(short_help="A grid of runs: the papers' tables, or your own.")
@click.argument("grid")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="The folder that holds the data sets."
)
@click.option("--seeds", type=click.IntRange(min=1), help="Seeds 0 .. N-1 instead of the grid's.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=max(1, (os.cpu_count() or 1) // 2),
    show_default="half of the processors",
    help="Worker processes on this machine; the numbers do not depend on it.",
)
@click.option("--ray", metavar="ADDRESS", help="Send the cells to this Ray cluster instead.")
@click.option("--quick", is_flag=True, help="A few samples, epochs and seeds: does it run at all?")
@click.option("--out", type=click.Path(path_type=Path), help="Folder [runs/benchmark-GRID].")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.pass_context
def benchmark(
    context: click.Context,
    grid: str,
    data_dir: Path | None,
    seeds: int | None,
    jobs: int,
    ray: str | None,
    quick: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run a grid: tinypropv2-table1, tinypropv2-effort, velocity-table1, results, results-cnn,
    results-seeds, results-mnist, settings, adaptation, adaptation-hapt, or a YAML file.

    Interrupt it at any time: the same command continues. Leaves results.md, results.csv and plots.
    """
    from tf_odl.benchmark.folder import Folder
    from tf_odl.benchmark.grid import load_grid
    from tf_odl.benchmark.runner import Runner
    from tf_odl.benchmark.work import FAILED, MISSING

    chosen = load_grid(grid, seeds=seeds, quick=quick, data_dir=data_dir and data_dir.absolute())
    folder = Folder(out or Path("runs") / f"benchmark-{chosen.name}{'-quick' if quick else ''}")
    command = shlex.join(["tf-odl", *sys.argv[1:]])
    folder.begin(chosen, command)
    with folder.locked(), _shown(as_json) as show:
        runner = Runner((cell.run for cell in chosen.cells), folder.cells, folder.errors, show)
        runner.find_finished()
        if len(runner.outcomes) < len(runner.runs):
            workers = _workers(ray, min(jobs, len(runner.runs)), folder.log)
            try:
                runner.make_all(workers)
            except KeyboardInterrupt as error:
                folder.finish(chosen, runner.outcomes, command)
                raise KeyboardInterrupt(
                    f"interrupted: {len(runner.outcomes)} of {len(runner.runs)} runs are done; "
                    "the same command continues"
                ) from error
            finally:
                workers.stop()
        groups = folder.finish(chosen, runner.outcomes, command)
    if as_json:
        emit_json(_results(chosen, groups, runner.outcomes, folder.path))
    else:
        _print(chosen, groups, runner.outcomes, folder.path)
    statuses = {outcome.status for outcome in runner.outcomes.values()}
    if statuses == {MISSING}:
        raise UserError("none of the grid's data sets is there")
    if FAILED in statuses:
        context.exit(1)


def _workers(ray: str | None, jobs: int, log: Path) -> Workers:
    if ray is not None:
        from tf_odl.benchmark.on_ray import RayWorkers

        return RayWorkers(ray)
    from tf_odl.benchmark.local import LocalWorkers

    return LocalWorkers(jobs, log)


@contextmanager
def _shown(quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Shows progress on a terminal as a bar, elsewhere as a line per finished run."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True, quiet=quiet)
    columns = (
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("runs"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    last = -1
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def show(progress: Progress) -> None:
            nonlocal last
            text = _text(progress)
            bar.update(task, description=text, completed=progress.done, total=progress.total)
            if not console.is_terminal and progress.done != last:
                console.print(f"{progress.done}/{progress.total} runs{text}", soft_wrap=True)
            last = progress.done

        yield show


def _text(progress: Progress) -> str:
    parts = [""]
    if progress.seconds_left is not None:
        minutes = round(progress.seconds_left / 60)
        parts.append(f"{minutes} min left" if minutes else "less than a minute left")
    for count, what in ((progress.failed, "failed"), (progress.missing, "without data")):
        if count:
            parts.append(f"{count} {what}")
    if progress.running:
        more = len(progress.running) - 2
        names = ", ".join(progress.running[:2]) + (f" and {more} more" if more > 0 else "")
        parts.append(f"running {names}")
    return ", ".join(parts)


def _print(grid: Grid, groups: Sequence[Group], outcomes: dict[str, Outcome], out: Path) -> None:
    from tf_odl.benchmark.report import heading, messages, sections, table
    from tf_odl.benchmark.work import FAILED, MISSING

    for (data, model), mine in sections(groups).items():
        headers, rows = table(mine)
        title = f"{heading(data, model)}; 100 % = full training for {mine[0].nominal_epochs} epochs"
        shown = [i for i, header in enumerate(headers) if header in _SHOWN]
        lines = [[row[i].replace(" ± ", "±") for i in shown] for row in rows]
        print_table([_SHOWN[headers[i]] for i in shown], lines, title=title)
    for message, what in messages(grid, outcomes, MISSING).items():
        click.echo(f"no data for {what}: {message}", err=True)
    for message, what in messages(grid, outcomes, FAILED).items():
        click.echo(f"failed: {what}: {message}", err=True)
    click.echo(f"\n{out / 'results.md'}\n{out / 'results.csv'}")


def _results(
    grid: Grid, groups: Sequence[Group], outcomes: dict[str, Outcome], out: Path
) -> dict[str, Any]:
    return {
        "grid": grid.name,
        "title": grid.title,
        "folder": str(out),
        "rows": [
            {
                **group.labels,
                "epochs": group.epochs,
                "nominal_epochs": group.nominal_epochs,
                "seeds": group.seeds,
                **{
                    key: {"mean": spread.mean, "std": spread.deviation}
                    for key, spread in group.measures.items()
                },
                "published": group.published and group.published.accuracy,
            }
            for group in groups
        ],
        "cells": {
            name: {"status": outcome.status, "message": outcome.message}
            for name, outcome in outcomes.items()
        },
    }
