"""Multiply-accumulates of a step against numbers counted by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf
from gradient_reference import Settings, sparse_step
from keras import layers

from tf_odl.methods import Mask, Method, SkipRule, get_method
from tf_odl.methods.registry import SELECTORS, SPARSIFIERS
from tf_odl.trainer import effort
from tf_odl.trainer.meters import EffortMeter
from tf_odl.trainer.model import OdlModel

# MLP 4 -> 6 -> 5 -> 3. Forward: one MAC per weight.
MLP_LAYERS = (4 * 6, 6 * 5, 5 * 3)  # 24, 30, 15
MLP_FORWARD = 24 + 30 + 15
# Backward: the weight gradient costs one MAC per weight, the propagation one more, except in the
# first layer, below which nothing lies.
MLP_BACKWARD = 24 + 2 * 30 + 2 * 15

# CNN on 6x6x2: conv 4 3x3 same with stride 2 -> 3x3x4 (entries 36, fan-in 18);
# depthwise 2x2 valid -> 2x2x4 (16, 4); pointwise 5 -> 2x2x5 (20, 4); dense 20 -> 3 (3, 20).
CNN_LAYERS = (36 * 18, 16 * 4, 20 * 4, 3 * 20)  # 648, 64, 80, 60
CNN_FORWARD = 648 + 64 + 80 + 60
CNN_BACKWARD = 648 + 2 * (64 + 80 + 60)


@dataclass(frozen=True)
class First:
    """Trains the first samples of every batch."""

    name: ClassVar[str] = "first"
    always_trains: ClassVar[bool] = False
    rests: ClassVar[int] = 0
    count: int

    def decide(self, alpha: tf.Tensor, alpha_max: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.range(tf.shape(alpha)[0]) < self.count, alpha_max


def mlp() -> keras.Model:
    keras.utils.set_random_seed(2)
    inputs = keras.Input((4,))
    x = layers.Dense(6, activation="relu", name="a")(inputs)
    x = layers.Dense(5, activation="relu", name="b")(x)
    return keras.Model(inputs, layers.Dense(3, name="c")(x))


def cnn() -> keras.Model:
    keras.utils.set_random_seed(2)
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="conv")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.SeparableConv2D(5, 2, activation="relu", name="separable")(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(layers.Flatten()(x)))


def data(model: keras.Model, samples: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, (samples, *model.input_shape[1:])).astype(np.float32)
    return x, rng.integers(0, 3, samples)


def wrapped(
    model: keras.Model,
    selector: str = "full",
    sparsifier: str = "dense",
    skip: SkipRule | None = None,
    **values: Any,
) -> OdlModel:
    rule = skip or get_method("full").skip
    method = Method(
        "test", SELECTORS[selector].build(), SPARSIFIERS[sparsifier].build(**values), rule
    )
    trainer = OdlModel(model, method)
    trainer.compile(
        keras.optimizers.SGD(0.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
        run_eagerly=True,
    )
    return trainer


def logs_of(trainer: OdlModel, samples: int) -> dict[str, float]:
    logs = trainer.train_on_batch(*data(trainer.model, samples), return_dict=True)
    return {k: float(v) for k, v in logs.items()}


def test_layers_and_their_macs() -> None:
    for model, per_layer, backward in (
        (mlp(), MLP_LAYERS, MLP_BACKWARD),
        (cnn(), CNN_LAYERS, CNN_BACKWARD),
    ):
        found = OdlModel(model, get_method("full")).layers_in_order
        assert tuple(x.outputs * x.fan_in for x in found) == per_layer
        assert effort.forward_macs(found) == sum(per_layer)
        assert effort.full_backward_macs(found) == backward


@pytest.mark.parametrize(
    ("model", "forward", "backward"), [(mlp, MLP_FORWARD, MLP_BACKWARD), (cnn, CNN_FORWARD, 1056)]
)
def test_full_training(model: Callable[[], keras.Model], forward: int, backward: int) -> None:
    logs = logs_of(wrapped(model()), 7)
    assert logs["forward_macs"] == 7 * forward
    assert logs["backward_macs"] == 7 * backward
    assert logs["effort"] == 1
    assert logs["skipped"] == logs["recompute_macs"] == 0


def test_meprop() -> None:
    """ratio 0.4: k = round(0.4 N), at least 1; the output layer stays dense."""
    # MLP: k = round(2.4) = 2 of 6, 2 of 5, 3 of 3.
    by_hand = 2 * 4 + 2 * (2 * 6) + 2 * (3 * 5)
    logs = logs_of(wrapped(mlp(), sparsifier="meprop", ratio=0.4), 7)
    assert by_hand == 62
    assert logs["backward_macs"] == 7 * by_hand
    assert logs["effort"] == pytest.approx(62 / 114)
    # CNN: k = round(14.4) = 14 of 36, round(6.4) = 6 of 16, 8 of 20, 3 of 3.
    by_hand = 14 * 18 + 2 * (6 * 4) + 2 * (8 * 4) + 2 * (3 * 20)
    logs = logs_of(wrapped(cnn(), sparsifier="meprop", ratio=0.4), 7)
    assert by_hand == 484
    assert logs["backward_macs"] == 7 * by_hand
    assert logs["effort"] == pytest.approx(484 / 1056)


def test_meprop_with_a_sparse_output() -> None:
    """ratio 0.1: k = max(round(0.1 N), 1) = 1 everywhere."""
    logs = logs_of(wrapped(mlp(), sparsifier="meprop", ratio=0.1, sparsify_output=True), 7)
    assert logs["backward_macs"] == 7 * (4 + 2 * 6 + 2 * 5)


@pytest.mark.parametrize("build", [mlp, cnn])
@pytest.mark.parametrize("sparsifier", ["dense", "meprop", "tinyprop"])
def test_nominal_and_non_zero_entries(build: Callable[[], keras.Model], sparsifier: str) -> None:
    """The entries counted are those that the reference keeps, and the zeros among them."""
    model = build()
    x, y = data(model, 7)
    settings = {
        "dense": Settings(dense=True),
        "meprop": Settings(ratio=0.2),
        "tinyprop": Settings(),
    }[sparsifier]
    step = sparse_step(model, x, y, settings)
    trainer = wrapped(model, sparsifier=sparsifier)
    fan_ins = [x.fan_in for x in trainer.layers_in_order]
    nominal, nonzero = (
        sum(
            int(entries.sum()) * fan_in * (1 if i == 0 else 2)
            for i, (entries, fan_in) in enumerate(zip(found, fan_ins, strict=True))
        )
        for found in (step.kept, step.nonzero)
    )
    full = 7 * (MLP_BACKWARD if build is mlp else CNN_BACKWARD)
    logs = logs_of(trainer, 7)
    assert logs["backward_macs"] == nominal
    assert logs["effort"] == nominal / full
    assert logs["effort_nonzero"] == nonzero / full
    if sparsifier != "meprop":
        assert nonzero < nominal
    assert (nominal == full) == (sparsifier == "dense")


def test_dead_neurons_cost_nothing_non_zero() -> None:
    """b's biases are so low that no ReLU of it is open: only c's own 15 weights train."""
    model = mlp()
    model.get_layer("b").bias.assign([-1e3] * 5)
    logs = logs_of(wrapped(model), 4)
    assert logs["effort"] == 1
    assert logs["effort_nonzero"] == 2 * 15 / MLP_BACKWARD


def test_head_and_bias_only() -> None:
    """head: c's weight gradient alone. bias-only: no weight gradient, the error still goes down."""
    assert logs_of(wrapped(mlp(), "head"), 7)["backward_macs"] == 7 * 15
    assert logs_of(wrapped(mlp(), "bias-only"), 7)["backward_macs"] == 7 * (30 + 15)
    assert logs_of(wrapped(cnn(), "head"), 7)["backward_macs"] == 7 * 60
    assert logs_of(wrapped(cnn(), "bias-only"), 7)["backward_macs"] == 7 * (64 + 80 + 60)


def test_masks() -> None:
    """Neurons of b and c: weight gradients of theirs, and c's error goes to b but not to a."""
    trainer = wrapped(mlp())
    masks = {
        n: Mask(np.zeros(k, bool), np.zeros(k, bool)) for n, k in (("a", 6), ("b", 5), ("c", 3))
    }
    masks["b"].kernel[[1, 3]] = True
    masks["c"].kernel[2] = True
    trainer.set_masks(masks)
    # b: 2 neurons x 6 weights; c: 1 neuron x 5 weights and 3 x 5 to propagate.
    assert logs_of(trainer, 7)["backward_macs"] == 7 * (2 * 6 + 1 * 5 + 3 * 5)
    # A bias of a that updates makes b propagate as well: 5 x 6.
    masks["a"].bias[0] = True
    trainer.set_masks(masks)
    trainer.reset_metrics()
    assert logs_of(trainer, 7)["backward_macs"] == 7 * (2 * 6 + 5 * 6 + 1 * 5 + 3 * 5)
    assert logs_of(trainer, 7)["effort"] == 62 / 114


def residual() -> keras.Model:
    """4 -> a 5; then b 5 -> c 5 beside shortcut s 5; their sum -> d 3."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input((4,))
    x = layers.Dense(5, activation="relu", name="a")(inputs)
    branch = layers.Dense(5, name="c")(layers.Dense(5, activation="relu", name="b")(x))
    x = layers.ReLU()(layers.Add()([branch, layers.Dense(5, name="s")(x)]))
    return keras.Model(inputs, layers.Dense(3, name="d")(x))


RESIDUAL = {"a": 20, "b": 25, "c": 25, "s": 25, "d": 15}


def test_branches_are_upstream_of_what_follows_them_only() -> None:
    found = OdlModel(residual(), get_method("full")).layers_in_order
    assert {x.name: x.upstream for x in found} == {
        "a": frozenset(),
        "b": frozenset("a"),
        "c": frozenset("ab"),
        "s": frozenset("a"),
        "d": frozenset("abcs"),
    }
    assert effort.full_backward_macs(found) == 20 + 2 * (25 + 25 + 25 + 15)
    in_a_row = OdlModel(mlp(), get_method("full")).layers_in_order
    assert [x.upstream for x in in_a_row] == [frozenset(), frozenset("a"), frozenset("ab")]


def test_two_branches_from_the_input() -> None:
    """Neither of the first layers has anything to propagate to."""
    inputs = keras.Input((4,))
    both = [layers.Dense(5, name=n)(inputs) for n in ("a", "b")]
    model = keras.Model(inputs, layers.Dense(3, name="c")(layers.Concatenate()(both)))
    assert logs_of(wrapped(model), 7)["backward_macs"] == 7 * (20 + 20 + 2 * 30)


@pytest.mark.parametrize(
    ("trains", "propagate"),
    [("a", "bcsd"), ("b", "cd"), ("c", "d"), ("s", "d"), ("d", ""), ("bs", "cd"), ("cs", "d")],
)
def test_the_error_goes_only_where_something_trains(trains: str, propagate: str) -> None:
    trainer = wrapped(residual())
    trainer.set_masks(
        {
            n: Mask(np.full(x.layer.neurons, n in trains), np.full(x.layer.neurons, n in trains))
            for n, x in trainer.sites.items()
        }
    )
    by_hand = sum(RESIDUAL[n] for n in trains) + sum(RESIDUAL[n] for n in propagate)
    assert logs_of(trainer, 7)["backward_macs"] == 7 * by_hand


def test_layers_frozen_by_the_user() -> None:
    """a and b frozen: c alone trains. c frozen: it only propagates."""
    model = mlp()
    model.get_layer("a").trainable = model.get_layer("b").trainable = False
    assert logs_of(wrapped(model), 7)["backward_macs"] == 7 * 15
    model = mlp()
    model.get_layer("c").trainable = False
    assert logs_of(wrapped(model), 7)["backward_macs"] == 7 * (24 + 2 * 30 + 15)


def test_skipping() -> None:
    """2 of 8 samples train; all 8 go forward, none of them twice."""
    logs = logs_of(wrapped(mlp(), skip=First(2)), 8)
    assert logs["skipped"] == 6 / 8
    assert logs["forward_macs"] == 8 * MLP_FORWARD
    assert logs["recompute_macs"] == 0
    assert logs["backward_macs"] == 2 * MLP_BACKWARD
    assert logs["effort"] == 2 / 8
    logs = logs_of(wrapped(cnn(), sparsifier="meprop", skip=First(2), ratio=0.4), 8)
    assert logs["backward_macs"] == 2 * 484
    assert logs["effort"] == pytest.approx(2 * 484 / (8 * 1056))


def test_dropout_makes_the_samples_that_train_go_forward_again() -> None:
    """The decision sees the network without dropout, training with it."""
    inputs = keras.Input((4,))
    x = layers.Dropout(0.5)(layers.Dense(6)(inputs))
    logs = logs_of(wrapped(keras.Model(inputs, layers.Dense(3)(x)), skip=First(2)), 8)
    assert logs["forward_macs"] == 8 * (24 + 18)
    assert logs["recompute_macs"] == 2 * (24 + 18)


def test_an_epoch_is_a_sum_over_its_samples() -> None:
    """Batches of 8, 8 and 3: 2 + 2 + 2 samples of 19 train. The next epoch starts at zero."""
    model = mlp()
    trainer = wrapped(model, skip=First(2))
    x, y = data(model, 19)
    history = trainer.fit(x, y, batch_size=8, epochs=2, verbose=0).history
    assert history["skipped"] == [pytest.approx(13 / 19)] * 2
    assert history["effort"] == [pytest.approx(6 / 19)] * 2
    assert history["backward_macs"] == [6 * MLP_BACKWARD] * 2
    assert history["forward_macs"] == [19 * MLP_FORWARD] * 2
    assert history["recompute_macs"] == [0, 0]


def test_counts_are_exact_where_float32_is_not() -> None:
    """2^24 + 1 is the first whole number that float32 does not have."""
    meter = EffortMeter(forward=3, backward=5)
    for macs in (2**24 + 1, 2**40):
        meter.update_state(tf.constant([macs, macs - 1, 1, 1, 1], tf.int64))
    logs = {k: float(v) for k, v in meter.result().items()}
    assert logs["backward_macs"] == 2**40 + 2**24 + 1
    assert logs["effort"] * 10 == 2**40 + 2**24 + 1
    assert logs["effort_nonzero"] * 10 == 2**40 + 2**24 - 1
    assert logs["forward_macs"] == logs["recompute_macs"] == 6
    meter.reset_state()
    assert not any(float(v) for v in meter.result().values())


def test_selection_is_counted_on_its_own() -> None:
    """velocity looks at 5 samples before the first and after each of 3 epochs."""
    model = mlp()
    x, y = data(model, 16)
    trainer = OdlModel(model, get_method("velocity", budget="60%"), selection_data=x[:5])
    assert trainer.selection_macs == 5 * MLP_FORWARD
    trainer.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True
    )
    history = trainer.fit(x, y, epochs=3, verbose=0).history
    assert trainer.selection_macs == (1 + 3) * 5 * MLP_FORWARD
    assert history["forward_macs"] == [16 * MLP_FORWARD] * 3
    others = OdlModel(mlp(), get_method("random", budget="60%"))
    assert others.selection_macs == 0


def test_the_whole_of_the_nonzero_error_costs_what_is_not_zero() -> None:
    """Behind a max pooling three of four errors are zero: nobody keeps them, nobody counts them."""

    def pooled() -> keras.Model:
        keras.utils.set_random_seed(2)
        return keras.Sequential(
            [
                keras.Input((8, 8, 2)),
                layers.Conv2D(4, 3, activation="relu"),
                layers.MaxPooling2D(),
                layers.Flatten(),
                layers.Dense(6, activation="relu"),
                layers.Dense(3),
            ]
        )

    full = logs_of(wrapped(pooled()), 8)
    values = {"s_min": 1.0, "s_max": 1.0, "zeta": 1.0, "share_of": "nonzero"}
    kept = logs_of(wrapped(pooled(), sparsifier="tinyprop", **values), 8)
    assert full["effort"] == 1
    assert kept["effort"] == kept["effort_nonzero"] == full["effort_nonzero"] < 0.3
    assert kept["loss"] == full["loss"]
