"""`tf-odl finetune`: adapt a Keras model to data by a method."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tf_odl.cli.output import emit_json, print_table
from tf_odl.cli.tensorflow import load_tensorflow
from tf_odl.errors import UserError
from tf_odl.task import LOSSES, Loss, recorded_loss

if TYPE_CHECKING:
    from tf_odl.figures import Figure


@click.command(short_help="Adapt a Keras model to data by a method.")
@click.option(
    "--model",
    help="A .keras file, or a built-in model: mlp5, cnn5, cnn5-1d, ds-cnn, resnet8, "
    "mobilenetv2, mobilenetv2-0.35, resnet18, resnet50.",
)
@click.option("--weights", help="Pretrained weights of a built-in model: a file, or imagenet.")
@click.option("--data", help="See: tf-odl datasets; or an .npz or .csv file, or a folder.")
@click.option("--data-dir", help="The folder that holds the archives of a built-in data set.")
@click.option(
    "--shift",
    help="rotate:DEG, translate:DX,DY, rotate3d:AX,AY,AZ, gain:FACTOR, noise:STD; join by +.",
)
@click.option("--person", type=int, help="Only this subject's or speaker's samples.")
@click.option(
    "--person-split",
    type=click.Choice(["recorded", "random"]),
    default="recorded",
    show_default=True,
    help="Train on the first half of that person's samples, or on any half.",
)
@click.option(
    "--validation", metavar="K/N", help="Test on the K-th of N parts of the training samples."
)
@click.option("--data-size", type=int, metavar="PIXELS", help="Scale images to a square.")
@click.option(
    "--features", help="statistics: of time series mean, deviation, minimum, maximum, mean step."
)
@click.option(
    "--standardise", is_flag=True, help="Mean 0 and deviation 1 of each channel; sound has them."
)
@click.option("--samples", type=int, help="Train on at most so many samples.")
@click.option("--loss", type=click.Choice(LOSSES), help="What is minimised [model and data tell].")
@click.option("--method", default="tinypropv2", show_default=True, help="See: tf-odl methods.")
@click.option("--selector", help="Replace the method's selector.")
@click.option("--sparsifier", help="Replace the method's sparsifier.")
@click.option("--skip", help="Replace the method's skip rule.")
@click.option("--budget", help="Parameters (50000), share (10%) or bytes (64KiB) per epoch.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A method's setting.")
@click.option("--epochs", type=int, default=10, show_default=True)
@click.option("--batch-size", type=int, default=32, show_default=True)
@click.option(
    "--lr", "learning_rate", type=float, help="Largest learning rate [0.1; of regressions 0.01]."
)
@click.option(
    "--schedule", default="cosine", show_default=True, help="Of the rate: cosine or constant."
)
@click.option(
    "--warmup",
    type=float,
    metavar="EPOCHS",
    default=0.5,
    show_default=True,
    help="The rate rises for so many epochs.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--strategy", default="none", show_default=True, help="none, or mirrored: on all GPUs."
)
@click.option("--out", type=click.Path(path_type=Path), help="Run directory [runs/finetune-TIME].")
@click.option("--resume", is_flag=True, help="Continue the run in --out.")
@click.option("--json", "as_json", is_flag=True, help="Print the run record as JSON.")
@click.pass_context
def finetune(
    context: click.Context, out: Path | None, resume: bool, as_json: bool, **options: Any
) -> None:
    """Adapt a Keras model to data by a method.

    Without --model and --data a small CNN, pretrained on scikit-learn's digits, is adapted to
    digits rotated by 30 degrees.
    """
    given = {
        name
        for name in options
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }
    options["set"] = _read_settings(options.pop("settings"))
    if resume and out is None:
        raise UserError("--resume needs --out RUN_DIR")
    from tf_odl.trainer.settings import Settings

    settings = Settings(**options)
    if not resume:
        settings.check_names()
        settings.build_method()
    load_tensorflow(graphics=options["strategy"] == "mirrored")
    from tf_odl.trainer import finetune as run

    if resume:
        assert out is not None
        recorded = run.settings_of(run.read_record(out)).to_dict()
        for name in {"set" if n == "settings" else n for n in given}:
            if recorded[name] != options[name]:
                raise UserError(
                    f"{out} was started with {name} = {recorded[name]!r}, not {options[name]!r}: "
                    "leave the option out, or start a new run"
                )
    else:
        out = out or Path("runs") / time.strftime("finetune-%Y%m%d-%H%M%S")
        run.start(settings, out)
    record = _train(out, run.read_record(out), as_json)
    if as_json:
        emit_json({**record, "run_dir": str(out)})
    else:
        _print_summary(record, out)


def _read_settings(pairs: tuple[str, ...]) -> dict[str, str]:
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UserError(f"--set takes NAME=VALUE, got {pair!r}")
        settings[name] = value
    return settings


def _train(out: Path, record: dict[str, Any], quiet: bool) -> dict[str, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from tf_odl.figures import FIGURES
    from tf_odl.trainer import finetune as run

    console = Console(stderr=True, quiet=quiet)
    settings = run.settings_of(record)
    console.print(
        f"{record['model']['name']} ({record['model']['parameters']:,} parameters) on "
        f"{record['data']['name']}, {record['data']['shift'] or 'no shift'}: "
        f"{record['data']['train'][0]:,} samples, {settings.method}"
    )
    loss = recorded_loss(record)
    if loss is not Loss.CROSS_ENTROPY:
        names = ", ".join(record["data"].get("targets", ()))
        console.print(f"minimises {loss.value}{f' of {names}' if names else ''}")
    merit = FIGURES[loss][0]
    if (record["data"].get("pixels") or 1) > 1:
        console.print("images are fed as 0..255: the model scales them itself")
    for note in record["data"].get("notes", ()):
        console.print(note, soft_wrap=True)
    if record["data"].get("warning"):
        console.print(f"warning: {record['data']['warning']}")
    if record["status"] == "complete":
        console.print(f"all {settings.epochs} epochs are done")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("preparing", total=None, figures="")

        def on_batch(epoch: int, batch: int, steps: int, logs: dict[str, float]) -> None:
            progress.update(
                task,
                description=f"epoch {epoch + 1}/{settings.epochs}",
                completed=batch,
                total=steps,
                figures=_figures(logs, merit),
            )

        def on_epoch(row: dict[str, Any]) -> None:
            tested = merit.text(row[f"val_{merit.key}"])
            console.print(
                f"epoch {row['epoch']:3d}/{settings.epochs}  "
                f"test {merit.key} {tested:>7}  {_figures(row, merit)}",
                soft_wrap=True,
            )

        with _log_shown(console):
            return run.resume(out, on_epoch=on_epoch, on_batch=on_batch)


@contextmanager
def _log_shown(console: Any) -> Iterator[None]:
    """What the package logs, such as how far a long analysis is, appears on the console."""
    from rich.logging import RichHandler

    handler = RichHandler(console=console, show_time=False, show_level=False, show_path=False)
    log = logging.getLogger("tf_odl")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def _figures(logs: dict[str, float], merit: Figure) -> str:
    return (
        f"loss {logs['loss']:.4f}  {merit.key} {merit.text(logs[merit.key])}  "
        f"effort {logs['effort']:.2%}  skipped {logs['skipped']:.1%}"
    )


def _print_summary(record: dict[str, Any], out: Path) -> None:
    from tf_odl.figures import FIGURES

    result = record["result"]
    print_table(
        ["", "before", "after"],
        [
            *(
                [
                    f"test {figure.title}",
                    figure.text(result[f"{figure.key}_before"]),
                    figure.text(result[figure.key]),
                ]
                for figure in FIGURES[recorded_loss(record)]
                if figure.key in result
            ),
            ["effort: backward MACs of full training", "", f"{result['effort']:.2%}"],
            ["  without entries that are exactly zero", "", f"{result['effort_nonzero']:.2%}"],
            ["all MACs of full training", "", f"{result['effort_total']:.2%}"],
            ["samples skipped", "", f"{result['skipped']:.2%}"],
            ["epochs", "", str(len(record["epochs"]))],
            ["time", "", f"{result['seconds']:.1f} s"],
        ],
        title=f"{record['method']['name']} on {record['data']['name']}",
    )
    click.echo(f"\n{out / 'model.keras'}\n{out / 'curves.png'}\n{out / 'run.json'}")
