"""From a Keras model to a folder with everything a board needs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_odl import __version__
from tf_odl.converters import reference
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.fold import Folded, fold
from tf_odl.converters.header import model_header
from tf_odl.converters.layers import match_layers
from tf_odl.converters.plan import make_plan
from tf_odl.converters.quantize import check_known_to_tflm, check_samples, quantize
from tf_odl.converters.rescale import rename, rescale
from tf_odl.converters.targets import Target
from tf_odl.converters.training_graph import build_training_graph
from tf_odl.converters.write_back import with_variables, write_back
from tf_odl.errors import UserError
from tf_odl.files import new_folder
from tf_odl.methods import Mask, SkipRule, Sparsifier

if TYPE_CHECKING:
    import keras

__all__ = ["ExportReport", "export", "with_variables", "write_back"]

RECORD = "export.json"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ExportReport:
    """Where an export lies, and the contents of its export.json and plan.json."""

    folder: Path
    export: dict[str, Any]
    plan: dict[str, Any]


def export(
    model: keras.Model,
    calibration_x: np.ndarray,
    *,
    target: Target,
    out_dir: Path,
    sparsifier: Sparsifier,
    skip_rule: SkipRule,
    masks: Mapping[str, Mask] | None = None,
    train_layers: int | None = None,
    learning_rate: float = 0.005,
    seed: int = 0,
    headroom: float = 1.5,
    margin: float = 1.25,
    test: tuple[np.ndarray, np.ndarray] | None = None,
    overwrite: bool = False,
    provenance: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Write model.tflite, model_train.tflite, model_data.h and their records into a new folder.

    Args:
        model: a Functional or Sequential classifier with softmax or logits.
        calibration_x: real samples, float [N, *input], that set the activation ranges.
        target: the board it has to fit.
        out_dir: the folder to create; nothing is left behind if the export fails.
        sparsifier: which entries of a layer's error the board keeps.
        skip_rule: which samples the board trains on.
        masks: which neurons of which layer may update; by default all of all layers.
        train_layers: freeze all but the last so many weighted layers.
        learning_rate: of plain SGD, per sample; a sketch may change it.
        seed: of the stochastic rounding.
        headroom: weight range of trainable layers over their largest weight, >= 1.
        margin: range of internal activations over the calibrated one, >= 1.
        test: samples float [N, *input] and classes int [N], to measure what int8 costs.
        overwrite: replace an earlier export in `out_dir`.
        provenance: anything that tells where model and data come from, kept in export.json.
        progress: called with (what, done, total).

    Raises:
        UserError: settings, samples or masks that do not fit, a layer that cannot be exported or
            trained, or a board that is too small.
    """
    _check_settings(learning_rate, headroom, margin)
    if (Path(out_dir) / RECORD).is_file() and not overwrite:
        raise UserError(f"{out_dir} holds an earlier export: use --overwrite to replace it")
    with new_folder(Path(out_dir), replaces=RECORD) as folder:
        folded = fold(model)
        allowed = _allowed(folded, masks, train_layers)
        data = _int8_model(folded, calibration_x, allowed, headroom, margin, progress)

        def build(restricted: Mapping[str, Mask]) -> bytes:
            return build_training_graph(
                data,
                list(folded.sites),
                restricted,
                sparsifier=sparsifier,
                skip_rule=skip_rule,
                learning_rate=learning_rate,
                seed=seed,
            )

        training = build(allowed)
        check_known_to_tflm(data, folded.model)
        plan = make_plan(data, training, target)
        if not plan["fits"]:
            raise UserError(_too_large(plan, data, build, allowed, target))
        record = {
            "tf_odl": __version__,
            "model": model.name,
            "target": target.name,
            **_signature(data),
            "layers": _layer_records(allowed),
            "sparsifier": _describe(sparsifier),
            "skip_rule": _describe(skip_rule),
            "learning_rate": learning_rate,
            "seed": seed,
            "headroom": headroom,
            "margin": margin,
            "calibration_samples": len(calibration_x),
            "accuracy": None if test is None else _accuracy(folded.model, data, test, progress),
            "provenance": dict(provenance or {}),
        }
        (folder / "model.tflite").write_bytes(data)
        (folder / "model_train.tflite").write_bytes(training)
        header = model_header({"model_tflite": data, "model_train_tflite": training})
        (folder / "model_data.h").write_text(header)
        folded.model.save(folder / "model_folded.keras")
        (folder / "plan.json").write_text(json.dumps(plan, indent=2) + "\n")
        (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n")
    return ExportReport(Path(out_dir), record, plan)


def _check_settings(learning_rate: float, headroom: float, margin: float) -> None:
    # The board holds it as float32.
    if not np.finfo(np.float32).tiny <= learning_rate <= np.finfo(np.float32).max:
        raise UserError(f"the learning rate must be positive and finite, got {learning_rate}")
    for name, value in (("headroom", headroom), ("margin", margin)):
        if not (math.isfinite(value) and value >= 1):
            raise UserError(f"{name} must be at least 1, got {value}")


def _allowed(
    folded: Folded, masks: Mapping[str, Mask] | None, train_layers: int | None
) -> dict[str, Mask]:
    """The mask of every weighted layer."""
    sites = list(folded.sites)
    if not sites:
        raise UserError("the model has no Dense or convolution layer to train")
    if train_layers is not None and not 1 <= train_layers <= len(sites):
        raise UserError(
            f"--train-layers {train_layers}: the model has {len(sites)} layers with weights"
        )
    unknown = sorted(set(masks or {}) - set(sites))
    if unknown:
        raise UserError(f"the masks name a layer {unknown[0]!r}, the model has {', '.join(sites)}")
    result = {}
    for site in sites:
        neurons = folded.model.get_layer(folded.sites[site]).output.shape[-1]
        if masks is None:
            result[site] = Mask(np.ones(neurons, bool), np.ones(neurons, bool))
        else:
            result[site] = masks.get(site, _frozen(neurons))
    return result if train_layers is None else _last(result, train_layers)


def _frozen(neurons: int) -> Mask:
    return Mask(np.zeros(neurons, bool), np.zeros(neurons, bool))


def _last(masks: Mapping[str, Mask], count: int) -> dict[str, Mask]:
    """The masks with all but the last `count` layers frozen."""
    kept = list(masks)[-count:]
    return {s: m if s in kept else _frozen(len(m.kernel)) for s, m in masks.items()}


def _trains(mask: Mask) -> bool:
    return bool(mask.kernel.any() or mask.bias.any())


def _int8_model(
    folded: Folded,
    calibration_x: np.ndarray,
    masks: Mapping[str, Mask],
    headroom: float,
    margin: float,
    progress: Progress | None,
) -> bytes:
    flat = FlatModel(quantize(folded.model, calibration_x, progress))
    layers = match_layers(flat, folded)
    trainable = {site for site, mask in masks.items() if _trains(mask)}
    lost = trainable - {layer.site for layer in layers}
    if lost:
        raise UserError(
            f"layer {min(lost)!r} cannot be trained: TensorFlow Lite merged it with another "
            "layer. Train only the layers above it with --train-layers"
        )
    rescale(flat, layers, trainable, headroom, margin)
    rename(flat, layers)
    return flat.pack()


def _too_large(
    plan: dict[str, Any],
    model: bytes,
    build: Callable[[Mapping[str, Mask]], bytes],
    masks: Mapping[str, Mask],
    target: Target,
) -> str:
    """What is too large, by how much, and the smallest remedy."""
    arena, flash = plan["training"]["arena_bytes"], plan["flash"]["total_bytes"]
    if flash > target.flash_bytes:
        sizes = f"the sketch needs about {flash:,} B of flash, of {target.flash_bytes:,} B"
    else:
        sizes = f"training needs an arena of {arena:,} B, of {target.arena_bytes:,} B"
    message = f"the model does not fit {target.board}: {sizes}. "
    for count in range(len(masks) - 1, 0, -1):
        fewer = _last(masks, count)
        if not any(_trains(mask) for mask in fewer.values()):
            break
        smaller = make_plan(model, build(fewer), target)
        if smaller["fits"]:
            needs = smaller["training"]["arena_bytes"]
            return message + f"With --train-layers {count} it needs {needs:,} B and fits"
    return message + "Training fewer layers is not enough: use a smaller model or input"


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
    folded: keras.Model,
    model: bytes,
    test: tuple[np.ndarray, np.ndarray],
    progress: Progress | None,
) -> dict[str, Any]:
    """Accuracy of the float and of the int8 model on test samples."""
    x, labels = check_samples(folded, test[0], "test data"), np.asarray(test[1])
    if labels.shape != (len(x),):
        raise UserError(
            f"test data: {len(x)} samples need as many class numbers, got an array of shape "
            f"{list(labels.shape)}"
        )
    tell = None if progress is None else lambda done, total: progress("test int8", done, total)
    codes = reference.infer(model, reference.quantize_input(model, x), tell)
    outputs = folded.predict(x, batch_size=256, verbose=0)
    return {
        "samples": len(x),
        "float": float((outputs.argmax(axis=1) == labels).mean()),
        "int8": float((codes.argmax(axis=1) == labels).mean()),
    }
