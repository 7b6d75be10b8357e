"""A training graph in one call."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.layers import WEIGHTED_OPS
from tf_odl.converters.training_graph import make_trainable
from tf_odl.methods import Mask
from tf_odl.methods.dense import Dense
from tf_odl.methods.never import Never


def build_training_graph(
    model: bytes, sites: Sequence[str], masks: Mapping[str, Mask], **how: Any
) -> bytes:
    """As `make_trainable`, from a .tflite file to another one; by default nothing is left out."""
    flat = FlatModel(model)
    how = {"sparsifier": Dense(), "skip_rule": Never(), **how}
    make_trainable(flat, sites, masks, checksum=zlib.crc32(model), **how)
    return flat.pack()


def every_neuron(neurons: Mapping[str, int]) -> dict[str, Mask]:
    """Masks of layers with so many neurons, all of which update."""
    return {name: Mask(np.ones(n, bool), np.ones(n, bool)) for name, n in neurons.items()}


def name_layers(flat: FlatModel) -> dict[str, int]:
    """The neurons of all weighted layers, which are called `layer0`, `layer1`, .. from now on."""
    neurons: dict[str, int] = {}
    for op in flat.operators:
        if flat.op_name(op) in WEIGHTED_OPS:
            name = f"layer{len(neurons)}"
            flat.tensors[op.outputs[0]].name = name
            flat.tensors[op.inputs[1]].name = f"{name}/kernel"
            flat.tensors[op.inputs[2]].name = f"{name}/bias"
            neurons[name] = flat.shape(int(op.outputs[0]))[-1]
    return neurons
