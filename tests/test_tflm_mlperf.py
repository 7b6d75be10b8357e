"""Residual and depthwise networks as they are used: they train from any depth in the real TFLM.

The first step of every layer is the gradient of TensorFlow's autodiff of the dequantized graph.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from build_graph import build_training_graph, every_neuron
from converter_models import Export
from test_tflm_branching import assert_first_step

from tf_odl import models
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.targets import get_target
from tf_odl.task import Loss
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

pytestmark = pytest.mark.skipif(available() is not None, reason=str(available()))

INPUTS = {
    "resnet8": (32, 32, 3),
    "ds-cnn": (49, 10, 1),
    "mobilenetv2-0.35": (32, 32, 3),
    "mobilenetv1-0.25": (32, 32, 3),
    "cnn5": (16, 16, 1),
}
CLASSES = 5


def blobs(shape: tuple[int, ...], count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy patterns, one for each class."""
    patterns = np.random.default_rng(0).normal(size=(CLASSES, *shape))
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, count)
    return (patterns[labels] + random.normal(0, 0.5, (count, *shape))).astype(np.float32), labels


def built(name: str) -> keras.Model:
    """MobileNetV1 is keras.applications', whose head is a convolution."""
    if name == "mobilenetv1-0.25":
        keras.utils.set_random_seed(0)
        return keras.applications.MobileNet(INPUTS[name], 0.25, weights=None, classes=CLASSES)
    return models.build(name, INPUTS[name], CLASSES, 0)


@pytest.fixture(scope="module", params=INPUTS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """On a board of any size: what is shown is the gradient, not that it fits."""
    shape = INPUTS[request.param]
    x, _ = blobs(shape, 40, 1)
    model = built(request.param)
    models.set_statistics(model, x)
    board = replace(get_target("nano33"), arena_bytes=1 << 30, flash_bytes=1 << 30)
    folder = tmp_path_factory.mktemp("export") / "export"
    return Export(model, folder, target=board, calibration_x=x)


def sites(export: Export) -> dict[str, int]:
    return {layer["name"]: layer["neurons"] for layer in export.report.export["layers"]}


def graphs(export: Export, lowest: int) -> Callable[..., bytes]:
    """Training graphs of all layers from `lowest` on."""
    neurons = sites(export)
    masks = every_neuron(dict(list(neurons.items())[lowest:]))

    def build(learning_rate: float, loss: Loss | None = None) -> bytes:
        return build_training_graph(
            export.int8, list(neurons), masks, learning_rate=learning_rate, seed=0, loss=loss
        )

    return build


@pytest.mark.parametrize("depth", ["all", "half", "last"])
def test_the_first_step_is_the_gradient_from_any_depth(exported: Export, depth: str) -> None:
    names = list(sites(exported))
    x, labels = blobs(exported.model.input_shape[1:], 3, 2)
    place = ["all", "half", "last"].index(depth)
    lowest = (0, len(names) // 2, len(names) - 1)[place]
    sample, label = exported.codes(x)[place], int(labels[place])
    assert_first_step(exported.int8, graphs(exported, lowest), names[lowest:], sample, label)


def test_every_depth_has_a_graph_that_runs(exported: Export) -> None:
    """The remaining plan, TFLM's own check of it, and inference bit for bit as before."""
    names = list(sites(exported))
    x, labels = blobs(exported.model.input_shape[1:], 2, 3)
    codes = exported.codes(x)
    with TrainingInterpreter(exported.int8) as plain:
        expected = plain.infer(codes)
    for lowest in range(0, len(names), 7):
        graph = graphs(exported, lowest)(0.01)
        with TrainingInterpreter(graph) as board:
            np.testing.assert_array_equal(board.infer(codes), expected)
            board.train(codes, labels)
            state = board.state()
            assert (state.trained, state.non_finite) == (2, 0)
        assert len(FlatModel(graph).find("tfodl/state") is not None and state.y_max) >= 1


def anomaly_detector() -> keras.Model:
    """MLPerf Tiny's: 640 - 4 x 128 - 8 - 4 x 128 - 640, each but the last with normalization."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((640,))]
    for size in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        layers += [keras.layers.Dense(size), keras.layers.BatchNormalization(), keras.layers.ReLU()]
    return keras.Sequential([*layers, keras.layers.Dense(640)])


def test_the_first_step_of_the_anomaly_detector_is_the_gradient(tmp_path: Path) -> None:
    model = anomaly_detector()
    x = np.random.default_rng(1).normal(size=(60, 640)).astype(np.float32)
    models.set_statistics(model, x)
    board = replace(get_target("nano33"), arena_bytes=1 << 30, flash_bytes=1 << 30)
    loss = Loss.RECONSTRUCTION
    export = Export(model, tmp_path / "export", target=board, calibration_x=x, loss=loss)
    flat = FlatModel(export.int8)
    sample = export.codes(x)[0]
    (given,) = flat.inputs
    wanted = (sample.astype(np.float64) - flat.zero_point(given)) * flat.scales(given)[0]
    names = list(sites(export))
    for lowest in (0, 5, len(names) - 1):
        assert_first_step(
            export.int8,
            partial(graphs(export, lowest), loss=loss),
            names[lowest:],
            sample,
            0,
            loss=lambda y: tf.reduce_mean((y - wanted) ** 2),
            start=flat.outputs[0],
        )


@pytest.mark.slow
def test_a_residual_network_learns_new_classes(tmp_path: Path) -> None:
    """Trained in Keras on patterns whose labels then all change."""
    shape = (16, 16, 3)
    x, labels = blobs(shape, 200, 4)
    keras.utils.set_random_seed(0)
    model = models.build("resnet8", shape, CLASSES, 0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.003), loss)
    model.fit(x, (labels + 1) % CLASSES, epochs=6, batch_size=16, verbose=0)
    board = replace(get_target("nano33"), arena_bytes=1 << 30, flash_bytes=1 << 30)
    export = Export(model, tmp_path / "export", target=board, calibration_x=x[:60])
    codes = export.codes(x)
    with TrainingInterpreter(graphs(export, 0)(0.005)) as interpreter:
        before = (interpreter.infer(codes).argmax(1) == labels).mean()
        for _ in range(2):
            interpreter.train(codes, labels)
        after = (interpreter.infer(codes).argmax(1) == labels).mean()
    assert before < 0.1 and after > 0.9, (before, after)
