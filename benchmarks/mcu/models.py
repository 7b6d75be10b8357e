"""The workloads that are classifiers, as Keras models and as exports for the Nano 33 BLE."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_odl.converters.export import export
from tf_odl.converters.targets import get_target
from tf_odl.methods.dense import Dense
from tf_odl.methods.never import Never
from tf_odl.methods.tinyprop import TinyProp
from tf_odl.methods.tinypropv2 import TinyPropV2

WORKLOADS = ("W1", "W2", "W3", "W4")
#: Sparsifier and skip rule: everything, a tenth of the entries of the hidden layers, no sample.
METHODS = {
    "dense": (Dense(), Never()),
    "tinyprop_10": (TinyProp(s_min=0.1, s_max=0.1, zeta=1.0), Never()),
    "skipped": (TinyProp(s_min=0.1, s_max=0.1, zeta=1.0), TinyPropV2(threshold=1e9)),
}


def build(name: str) -> keras.Model:
    """Random weights, always the same."""
    layers = keras.layers
    stacks: dict[str, list[Any]] = {
        "W1": [(64,), layers.Dense(32, "relu"), layers.Dense(10)],
        "W2": [(784,), layers.Dense(64, "relu"), layers.Dense(10)],
        "W3": [(561,), *(layers.Dense(n, "relu") for n in (128, 64, 32, 16)), layers.Dense(6)],
        "W4": [
            (28, 28, 1),
            layers.Conv2D(8, 3, 2, activation="relu"),
            layers.Conv2D(16, 3, 2, activation="relu"),
            layers.Flatten(),
            layers.Dense(10),
        ],
    }
    keras.utils.set_random_seed(1)
    shape, *stack = stacks[name]
    return keras.Sequential([keras.Input(shape), *stack])


def export_to(name: str, method: str, folder: Path) -> dict[str, Any]:
    """Export a workload. Returns plan.json."""
    model = build(name)
    x = np.random.default_rng(1).normal(size=(50, *model.input_shape[1:])).astype(np.float32)
    sparsifier, skip_rule = METHODS[method]
    export(
        model,
        x,
        target=get_target("nano33"),
        out_dir=folder,
        sparsifier=sparsifier,
        skip_rule=skip_rule,
        learning_rate=0.02,
    )
    return json.loads((folder / "plan.json").read_text())


def arena_bytes() -> dict[str, int]:
    """The arena of each training graph as planned for the board."""
    sizes = {}
    for name in WORKLOADS:
        with tempfile.TemporaryDirectory() as folder:
            plan = export_to(name, "dense", Path(folder) / "export")
        sizes[name] = int(plan["training"]["arena_bytes"])
    return sizes
