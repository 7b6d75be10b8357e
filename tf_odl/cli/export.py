"""`tf-odl export`: a run or a model to int8 models and a training graph for a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tf_odl.cli.export_data import form_of
from tf_odl.cli.output import emit_json, print_table, progress_bar, show_notes
from tf_odl.cli.source import (
    DEFAULT_METHOD,
    check_source,
    named_layers,
    read_source,
    training_options,
)
from tf_odl.cli.tensorflow import load_tensorflow
from tf_odl.errors import UserError
from tf_odl.task import CLASSIFYING, SQUARED, Loss, recognise

if TYPE_CHECKING:
    import numpy as np

    from tf_odl.converters.reselection import Reselection
    from tf_odl.data import Dataset
    from tf_odl.methods import Method

CALIBRATION_SAMPLES = 300
QUANTIZATIONS = ("ptq", "qat")
CALIBRATIONS = ("min-max", "percentile", "mse")
SCHEDULES = ("constant", "step", "cosine")


@click.command(short_help="Turn a run, .keras or .tflite file into int8 and training models.")
@click.argument("source", type=click.Path(path_type=Path))
@training_options
@click.option("--out", type=click.Path(path_type=Path), help="Folder [SOURCE/export-TARGET].")
@click.option("--data", help="Calibration data of a .keras file; to measure a .tflite file.")
@click.option("--data-dir", help="The folder that holds the archives of a built-in data set.")
@click.option("--shift", help="The shift of the calibration data, as in finetune.")
@click.option("--variable-masks", is_flag=True, help="Masks a sketch can change between steps.")
@click.option("--selector", help="The board chooses neurons itself: random or velocity.")
@click.option("--budget", help="Of --selector: parameters (5000) or a share [the run's, else 20%].")
@click.option("--reselect", type=int, metavar="N", help="Labelled samples between choices [100].")
@click.option("--references", type=int, metavar="N", help="Samples velocity looks at [8].")
@click.option(
    "--quantize",
    type=click.Choice(QUANTIZATIONS),
    default="ptq",
    show_default=True,
    help="After training, or with training that is aware of it.",
)
@click.option("--qat-epochs", type=int, default=3, show_default=True, help="Of --quantize qat.")
@click.option(
    "--calibration",
    type=click.Choice(CALIBRATIONS),
    default="min-max",
    show_default=True,
    help="What sets the int8 ranges of activations.",
)
@click.option(
    "--lr",
    type=float,
    default=0.005,
    show_default=True,
    help="Of a sample; a sketch may change it.",
)
@click.option("--schedule", type=click.Choice(SCHEDULES), default="constant", show_default=True)
@click.option("--schedule-samples", type=int, metavar="N", help="Of a step; until a cosine ends.")
@click.option(
    "--schedule-factor",
    type=float,
    default=0.1,
    show_default=True,
    help="What a step multiplies the rate by; what is left of it when a cosine ends.",
)
@click.option(
    "--warm-up",
    type=int,
    default=0,
    metavar="SAMPLES",
    show_default=True,
    help="The rate rises for so many samples: a board knows no epochs.",
)
@click.option("--clip", type=float, help="Larger output errors, sum of magnitudes, train as this.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of stochastic rounding.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier export.")
@click.option("--json", "as_json", is_flag=True, help="Print export.json and plan.json.")
def export(
    source: Path,
    target: str,
    out: Path | None,
    data: str | None,
    data_dir: str | None,
    shift: str | None,
    method: str | None,
    train_layers: int | None,
    layers: str | None,
    fit: bool,
    mask_file: Path | None,
    variable_masks: bool,
    selector: str | None,
    budget: str | None,
    reselect: int | None,
    references: int | None,
    loss: str | None,
    quantize: str,
    qat_epochs: int,
    calibration: str,
    lr: float,
    schedule: str,
    schedule_samples: int | None,
    schedule_factor: float,
    accumulate: int,
    head: str,
    warm_up: int,
    clip: float | None,
    update_rule: str,
    errors: str | None,
    seed: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write model.tflite, model_train.tflite, model_data.h and plan.json for a board.

    SOURCE is a finished run of `tf-odl finetune`, a .keras file, or any int8 .tflite file.
    """
    from tf_odl.converters.targets import get_target

    names = named_layers(layers, train_layers, mask_file, fit)
    if mask_file is not None and (selector, reselect) != (None, None):
        raise UserError("--masks and --selector both choose neurons: give one of them")
    board = get_target(target)
    check_source(source)
    if source.suffix == ".tflite" and (quantize, calibration) != ("ptq", "min-max"):
        raise UserError(
            f"{source} is int8 already and keeps its scales: leave out --quantize and --calibration"
        )
    load_tensorflow()
    from tf_odl import models
    from tf_odl.converters.error_type import ErrorType
    from tf_odl.converters.export import AwareTraining, export_tflite
    from tf_odl.converters.export import export as run_export
    from tf_odl.converters.head import Head
    from tf_odl.converters.rate import RateSettings, Schedule
    from tf_odl.converters.update_rule import UpdateRule
    from tf_odl.data import load, standardisation, standardised_as
    from tf_odl.fitting import layers_that_fit
    from tf_odl.methods import get_method
    from tf_odl.trainer.finetune import read_record

    given = read_source(source, method, mask_file, fit)
    model, chosen, masks, settings = given.model, given.method, given.masks, given.settings
    of_run: dict[str, Any] = {}
    if settings is not None:
        of_run = {
            "person": settings.person,
            "person_split": settings.person_split,
            "validation": settings.validation,
            "size": settings.data_size,
            "features": settings.features,
            "standardise": settings.standardise,
        }
        if data is not None:
            of_run = form_of(of_run, data)
        data, data_dir = data or settings.data or "digits", data_dir or settings.data_dir
        shift = shift or settings.shift
    elif data is None and not isinstance(model, bytes):
        raise UserError("a .keras file needs --data to calibrate and to measure accuracy")
    minimised = given.loss if loss is None else Loss(loss)
    dataset = None
    if data is not None:
        minimised, dataset = recognise(
            given.form,
            minimised,
            lambda task: load(
                data,
                data_dir=Path(data_dir) if data_dir else None,
                shift=shift,
                task=task,
                **of_run,
            ),
        )
    if settings is None or method is not None:
        chosen = get_method(method or DEFAULT_METHOD, squared_errors=minimised in SQUARED)
    if out is None:
        name = f"export-{target}" if settings is not None else f"{source.stem}-{target}"
        out = (source if settings is not None else source.parent) / name
    reselection = _reselection(chosen, selector, budget, reselect, references)
    if reselection is not None:
        masks = None  # those of a run were for the samples it has seen
    settings_of_board: dict[str, Any] = {
        "target": board,
        "out_dir": out,
        "sparsifier": chosen.sparsifier,
        "skip_rule": chosen.skip,
        "masks": masks,
        "layers": names,
        "train_layers": train_layers,
        "learning_rate": lr,
        "seed": seed,
        "loss": minimised,
        "update_rule": UpdateRule(update_rule),
        "variable_masks": variable_masks,
        "reselection": reselection,
        "accumulate": accumulate,
        "head": Head(head),
        "errors": None if errors is None else ErrorType(errors),
        "rate": RateSettings(Schedule(schedule), schedule_samples, schedule_factor, warm_up, clip),
        "overwrite": overwrite,
        "provenance": {
            "data": data,
            "data_dir": data_dir,
            "shift": shift,
            "data_options": of_run,
            "method": chosen.to_dict(),
        },
    }
    if dataset is not None:
        show_notes(dataset.notes, quiet=as_json)
        if not isinstance(model, bytes):
            dataset = models.as_the_model_takes(model, dataset)
        if settings is not None:
            dataset = standardised_as(dataset, read_record(source)["data"])
        settings_of_board["provenance"] |= {
            "pixels": dataset.pixels,
            "class_names": list(dataset.class_names) if minimised in CLASSIFYING else [],
            "target_names": list(dataset.target_names),
            **standardisation(dataset),
        }
        settings_of_board["test"] = _tested(dataset, minimised)
    with progress_bar(quiet=as_json) as progress:
        if fit:
            found = layers_that_fit(
                model,
                chosen,
                board,
                dataset,
                loss=minimised,
                update_rule=UpdateRule(update_rule),
                accumulate=accumulate,
                head=Head(head),
                errors=settings_of_board["errors"],
                progress=progress,
            )
            settings_of_board["layers"] = found.best.layers
        if isinstance(model, bytes):
            report = export_tflite(
                model,
                name=source.stem,
                reference_x=None if dataset is None else dataset.x_train,
                progress=progress,
                **settings_of_board,
            )
        else:
            assert dataset is not None
            aware = None
            if quantize == "qat":
                y = dataset.x_train if minimised is Loss.RECONSTRUCTION else dataset.y_train
                aware = AwareTraining(dataset.x_train, y, qat_epochs)
            report = run_export(
                model,
                dataset.x_train[:CALIBRATION_SAMPLES],
                calibration=calibration,
                aware=aware,
                progress=progress,
                **settings_of_board,
            )
    if as_json:
        emit_json({"export_dir": str(out), "export": report.export, "plan": report.plan})
    else:
        _print(report, out)


def _tested(data: Dataset, loss: Loss | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Test samples with what is wanted of each; None if the data do not say."""
    if loss is Loss.RECONSTRUCTION:
        normal = data.x_test[data.y_test == 0]
        return normal, normal
    if loss is Loss.MSE and not data.target_names:
        return None
    return data.x_test, data.y_test


def _reselection(
    method: Method,
    selector: str | None,
    budget: str | None,
    interval: int | None,
    references: int | None,
) -> Reselection | None:
    """How the board chooses neurons, if it is asked to: by --selector, else by the method's."""
    from tf_odl.converters.reselection import REFERENCES, Reselection
    from tf_odl.methods import get_method, parse_budget

    if selector is None and interval is None:
        for name, value in (("--budget", budget), ("--references", references)):
            if value is not None:
                raise UserError(
                    f"{name} is of a selector on the board: add --selector or --reselect"
                )
        return None
    chosen = method.selector
    limit = method.budget if budget is None else parse_budget(budget)
    if selector is not None and selector != chosen.name:
        own = get_method(selector=selector)
        chosen, limit = own.selector, limit or own.budget
    if interval is None:
        interval = 100
    if limit is None:
        raise UserError(
            f"the method's selector {chosen.name!r} does not choose anew on a board: "
            "use --selector random or velocity"
        )
    if references is not None and chosen.name != "velocity":
        raise UserError(f"--references is of velocity, {chosen.name} looks at no samples")
    return Reselection(chosen, limit, interval, REFERENCES if references is None else references)


def _print(report: Any, out: Path) -> None:
    from tf_odl.converters.plan import measures, summary_rows
    from tf_odl.converters.quantization_noise import noisiest

    print_table(["", "bytes", "available"], summary_rows(report.plan), title="memory")
    trained = [r["name"] for r in report.export["layers"] if r["trainable_weights"]]
    click.echo(f"layers that train: {', '.join(trained)}")
    for measure in measures(report.plan):
        click.echo(measure)
    accuracy, error = report.export["accuracy"], report.export.get("error")
    if accuracy is not None:
        before = f"float {accuracy['float']:.2%}, " if "float" in accuracy else ""
        click.echo(f"test accuracy: {before}int8 {accuracy['int8']:.2%}")
    if error is not None:
        before = f"float {error['float']:.4g}, " if "float" in error else ""
        click.echo(f"mean squared error of the test samples: {before}int8 {error['int8']:.4g}")
    ratios = report.export.get("signal_to_noise_db", {})
    if ratios:
        worst = ", ".join(f"{layer} ({ratio:.0f} dB)" for layer, ratio in noisiest(ratios))
        click.echo(f"most quantization noise in the outputs of {worst}")
    for name in ("model.tflite", "model_train.tflite", "model_data.h", "plan.json"):
        click.echo(out / name)
    click.echo(f"{out / report.export['sketch']}: onto a board with tf-odl deploy {out}")
