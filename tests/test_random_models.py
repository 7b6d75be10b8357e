"""Random networks: their first step in the real TFLM is the gradient of TensorFlow's autodiff.

Shapes, strides, paddings and branches are random; scales and zero points are what calibration makes
of random weights, so the summands of an ADD have different ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from build_graph import build_training_graph, every_neuron
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from test_tflm_branching import assert_first_step
from test_third_party import any_codes, convert

from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.int8_model import with_biases
from tf_odl.converters.memory import HOST, plan_memory
from tf_odl.converters.own_layers import with_own_layers
from tf_odl.converters.reference import infer
from tf_odl.converters.third_party import adapt
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

pytestmark = pytest.mark.skipif(available() is not None, reason=str(available()))

L = keras.layers
CLASSES = 4
PADDINGS = st.sampled_from(["same", "valid"])
Draw = Callable[[st.SearchStrategy], Any]


def activated(draw: Draw, h: Any) -> Any:
    activation = draw(st.sampled_from([None, L.ReLU(), L.ReLU(6.0)]))
    return h if activation is None else activation(h)


def convolution(draw: Draw, h: Any, keeps_size: bool = False, channels: int | None = None) -> Any:
    kernel = [draw(st.integers(1, min(3, extent))) for extent in h.shape[1:3]]
    stride, padding = (1, "same") if keeps_size else (draw(st.integers(1, 2)), draw(PADDINGS))
    channels = channels or draw(st.integers(2, 6))
    return activated(draw, L.Conv2D(channels, kernel, strides=stride, padding=padding)(h))


def depthwise(draw: Draw, h: Any) -> Any:
    kernel, multiplier = draw(st.integers(1, min(3, *h.shape[1:3]))), draw(st.integers(1, 3))
    settings = {"strides": draw(st.integers(1, 2)), "padding": draw(PADDINGS)}
    layer = L.DepthwiseConv2D(kernel, depth_multiplier=multiplier, **settings)
    return activated(draw, layer(h))


def residual(draw: Draw, h: Any) -> Any:
    summands = [h, convolution(draw, h, keeps_size=True, channels=h.shape[-1])]
    return activated(draw, L.Add()(draw(st.permutations(summands))))


def joined(draw: Draw, h: Any) -> Any:
    parts = [convolution(draw, h, keeps_size=True, channels=h.shape[-1]) for _ in range(2)]
    return activated(draw, L.Concatenate(axis=draw(st.integers(1, 3)))([*parts, h]))


def padded(draw: Draw, h: Any) -> Any:
    margins = draw(st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2))
    return activated(draw, L.ZeroPadding2D(margins)(h))


def pooled(draw: Draw, h: Any) -> Any:
    layer = draw(st.sampled_from([L.MaxPooling2D, L.AveragePooling2D]))
    return layer(2, strides=draw(st.integers(1, 2)), padding=draw(PADDINGS))(h)


def dense(draw: Draw, h: Any) -> Any:
    """On every position of a map."""
    return activated(draw, L.Dense(draw(st.integers(2, 6)))(h))


def flat(draw: Draw, h: Any) -> Any:
    reduce = draw(st.sampled_from([None, keras.ops.mean, keras.ops.max]))
    if reduce is not None:
        h = reduce(h, axis=draw(st.sampled_from([(1, 2), 1, 2, 3])))
    return L.Flatten()(h)


BLOCKS = (convolution, depthwise, residual, joined, padded, pooled, dense)


def network(draw: Draw) -> keras.Model:
    seed = draw(st.integers(0, 99))
    keras.utils.set_random_seed(seed)
    shape = (*draw(st.tuples(*[st.integers(5, 11)] * 2)), draw(st.integers(1, 3)))
    x = keras.Input(shape, batch_size=draw(st.sampled_from([1, None])))
    h = convolution(draw, x)
    for block in draw(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=4)):
        if min(h.shape[1:3]) > 1:
            h = block(draw, h)
    h = flat(draw, h)
    if draw(st.booleans()):
        h = L.Dense(draw(st.integers(3, 8)), activation="relu")(h)
    model = keras.Model(x, L.Dense(CLASSES, activation=draw(st.sampled_from([None, "softmax"])))(h))
    random = np.random.default_rng(seed)
    for variable in model.weights:
        if "bias" in variable.path:
            variable.assign(random.normal(0, 0.1, variable.shape))
    return model


def check(model: keras.Model) -> None:
    data, neurons = adapt(convert(model))
    data = with_biases(data, every_neuron(neurons))
    x = any_codes(data, 4)

    def graph(learning_rate: float) -> bytes:
        built = build_training_graph(
            data, list(neurons), every_neuron(neurons), learning_rate=learning_rate, seed=0
        )
        return with_own_layers(FlatModel(built)).pack()

    with TrainingInterpreter(graph(0.1)) as board:
        np.testing.assert_array_equal(board.infer(x), infer(data, x))
        used = board.arena_used_bytes
        before = board.variables()
        board.train(x[:1], [1])
        moved = [(a != b).any() for a, b in zip(before, board.variables(), strict=True)]
    assert used <= plan_memory(graph(0.1), HOST).used_bytes <= 1.02 * used + 16
    assume(all(moved))  # of a layer whose neurons are all cut off nothing would be shown
    assert_first_step(data, graph, list(neurons), x[0], 1)


RANDOM = {"derandomize": True, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=6, **RANDOM)
@given(st.data())
def test_a_few_random_networks(data: st.DataObject) -> None:
    check(network(data.draw))


@pytest.mark.slow
@settings(max_examples=60, **RANDOM)
@given(st.data())
def test_many_random_networks(data: st.DataObject) -> None:
    check(network(data.draw))
