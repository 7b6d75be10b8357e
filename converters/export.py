"""From a Keras model or an int8 .tflite file to a folder with everything a board needs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_odl.converters.accuracy import accuracy_of, error_of, int8_accuracy, int8_error
from tf_odl.converters.calibration import FACTORS
from tf_odl.converters.error_type import ErrorType
from tf_odl.converters.fold import fold
from tf_odl.converters.head import Head
from tf_odl.converters.header import model_header
from tf_odl.converters.int8_model import Room, int8_model, with_biases
from tf_odl.converters.on_board import OnBoard
from tf_odl.converters.placement import fit_or_refuse
from tf_odl.converters.plan_plot import plot_plan
from tf_odl.converters.qat import train_aware
from tf_odl.converters.quantization_noise import signal_to_noise
from tf_odl.converters.quantize import check_known_to_tflm
from tf_odl.converters.rate import CONSTANT_RATE, RateSettings
from tf_odl.converters.record import export_record
from tf_odl.converters.reselection import Reselection
from tf_odl.converters.sketch import PROJECT, write_project
from tf_odl.converters.state_layout import state_layout
from tf_odl.converters.targets import Target, get_target
from tf_odl.converters.third_party import adapt
from tf_odl.converters.trainable import allowed_masks
from tf_odl.converters.update_rule import UpdateRule
from tf_odl.errors import UserError
from tf_odl.files import new_folder
from tf_odl.methods import Mask, SkipRule, Sparsifier
from tf_odl.task import CLASSIFYING, Loss

if TYPE_CHECKING:
    import keras

RECORD = "export.json"
FOLDED = "model_folded.keras"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ExportReport:
    """Where an export lies, and the contents of its export.json and plan.json."""

    folder: Path
    export: dict[str, Any]
    plan: dict[str, Any]


@dataclass(frozen=True)
class AwareTraining:
    """Quantization-aware training before the quantization: samples float [N, *input], classes int
    [N] or wanted outputs float [N, ..], and for how many epochs; see `qat.train_aware`."""

    x: np.ndarray
    y: np.ndarray
    epochs: int


def export(
    model: keras.Model,
    calibration_x: np.ndarray,
    *,
    target: Target,
    out_dir: Path,
    sparsifier: Sparsifier,
    skip_rule: SkipRule,
    masks: Mapping[str, Mask] | None = None,
    layers: Sequence[str] | None = None,
    train_layers: int | None = None,
    learning_rate: float = 0.005,
    seed: int = 0,
    loss: Loss | None = None,
    update_rule: UpdateRule = UpdateRule.STOCHASTIC,
    variable_masks: bool = False,
    reselection: Reselection | None = None,
    rate: RateSettings = CONSTANT_RATE,
    accumulate: int = 1,
    head: Head = Head.INT8,
    errors: ErrorType | None = None,
    headroom: float = 1.5,
    margin: float = 1.25,
    calibration: str = "min-max",
    aware: AwareTraining | None = None,
    test: tuple[np.ndarray, np.ndarray] | None = None,
    overwrite: bool = False,
    provenance: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Write models, a header, an Arduino project and their records into a new folder.

    Args:
        model: Functional or Sequential.
        calibration_x: real samples, float [N, *input], that set the activation ranges.
        target: the board it has to fit.
        out_dir: the folder to create; nothing is left behind if the export fails.
        sparsifier: which entries of a layer's error the board keeps.
        skip_rule: which samples the board trains on.
        masks: which neurons of which layer may update; by default all of the trainable layers.
        layers: freeze all layers but these; `conv[8:16]` is the neurons 8 to 15 of a layer.
        train_layers: freeze all but the last so many weighted layers.
        learning_rate: of plain SGD, per sample; a sketch may change it.
        seed: of the stochastic rounding and of the first masks.
        loss: by default cross-entropy, behind a sigmoid binary cross-entropy.
        update_rule: how int8 weights take steps; RESIDUAL takes a byte more per trainable weight.
        variable_masks: the masks can be changed between steps; else they are baked in.
        reselection: the board chooses neurons itself, and nothing else does.
        rate: the schedule of the learning rate, warm-up and clipping.
        accumulate: how many samples train until their gradients change the weights together.
        head: what the weights of the output layer are; FLOAT32 takes four bytes for each.
        errors: what the errors of activations are stored as; None for float32 where that fits, else
            for bfloat16.
        headroom: weight range of trainable layers over their largest weight, >= 1.
        margin: range of internal activations over the calibrated one, >= 1.
        calibration: what sets that range: a name of `calibration.FACTORS`.
        aware: train with fake quantization first.
        test: samples float [N, *input] and classes int [N], or what other losses want as outputs,
            float [N, ..], to measure what int8 costs.
        overwrite: replace an earlier export in `out_dir`.
        provenance: anything that tells where model and data come from, kept in export.json.
        progress: called with (what, done, total).

    Raises:
        UserError: settings, samples or masks that do not fit, a layer that cannot be exported or
            trained, or a board that is too small.
    """
    board = OnBoard(
        target,
        sparsifier,
        skip_rule,
        learning_rate,
        seed,
        loss,
        update_rule,
        variable_masks,
        reselection,
        rate=rate,
        accumulate=accumulate,
        head=head,
        errors=errors,
    )
    _check_settings(learning_rate, headroom, margin)
    if calibration not in FACTORS:
        raise UserError(f"unknown calibration {calibration!r}; known are {', '.join(FACTORS)}")
    _check_earlier(out_dir, overwrite)
    with new_folder(Path(out_dir), replaces=RECORD) as folder:
        folded = fold(model)
        allowed = allowed_masks(folded.neurons, masks, layers, train_layers, folded.frozen)
        if aware is not None:
            train_aware(
                folded.model,
                aware.x,
                aware.y,
                squared=loss in (Loss.MSE, Loss.RECONSTRUCTION),
                epochs=aware.epochs,
                seed=seed,
                progress=progress,
            )
        room = Room(headroom, margin, calibration)
        data = int8_model(folded, calibration_x, allowed, room, progress)
        board = board.with_references(data, calibration_x)
        fitted = fit_or_refuse(data, allowed, board)
        check_known_to_tflm(data, folded.model)
        data, plan = fitted.model, fitted.plan
        board = replace(board, errors=fitted.errors)
        classifies = board.loss_of(data) in CLASSIFYING
        measure = accuracy_of if classifies else error_of
        measured = None if test is None else measure(model, data, test, progress)
        record = export_record(model.name, data, allowed, board) | {
            "headroom": headroom,
            "margin": margin,
            "calibration": calibration,
            "calibration_samples": len(calibration_x),
            "quantization_aware_epochs": 0 if aware is None else aware.epochs,
            "signal_to_noise_db": signal_to_noise(folded, data, calibration_x),
            "accuracy": measured if classifies else None,
            "error": None if classifies else measured,
            "state_image": state_layout(fitted.training),
            "provenance": dict(provenance or {}),
        }
        folded.model.save(folder / FOLDED)
        _write(folder, data, fitted.training, plan, record)
    return ExportReport(Path(out_dir), record, plan)


def export_tflite(
    model: bytes,
    *,
    name: str,
    target: Target,
    out_dir: Path,
    sparsifier: Sparsifier,
    skip_rule: SkipRule,
    masks: Mapping[str, Mask] | None = None,
    layers: Sequence[str] | None = None,
    train_layers: int | None = None,
    learning_rate: float = 0.005,
    seed: int = 0,
    loss: Loss | None = None,
    update_rule: UpdateRule = UpdateRule.STOCHASTIC,
    variable_masks: bool = False,
    reselection: Reselection | None = None,
    reference_x: np.ndarray | None = None,
    rate: RateSettings = CONSTANT_RATE,
    accumulate: int = 1,
    head: Head = Head.INT8,
    errors: ErrorType | None = None,
    test: tuple[np.ndarray, np.ndarray] | None = None,
    overwrite: bool = False,
    provenance: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Like `export`, of any int8 .tflite file: the training graph is made from the file alone.

    The scales are those of the file. It was not calibrated with room for learning, so activations
    and weights reach the ends of int8 sooner than in an export of the Keras model.

    Args:
        model: the contents of the file.
        name: of the model, for the record.
        reference_x: real samples, float [N, *input], for a reselection that observes.

    Other arguments and errors are those of `export`; layers are named as `third_party.adapt` does.
    """
    board = OnBoard(
        target,
        sparsifier,
        skip_rule,
        learning_rate,
        seed,
        loss,
        update_rule,
        variable_masks,
        reselection,
        rate=rate,
        accumulate=accumulate,
        head=head,
        errors=errors,
    )
    _check_settings(learning_rate)
    _check_earlier(out_dir, overwrite)
    with new_folder(Path(out_dir), replaces=RECORD) as folder:
        data, neurons = adapt(model)
        allowed = allowed_masks(neurons, masks, layers, train_layers)
        data = with_biases(data, allowed)
        board = board.with_references(data, reference_x)
        fitted = fit_or_refuse(data, allowed, board)
        data, plan = fitted.model, fitted.plan
        board = replace(board, errors=fitted.errors)
        classifies = board.loss_of(data) in CLASSIFYING
        measured = None
        if test is not None:
            measure = int8_accuracy if classifies else int8_error
            measured = {"samples": len(test[0]), "int8": measure(data, *test, progress)}
        record = export_record(name, data, allowed, board) | {
            "accuracy": measured if classifies else None,
            "error": None if classifies else measured,
            "state_image": state_layout(fitted.training),
            "provenance": dict(provenance or {}),
        }
        _write(folder, data, fitted.training, plan, record)
    return ExportReport(Path(out_dir), record, plan)


def _write(
    folder: Path, data: bytes, training: bytes, plan: dict[str, Any], record: dict[str, Any]
) -> None:
    (folder / "model.tflite").write_bytes(data)
    (folder / "model_train.tflite").write_bytes(training)
    header = model_header({"model_tflite": data, "model_train_tflite": training})
    (folder / "model_data.h").write_text(header)
    write_project(
        folder / PROJECT,
        record=record,
        training=training,
        target=get_target(record["target"]),
        arena_bytes=plan["training"]["arena_bytes"],
    )
    (folder / "plan.json").write_text(json.dumps(plan, indent=2) + "\n")
    plot_plan(plan, folder / "plan.png")
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n")


def _check_earlier(out_dir: Path, overwrite: bool) -> None:
    if (Path(out_dir) / RECORD).is_file() and not overwrite:
        raise UserError(f"{out_dir} holds an earlier export: use --overwrite to replace it")


def _check_settings(learning_rate: float, headroom: float = 1.0, margin: float = 1.0) -> None:
    # The board holds it as float32.
    if not np.finfo(np.float32).tiny <= learning_rate <= np.finfo(np.float32).max:
        raise UserError(f"the learning rate must be positive and finite, got {learning_rate}")
    for name, value in (("headroom", headroom), ("margin", margin)):
        if not (math.isfinite(value) and value >= 1):
            raise UserError(f"{name} must be at least 1, got {value}")
