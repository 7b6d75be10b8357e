"""Small untrained models with every layer the converters know, and exports of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_odl.converters.export import ExportReport, export
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.reference import quantize_input
from tf_odl.converters.targets import get_target
from tf_odl.methods import get_method

L = keras.layers


def mlp() -> keras.Model:
    return keras.Sequential([keras.Input((12,)), L.Dense(9, activation="relu"), L.Dense(4)])


def cnn() -> keras.Model:
    """Strides, both paddings, batch normalization, ReLU6, a max pool."""
    return keras.Sequential(
        [
            keras.Input((9, 8, 2)),
            L.Conv2D(5, 3, strides=2, padding="same", use_bias=False),
            L.BatchNormalization(),
            L.ReLU(6.0),
            L.Conv2D(6, (2, 3), padding="valid", activation="relu"),
            L.MaxPooling2D((2, 1)),
            L.Flatten(),
            L.Dense(8, activation="relu"),
            L.Dense(4, activation="softmax"),
        ]
    )


def separable() -> keras.Model:
    """Depthwise and separable convolutions, an average pool, a global mean."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
            L.BatchNormalization(),
            L.Activation("relu"),
            L.SeparableConv2D(7, 3, use_bias=False),
            L.BatchNormalization(),
            L.ReLU(),
            L.AveragePooling2D(2, strides=1),
            L.GlobalAveragePooling2D(),
            L.Dense(4),
        ]
    )


def one_dimensional() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((16, 3)),
            L.Conv1D(6, 3, padding="same", activation="relu"),
            L.MaxPooling1D(),
            L.SeparableConv1D(5, 3),
            L.BatchNormalization(),
            L.ReLU(),
            L.GlobalAveragePooling1D(),
            L.Dropout(0.5),
            L.Dense(4),
        ]
    )


def nested() -> keras.Model:
    """A model inside a model, and batch normalization that nothing absorbs."""
    inputs = keras.Input((8, 8, 2))
    block = keras.Sequential([keras.Input((8, 8, 2)), L.Conv2D(4, 3), L.BatchNormalization()])
    hidden = L.ReLU()(block(L.BatchNormalization()(inputs)))
    hidden = L.ZeroPadding2D(((0, 1), (0, 1)))(hidden)
    hidden = L.Conv2D(5, 3, strides=2, activation="relu")(hidden)
    return keras.Model(inputs, L.Dense(4)(L.Flatten()(hidden)))


MODELS: dict[str, Callable[[], keras.Model]] = {
    model.__name__: model for model in (mlp, cnn, separable, one_dimensional, nested)
}


def make(name: str, seed: int = 0) -> keras.Model:
    """A model whose weights and batch statistics are all different from their initial values."""
    keras.utils.set_random_seed(seed)
    model = MODELS[name]()
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        spread = rng.normal(0, 0.2, variable.shape)
        values = variable.numpy() + spread
        if "variance" in variable.path or "gamma" in variable.path:
            values = np.exp(spread)
        variable.assign(values)
    return model


def samples(model: keras.Model, count: int, seed: int = 1) -> np.ndarray:
    """Normal samples float32 [count, *input]."""
    shape = (count, *model.input_shape[1:])
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class Export:
    """An export of a model: trained by plain SGD in all layers unless `options` say otherwise."""

    def __init__(self, model: keras.Model, folder: Path, **options: Any) -> None:
        method = get_method("full")
        settings: dict[str, Any] = {
            "target": get_target("nano33"),
            "out_dir": folder,
            "sparsifier": method.sparsifier,
            "skip_rule": method.skip,
        }
        settings.update(options)
        calibration = settings.pop("calibration_x", None)
        if calibration is None:
            calibration = samples(model, 50)
        self.model = model
        self.folder = folder
        self.report: ExportReport = export(model, calibration, **settings)

    @cached_property
    def int8(self) -> bytes:
        return (self.folder / "model.tflite").read_bytes()

    @cached_property
    def training(self) -> bytes:
        return (self.folder / "model_train.tflite").read_bytes()

    @cached_property
    def graph(self) -> FlatModel:
        """The training graph."""
        return FlatModel(self.training)

    @cached_property
    def plain(self) -> FlatModel:
        """The int8 model."""
        return FlatModel(self.int8)

    def codes(self, x: np.ndarray) -> np.ndarray:
        """Real samples as the model's int8 inputs."""
        return quantize_input(self.int8, x)

    def real(self, outputs: np.ndarray) -> np.ndarray:
        """The model's int8 outputs as real numbers."""
        output = self.report.export["output"]
        return (outputs.astype(np.float64) - output["zero_point"]) * output["scale"]
