"""Calibration, quantization-aware training, and where an int8 model differs from the float one."""

import os
import sys
from importlib.util import find_spec

import keras
import numpy as np
import pytest
from build_graph import every_neuron
from converter_models import MODELS
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_odl.converters import reference
from tf_odl.converters.calibration import FACTORS, mse_factor, percentile_factor, range_factors
from tf_odl.converters.export import AwareTraining, export
from tf_odl.converters.flatbuffer import DTYPES, FlatModel
from tf_odl.converters.fold import fold
from tf_odl.converters.int8_model import Room, int8_model
from tf_odl.converters.legacy_keras import legacy_keras, to_legacy
from tf_odl.converters.qat import train_aware
from tf_odl.converters.quantization_noise import noisiest, signal_to_noise
from tf_odl.converters.quantize import quantize
from tf_odl.converters.targets import get_target
from tf_odl.data import load
from tf_odl.errors import UserError
from tf_odl.methods import get_method

METHOD = get_method("tinypropv2")


def exported(model, x, folder, **settings):
    return export(
        model,
        x,
        target=get_target("nano33"),
        out_dir=folder,
        sparsifier=METHOD.sparsifier,
        skip_rule=METHOD.skip,
        **settings,
    )


# -- calibration ----------------------------------------------------------------------------


def quantized(values, scale, zero_point):
    return np.clip(np.round(values / scale) + zero_point, -128, 127)


def histogram_of(values, scale, zero_point):
    codes = quantized(values, scale, zero_point).astype(int)
    return np.bincount(codes + 128, minlength=256)


def squared_error(values, scale, zero_point):
    codes = quantized(values, scale, zero_point)
    return np.square((codes - zero_point) * scale - values).mean()


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([-128, -100, -20, 0, 60, 127]),
    st.floats(1, 10),
    st.sampled_from(["normal", "laplace", "uniform"]),
)
@settings(max_examples=100, deadline=None)
def test_mse_finds_nearly_the_best_range(seed, zero_point, outlier, shape):
    """Against all ranges tried on the real values, not on their histogram."""
    rng = np.random.default_rng(seed)
    values = getattr(rng, shape)(size=4000) if shape != "uniform" else rng.uniform(-1, 1, 4000)
    values[0] = outlier * np.abs(values).max()
    if zero_point == -128:
        values = np.abs(values)
    elif zero_point == 127:
        values = -np.abs(values)
    scale = max(
        values.max() / (127 - zero_point) if zero_point < 127 else 0,
        -values.min() / (128 + zero_point) if zero_point > -128 else 0,
    )
    factor = mse_factor(histogram_of(values, scale, zero_point), zero_point)
    errors = {f: squared_error(values, scale * f, zero_point) for f in np.arange(1, 101) / 100}
    # The values of a bin are only known to within it: a tenth of what min-max costs at most.
    assert errors[factor] <= min(errors.values()) * 1.25 + 0.02 * errors[1.0]


def test_percentile_by_hand():
    histogram = np.zeros(256, int)
    histogram[128 + 10] = 99_950  # code 10
    histogram[128 + 127] = 50  # one in two thousand
    assert percentile_factor(histogram, 0) == pytest.approx(10 / 127)
    histogram[128 + 127] = 500
    assert percentile_factor(histogram, 0) == 1
    histogram[128 + 127] = 0
    histogram[128 - 64] = 500
    assert percentile_factor(histogram, 0) == pytest.approx(64 / 128)


@pytest.mark.parametrize("factor", [percentile_factor, mse_factor])
@pytest.mark.parametrize("zero_point", [-128, 0, 127])
def test_a_silent_activation_keeps_a_range(factor, zero_point):
    histogram = np.zeros(256, int)
    histogram[128 + zero_point] = 1000
    assert 0 < factor(histogram, zero_point) <= 1


def outlier_model():
    rng = np.random.default_rng(0)
    inputs = keras.Input((16,))
    x = keras.layers.Dense(24, activation="relu", name="hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(4, name="head")(x))
    x = rng.normal(size=(3000, 16)).astype(np.float32)
    kernel, bias = model.get_layer("hidden").get_weights()
    kernel[:, 0] = rng.choice([-1, 1], 16)
    x[7] = 3 * kernel[:, 0]  # drives a single neuron far beyond what it usually reaches
    model.get_layer("hidden").set_weights([kernel, bias])
    return model, x


def test_an_outlier_does_not_make_all_steps_coarse(tmp_path):
    model, x = outlier_model()
    usual = np.delete(x, 7, axis=0)
    ratios = {}
    for name in ("min-max", "percentile"):
        report = exported(model, x, tmp_path / name, calibration=name)
        int8 = (report.folder / "model.tflite").read_bytes()
        ratios[name] = signal_to_noise(fold(model), int8, usual)["head"]
        assert report.export["calibration"] == name
    assert ratios["percentile"] > ratios["min-max"] + 3


def test_min_max_changes_nothing():
    model, x = outlier_model()
    assert range_factors(quantize(fold(model).model, x), x, "min-max") == {}
    with pytest.raises(UserError, match="known are min-max, percentile, mse"):
        exported(model, x, "nowhere", calibration="entropy")
    assert list(FACTORS) == ["min-max", "percentile", "mse"]


# -- where int8 differs ---------------------------------------------------------------------


def test_watched_activations_are_the_layers():
    model, x = outlier_model()
    folded = fold(model)
    data = quantize(folded.model, x)
    flat = FlatModel(data)
    tensors = [int(op.outputs[0]) for op in flat.operators]
    samples = reference.quantize_input(data, x)
    chunks = list(reference.watch(data, samples, tensors))
    assert sum(len(chunk[0]) for chunk in chunks) == len(x)
    np.testing.assert_array_equal(
        np.concatenate([chunk[-1] for chunk in chunks]), reference.infer(data, samples)
    )
    hidden = np.maximum(x @ model.layers[1].kernel.numpy() + model.layers[1].bias.numpy(), 0)
    codes = np.concatenate([chunk[0] for chunk in chunks]).astype(float)
    step = flat.scales(tensors[0])[0]
    assert np.abs((codes - flat.zero_point(tensors[0])) * step - hidden).max() < 4 * step


def test_signal_to_noise_by_hand(tmp_path):
    model, x = outlier_model()
    report = exported(model, x, tmp_path / "e")
    data = (report.folder / "model.tflite").read_bytes()
    flat = FlatModel(data)
    y = flat.outputs[0]
    codes = reference.infer(data, reference.quantize_input(data, x[:32])).astype(np.float64)
    wanted = model.predict(x[:32], verbose=0).astype(np.float64)
    noise = wanted - (codes - flat.zero_point(y)) * float(flat.scales(y)[0])
    by_hand = 10 * np.log10((wanted**2).sum() / (noise**2).sum())
    ratios = report.export["signal_to_noise_db"]
    assert ratios["head"] == pytest.approx(by_hand, abs=0.01)
    assert set(ratios) == {"hidden", "head"}
    assert [name for name, _ in noisiest({"a": 30.0, "b": 10.0, "c": 20.0}, 2)] == ["b", "c"]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "tanh", "relu"])
def test_the_noise_of_an_activation_is_not_that_of_its_layer(tmp_path, activation):
    """The same weights without the activation at the end have the same noise."""
    ratios = {}
    for end in (None, activation):
        keras.utils.set_random_seed(3)
        layers = [keras.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(4, end)]
        x = np.random.default_rng(0).normal(0, 2, (64, 6)).astype(np.float32)
        folded = fold(keras.Sequential(layers))
        data = int8_model(folded, x, every_neuron(folded.neurons), Room(1.5, 1.25, "min-max"), None)
        ratios[end] = list(signal_to_noise(folded, data, x).values())
    assert ratios[activation][0] == pytest.approx(ratios[None][0])
    # A ReLU is part of its layer's op: less signal, less noise.
    assert ratios[activation][1] == pytest.approx(ratios[None][1], abs=3)


# -- quantization-aware training ------------------------------------------------------------

needs_qat = pytest.mark.skipif(
    find_spec("tensorflow_model_optimization") is None, reason="needs the extra qat"
)


@needs_qat
@pytest.mark.parametrize("name", MODELS)
def test_the_same_model_in_tf_keras(name):
    folded = fold(MODELS[name]())
    x = np.random.default_rng(0).normal(size=(5, *folded.model.input_shape[1:]))
    with legacy_keras():
        legacy = to_legacy(folded.model)
        outputs = legacy.predict(x, verbose=0)
    np.testing.assert_allclose(outputs, folded.model.predict(x, verbose=0), atol=2e-5, rtol=1e-4)


def nested_one_dimensional():
    """Conv1D, batch normalization and a model inside the model."""
    layers = keras.layers
    inner = keras.Sequential(
        [
            keras.Input((16, 8)),
            layers.Conv1D(8, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling1D(2),
        ],
        name="inner",
    )
    inputs = keras.Input((64,))
    x = layers.Reshape((16, 4))(inputs)
    x = layers.Conv1D(8, 3, padding="same", activation="relu")(x)
    x = layers.Flatten()(inner(x))
    return keras.Model(inputs, layers.Dense(10)(x))


@pytest.fixture(scope="module")
def digits():
    data = load("digits")
    flat = [x.reshape(len(x), -1)[:, :64] for x in (data.x_train, data.x_test)]
    return flat[0], data.y_train, flat[1], data.y_test


@pytest.fixture(scope="module")
def trained(digits):
    keras.utils.set_random_seed(0)
    model = nested_one_dimensional()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(digits[0], digits[1], epochs=15, verbose=0)
    return model


@needs_qat
def test_aware_training_of_a_keras_3_model(trained, digits, tmp_path):
    x, y, x_test, y_test = digits
    before = [w.copy() for w in trained.get_weights()]
    report = exported(
        trained, x[:200], tmp_path / "e", aware=AwareTraining(x, y, 2), test=(x_test, y_test)
    )
    for old, new in zip(before, trained.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)  # the user's model is not touched
    accuracy = report.export["accuracy"]
    assert accuracy["float"] > 0.9 and accuracy["int8"] >= accuracy["float"] - 0.01
    assert report.export["quantization_aware_epochs"] == 2
    flat = FlatModel((report.folder / "model.tflite").read_bytes())
    assert {DTYPES[t.type] for t in flat.tensors} == {np.int8, np.int32}
    assert os.environ.get("TF_USE_LEGACY_KERAS") is None


@needs_qat
def test_aware_training_behind_relu6(digits):
    """Mobile networks: convolutions, depthwise ones and sums whose outputs end at 6."""
    layers = keras.layers
    keras.utils.set_random_seed(0)
    inputs = keras.Input((64,))
    x = layers.Reshape((8, 8, 1))(inputs)
    x = layers.ReLU(6)(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(x)))
    y = layers.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    y = layers.ReLU(6)(layers.Add()([x, layers.Conv2D(8, 1)(y)]))
    model = keras.Model(inputs, layers.Dense(10)(layers.Flatten()(y)))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(digits[0], digits[1], epochs=6, verbose=0)
    folded = fold(model).model
    before = folded.predict(digits[2], verbose=0)
    train_aware(folded, digits[0], digits[1], epochs=1)
    after = folded.predict(digits[2], verbose=0)
    right = [(outputs.argmax(1) == digits[3]).mean() for outputs in (before, after)]
    assert not np.array_equal(before, after) and right[1] >= right[0] - 0.01 > 0.8


@needs_qat
def test_aware_training_trains_for_coarse_weights(digits):
    """A single huge weight leaves the other weights of a Dense layer a few steps only. Training
    that knows it wins back what the rounding costs."""
    x, y, x_test, y_test = digits
    keras.utils.set_random_seed(1)
    layers = [keras.Input((64,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(10)]
    model = keras.Sequential(layers)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, epochs=15, verbose=0)
    kernel, bias = model.layers[0].get_weights()
    dark = int(np.argmin(np.abs(x).sum(axis=0)))  # a pixel that is nearly always 0
    kernel[dark, 0] = 100.0
    model.layers[0].set_weights([kernel, bias])
    folded = fold(model)

    def accuracy():
        data = quantize(folded.model, x[:200])
        codes = reference.infer(data, reference.quantize_input(data, x_test))
        return (codes.argmax(1) == y_test).mean()

    before = accuracy()
    train_aware(folded.model, x, y, epochs=5, learning_rate=1e-3)
    assert accuracy() > before + 0.02


@needs_qat
def test_a_layer_that_cannot_be_trained_so_is_named(digits):
    inputs = keras.Input((64,))
    x = keras.layers.Dense(10)(inputs)
    model = keras.Model(inputs, keras.layers.Activation("mish")(x))
    with pytest.raises(UserError, match="--quantize ptq"):
        train_aware(fold(model).model, digits[0], digits[1], epochs=1)
    with pytest.raises(UserError, match="at least 1 epoch"):
        train_aware(fold(model).model, digits[0], digits[1], epochs=0)


def test_missing_packages_are_named(monkeypatch, digits):
    monkeypatch.setitem(sys.modules, "tensorflow_model_optimization", None)
    inputs = keras.Input((64,))
    model = keras.Model(inputs, keras.layers.Dense(10)(inputs))
    with pytest.raises(UserError, match=r"pip install 'tf-odl\[qat\]'"):
        train_aware(fold(model).model, digits[0], digits[1], epochs=1)
