"""The record of an export, export.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from tf_odl import __version__
from tf_odl.converters.error_type import ErrorType
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.on_board import OnBoard
from tf_odl.converters.sketch import PROJECT, sketch_name
from tf_odl.methods import Mask, SkipRule, Sparsifier


def export_record(
    name: str, data: bytes, masks: Mapping[str, Mask], board: OnBoard
) -> dict[str, Any]:
    """The contents of export.json, as far as model, masks and board say them.

    Args:
        name: of the model.
        data: model.tflite.
        masks: of every weighted layer.
        board: what the training graph was made for.
    """
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
        "accumulate": board.accumulate,
        "head": board.head.value,
        "errors": (board.errors or ErrorType.FLOAT32).value,
        "rate": asdict(board.rate) | {"schedule": board.rate.schedule.value},
        "loss": board.loss_of(data).value,
    }


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
