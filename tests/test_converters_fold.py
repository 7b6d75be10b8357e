"""Folding keeps the function: random stacks of layers, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from converter_models import samples
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tf_odl.converters.fold import fold
from tf_odl.converters.trainable import allowed_masks, trains
from tf_odl.errors import UserError

L = keras.layers


def scramble(model: keras.Model, seed: int) -> keras.Model:
    """Random weights and statistics; scales of both signs and around 1."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        values = rng.normal(0, 0.5, variable.shape)
        if "variance" in variable.path:
            values = np.exp(2 * values)
        elif "gamma" in variable.path:
            values = np.exp(values) * rng.choice([-1, 1], variable.shape)
        variable.assign(values)
    return model


def says_something(model: keras.Model) -> bool:
    """Whether the outputs depend on the input; dead ReLUs may prevent it."""
    return bool(np.ptp(model.predict(samples(model, 8), verbose=0), axis=0).max() > 0)


def assert_same_outputs(model: keras.Model, folded: keras.Model) -> None:
    """Equal to 1e-4 of the largest output."""
    x = samples(model, 8)
    expected = model.predict(x, verbose=0)
    assert says_something(model), "constant outputs would prove nothing"
    actual = folded.predict(x, verbose=0)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def of_kind(model: keras.Model, kind: Any) -> list[str]:
    return [layer.name for layer in model.layers if isinstance(layer, kind)]


# -- the same function ----------------------------------------------------------------------

Block = dict[str, Any]
BLOCKS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["conv", "depthwise", "separable", "dense"]),
        "kernel": st.integers(1, 3),
        "strides": st.integers(1, 2),
        "padding": st.sampled_from(["same", "valid"]),
        "use_bias": st.booleans(),
        "activation": st.sampled_from(["linear", "linear", "relu", "tanh"]),
        "normalize": st.booleans(),
        "after": st.sampled_from([None, "relu", "relu6", "elu"]),
        "nested": st.booleans(),
    }
)


def layers_of(block: Block, rank: int) -> list[keras.layers.Layer]:
    common = {"use_bias": block["use_bias"], "activation": block["activation"]}
    window = {
        "kernel_size": block["kernel"],
        "strides": block["strides"],
        "padding": block["padding"],
    }
    conv, depthwise, separable = (
        (L.Conv1D, L.DepthwiseConv1D, L.SeparableConv1D)
        if rank == 1
        else (L.Conv2D, L.DepthwiseConv2D, L.SeparableConv2D)
    )
    weighted = {
        "conv": lambda: conv(3, **window, **common),
        "depthwise": lambda: depthwise(depth_multiplier=2, **window, **common),
        "separable": lambda: separable(4, depth_multiplier=2, **window, **common),
        "dense": lambda: L.Dense(4, **common),
    }[block["kind"]]()
    layers = [weighted]
    if block["normalize"]:
        layers.append(L.BatchNormalization(scale=block["use_bias"]))
    if block["after"]:
        layers.append(L.Activation(block["after"]))
    return [keras.Sequential(layers)] if block["nested"] else layers


@settings(max_examples=25, deadline=None)
@given(
    rank=st.integers(1, 2),
    blocks=st.lists(BLOCKS, min_size=1, max_size=3),
    end=st.sampled_from(["flatten", "mean", "maximum"]),
    seed=st.integers(0, 1000),
)
def test_random_stacks_of_layers(rank: int, blocks: list[Block], end: str, seed: int) -> None:
    ends = {
        "flatten": [L.Flatten, L.Flatten],
        "mean": [L.GlobalAveragePooling1D, L.GlobalAveragePooling2D],
        "maximum": [L.GlobalMaxPooling1D, L.GlobalMaxPooling2D],
    }
    shape = (13, 2) if rank == 1 else (13, 12, 2)
    middle = [layer for block in blocks for layer in layers_of(block, rank)]
    model = keras.Sequential([keras.Input(shape), *middle, ends[end][rank - 1](), L.Dense(3)])
    scramble(model, seed)
    assume(says_something(model))
    before = [w.copy() for w in model.get_weights()]
    folded = fold(model)
    assert_same_outputs(model, folded.model)
    assert not of_kind(folded.model, L.BatchNormalization)
    halves = [2 if block["kind"] == "separable" else 1 for block in blocks]
    assert len(folded.sites) == sum(halves) + 1
    for name in folded.sites.values():
        assert folded.model.get_layer(name).use_bias, "training ops update a bias"
    for now, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, old)


@settings(max_examples=10, deadline=None)
@given(
    width=st.integers(1, 6),
    bias=st.booleans(),
    center=st.booleans(),
    scale=st.booleans(),
    epsilon=st.sampled_from([1e-5, 1e-3, 0.1]),
    relu=st.booleans(),
)
def test_a_normalized_dense_layer_is_one_layer_with_the_weights_of_the_formula(
    width: int, bias: bool, center: bool, scale: bool, epsilon: float, relu: bool
) -> None:
    """gamma (W x + b - mean) / sqrt(variance + epsilon) + beta, written out."""
    normalization = L.BatchNormalization(center=center, scale=scale, epsilon=epsilon)
    dense = L.Dense(width, use_bias=bias, name="dense")
    after = [L.ReLU()] if relu else []
    model = scramble(keras.Sequential([keras.Input((5,)), dense, normalization, *after]), width)
    folded = fold(model).model
    assert [type(layer) for layer in folded.layers] == [L.InputLayer, L.Dense]
    kernel, shift = (w.numpy().astype(float) for w in folded.layers[1].weights)
    mean, variance = (
        w.numpy().astype(float) for w in (normalization.moving_mean, normalization.moving_variance)
    )
    factor = 1 / np.sqrt(variance + epsilon)
    if scale:
        factor *= normalization.gamma.numpy()
    expected = -mean * factor
    if bias:
        expected += dense.bias.numpy() * factor
    if center:
        expected += normalization.beta.numpy()
    np.testing.assert_allclose(kernel, dense.kernel.numpy() * factor, rtol=1e-6)
    np.testing.assert_allclose(shift, expected, rtol=1e-5, atol=1e-6)
    assert folded.layers[1].activation is (
        keras.activations.relu if relu else keras.activations.linear
    )


@pytest.mark.parametrize(
    ("layer", "activation"),
    [
        (lambda: L.Activation("relu"), "relu"),
        (lambda: L.ReLU(), "relu"),
        (lambda: L.ReLU(6), "relu6"),
        (lambda: L.ReLU(5), None),
        (lambda: L.ReLU(threshold=0.3), None),
        (lambda: L.ReLU(negative_slope=0.1), None),
        (lambda: L.LeakyReLU(), None),
        (lambda: L.Activation("sigmoid"), None),
    ],
)
def test_only_true_relus_become_the_activation_of_the_layer_before(
    layer: Callable[[], Any], activation: str | None
) -> None:
    model = scramble(keras.Sequential([keras.Input((6, 6, 2)), L.Conv2D(3, 3), layer()]), 1)
    folded = fold(model).model
    assert_same_outputs(model, folded)
    fused = folded.get_layer(next(iter(fold(model).sites.values()))).activation
    assert fused.__name__ == (activation or "linear")
    assert len(folded.layers) == (2 if activation else 3)


def test_a_branch_keeps_the_normalization_out_of_the_layer_it_follows() -> None:
    """The other reader sees the outputs without it."""
    inputs = keras.Input((6, 6, 2))
    hidden = L.Conv2D(3, 3, name="both")(inputs)
    hidden = L.Add()([hidden, L.ReLU()(L.BatchNormalization(name="norm")(hidden))])
    outputs = L.Dense(2, name="out")(L.Flatten()(hidden))
    model = scramble(keras.Model(inputs, outputs), 5)
    folded = fold(model)
    assert_same_outputs(model, folded.model)
    assert list(folded.sites) == ["both", "out"]
    kernel = model.get_layer("both").kernel.numpy()
    np.testing.assert_array_equal(folded.model.get_layer("both").kernel.numpy(), kernel)
    assert isinstance(folded.model.get_layer("norm"), L.DepthwiseConv2D)


@pytest.mark.parametrize("shape", [(6,), (5, 6), (4, 5, 6)])
def test_a_normalization_of_the_input_is_a_frozen_layer(shape: tuple[int, ...]) -> None:
    layers = [keras.Input(shape), L.BatchNormalization(), L.Flatten(), L.Dense(3, name="out")]
    model = scramble(keras.Sequential(layers), 2)
    folded = fold(model)
    assert_same_outputs(model, folded.model)
    assert list(folded.sites) == ["out"]


def normalization(**config: Any) -> keras.layers.Layer:
    layer = L.Normalization(name="front", **config)
    if "mean" not in config:
        layer.adapt(np.random.default_rng(0).normal([3, -2, 0.5], [4, 0.3, 20], (200, 5, 3)))
    return layer


@pytest.mark.parametrize(
    "front",
    [
        [L.Rescaling(1 / 255, name="front")],
        [L.Rescaling([1.0, 2.0, -3.0], offset=[0.5, 0.0, 1.0], name="front")],
        [L.Rescaling(1 / 127.5, name="front"), L.Rescaling(2.0, -1.0)],
        [normalization()],
        [normalization(axis=None)],
        [normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 9.0, 0.25])],
        [normalization(mean=1.5, variance=0.25, axis=None, invert=True)],
    ],
)
def test_scaling_the_input_is_one_frozen_layer(front: list[keras.layers.Layer]) -> None:
    stack = [keras.Input((5, 3)), *front, L.Flatten(), L.Dense(3, name="out")]
    model = keras.Sequential(stack)
    folded = fold(model)
    assert_same_outputs(model, folded.model)
    assert list(folded.sites) == ["out"]
    assert of_kind(folded.model, L.DepthwiseConv2D) == ["front"]
    assert not of_kind(folded.model, (L.Rescaling, L.Normalization))


@pytest.mark.parametrize(
    "arithmetic",
    [
        lambda x: x / 127.5 - 1.0,
        lambda x: 2.0 * x + 3,
        lambda x: 1.0 - x,
        keras.applications.mobilenet_v2.preprocess_input,
    ],
)
def test_arithmetic_with_numbers_is_a_frozen_layer(arithmetic: Callable[[Any], Any]) -> None:
    given = keras.Input((5, 5, 3))
    model = keras.Model(given, L.Dense(2, name="out")(L.Flatten()(arithmetic(given))))
    folded = fold(model)
    assert_same_outputs(model, folded.model)
    assert len(of_kind(folded.model, L.DepthwiseConv2D)) == 1
    assert {type(x).__name__ for x in folded.model.operations} <= {
        "InputLayer", "DepthwiseConv2D", "Flatten", "Dense"
    }  # fmt: skip


def test_models_in_models_are_flattened() -> None:
    inner = keras.Sequential([keras.Input((4, 4, 3)), L.DepthwiseConv2D(2, name="deep")])
    middle_input = keras.Input((5, 5, 2))
    middle_output = inner(L.Conv2D(3, 2, name="conv")(middle_input))
    middle = keras.Model(middle_input, L.BatchNormalization()(middle_output))
    layers = [keras.Input((5, 5, 2)), middle, L.ReLU(), L.Flatten(), L.Dense(3, name="out")]
    model = scramble(keras.Sequential(layers), 3)
    folded = fold(model)
    assert_same_outputs(model, folded.model)
    assert folded.sites == {"conv": "conv", "deep": "deep", "out": "out"}
    assert not of_kind(folded.model, keras.Model)
    assert folded.model.get_layer("deep").activation is keras.activations.relu


def test_layers_that_are_not_trainable_are_known(tmp_path: Path) -> None:
    """Also after saving, in models within the model, and as halves of a separable convolution."""
    base = keras.Sequential([keras.Input((6, 6, 2)), L.SeparableConv2D(3, 2, name="sep")])
    base.trainable = False
    layers = [keras.Input((6, 6, 2)), base, L.Flatten(), L.Dense(4, name="hidden")]
    model = keras.Sequential([*layers, L.Dense(2, name="out")])
    model.get_layer("hidden").trainable = False
    model.save(tmp_path / "mine.keras")
    for each in (model, keras.models.load_model(tmp_path / "mine.keras")):
        folded = fold(each)
        assert folded.frozen == {"sep/depthwise", "sep/pointwise", "hidden"}
        masks = allowed_masks(folded.neurons, None, None, None, folded.frozen)
        assert [site for site, mask in masks.items() if trains(mask)] == ["out"]
        named = allowed_masks(folded.neurons, None, ["hidden"], None, folded.frozen)
        assert [site for site, mask in named.items() if trains(mask)] == ["hidden"]
    model.trainable = False
    folded = fold(model)
    masks = allowed_masks(folded.neurons, None, None, None, folded.frozen)
    assert all(trains(mask) for mask in masks.values())


def test_halves_of_a_separable_convolution_are_sites() -> None:
    layers = [keras.Input((7, 7, 2)), L.SeparableConv2D(4, 3, activation="relu", name="sep")]
    model = scramble(keras.Sequential([*layers, L.Flatten(), L.Dense(2, name="out")]), 4)
    folded = fold(model)
    assert_same_outputs(model, folded.model)
    assert folded.sites == {
        "sep/depthwise": "sep_depthwise",
        "sep/pointwise": "sep_pointwise",
        "out": "out",
    }


def test_layers_that_only_act_in_training_are_gone() -> None:
    kinds = (L.Dropout, L.GaussianNoise, L.SpatialDropout2D, L.AlphaDropout)
    layers = [keras.Input((6, 6, 2)), L.RandomFlip(), L.Conv2D(3, 3)]
    layers += [L.SpatialDropout2D(0.3), L.BatchNormalization(), L.GaussianNoise(1.0)]
    layers += [L.Flatten(), L.AlphaDropout(0.2), L.Dropout(0.5), L.Dense(2)]
    model = scramble_weights_only(keras.Sequential(layers))
    folded = fold(model).model
    assert_same_outputs(model, folded)
    assert not of_kind(folded, (*kinds, L.RandomFlip, L.BatchNormalization))


def scramble_weights_only(model: keras.Model) -> keras.Model:
    """Leaves the states of random generators alone: they are no weights."""
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.2, 1, w.shape) for w in model.get_weights()])
    return model


# -- what cannot be folded ------------------------------------------------------------------


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="mine")
        self.dense = L.Dense(2)

    def call(self, x: Any) -> Any:
        return self.dense(x)


def subclassed() -> keras.Model:
    model = Subclassed()
    model(np.zeros((1, 3), np.float32))
    return model


def unbuilt() -> keras.Model:
    return keras.Sequential([L.Dense(2)], name="later")


def two_inputs() -> keras.Model:
    a, b = keras.Input((3,)), keras.Input((3,))
    return keras.Model([a, b], L.Dense(2)(L.Add()([a, b])), name="pair")


def two_outputs() -> keras.Model:
    x = keras.Input((3,))
    return keras.Model(x, [L.Dense(2)(x), L.Dense(2)(x)], name="fork")


def open_input() -> keras.Model:
    layers = [keras.Input((None, 3)), L.Conv1D(2, 3), L.GlobalMaxPooling1D(), L.Dense(2)]
    return keras.Sequential(layers, name="endless")


def words() -> keras.Model:
    layers = [keras.Input((5,), dtype="int32"), L.Embedding(9, 3), L.Flatten(), L.Dense(2)]
    return keras.Sequential(layers, name="words")


def shared() -> keras.Model:
    x, again = keras.Input((3,)), L.Dense(3, name="twice")
    return keras.Model(x, again(again(x)))


def same_name_inside() -> keras.Model:
    inner = keras.Sequential([keras.Input((3,)), L.Dense(3, name="same")])
    return keras.Sequential([keras.Input((3,)), inner, L.Dense(2, name="same")])


def rows_normalized() -> keras.Model:
    layers = [keras.Input((4, 5, 2)), L.Conv2D(2, 1), L.BatchNormalization(axis=1, name="rows")]
    return keras.Sequential([*layers, L.Flatten(), L.Dense(2)])


def volume() -> keras.Model:
    layers = [keras.Input((2, 3, 4, 5)), L.BatchNormalization(name="deep"), L.Flatten()]
    return keras.Sequential([*layers, L.Dense(2)])


def step_by_step() -> keras.Model:
    layers = [keras.Input((4, 3)), L.TimeDistributed(L.Dense(2), name="steps"), L.Flatten()]
    return keras.Sequential([*layers, L.Dense(2)])


def clash() -> keras.Model:
    layers = [keras.Input((5, 5, 2)), L.SeparableConv2D(2, 2, name="sep"), L.Flatten()]
    return keras.Sequential([*layers, L.Dense(2, name="sep_pointwise")])


def channels_first() -> keras.Model:
    layers = [keras.Input((2, 5, 5)), L.MaxPooling2D(data_format="channels_first", name="first")]
    return keras.Sequential([*layers, L.Flatten(), L.Dense(2)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (subclassed, "'mine' is a subclassed model"),
        (unbuilt, "'later' has no weights yet"),
        (two_inputs, "'pair' has 2 inputs"),
        (two_outputs, "'fork' has 2 outputs"),
        (open_input, r"'endless' has an input of open shape \(None, 3\)"),
        (words, "'words' reads int32"),
        (shared, "'twice' is used more than once"),
        (same_name_inside, "'same' is used more than once, or two layers share the name"),
        (rows_normalized, "'rows' normalizes axis 1; only the last axis"),
        (volume, r"'deep' \(BatchNormalization\) works on 4 dimensions"),
        (step_by_step, r"'steps' \(TimeDistributed\) works step by step"),
        (clash, "two layers would be called 'sep_pointwise'"),
        (channels_first, "'first' is channels_first"),
    ],
)
def test_what_cannot_be_folded_is_named_with_the_reason(
    make: Callable[[], keras.Model], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        fold(make())
