"""`tf-odl plan`: memory, time and energy of a model on a board, before anything is exported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tf_odl.cli.output import emit_json, print_table, progress_bar
from tf_odl.cli.source import check_source, named_layers, read_source, training_options
from tf_odl.cli.tensorflow import load_tensorflow
from tf_odl.errors import UserError, reason_of
from tf_odl.task import Loss, Task

if TYPE_CHECKING:
    from tf_odl.converters.fit import Fit


@click.command(short_help="What a model needs on a board: memory, time, energy, op by op.")
@click.argument("source", type=click.Path(path_type=Path))
@training_options
@click.option("--max-ms", type=float, help="With --fit: longest training step, estimated.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the arena over time: a .png.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan(
    source: Path,
    target: str,
    method: str | None,
    train_layers: int | None,
    layers: str | None,
    mask_file: Path | None,
    loss: str | None,
    update_rule: str,
    head: str,
    errors: str | None,
    accumulate: int,
    fit: bool,
    max_ms: float | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Plan the export of SOURCE: a finished run, a .keras file, or any int8 .tflite file.

    Times and energies are estimates: instructions counted on a Cortex-M4, and what `tf-odl
    targets` assumes of the board. With --fit the layers are those worth most within the board's
    memory, by the gradient of the loss on a run's own data, or else on random samples; the layers
    of a .tflite file count as all alike.
    """
    from tf_odl.converters.targets import get_target

    names = named_layers(layers, train_layers, mask_file, fit)
    if max_ms is not None and not (fit and max_ms > 0):
        raise UserError("--max-ms needs --fit and a positive number of milliseconds")
    board = get_target(target)
    check_source(source)
    load_tensorflow()
    from tf_odl.converters.error_type import ErrorType
    from tf_odl.converters.head import Head
    from tf_odl.converters.plan_plot import plot_plan
    from tf_odl.converters.planner import Planner
    from tf_odl.converters.update_rule import UpdateRule
    from tf_odl.fitting import layers_that_fit, plot_fit
    from tf_odl.models import as_the_model_takes
    from tf_odl.trainer.finetune import load_data

    stored = None if errors is None else ErrorType(errors)
    given = read_source(source, method, mask_file, fit)
    minimised = given.loss if loss is None else Loss(loss)
    found = data = None
    if fit:
        if given.settings is not None and not isinstance(given.model, bytes):
            data = as_the_model_takes(
                given.model, load_data(given.settings, Task(given.loss, given.form.inputs))
            )
        with progress_bar(quiet=as_json) as progress:
            found = layers_that_fit(
                given.model,
                given.method,
                board,
                data,
                milliseconds=max_ms,
                loss=minimised,
                update_rule=UpdateRule(update_rule),
                accumulate=accumulate,
                head=Head(head),
                errors=stored,
                progress=progress,
            )
        result = found.best.plan
    else:
        result = Planner(given.model).plan(
            board,
            given.method.sparsifier,
            given.method.skip,
            masks=given.masks,
            layers=names,
            train_layers=train_layers,
            loss=minimised,
            update_rule=UpdateRule(update_rule),
            accumulate=accumulate,
            head=Head(head),
            errors=stored,
        )
    if plot is not None:
        try:
            plot_plan(result, plot) if found is None else plot_fit(found, plot)
        except (OSError, ValueError) as error:
            raise UserError(f"{plot} cannot be written: {reason_of(error)}") from error
    if as_json:
        emit_json(result if found is None else {"choices": _choices(found), "plan": result})
    else:
        _print(result)
        if found is not None:
            _print_fit(found)


def _choices(found: Fit) -> list[dict[str, Any]]:
    return [
        {
            "layers": list(choice.layers),
            "worth": choice.worth,
            "arena_bytes": choice.plan["training"]["arena_bytes"],
            "flash_bytes": choice.plan["flash"]["total_bytes"],
            "milliseconds": choice.plan["training"]["milliseconds"],
            "best": choice is found.best,
        }
        for choice in found.choices
    ]


def _print_fit(found: Fit) -> None:
    rows = [
        [
            ("-> " if row["best"] else "") + _shortened(row["layers"]),
            f"{row['worth']:.1%}",
            f"{row['arena_bytes']:,}",
            f"{row['milliseconds']:.1f}",
        ]
        for row in _choices(found)
    ]
    print_table(["layers that train", "worth", "arena, B", "step, ms"], rows, title="choices")
    click.echo(f"tf-odl export ... --layers {','.join(found.best.layers)}")


def _shortened(layers: list[str]) -> str:
    more = f" and {len(layers) - 3} more" if len(layers) > 3 else ""
    return ", ".join(layers[:3]) + more


def _print(result: dict[str, Any]) -> None:
    from tf_odl.converters.plan import OP_HEADERS, cost_rows, measures, op_rows, summary_rows

    board = result["target"]["board"]
    print_table(OP_HEADERS, op_rows(result), title="op by op: MACs, bytes, instructions")
    print_table(["", "bytes", "available"], summary_rows(result), title=f"memory, {board}")
    headers = ["estimated", "instructions", "ms", "uJ"]
    print_table(headers, cost_rows(result), title=f"time and energy, {board}")
    for measure in measures(result):
        click.echo(measure)
    click.echo(
        "it fits"
        if result["fits"]
        else "it does NOT fit: --fit chooses layers that do, or name them with --layers"
    )
