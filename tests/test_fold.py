"""The folded model is the same function without batch normalization."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from converter_models import MODELS, make, samples
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_odl.converters.fold import fold
from tf_odl.errors import UserError
from tf_odl.trainer.instrument import find_sites

L = keras.layers


def assert_same_function(model: keras.Model) -> None:
    folded = fold(model)
    x = samples(model, 16)
    expected = model.predict(x, verbose=0)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(folded.model.predict(x, verbose=0), expected, atol=1e-5 * scale)
    kinds = {type(layer).__name__ for layer in folded.model.layers}
    assert not kinds & {"BatchNormalization", "Dropout", "SeparableConv2D", "Conv1D", "Sequential"}
    assert list(folded.sites) == [site.layer.name for site in find_sites(model)]


@pytest.mark.parametrize("name", MODELS)
def test_the_function_stays_the_same(name):
    assert_same_function(make(name, seed=3))


@settings(max_examples=12, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 2),
    padding=st.sampled_from(["same", "valid"]),
    bias=st.booleans(),
    kind=st.sampled_from(["conv", "depthwise", "separable"]),
    activation=st.sampled_from([None, "relu", "relu6"]),
    normalize=st.sampled_from(["after", "before", "never"]),
    pad=st.integers(0, 2),
)
def test_any_convolution_with_anything_around_it(
    kernel, stride, padding, bias, kind, activation, normalize, pad
):
    common = {"strides": stride, "padding": padding, "use_bias": bias}
    convolution = {
        "conv": lambda: L.Conv2D(4, kernel, **common),
        "depthwise": lambda: L.DepthwiseConv2D(kernel, depth_multiplier=2, **common),
        "separable": lambda: L.SeparableConv2D(4, kernel, depth_multiplier=2, **common),
    }[kind]
    layers = [keras.Input((7, 6, 3))]
    layers += [L.BatchNormalization()] if normalize == "before" else []
    layers += [L.ZeroPadding2D(pad)] if pad else []
    layers += [convolution()]
    layers += [L.BatchNormalization()] if normalize == "after" else []
    layers += [L.Activation(activation)] if activation else []
    model = keras.Sequential([*layers, L.GlobalAveragePooling2D(), L.Dense(3)])
    rng = np.random.default_rng(0)
    for variable in model.weights:
        values = rng.normal(0, 0.5, variable.shape)
        variable.assign(np.exp(values) if "variance" in variable.path else values)
    assert_same_function(model)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: L.Conv1D(4, 3, padding="causal", name="slow"), "'slow' has causal padding"),
        (lambda: L.Conv1D(3, 3, groups=3, name="split"), "'split' is a grouped convolution"),
        (lambda: L.GRU(4, return_sequences=True, name="cell"), r"'cell' \(GRU\)"),
    ],
)
def test_layers_that_cannot_be_exported_are_named(layer, message):
    model = keras.Sequential([keras.Input((8, 3)), layer(), L.Flatten(), L.Dense(2)])
    with pytest.raises(UserError, match=message):
        fold(model)


def test_the_original_is_not_touched():
    model = make("cnn")
    before = [w.copy() for w in model.get_weights()]
    fold(model).model.set_weights([0 * w for w in fold(model).model.get_weights()])
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
