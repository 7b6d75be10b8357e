"""Models as objects: copies to edit, and the files they become."""

from pathlib import Path

import keras
import numpy as np
import pytest
from converter_models import MODELS, Export, make

from tf_odl.converters.flatbuffer import FlatModel, parsed
from tf_odl.converters.own_layers import with_own_layers
from tf_odl.converters.split import split_channels
from tf_odl.converters.training_graph import make_trainable
from tf_odl.methods import Mask
from tf_odl.methods.dense import Dense
from tf_odl.methods.never import Never


@pytest.mark.parametrize("name", MODELS)
def test_a_copy_becomes_the_same_file(name: str, tmp_path: Path) -> None:
    data = Export(make(name), tmp_path / "e").training
    assert parsed(data).flat.copy().pack() == FlatModel(data).pack() == data


def test_who_edits_a_copy_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(12, 1, activation="relu", name="expand")(inputs)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Dense(4, name="head")(layers.GlobalAveragePooling2D()(x))
    export = Export(keras.Model(inputs, x), tmp_path / "e", train_layers=1)
    model = FlatModel(export.int8)
    grouped, graph = model.copy(), model.copy()
    assert split_channels(grouped, "depthwise", 3)
    make_trainable(
        grouped,
        ["expand", "depthwise", "head"],
        {"head": Mask(np.ones(4, bool), np.ones(4, bool))},
        checksum=1,
        sparsifier=Dense(),
        skip_rule=Never(),
        learning_rate=0.01,
        seed=0,
    )
    own = with_own_layers(graph)
    assert len(grouped.operators) > len(model.operators)
    assert grouped.pack() != export.int8 and own.pack() != export.int8
    assert model.pack() == export.int8 and graph.pack() == export.int8
