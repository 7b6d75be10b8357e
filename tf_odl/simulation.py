"""Learning inside the real TensorFlow Lite Micro, on the PC, sample by sample.

The exported training graph runs in TFLM with the training ops of `tflm_port`, exactly as on a
board: one labelled sample at a time, in order, int8, batch 1.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tf_odl.data import Dataset
from tf_odl.errors import UserError, reason_of
from tf_odl.figures import int8_figures
from tf_odl.files import new_folder
from tf_odl.learned import LEARNED, LEARNED_INT8, write_models
from tf_odl.stream import Stream
from tf_odl.task import CLASSIFYING, Loss, check_fits, recorded_loss

CHUNK = 200  # samples between two signs of life

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Simulation(Stream):
    """What a board would have done.

    Of a classifier there are accuracies, of others the mean squared error of the test samples, of
    an autoencoder of the normal ones. before, after: the figures of `tf_odl.figures` on them.
    """

    error_before: float | None
    error_after: float | None
    before: dict[str, float]
    after: dict[str, float]
    samples: int
    trained: int
    skipped: float  # share
    effort: float  # backward MACs / those of full training on the same samples
    effort_nonzero: float
    saturated: int
    non_finite: int
    clipped: float | None  # share of the samples whose error was beyond --clip; None without
    reselections: int
    arena_used_bytes: int
    seconds_per_step: float


def read_export(export_dir: Path) -> dict[str, Any]:
    """The contents of export.json.

    Raises:
        UserError: the folder is no export.
    """
    path = Path(export_dir) / "export.json"
    try:
        record = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        inside = sorted(p.parent for p in Path(export_dir).glob("*/export.json"))
        hint = f": did you mean {' or '.join(map(str, inside))}?" if inside else ""
        raise UserError(f"{export_dir} is no export (export.json is missing){hint}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not isinstance(record, dict) or "provenance" not in record:
        raise UserError(f"{path} is no record of an export: make the export again")
    return record


def read_model(export_dir: Path, name: str) -> bytes:
    """A .tflite file of an export, `model.tflite` or `model_train.tflite`.

    Raises:
        UserError: it is missing or damaged.
    """
    from tf_odl.converters.flatbuffer import FlatModel

    path = Path(export_dir) / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({reason_of(error)}): make the export again"
        ) from error
    try:
        FlatModel(data)
    except Exception as error:  # flatbuffers raises whatever the bytes lead to
        raise UserError(f"{path} is damaged: make the export again") from error
    return data


def simulate(
    export_dir: Path,
    data: Dataset,
    *,
    samples: int | None = None,
    passes: int = 1,
    learning_rate: float | None = None,
    save: Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Simulation:
    """Learn from the training samples of `data`, test on its test samples.

    Args:
        export_dir: an export with `model_train.tflite`.
        data: float samples; they are quantized as the model's input is.
        samples: how many training samples to learn from, in order; all by default.
        passes: how often.
        learning_rate: instead of the exported one.
        save: a folder to create with `learned.tflite`, and `learned.keras` if the export was made
            of a Keras model.
        overwrite: replace what an earlier simulation saved there.
        progress: called with (what, done, total).

    Raises:
        UserError: no export, no TFLM on this machine, or data that does not fit the model.
    """
    from tf_odl import models
    from tf_odl.converters import macs
    from tf_odl.converters.accuracy import decided
    from tf_odl.converters.flatbuffer import FlatModel
    from tf_odl.converters.losses import form_of
    from tf_odl.converters.reference import quantize_input
    from tf_odl.tflm_port.interpreter import TrainingInterpreter
    from tf_odl.trainer.effort import full_backward_macs
    from tf_odl.trainer.instrument import find_sites

    export_dir = Path(export_dir)
    record = read_export(export_dir)
    loss = recorded_loss(record)
    classifies = loss in CLASSIFYING
    if loss is Loss.MSE and not data.target_names:
        raise UserError(f"{export_dir} learns targets, and {data.name} has none")
    if save is not None and Path(save).exists() and not overwrite:
        raise UserError(f"{save} exists: choose another folder for --save, or use --overwrite")
    graph = read_model(export_dir, "model_train.tflite")
    model = read_model(export_dir, "model.tflite")
    folded = None
    if (export_dir / "model_folded.keras").is_file():
        folded = models.load(export_dir / "model_folded.keras")
        models.check_fits_data(folded, data, loss)
        full = full_backward_macs([site.layer for site in find_sites(folded)])
    else:
        check_fits(form_of(FlatModel(graph), record["model"]), data, loss)
        full = macs.full_backward_macs(model)
    count = min(samples or len(data.x_train), len(data.x_train))
    x_train = quantize_input(graph, data.x_train[:count])
    x_test = quantize_input(graph, data.x_test)
    y_train = data.y_train[:count].astype(np.int32) if classifies else np.zeros(count, np.int32)
    targets = data.y_train[:count] if loss is Loss.MSE else None
    tell = progress or (lambda what, done, total: None)

    # The folder first: what was learned must not be lost for want of a place.
    known_by = LEARNED_INT8 if folded is None else LEARNED
    place = nullcontext() if save is None else new_folder(save, replaces=known_by)
    with place as folder, TrainingInterpreter(graph) as board:

        def test(what: str) -> dict[str, float]:
            found = []
            for i in range(0, len(x_test), CHUNK):
                found.append(board.infer(x_test[i : i + CHUNK]))
                tell(what, min(i + CHUNK, len(x_test)), len(x_test))
            return int8_figures(model, np.concatenate(found), data, loss)

        before = test("testing")
        if learning_rate is not None:
            board.set_learning_rate(learning_rate)
        correct, reports, started = [], [], time.perf_counter()
        for turn in range(passes):
            for i in range(0, count, CHUNK):
                part = slice(i, i + CHUNK)
                output, report = board.train(
                    x_train[part], y_train[part], targets=None if targets is None else targets[part]
                )
                if classifies:
                    correct.append(decided(model, output) == y_train[part])
                reports.append(report)
                tell("learning", turn * count + min(i + CHUNK, count), passes * count)
        seconds = time.perf_counter() - started
        state = board.state()
        after = test("testing again")
        variables = board.variables()
        arena, counts = board.arena_used_bytes, board.counts()
        if folder is not None:
            write_models(folder, export_dir, variables)
    report = np.concatenate(reports)
    clip = record.get("rate", {}).get("clip")
    return Simulation(
        accuracy_before=before.get("accuracy"),
        accuracy_after=after.get("accuracy"),
        error_before=_squared_error(before),
        error_after=_squared_error(after),
        before=before,
        after=after,
        samples=passes * count,
        trained=state.trained,
        skipped=state.skipped / (passes * count),
        effort=state.backward_macs / (full * passes * count),
        effort_nonzero=state.backward_macs_nonzero / (full * passes * count),
        saturated=state.saturated,
        non_finite=state.non_finite,
        clipped=None if clip is None else counts.clipped / (passes * count),
        reselections=state.reselections,
        arena_used_bytes=arena,
        seconds_per_step=seconds / (passes * count),
        correct=np.concatenate(correct) if classifies else None,
        was_trained=report[:, 2] > 0,
        losses=report[:, 0],
    )


def _squared_error(figures: dict[str, float]) -> float | None:
    return figures["rmse"] ** 2 if "rmse" in figures else figures.get("mse")
