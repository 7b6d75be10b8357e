"""The trainer's sparse gradients against autodiff masked by hand (gradient_reference.py)."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
from gradient_reference import Settings, output_errors, sparse_step
from keras import layers

from tf_odl.methods import Method, get_method
from tf_odl.methods.registry import SELECTORS
from tf_odl.methods.tinypropv2 import TinyPropV2
from tf_odl.trainer.model import OdlModel

CLASSES = 4
BATCH = 6
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def _dense() -> list[layers.Layer]:
    return [
        layers.Dense(12, activation="relu"),
        layers.Dense(9, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Dense(7, activation="relu6"),
    ]


def _conv1d() -> list[layers.Layer]:
    return [
        layers.Conv1D(5, 3, padding="same", activation="relu"),
        layers.MaxPooling1D(2),
        layers.Conv1D(6, 3, strides=2, padding="valid", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(6),
        layers.DepthwiseConv1D(3, strides=2, padding="same", depth_multiplier=2),
        layers.GlobalAveragePooling1D(),
    ]


def _conv2d_same() -> list[layers.Layer]:
    return [
        layers.Conv2D(4, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(6, 3, strides=2, padding="same"),
        layers.BatchNormalization(),
        layers.ReLU(6),
        layers.Flatten(),
        layers.Dense(8, activation="relu"),
    ]


def _conv2d_valid() -> list[layers.Layer]:
    return [
        layers.Conv2D(4, (3, 2), strides=(2, 1), padding="valid", activation="relu6"),
        layers.AveragePooling2D(2, padding="same"),
        layers.Conv2D(6, 2, padding="valid", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.GlobalAveragePooling2D(),
    ]


def _conv2d_dilated() -> list[layers.Layer]:
    return [
        layers.Conv2D(4, 3, dilation_rate=2, padding="same", activation="relu"),
        layers.Conv2D(5, 2, activation="relu"),
        layers.MaxPooling2D(3, strides=2, padding="same"),
        layers.Flatten(),
    ]


def _depthwise2d() -> list[layers.Layer]:
    return [
        layers.DepthwiseConv2D(3, padding="same", depth_multiplier=3, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(6),
        layers.Conv2D(5, 1),
        layers.BatchNormalization(scale=False),
        layers.ReLU(),
        layers.DepthwiseConv2D(3, strides=2, padding="valid", activation="relu"),
        layers.AveragePooling2D(2),
        layers.Flatten(),
    ]


def _separable2d() -> list[layers.Layer]:
    return [
        layers.SeparableConv2D(5, 3, padding="same", depth_multiplier=2, activation="relu"),
        layers.MaxPooling2D(2),
        layers.SeparableConv2D(6, 3, strides=2, padding="valid", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(6),
        layers.Flatten(),
    ]


def _separable1d() -> list[layers.Layer]:
    return [
        layers.SeparableConv1D(5, 3, padding="same", use_bias=False),
        layers.BatchNormalization(center=False),
        layers.ReLU(),
        layers.SeparableConv1D(6, 3, strides=2, padding="valid", activation="relu6"),
        layers.MaxPooling1D(2),
        layers.Flatten(),
    ]


CHAINS: dict[str, tuple[tuple[int, ...], Callable[[], list[layers.Layer]]]] = {
    "dense": ((10,), _dense),
    "conv1d": ((16, 3), _conv1d),
    "conv2d-same": ((9, 8, 2), _conv2d_same),
    "conv2d-valid": ((9, 8, 2), _conv2d_valid),
    "conv2d-dilated": ((9, 8, 2), _conv2d_dilated),
    "depthwise2d": ((9, 8, 2), _depthwise2d),
    "separable2d": ((9, 8, 2), _separable2d),
    "separable1d": ((16, 3), _separable1d),
}

METHODS: dict[str, tuple[dict[str, str], Settings]] = {
    "meprop": ({}, Settings(ratio=0.2)),
    "meprop-output": (
        {"ratio": "0.4", "sparsify_output": "true"},
        Settings(ratio=0.4, sparsify_output=True),
    ),
    "tinyprop": ({}, Settings()),
    "tinyprop-output": (
        {"s_min": "0.1", "s_max": "0.6", "zeta": "0.7", "sparsify_output": "true"},
        Settings(s_min=0.1, s_max=0.6, zeta=0.7, sparsify_output=True),
    ),
}


def chain(shape: tuple[int, ...], middle: list[layers.Layer]) -> keras.Model:
    """A functional classifier whose batch normalizations and biases are not at their defaults."""
    x = inputs = keras.Input(shape)
    for layer in middle:
        x = layer(x)
    model = keras.Model(inputs, layers.Dense(CLASSES)(x))
    shake(model)
    return model


def shake(model: keras.Model) -> None:
    rng = np.random.default_rng(7)
    for v in model.variables:
        v.assign(np.asarray(v) + rng.normal(0, 0.1, v.shape))
        if v.name == "moving_variance":
            v.assign(rng.uniform(0.5, 1.5, v.shape))


def data(shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (BATCH, *shape)).astype(np.float32)
    return x, rng.integers(0, CLASSES, BATCH)


def wrapped(model: keras.Model, method: Method, *, eagerly: bool = True) -> OdlModel:
    """Trained with a learning rate of 1: the gradient is the weights before minus after."""
    trainer = OdlModel(model, method)
    trainer.compile(
        keras.optimizers.SGD(1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
        run_eagerly=eagerly,
    )
    return trainer


def step(trainer: OdlModel, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """The gradients of one training step, which is taken."""
    before = [np.array(v) for v in trainer.model.trainable_variables]
    trainer.train_on_batch(x, y)
    return [b - np.array(v) for b, v in zip(before, trainer.model.trainable_variables, strict=True)]


def assert_same(got: list[np.ndarray], want: list[np.ndarray], model: keras.Model) -> None:
    for g, w, v in zip(got, want, model.trainable_variables, strict=True):
        np.testing.assert_allclose(g, w, **TOLERANCE, err_msg=v.path)
    assert max(np.abs(w).max() for w in want) > 1e-2, "nothing to compare"


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("model_name", CHAINS)
def test_sparse_gradients(model_name: str, name: str) -> None:
    """Two steps: the second needs the running maxima that the first has left."""
    keras.utils.set_random_seed(1)
    shape, middle = CHAINS[model_name]
    model = chain(shape, middle())
    values, settings = METHODS[name]
    trainer = wrapped(model, get_method(name.partition("-")[0], settings=values))
    initial = model.get_weights()
    y_max = None
    for seed in (2, 3):
        model.set_weights(initial)  # a step of rate 1 may have left nothing but dead ReLUs
        x, y = data(shape, seed)
        want = sparse_step(model, x, y, settings, y_max=y_max)
        dense = sparse_step(model, x, y, Settings(dense=True))
        assert any(
            np.abs(s - d).max() > 1e-3 for s, d in zip(want.gradients, dense.gradients, strict=True)
        ), "the sparsifier changes nothing here"
        y_max = want.y_max
        assert_same(step(trainer, x, y), want.gradients, model)
        if name.startswith("tinyprop"):
            np.testing.assert_allclose(trainer.y_max, y_max, rtol=1e-5)


@pytest.mark.parametrize("model_name", CHAINS)
def test_gradients_of_tinypropv2(model_name: str) -> None:
    """Half of the batch is skipped; the others train against the moving statistics."""
    keras.utils.set_random_seed(1)
    shape, middle = CHAINS[model_name]
    model = chain(shape, middle())
    x, y = data(shape, 5)
    alpha = output_errors(model, x, y)
    share = np.sort(alpha / alpha.max())
    threshold = float(share[BATCH // 2 - 1] + share[BATCH // 2]) / 2
    keep = alpha / alpha.max() > threshold
    assert keep.sum() == BATCH // 2
    trainer = wrapped(model, get_method("tinypropv2", settings={"threshold": str(threshold)}))
    want = sparse_step(model, x[keep], y[keep], Settings(), training=False, batch=BATCH)
    assert_same(step(trainer, x, y), want.gradients, model)
    np.testing.assert_allclose(trainer.alpha_max, alpha.max(), rtol=1e-5)


def test_gradients_of_a_residual_block() -> None:
    """Two later layers send their errors to the same pre-activation."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((8, 8, 2))
    a = layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs)
    a = layers.ReLU()(layers.BatchNormalization()(a))
    b = layers.Conv2D(4, 3, padding="same", activation="relu")(a)
    b = layers.Conv2D(4, 3, padding="same")(b)
    b = layers.BatchNormalization()(b)
    c = layers.GlobalAveragePooling2D()(layers.ReLU(6)(layers.Add()([a, b])))
    model = keras.Model(inputs, layers.Dense(CLASSES)(c))
    shake(model)
    x, y = data((8, 8, 2), 4)
    want = sparse_step(model, x, y, Settings())
    assert_same(step(wrapped(model, get_method("tinyprop")), x, y), want.gradients, model)


def test_a_nested_model_trains_as_the_flat_one() -> None:
    def build(nested: bool) -> keras.Model:
        keras.utils.set_random_seed(5)
        inner = [layers.Conv2D(4, 3, name="inner_conv"), layers.BatchNormalization(), layers.ReLU()]
        body = [keras.Sequential(inner)] if nested else inner
        x = inputs = keras.Input((8, 8, 2))
        for layer in [*body, layers.Flatten(), layers.Dense(6, activation="relu")]:
            x = layer(x)
        model = keras.Model(inputs, layers.Dense(CLASSES)(x))
        shake(model)
        return model

    x, y = data((8, 8, 2), 4)
    flat, nested = (
        step(wrapped(build(kind), get_method("tinyprop")), x, y) for kind in (False, True)
    )
    for f, n in zip(flat, nested, strict=True):
        np.testing.assert_array_equal(f, n)


def test_a_softmax_at_the_end_gives_the_same_gradients_as_logits() -> None:
    keras.utils.set_random_seed(1)
    shape, middle = CHAINS["conv2d-same"]
    logits = chain(shape, middle())
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input(shape)
    for layer in middle():
        x = layer(x)
    model = keras.Model(inputs, layers.Dense(CLASSES, activation="softmax")(x))
    model.set_weights(logits.get_weights())
    trainer = OdlModel(model, get_method("tinyprop"))
    trainer.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy", run_eagerly=True)
    x, y = data(shape, 2)
    want = sparse_step(logits, x, y, Settings())
    assert_same(step(trainer, x, y), want.gradients, model)


def test_masks_and_sparse_errors_together() -> None:
    """Any selector with any sparsifier: the masked neurons' gradients are the reference's."""
    keras.utils.set_random_seed(1)
    shape, middle = CHAINS["conv2d-same"]
    model = chain(shape, middle())
    method = get_method("tinyprop", selector="random", budget="50%")
    trainer = wrapped(model, method)
    x, y = data(shape, 2)
    want = sparse_step(model, x, y, Settings()).gradients
    owner = {
        id(v): np.broadcast_to(trainer.masks[n].part(part).reshape(shape), v.shape)
        for n, site in trainer.sites.items()
        for v, part, shape in site.masked()
    }
    masks = [owner[id(v)] for v in model.trainable_variables]
    assert 0 < sum(m.sum() for m in masks) < sum(m.size for m in masks)
    masked = [np.where(m, w, 0) for m, w in zip(masks, want, strict=True)]
    got = step(trainer, x, y)
    assert_same(got, masked, model)
    for g, m in zip(got, masks, strict=True):
        assert not g[~m].any()


def test_in_a_graph_as_eagerly() -> None:
    results = []
    for eager in (True, False):
        keras.utils.set_random_seed(1)
        shape, middle = CHAINS["separable2d"]
        model = chain(shape, middle())
        parts = get_method("tinyprop")
        method = Method("x", SELECTORS["full"].build(), parts.sparsifier, TinyPropV2(threshold=0.8))
        trainer = wrapped(model, method, eagerly=eager)
        results.append(step(trainer, *data(shape, 5)))
    for e, g in zip(*results, strict=True):
        np.testing.assert_allclose(e, g, **TOLERANCE)
