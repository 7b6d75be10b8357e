"""The same int8 numbers in tflite-runtime, in TFLM, before and after training; and in Keras."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from converter_models import MODELS, Export, make, samples
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_odl.converters.fold import fold
from tf_odl.converters.layers import KERNEL, kernel_to_op
from tf_odl.converters.quantize import quantize
from tf_odl.converters.reference import infer
from tf_odl.converters.write_back import variable_tensors, with_variables, write_back
from tf_odl.errors import UserError
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

L = keras.layers
pytestmark = pytest.mark.skipif(available() is not None, reason=str(available()))


class Board:
    """An export in TFLM, whose process is started once."""

    def __init__(self, name: str, folder: Path) -> None:
        self.export = Export(make(name), folder)
        self.tflm = TrainingInterpreter(self.export.training)
        self.x = samples(self.export.model, 30, seed=9)
        self.codes = self.export.codes(self.x)

    def variables(self, seed: int) -> list[np.ndarray]:
        """The learned values of nobody: random weights, and biases moved by a fifth."""
        rng = np.random.default_rng(seed)
        self.tflm.reset()
        values = []
        for value in self.tflm.variables():
            if value.dtype == np.int8:
                values.append(rng.integers(-127, 128, value.shape).astype(np.int8))
            else:
                spread = 1 + np.abs(value).max() // 5
                values.append(value + rng.integers(-spread, spread, value.shape, np.int32))
        return values


@pytest.fixture(scope="module", params=MODELS)
def board(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    board = Board(request.param, tmp_path_factory.mktemp("parity") / "export")
    with board.tflm:
        yield board


# -- the same bits --------------------------------------------------------------------------


def any_codes(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Codes a calibration never produces: noise over all of int8, and both of its ends."""
    noise = rng.integers(-128, 128, (6, *shape)).astype(np.int8)
    ends = rng.choice(np.array([-128, 127], np.int8), (2, *shape))
    return np.concatenate([noise, ends, np.full((1, *shape), -128, np.int8)])


@settings(max_examples=10, deadline=None)
@given(
    kind=st.sampled_from(["conv", "depthwise", "separable"]),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    stride=st.integers(1, 3),
    padding=st.sampled_from(["same", "valid"]),
    activation=st.sampled_from([None, "relu", "relu6"]),
    pool=st.sampled_from([L.MaxPooling2D, L.AveragePooling2D, None]),
    pool_padding=st.sampled_from(["same", "valid"]),
    mean=st.booleans(),
    softmax=st.booleans(),
    seed=st.integers(0, 99),
)
def test_random_models_give_the_same_bits_in_tflite_and_tflm(
    kind: str,
    kernel: tuple[int, int],
    stride: int,
    padding: str,
    activation: str | None,
    pool: type | None,
    pool_padding: str,
    mean: bool,
    softmax: bool,
    seed: int,
) -> None:
    keras.utils.set_random_seed(seed)
    common = {"strides": stride, "padding": padding, "activation": activation}
    convolution = {
        "conv": lambda: L.Conv2D(5, kernel, **common),
        "depthwise": lambda: L.DepthwiseConv2D(kernel, depth_multiplier=2, **common),
        "separable": lambda: L.SeparableConv2D(5, kernel, **common),
    }[kind]()
    pools = [] if pool is None else [pool(2, strides=1, padding=pool_padding)]
    end = L.GlobalAveragePooling2D() if mean else L.Flatten()
    last = L.Dense(4, activation="softmax" if softmax else None)
    layers = [keras.Input((9, 11, 3)), convolution, *pools, end, last]
    model = keras.Sequential(layers)
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(0, 0.4, w.shape) for w in model.get_weights()])
    int8 = quantize(fold(model).model, samples(model, 20))
    codes = any_codes((9, 11, 3), rng)
    with TrainingInterpreter(int8) as tflm:
        np.testing.assert_array_equal(tflm.infer(codes), infer(int8, codes))


def test_training_graph_infers_like_the_plain_model_on_any_codes(board: Board) -> None:
    board.tflm.reset()
    codes = any_codes(board.export.model.input_shape[1:], np.random.default_rng(3))
    expected = infer(board.export.int8, codes)
    assert len(np.unique(expected)) > 4, "constant outputs would prove nothing"
    np.testing.assert_array_equal(board.tflm.infer(codes), expected)
    reported, reports = board.tflm.train(codes, np.full(len(codes), -1))
    np.testing.assert_array_equal(reported, expected)
    np.testing.assert_array_equal(reports[:, :4], np.tile([-1, 0, 0, 0], (len(codes), 1)))
    assert board.tflm.state().samples == 0


def test_inference_between_training_steps_changes_nothing(board: Board) -> None:
    labels = np.arange(30) % 4
    board.tflm.reset()
    board.tflm.train(board.codes, labels)
    straight = board.tflm.variables()
    board.tflm.reset()
    for start in range(0, 30, 5):
        part = slice(start, start + 5)
        board.tflm.train(board.codes[part], labels[part])
        board.tflm.infer(board.codes[:3])
    for one, other in zip(straight, board.tflm.variables(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_any_variables_mean_the_same_in_both_runtimes(board: Board) -> None:
    """Not only learned ones: random weights, so that a swapped axis or channel shows."""
    for seed in range(2):
        variables = board.variables(seed)
        board.tflm.set_variables(variables)
        plain = with_variables(board.export.int8, board.export.training, variables)
        actual = infer(plain, board.codes)
        np.testing.assert_array_equal(board.tflm.infer(board.codes), actual)
        assert (actual != infer(board.export.int8, board.codes)).any()


def test_trained_variables_mean_the_same_in_both_runtimes(board: Board) -> None:
    board.tflm.reset()
    before = board.tflm.variables()
    board.tflm.set_learning_rate(0.05)
    board.tflm.train(board.codes, np.arange(30) % 4)
    learned = board.tflm.variables()
    assert all((a != b).any() for a, b in zip(before, learned, strict=True))
    plain = with_variables(board.export.int8, board.export.training, learned)
    np.testing.assert_array_equal(board.tflm.infer(board.codes), infer(plain, board.codes))
    # Nothing else of the file has changed: putting the old values back gives the old model.
    again = with_variables(plain, board.export.training, before)
    np.testing.assert_array_equal(infer(again, board.codes), infer(board.export.int8, board.codes))


# -- back in Keras --------------------------------------------------------------------------


def test_written_back_weights_are_codes_times_scales(board: Board) -> None:
    """By hand: the layer of each variable, its layout, its scale per channel."""
    graph = board.export.graph
    variables = board.variables(seed=5)
    folded = keras.models.load_model(board.export.folder / "model_folded.keras")
    before = [w.copy() for w in folded.get_weights()]
    written = write_back(folded, board.export.training, variables)
    seen = 0
    for tensor, codes in zip(variable_tensors(graph), variables, strict=True):
        site, part = graph.name(tensor).rsplit("/", 1)
        layer = written.get_layer(site.replace("/", "_"))
        scales = graph.scales(tensor)
        if part == KERNEL and isinstance(layer, L.DepthwiseConv2D):
            expected = (codes * scales).reshape(layer.kernel.shape)
        elif part == KERNEL:
            axes = (*range(1, codes.ndim), 0)
            expected = np.transpose(codes, axes) * scales
        else:
            expected = codes * scales
        actual = layer.kernel if part == KERNEL else layer.bias
        np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-6, atol=1e-12)
        seen += 1
    assert seen == 2 * len(board.export.report.export["layers"])
    for now, old in zip(folded.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, old)


def test_unlearned_weights_go_back_to_where_they_came_from(board: Board) -> None:
    """The round trip costs half a step of the int8 weights, and no more."""
    board.tflm.reset()
    folded = keras.models.load_model(board.export.folder / "model_folded.keras")
    written = write_back(folded, board.export.training, board.tflm.variables())
    graph = board.export.graph
    for tensor in variable_tensors(graph):
        site, part = graph.name(tensor).rsplit("/", 1)
        old, new = (m.get_layer(site.replace("/", "_")) for m in (folded, written))
        if part == KERNEL:
            axis = 3 if isinstance(old, L.DepthwiseConv2D) else 0
            other = tuple(i for i in range(len(graph.shape(tensor))) if i != axis)
            error = np.abs(kernel_to_op(old) - kernel_to_op(new)).max(axis=other)
            assert (error <= 0.5001 * graph.scales(tensor)).all()
        else:
            error = np.abs(old.bias.numpy() - new.bias.numpy())
            # The converter rounded to its steps, the export rounded again to wider ones.
            assert (error <= 1.01 * graph.scales(tensor)).all()


def test_the_float_model_agrees_with_int8_after_training(board: Board) -> None:
    """Softmax or logits: within a few int8 steps where the output does not saturate."""
    board.tflm.reset()
    board.tflm.train(board.codes, np.arange(30) % 4)
    folded = keras.models.load_model(board.export.folder / "model_folded.keras")
    written = write_back(folded, board.export.training, board.tflm.variables())
    outputs = board.tflm.infer(board.codes)
    inside = (outputs > -128) & (outputs < 127)
    assert inside.mean() > 0.5
    step = board.export.report.export["output"]["scale"]
    steps = np.abs(board.export.real(outputs) - written.predict(board.x, verbose=0)) / step
    assert np.median(steps[inside]) <= 4
    assert steps[inside].max() <= 30
    untrained = np.abs(board.export.real(outputs) - folded.predict(board.x, verbose=0)) / step
    assert steps[inside].mean() < untrained[inside].mean(), "write_back made no difference"


# -- what does not belong together ----------------------------------------------------------


def named_mlp(seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((12,)), L.Dense(9, activation="relu", name="hidden")]
    return keras.Sequential([*layers, L.Dense(4, name="out")])


def zeros(export: Export) -> list[np.ndarray]:
    graph = export.graph
    return [np.zeros(graph.shape(t), graph.dtype(t)) for t in variable_tensors(graph)]


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> Export:
    return Export(named_mlp(1), tmp_path_factory.mktemp("parity") / "export")


def test_variables_of_another_form_are_refused(mlp: Export) -> None:
    values, folded = zeros(mlp), fold(mlp.model).model
    for wrong in (values[:-1], values[::-1], [v.astype(np.float32) for v in values], []):
        with pytest.raises(UserError, match="do not fit this model"):
            with_variables(mlp.int8, mlp.training, wrong)
        with pytest.raises(UserError, match="do not fit this model"):
            write_back(folded, mlp.training, wrong)
    with pytest.raises(UserError, match="no training ops"):
        with_variables(mlp.int8, mlp.int8, values)
    with pytest.raises(UserError, match="no training ops"):
        write_back(folded, mlp.int8, values)


def test_a_plain_model_of_another_export_is_refused(mlp: Export, tmp_path: Path) -> None:
    cnn = Export(make("cnn"), tmp_path / "cnn")
    with pytest.raises(UserError, match="no tensor"):
        with_variables(mlp.int8, cnn.training, zeros(cnn))
    # The same names and shapes, but other scales: the codes would mean other weights.
    again = Export(named_mlp(2), tmp_path / "again")
    with pytest.raises(UserError, match="' has other scales"):
        with_variables(mlp.int8, again.training, zeros(again))


def test_another_keras_model_is_refused(mlp: Export) -> None:
    other = keras.Sequential([keras.Input((12,)), L.Dense(4, name="else")])
    with pytest.raises(UserError, match="no layer 'out'"):
        write_back(other, mlp.training, zeros(mlp))
    layers = [keras.Input((12,)), L.Dense(8, name="hidden"), L.Dense(4, name="out")]
    with pytest.raises(UserError, match="'out' of the Keras model has another kernel"):
        write_back(keras.Sequential(layers), mlp.training, zeros(mlp))
