"""From a folded Keras model to an int8 one with room for learning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tf_odl.converters.calibration import range_factors
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.fold import Folded
from tf_odl.converters.layers import BIAS, WEIGHTED_OPS, match_layers
from tf_odl.converters.quantize import quantize
from tf_odl.converters.relu6 import replace_relu6
from tf_odl.converters.rescale import add_bias, has_bias, rename, rescale
from tf_odl.converters.trainable import trains
from tf_odl.errors import UserError
from tf_odl.methods import Mask

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Room:
    """How wide the int8 ranges are; the arguments of `export` of these names."""

    headroom: float
    margin: float
    calibration: str


def int8_model(
    folded: Folded,
    calibration_x: np.ndarray,
    masks: Mapping[str, Mask],
    room: Room,
    progress: Progress | None,
) -> bytes:
    """The int8 .tflite file, calibrated with samples float [N, *input].

    Raises:
        UserError: a layer that trains is none of the converted model's.
    """
    data = quantize(folded.model, calibration_x, progress)
    factors = range_factors(data, calibration_x, room.calibration, progress)
    flat = FlatModel(data)
    layers = match_layers(flat, folded)
    trainable = {site for site, mask in masks.items() if trains(mask)}
    lost = trainable - {layer.site for layer in layers}
    if lost:
        raise UserError(
            f"layer {min(lost)!r} cannot be trained: TensorFlow Lite merged it with another "
            "layer. Train only the layers above it with --train-layers"
        )
    rescale(flat, layers, trainable, room.headroom, room.margin, factors)
    replace_relu6(flat)
    rename(flat, [(layer.site, layer.op) for layer in layers])
    return flat.pack()


def with_biases(data: bytes, masks: Mapping[str, Mask]) -> bytes:
    """The model with a bias in every layer whose bias trains.

    Raises:
        UserError: a layer that trains shares its weights with another one.
    """
    flat = FlatModel(data)
    for op in flat.operators:
        site = flat.name(int(op.outputs[0]))
        if flat.op_name(op) not in WEIGHTED_OPS or not trains(masks[site]):
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
