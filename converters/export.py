"""From a Keras model or an int8 .tflite file to a folder with everything a board needs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_odl import __version__
from tf_odl.converters import reference
from tf_odl.converters.calibration import FACTORS, range_factors
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.fold import Folded, fold
from tf_odl.converters.header import model_header
from tf_odl.converters.layers import BIAS, WEIGHTED_OPS, match_layers
from tf_odl.converters.losses import CLASSIFYING, Loss, default_loss
from tf_odl.converters.memory import plan_memory
from tf_odl.converters.plan import make_plan
from tf_odl.converters.plan_plot import plot_plan
from tf_odl.converters.qat import train_aware
from tf_odl.converters.quantization_noise import signal_to_noise
from tf_odl.converters.quantize import check_known_to_tflm, check_samples, quantize
from tf_odl.converters.rate import CONSTANT_RATE, RateSettings
from tf_odl.converters.rescale import add_bias, has_bias, rename, rescale
from tf_odl.converters.reselection import Reselection
from tf_odl.converters.sketch import PROJECT, sketch_name, write_project
from tf_odl.converters.split import NARROWABLE, narrow, parse_window, split_to_fit
from tf_odl.converters.state_layout import state_layout
from tf_odl.converters.targets import Target, get_target
from tf_odl.converters.third_party import adapt
from tf_odl.converters.training_graph import build_training_graph
from tf_odl.converters.update_rule import UpdateRule
from tf_odl.converters.write_back import with_variables, write_back
from tf_odl.errors import UserError
from tf_odl.files import new_folder
from tf_odl.methods import Mask, SkipRule, Sparsifier

if TYPE_CHECKING:
    import keras

__all__ = ["ExportReport", "export", "export_tflite", "with_variables", "write_back"]

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
    [N], and for how many epochs; see `qat.train_aware`."""

    x: np.ndarray
    y: np.ndarray
    epochs: int


@dataclass(frozen=True)
class OnBoard:
    """What the board does with a model.

    `sparsifier` tells which entries of a layer's error it keeps and `skip_rule` which samples it
    trains on; the learning rate is that of plain SGD, per sample, and a sketch may change it;
    `rate` is its schedule. `update_rule` is how int8 weights take steps; `seed` is that of the
    stochastic rounding and of the first masks; `loss` None means what the model ends in;
    `references` are what a reselection observes neurons on, int8 [N, *input].
    """

    target: Target
    sparsifier: Sparsifier
    skip_rule: SkipRule
    learning_rate: float
    seed: int
    loss: Loss | None
    update_rule: UpdateRule
    variable_masks: bool = False
    reselection: Reselection | None = None
    references: np.ndarray | None = None
    rate: RateSettings = CONSTANT_RATE

    def with_references(self, model: bytes, samples: np.ndarray | None) -> OnBoard:
        """With the int8 samples that a reselection observes neurons on, where it does."""
        if self.reselection is None or not self.reselection.observes:
            return self
        if samples is None:
            raise UserError("velocity needs reference samples: give data with --data")
        chosen = self.reselection.reference_samples(np.asarray(samples))
        return replace(self, references=reference.quantize_input(model, chosen))


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
        masks: which neurons of which layer may update; by default all of all layers.
        layers: freeze all layers but these; `conv[8:16]` is the neurons 8 to 15 of a layer.
        train_layers: freeze all but the last so many weighted layers.
        learning_rate: of plain SGD, per sample; a sketch may change it.
        seed: of the stochastic rounding and of the first masks.
        loss: by default cross-entropy, behind a sigmoid binary cross-entropy.
        update_rule: how int8 weights take steps; RESIDUAL takes a byte more per trainable weight.
        variable_masks: the masks can be changed between steps; else they are baked in.
        reselection: the board chooses neurons itself, and nothing else does.
        rate: the schedule of the learning rate, warm-up and clipping.
        headroom: weight range of trainable layers over their largest weight, >= 1.
        margin: range of internal activations over the calibrated one, >= 1.
        calibration: what sets that range: a name of `calibration.FACTORS`.
        aware: train with fake quantization first.
        test: samples float [N, *input] and classes int [N], to measure what int8 costs; of a
            classifier only.
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
    )
    _check_settings(learning_rate, headroom, margin)
    if calibration not in FACTORS:
        raise UserError(f"unknown calibration {calibration!r}; known are {', '.join(FACTORS)}")
    _check_earlier(out_dir, overwrite)
    with new_folder(Path(out_dir), replaces=RECORD) as folder:
        folded = fold(model)
        allowed = _allowed(_neurons(folded), masks, layers, train_layers)
        if aware is not None:
            train_aware(
                folded.model, aware.x, aware.y, epochs=aware.epochs, seed=seed, progress=progress
            )
        room = _Room(headroom, margin, calibration)
        data = _int8_model(folded, calibration_x, allowed, room, progress)
        board = board.with_references(data, calibration_x)
        fitted = _fitted(data, allowed, board)
        check_known_to_tflm(data, folded.model)
        data, plan = fitted.model, fitted.plan
        test = test if _loss_of(data, board) in CLASSIFYING else None
        record = _record(model.name, data, allowed, board) | {
            "headroom": headroom,
            "margin": margin,
            "calibration": calibration,
            "calibration_samples": len(calibration_x),
            "quantization_aware_epochs": 0 if aware is None else aware.epochs,
            "signal_to_noise_db": signal_to_noise(folded, data, calibration_x),
            "accuracy": None if test is None else _accuracy(model, data, test, progress),
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
    )
    _check_settings(learning_rate)
    _check_earlier(out_dir, overwrite)
    with new_folder(Path(out_dir), replaces=RECORD) as folder:
        data, neurons = adapt(model)
        allowed = _allowed(neurons, masks, layers, train_layers)
        data = _prepared(data, allowed)
        board = board.with_references(data, reference_x)
        fitted = _fitted(data, allowed, board)
        data, plan = fitted.model, fitted.plan
        accuracy = None
        if test is not None and _loss_of(data, board) in CLASSIFYING:
            accuracy = {"samples": len(test[0]), "int8": _int8_accuracy(data, *test, progress)}
        record = _record(name, data, allowed, board) | {
            "accuracy": accuracy,
            "state_image": state_layout(fitted.training),
            "provenance": dict(provenance or {}),
        }
        _write(folder, data, fitted.training, plan, record)
    return ExportReport(Path(out_dir), record, plan)


class Planner:
    """Plans exports of one model, without data, whether or not they fit.

    Neither memory nor instructions depend on the values of weights and activations, so a Keras
    model is calibrated with random samples, once.

    Args:
        model: a Keras model, or the contents of an int8 .tflite file.

    Raises:
        UserError: the model cannot be exported.
    """

    def __init__(self, model: keras.Model | bytes) -> None:
        self._from_file = isinstance(model, bytes)
        if isinstance(model, bytes):
            self._data, self._neurons = adapt(model)
            return
        folded = fold(model)
        self._neurons = _neurons(folded)
        x = np.random.default_rng(0).normal(size=(4, *model.input_shape[1:])).astype(np.float32)
        everything = _allowed(self._neurons, None, None, None)
        self._data = _int8_model(folded, x, everything, _Room(1, 1, "min-max"), None)

    @property
    def neurons(self) -> dict[str, int]:
        """How many neurons each layer with weights has, in the order of the forward pass."""
        return dict(self._neurons)

    @property
    def narrowable(self) -> set[str]:
        """The layers of which a window of neurons can train while the others stay in flash."""
        flat = FlatModel(self._data)
        names = {flat.name(int(op.outputs[0])): flat.op_name(op) for op in flat.operators}
        return {site for site in self._neurons if names.get(site) in NARROWABLE}

    def plan(
        self,
        target: Target,
        sparsifier: Sparsifier,
        skip_rule: SkipRule,
        *,
        masks: Mapping[str, Mask] | None = None,
        layers: Sequence[str] | None = None,
        train_layers: int | None = None,
        update_rule: UpdateRule = UpdateRule.STOCHASTIC,
    ) -> dict[str, Any]:
        """The plan.json of an export; arguments and errors are those of `export`."""
        board = OnBoard(target, sparsifier, skip_rule, 0.005, 0, None, update_rule)
        allowed = _allowed(self._neurons, masks, layers, train_layers)
        data = _prepared(self._data, allowed) if self._from_file else self._data
        return _fit(data, allowed, board).plan


def _prepared(data: bytes, masks: Mapping[str, Mask]) -> bytes:
    """The model with a bias in every layer whose bias trains.

    Raises:
        UserError: a layer that trains shares its weights with another one.
    """
    flat = FlatModel(data)
    for op in flat.operators:
        site = flat.name(int(op.outputs[0]))
        if flat.op_name(op) not in WEIGHTED_OPS or not _trains(masks[site]):
            continue
        constants = [int(i) for i in op.inputs[1:] if i >= 0]
        if any(len(flat.consumers(i)) > 1 for i in constants):
            raise UserError(
                f"layer {site!r} shares its weights with another one, so it cannot be trained; "
                "choose others with --layers"
            )
        if masks[site].bias.any() and not has_bias(op):
            add_bias(flat, op, f"{site}/{BIAS}")
    return flat.pack()


def _training_graph(data: bytes, masks: Mapping[str, Mask], board: OnBoard) -> bytes:
    return build_training_graph(
        data,
        list(masks),
        masks,
        sparsifier=board.sparsifier,
        skip_rule=board.skip_rule,
        learning_rate=board.learning_rate,
        seed=board.seed,
        loss=board.loss,
        update_rule=board.update_rule,
        variable_masks=board.variable_masks,
        reselection=board.reselection,
        references=board.references,
        rate=board.rate,
    )


@dataclass(frozen=True)
class _Fitted:
    """A model, its training graph, and their plan for a board, which tells whether they fit."""

    model: bytes
    training: bytes
    plan: dict[str, Any]


def _fit(data: bytes, masks: Mapping[str, Mask], board: OnBoard) -> _Fitted:
    """Windows of neurons where only some train, groups of channels where the arena is too small."""
    if not board.variable_masks and board.reselection is None:  # any neuron may train there
        data, masks = narrow(data, masks)
    training = _training_graph(data, masks, board)
    plan = make_plan(data, training, board.target)
    arena = plan["training"]["arena_bytes"]
    fixed = arena - plan["training"]["planned_bytes"]
    # Groups of channels need less for activations, nothing else.
    if fixed < board.target.arena_bytes < arena:
        trainable = [site for site, mask in masks.items() if _trains(mask)]
        data, groups = split_to_fit(
            data,
            trainable,
            lambda model: plan_memory(_training_graph(model, masks, board)),
            board.target.arena_bytes,
        )
        if groups:
            training = _training_graph(data, masks, board)
            plan = make_plan(data, training, board.target) | {"channel_groups": groups}
    return _Fitted(data, training, plan)


def _fitted(data: bytes, masks: Mapping[str, Mask], board: OnBoard) -> _Fitted:
    fitted = _fit(data, masks, board)
    if not fitted.plan["fits"]:
        raise UserError(_too_large(fitted.plan, data, masks, board))
    return fitted


def _loss_of(data: bytes, board: OnBoard) -> Loss:
    return board.loss or default_loss(FlatModel(data))


def _record(name: str, data: bytes, masks: Mapping[str, Mask], board: OnBoard) -> dict[str, Any]:
    return {
        "tf_odl": __version__,
        "model": name,
        "target": board.target.name,
        "sketch": f"{PROJECT}/{sketch_name(name)}",
        **_signature(data),
        "layers": _layer_records(masks),
        "sparsifier": _describe(board.sparsifier),
        "skip_rule": _describe(board.skip_rule),
        "learning_rate": board.learning_rate,
        "seed": board.seed,
        "update_rule": board.update_rule.value,
        "variable_masks": board.variable_masks or board.reselection is not None,
        "reselection": None if board.reselection is None else board.reselection.to_dict(),
        "rate": asdict(board.rate) | {"schedule": board.rate.schedule.value},
        "loss": _loss_of(data, board).value,
    }


def _write(
    folder: Path, data: bytes, training: bytes, plan: dict[str, Any], record: dict[str, Any]
) -> None:
    (folder / "model.tflite").write_bytes(data)
    (folder / "model_train.tflite").write_bytes(training)
    header = model_header({"model_tflite": data, "model_train_tflite": training})
    (folder / "model_data.h").write_text(header)
    write_project(
        folder / PROJECT,
        model=record["model"],
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


def _neurons(folded: Folded) -> dict[str, int]:
    """How many neurons each weighted layer has."""
    return {s: folded.model.get_layer(n).output.shape[-1] for s, n in folded.sites.items()}


def _allowed(
    neurons: Mapping[str, int],
    masks: Mapping[str, Mask] | None,
    layers: Sequence[str] | None,
    train_layers: int | None,
) -> dict[str, Mask]:
    """The mask of every weighted layer."""
    sites = list(neurons)
    if not sites:
        raise UserError("the model has no Dense or convolution layer to train")
    if train_layers is not None and not 1 <= train_layers <= len(sites):
        raise UserError(
            f"--train-layers {train_layers}: the model has {len(sites)} layers with weights"
        )
    windows = dict(_window(name, neurons) for name in layers or ())
    for what, names in (("the masks name", masks), ("--layers names", windows)):
        unknown = sorted(set(names or ()) - set(sites))
        if unknown:
            raise UserError(f"{what} a layer {unknown[0]!r}, the model has {', '.join(sites)}")
    result = {}
    for site, count in neurons.items():
        if layers is not None and site not in windows:
            result[site] = _frozen(count)
        elif masks is None:
            result[site] = Mask(np.ones(count, bool), np.ones(count, bool))
        else:
            result[site] = masks.get(site, _frozen(count))
        if site in windows:
            chosen = windows[site]
            result[site] = Mask(result[site].kernel & chosen, result[site].bias & chosen)
    return result if train_layers is None else _last(result, train_layers)


def _window(name: str, neurons: Mapping[str, int]) -> tuple[str, np.ndarray]:
    """The layer of `conv` or `conv[8:16]`, and which of its neurons are meant."""
    site, first, end = parse_window(name)
    count = neurons.get(site, 0)
    if site in neurons and first is not None and end is not None and not first < end <= count:
        raise UserError(
            f"--layers {name}: layer {site!r} has the neurons 0 to {count - 1}, "
            f"so a window is [FIRST:END] with FIRST < END <= {count}"
        )
    chosen = np.zeros(count, bool)
    chosen[first:end] = True
    return site, chosen


def _frozen(neurons: int) -> Mask:
    return Mask(np.zeros(neurons, bool), np.zeros(neurons, bool))


def _last(masks: Mapping[str, Mask], count: int) -> dict[str, Mask]:
    """The masks with all but the last `count` layers frozen."""
    kept = list(masks)[-count:]
    return {s: m if s in kept else _frozen(len(m.kernel)) for s, m in masks.items()}


def _trains(mask: Mask) -> bool:
    return bool(mask.kernel.any() or mask.bias.any())


@dataclass(frozen=True)
class _Room:
    """How wide the int8 ranges are; the arguments of `export` of these names."""

    headroom: float
    margin: float
    calibration: str


def _int8_model(
    folded: Folded,
    calibration_x: np.ndarray,
    masks: Mapping[str, Mask],
    room: _Room,
    progress: Progress | None,
) -> bytes:
    data = quantize(folded.model, calibration_x, progress)
    factors = range_factors(data, calibration_x, room.calibration, progress)
    flat = FlatModel(data)
    layers = match_layers(flat, folded)
    trainable = {site for site, mask in masks.items() if _trains(mask)}
    lost = trainable - {layer.site for layer in layers}
    if lost:
        raise UserError(
            f"layer {min(lost)!r} cannot be trained: TensorFlow Lite merged it with another "
            "layer. Train only the layers above it with --train-layers"
        )
    rescale(flat, layers, trainable, room.headroom, room.margin, factors)
    rename(flat, [(layer.site, layer.op) for layer in layers])
    return flat.pack()


def _too_large(
    plan: dict[str, Any], model: bytes, masks: Mapping[str, Mask], board: OnBoard
) -> str:
    """What is too large, by how much, and the smallest remedy."""
    target = board.target
    arena, flash = plan["training"]["arena_bytes"], plan["flash"]["total_bytes"]
    if flash > target.flash_bytes:
        sizes = f"the sketch needs about {flash:,} B of flash, of {target.flash_bytes:,} B"
    else:
        sizes = f"training needs an arena of {arena:,} B, of {target.arena_bytes:,} B"
    message = f"the model does not fit {target.board}: {sizes}. "
    # Fewer layers never need more: the most that fit are found by bisection.
    fits, smallest = 0, None
    low, high = 1, len(masks) - 1
    while low <= high:
        count = (low + high) // 2
        fewer = _last(masks, count)
        if any(_trains(mask) for mask in fewer.values()):
            plan = _fit(model, fewer, board).plan
            if not plan["fits"]:
                high = count - 1
                continue
            fits, smallest = count, plan
        low = count + 1
    if smallest is None:
        return message + "Training fewer layers is not enough: use a smaller model or input"
    needs = smallest["training"]["arena_bytes"]
    return message + f"With --train-layers {fits} it needs {needs:,} B and fits"


def _signature(model: bytes) -> dict[str, Any]:
    """What a program has to know to feed the int8 model and to read its answer."""
    flat = FlatModel(model)
    x, y = flat.inputs[0], flat.outputs[0]
    producer = flat.producer(y)
    return {
        "input": {
            "shape": list(flat.shape(x)),
            "scale": float(flat.scales(x)[0]),
            "zero_point": flat.zero_point(x),
        },
        "output": {
            "classes": flat.shape(y)[-1],
            "scale": float(flat.scales(y)[0]),
            "zero_point": flat.zero_point(y),
            "softmax": producer is not None and flat.op_name(producer) == "SOFTMAX",
        },
    }


def _layer_records(masks: Mapping[str, Mask]) -> list[dict[str, Any]]:
    """How many neurons of each layer may update, in the order of the forward pass."""
    return [
        {
            "name": site,
            "neurons": len(mask.kernel),
            "trainable_weights": int(mask.kernel.sum()),
            "trainable_biases": int(mask.bias.sum()),
        }
        for site, mask in masks.items()
    ]


def _describe(part: Sparsifier | SkipRule) -> dict[str, Any]:
    settings: dict[str, Any] = (
        asdict(part) if is_dataclass(part) and not isinstance(part, type) else {}
    )
    return {"name": part.name, **settings}


def _accuracy(
    original: keras.Model,
    model: bytes,
    test: tuple[np.ndarray, np.ndarray],
    progress: Progress | None,
) -> dict[str, Any]:
    """Accuracy of the float and of the int8 model on test samples."""
    x, labels = check_samples(original, test[0], "test data"), np.asarray(test[1])
    if labels.shape != (len(x),):
        raise UserError(
            f"test data: {len(x)} samples need as many class numbers, got an array of shape "
            f"{list(labels.shape)}"
        )
    outputs = original.predict(x, batch_size=256, verbose=0)
    return {
        "samples": len(x),
        "float": float((_classes(outputs, 0.5) == labels).mean()),
        "int8": _int8_accuracy(model, x, labels, progress),
    }


def _int8_accuracy(
    model: bytes, x: np.ndarray, labels: np.ndarray, progress: Progress | None
) -> float:
    tell = None if progress is None else lambda done, total: progress("test int8", done, total)
    codes = reference.infer(model, reference.quantize_input(model, x), tell)
    # A sigmoid's int8 output is its value * 256 - 128.
    return float((_classes(codes, 0) == np.asarray(labels)).mean())


def _classes(outputs: np.ndarray, threshold: float) -> np.ndarray:
    """The class of each row: the largest output, or whether a single one reaches the threshold."""
    rows = outputs.reshape(len(outputs), -1)
    return rows[:, 0] >= threshold if rows.shape[1] == 1 else rows.argmax(axis=1)
