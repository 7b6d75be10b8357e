"""Binary cross-entropy, mean squared error and reconstruction: kernels, graphs, and learning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import kernel_harness as harness
import numpy as np
import pytest
import tensorflow as tf
from build_graph import build_training_graph, every_neuron
from converter_models import Export
from hypothesis import given, settings
from hypothesis import strategies as st
from losses_reference import LossReference
from test_tflm_branching import assert_first_step

from tf_odl.converters.error_type import ErrorType
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.losses import tensor_of
from tf_odl.converters.options import LossOptions
from tf_odl.errors import UserError
from tf_odl.methods import SkipRule
from tf_odl.methods.never import Never
from tf_odl.methods.tinypropv2 import TinyPropV2
from tf_odl.task import Loss
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

L = keras.layers
CHECK = settings(max_examples=200, deadline=None, derandomize=True)
FLOATS = st.floats(-90, 90, width=32)
needs_tflm = pytest.mark.skipif(available() is not None, reason=str(available()))


# -- kernels ----------------------------------------------------------------------------------


@CHECK
@given(FLOATS, st.booleans())
def test_binary_cross_entropy_equals_autodiff(z: float, label: bool) -> None:
    result = np.zeros(2, np.float32)
    logit = np.array([z], np.float32)
    harness.library.tfodl_logistic_cross_entropy(
        harness.pointer(logit), int(label), harness.pointer(result)
    )
    exact = tf.constant(logit.astype(np.float64))
    with tf.GradientTape() as tape:
        tape.watch(exact)
        wanted = tf.constant([float(label)], tf.float64)
        loss = tf.nn.sigmoid_cross_entropy_with_logits(wanted, exact)[0]
    np.testing.assert_allclose(result[0], loss.numpy(), rtol=1e-6, atol=3e-7)
    # Relative: also an error close to 0 has its digits. Below e^-87 it is 0.
    gradient = tape.gradient(loss, exact).numpy()[0]
    np.testing.assert_allclose(result[1], gradient, rtol=1e-6, atol=2e-38)


@CHECK
@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=20))
def test_mean_squared_error_equals_autodiff(pairs: list[tuple[float, float]]) -> None:
    outputs, targets = np.array(pairs, np.float32).T
    difference = np.ascontiguousarray(outputs - targets)
    exact = tf.constant(difference.astype(np.float64))
    with tf.GradientTape() as tape:
        tape.watch(exact)
        loss = tf.reduce_mean(exact**2)
    result = np.zeros(2, np.float32)
    harness.library.tfodl_mean_squared_error(
        len(pairs), harness.pointer(difference), harness.pointer(result)
    )
    gradient = tape.gradient(loss, exact).numpy()
    np.testing.assert_allclose(difference, gradient, rtol=1e-6, atol=1e-37)
    np.testing.assert_allclose(result, [loss, np.abs(gradient).sum()], rtol=1e-5, atol=1e-37)


@pytest.mark.parametrize(
    ("change", "accepted"),
    [
        ({}, True),
        ({"scale": 0.0}, False),
        ({"scale": float("nan")}, False),
        ({"zero_point": 128}, False),
        ({"target_scale": -1.0}, False),
        ({"target_zero_point": -129}, False),
        ({"skip_rule": 2}, False),
        ({"beta": float("inf")}, False),
    ],
)
def test_options_are_checked(change: dict[str, Any], accepted: bool) -> None:
    fields: dict[str, Any] = {"scale": 0.1, "zero_point": -128, "target_scale": 1.0}
    fields |= {"target_zero_point": 127, "skip_rule": 1, "d_min": 0.0, "d_max": 1.0}
    blob = LossOptions(**(fields | {"beta": 1.0, "threshold": 0.5} | change)).pack()
    assert bool(harness.library.tfodl_parse_loss(blob, len(blob))) == accepted
    assert not harness.library.tfodl_parse_loss(blob, len(blob) - 4)


# -- graphs -------------------------------------------------------------------------------------


def binary() -> keras.Model:
    layers = [keras.Input((6, 5, 2)), L.Conv2D(4, 3, activation="relu"), L.Flatten()]
    return keras.Sequential([*layers, L.Dense(1, activation="sigmoid")])


def regression() -> keras.Model:
    layers = [keras.Input((7,)), L.Dense(9, activation="relu"), L.Dense(3)]
    return keras.Sequential(layers)


def autoencoder() -> keras.Model:
    """As MLPerf Tiny's, smaller."""
    layers = [keras.Input((12,)), L.Dense(10, activation="relu"), L.Dense(4, activation="relu")]
    return keras.Sequential([*layers, L.Dense(10, activation="relu"), L.Dense(12)])


CASES = {
    Loss.BINARY: binary,
    Loss.MSE: regression,
    Loss.RECONSTRUCTION: autoencoder,
}


class Exported:
    """An export for one of the losses, and samples to learn from."""

    def __init__(self, loss: Loss, folder: Path) -> None:
        self.loss = loss
        keras.utils.set_random_seed(5)
        model = CASES[loss]()
        random = np.random.default_rng(5)
        model.set_weights([w + random.normal(0, 0.1, w.shape) for w in model.get_weights()])
        x = random.normal(size=(60, *model.input_shape[1:])).astype(np.float32)
        export = Export(model, folder, calibration_x=x, loss=loss)
        assert export.report.export["loss"] == loss.value
        self.model = export.int8
        self.training = export.training
        self.neurons = {x["name"]: x["neurons"] for x in export.report.export["layers"]}
        self.samples = export.codes(x)[:10]
        self.labels = random.integers(0, 2, 10) if loss is Loss.BINARY else np.zeros(10, int)
        self.targets: np.ndarray | None = None
        if loss is Loss.MSE:
            self.targets = random.normal(size=(10, 3)).astype(np.float32)

    def graph(
        self,
        learning_rate: float = 0.02,
        skip_rule: SkipRule | None = None,
        errors: ErrorType = ErrorType.FLOAT32,
    ) -> bytes:
        return build_training_graph(
            self.model,
            list(self.neurons),
            every_neuron(self.neurons),
            skip_rule=skip_rule or Never(),
            learning_rate=learning_rate,
            seed=1,
            loss=self.loss,
            errors=errors,
        )


@pytest.fixture(scope="module", params=CASES, ids=lambda loss: loss.value)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(request.param, tmp_path_factory.mktemp("loss") / "export")


@needs_tflm
@pytest.mark.parametrize("skip_rule", [Never(), TinyPropV2(threshold=0.8)], ids=["never", "skip"])
@pytest.mark.parametrize("errors", ErrorType, ids=lambda errors: errors.value)
def test_every_step_equals_the_reference(
    exported: Exported, errors: ErrorType, skip_rule: SkipRule
) -> None:
    model = exported.graph(skip_rule=skip_rule, errors=errors)
    reference = LossReference(model)
    before = [value.copy() for value in reference.values()]
    labels = exported.labels.copy()
    labels[3] = -1  # only infer
    with TrainingInterpreter(model) as interpreter:
        for i, label in enumerate(labels):
            targets = None if exported.targets is None else exported.targets[i : i + 1]
            _, reports = interpreter.train(exported.samples[i : i + 1], [label], targets=targets)
            np.testing.assert_array_equal(
                reports[0], reference.learn(exported.samples[i], int(label), targets)
            )
            for actual, wanted in zip(interpreter.variables(), reference.values(), strict=True):
                np.testing.assert_array_equal(actual, wanted)
            reference.assert_state(interpreter.state())
        state = interpreter.state()
    assert state.samples == 9 and state.trained + state.skipped == 9
    assert (state.skipped > 0) == isinstance(skip_rule, TinyPropV2)
    assert all((b != v).any() for b, v in zip(before, reference.values(), strict=True))


@needs_tflm
def test_the_first_step_is_the_gradient_of_autodiff(exported: Exported) -> None:
    flat = FlatModel(exported.model)
    start = tensor_of(flat, exported.loss)
    sample, label = exported.samples[0], int(exported.labels[0])
    target: Any = exported.targets
    if exported.loss is Loss.RECONSTRUCTION:
        x = flat.inputs[0]
        target = (sample.astype(np.float64) - flat.zero_point(x)) * flat.scales(x)[0]

    def loss(y: tf.Tensor) -> tf.Tensor:
        if exported.loss is Loss.BINARY:
            wanted = tf.constant([[float(label)]], tf.float64)
            return tf.nn.sigmoid_cross_entropy_with_logits(wanted, y)[0, 0]
        return tf.reduce_mean((y - (target[:1] if exported.loss is Loss.MSE else target)) ** 2)

    targets = exported.targets[:1] if exported.targets is not None else None
    assert_first_step(
        exported.model,
        exported.graph,
        list(exported.neurons),
        sample,
        label,
        loss=loss,
        start=start,
        targets=targets,
    )


@needs_tflm
def test_the_export_holds_this_graph(exported: Exported) -> None:
    """Inputs beside the label only for targets that are given; inference stays as it was."""
    flat = FlatModel(exported.training)
    names = [flat.name(i) for i in flat.inputs[1:]]
    assert names == ["tfodl/label", *(["tfodl/target"] if exported.loss is Loss.MSE else [])]
    with (
        TrainingInterpreter(exported.training) as board,
        TrainingInterpreter(exported.model) as plain,
    ):
        np.testing.assert_array_equal(board.infer(exported.samples), plain.infer(exported.samples))


def test_sigmoids_are_recognized(tmp_path: Path) -> None:
    export = Export(binary(), tmp_path / "export", test=(np.zeros((2, 6, 5, 2)), np.zeros(2, int)))
    assert export.report.export["loss"] == "binary-cross-entropy"
    accuracy = export.report.export["accuracy"]
    assert accuracy["float"] in (0, 1) and accuracy["int8"] in (0, 1)


@pytest.mark.parametrize(
    ("loss", "model", "message"),
    [
        (Loss.BINARY, regression, "binary cross-entropy needs one output"),
        (Loss.RECONSTRUCTION, regression, "an output as large as the input"),
        (Loss.CROSS_ENTROPY, binary, "ends in a sigmoid"),
    ],
)
def test_outputs_that_do_not_suit_the_loss(
    loss: Loss, model: Callable[[], keras.Model], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        Export(model(), tmp_path / "export", loss=loss)


@needs_tflm
def test_labels_and_targets_are_checked(exported: Exported) -> None:
    samples, labels = exported.samples[:2], exported.labels[:2]
    with TrainingInterpreter(exported.graph()) as interpreter:
        if exported.loss is Loss.MSE:
            for wrong in (None, np.zeros((2, 4)), np.zeros((1, 3))):
                with pytest.raises(UserError, match="expected targets of shape"):
                    interpreter.train(samples, labels, targets=wrong)
            bad = np.full((2, 3), np.inf, np.float32)
            before = interpreter.variables()
            interpreter.train(samples, labels, targets=bad)
            assert interpreter.state().non_finite == 2
            for now, old in zip(interpreter.variables(), before, strict=True):
                np.testing.assert_array_equal(now, old)
            return
        with pytest.raises(UserError, match="no targets"):
            interpreter.train(samples, labels, targets=np.zeros((2, 3)))
        if exported.loss is Loss.BINARY:
            with pytest.raises(UserError, match="not one of the model's 2 classes"):
                interpreter.train(samples, [0, 2])


@needs_tflm
def test_they_learn(tmp_path: Path) -> None:
    """Toys with a known answer, learned in int8: the loss falls to a fraction."""
    random = np.random.default_rng(8)
    for loss, rate in ((Loss.BINARY, 0.02), (Loss.MSE, 0.02), (Loss.RECONSTRUCTION, 0.05)):
        keras.utils.set_random_seed(1)
        model = CASES[loss]()
        shape = model.input_shape[1:]
        x = random.normal(size=(200, *shape)).astype(np.float32)
        targets = None
        labels = np.zeros(200, int)
        if loss is Loss.BINARY:
            pattern = random.normal(size=shape)
            labels = random.integers(0, 2, 200)
            x += (pattern * (2 * labels - 1).reshape(-1, 1, 1, 1)).astype(np.float32)
        elif loss is Loss.MSE:
            targets = np.tanh(x @ random.normal(0, 0.5, (7, 3))).astype(np.float32)
        else:
            x = (random.normal(size=(200, 2)) @ random.normal(size=(2, 12))).astype(np.float32)
        settings = {"calibration_x": x, "loss": loss, "learning_rate": rate}
        export = Export(model, tmp_path / loss.value, **settings)
        codes = export.codes(x)
        with TrainingInterpreter(export.training) as board:
            if loss is Loss.BINARY:  # what an untrained model says is not to be right by chance
                said = board.infer(codes).ravel() >= 0
                labels = labels if (said == labels).mean() < 0.5 else 1 - labels
            passes = [board.train(codes, labels, targets=targets)[1][:, 0] for _ in range(15)]
        assert passes[-1].mean() < 0.5 * passes[0][:10].mean(), loss
