"""Skipped samples: not back-propagated, not updated from, decided by the forward pass alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tf_odl.methods import Dense, Method, SkipRule, TinyProp, TinyPropV2, get_method
from tf_odl.methods.registry import SELECTORS
from tf_odl.trainer.model import OdlModel

BATCH = 8


@dataclass(frozen=True)
class Chosen:
    """Trains the samples at the given places of every batch."""

    name: ClassVar[str] = "chosen"
    always_trains: ClassVar[bool] = False
    rests: ClassVar[int] = 0
    places: tuple[int, ...]

    def decide(self, alpha: tf.Tensor, alpha_max: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        hits = [tf.equal(tf.range(tf.shape(alpha)[0]), p) for p in self.places]
        nothing = tf.zeros_like(alpha, tf.bool)
        keep = tf.reduce_any(tf.stack([nothing, *hits]), axis=0)
        return keep, tf.maximum(alpha_max, tf.reduce_max(alpha))


def cnn(dropout: float = 0.0) -> keras.Model:
    keras.utils.set_random_seed(6)
    x = inputs = keras.Input((6, 6, 2))
    for layer in (
        layers.Conv2D(4, 3, use_bias=False),
        layers.BatchNormalization(name="normalization"),
        layers.ReLU(6),
        layers.Flatten(),
        layers.Dense(7, activation="relu"),
        *([layers.Dropout(dropout)] if dropout else []),
        layers.Dense(3),
    ):
        x = layer(x)
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(1)
    for v in model.variables:
        if v.name == "moving_variance":
            v.assign(rng.uniform(0.5, 1.5, v.shape))
        elif "seed" not in v.path:
            v.assign(np.asarray(v) + rng.normal(0, 0.1, v.shape))
    return model


def data(samples: int = BATCH) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(9)
    x = rng.normal(0, 1, (samples, 6, 6, 2)).astype(np.float32)
    return x, rng.integers(0, 3, samples)


def wrapped(
    model: keras.Model,
    rule: SkipRule,
    *,
    sparsifier: Dense | TinyProp | None = None,
    optimizer: keras.optimizers.Optimizer | None = None,
    eager: bool = True,
) -> OdlModel:
    method = Method("test", SELECTORS["full"].build(), sparsifier or Dense(), rule)
    trainer = OdlModel(model, method)
    trainer.compile(
        optimizer or keras.optimizers.SGD(1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
        run_eagerly=eager,
    )
    return trainer


def gradients_of(
    model: keras.Model, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None
) -> list[np.ndarray]:
    """Of the samples' summed loss over BATCH, normalized by the moving statistics."""
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x, training=False))
        loss = tf.reduce_sum(losses if weights is None else losses * weights) / BATCH
    return [g.numpy() for g in tape.gradient(loss, [v.value for v in model.trainable_variables])]


def everything(trainer: OdlModel) -> dict[str, np.ndarray]:
    """All that training could change, but for metrics and counters of steps."""
    metrics = {id(v) for m in trainer.metrics for v in m.variables}
    state = [v for v in trainer.variables if id(v) not in metrics]
    state += [v for v in trainer.optimizer.variables if v is not trainer.optimizer.iterations]
    return {f"{i} {v.path}": np.array(v) for i, v in enumerate(state)}


@pytest.mark.parametrize("places", [(0,), (2, 5, 7), tuple(range(BATCH))])
@pytest.mark.parametrize("eager", [True, False])
def test_the_gradient_is_that_of_the_kept_samples(places: tuple[int, ...], eager: bool) -> None:
    model = cnn()
    x, y = data()
    kept = list(places)
    want = gradients_of(model, x[kept], y[kept])
    before = [np.array(v) for v in model.trainable_variables]
    wrapped(model, Chosen(places), eager=eager).train_on_batch(x, y)
    for b, v, w in zip(before, model.trainable_variables, want, strict=True):
        np.testing.assert_allclose(b - np.asarray(v), w, atol=1e-6, err_msg=v.path)
    assert all(np.abs(w).max() > 1e-4 for w in want)


def test_sample_weights_and_skipping() -> None:
    model = cnn()
    x, y = data()
    weights = np.linspace(0.5, 2, BATCH).astype(np.float32)
    kept = [1, 4, 6]
    want = gradients_of(model, x[kept], y[kept], weights[kept])
    before = [np.array(v) for v in model.trainable_variables]
    wrapped(model, Chosen(tuple(kept))).train_on_batch(x, y, sample_weight=weights)
    for b, v, w in zip(before, model.trainable_variables, want, strict=True):
        np.testing.assert_allclose(b - np.asarray(v), w, atol=1e-6, err_msg=v.path)


def test_skipped_samples_may_hold_anything_with_the_same_decision() -> None:
    """Not one bit of the update depends on them."""
    results = []
    for factor in (1.0, -50.0):
        model = cnn()
        x, y = data()
        x[[0, 3]] *= factor
        wrapped(model, Chosen((1, 2, 4, 5, 6, 7)), sparsifier=TinyProp()).train_on_batch(x, y)
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("eager", [True, False])
def test_nothing_changes_when_none_is_kept(eager: bool) -> None:
    """Neither weights nor momenta nor statistics; weight decay does not act either."""
    model = cnn(dropout=0.5)
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    trainer = wrapped(
        model, TinyPropV2(threshold=0.5), sparsifier=TinyProp(), optimizer=optimizer, eager=eager
    )
    x, y = data()
    trainer.train_on_batch(x, y)  # the momenta are not zero any more
    trainer.alpha_max.assign(1e6)  # every sample's error is small beside it
    before = everything(trainer)
    assert any("momentum" in k and v.any() for k, v in before.items())
    assert int(optimizer.iterations) == 1
    trainer.reset_metrics()
    logs = trainer.train_on_batch(x, y, return_dict=True)
    for path, v in everything(trainer).items():
        np.testing.assert_array_equal(v, before[path], err_msg=path)
    assert int(optimizer.iterations) == 2, "schedules move on"
    assert logs["skipped"] == 1
    assert logs["effort"] == logs["backward_macs"] == logs["recompute_macs"] == 0


def test_moving_statistics_stay_as_they_are_under_a_skip_rule() -> None:
    x, y = data()
    for rule, moves in ((Chosen(tuple(range(BATCH))), False), (get_method("full").skip, True)):
        model = cnn()
        normalization = model.get_layer("normalization")
        before = [np.array(v) for v in normalization.weights]
        wrapped(model, rule).train_on_batch(x, y)
        gamma, beta, mean, variance = (
            not np.array_equal(b, np.asarray(v))
            for b, v in zip(before, normalization.weights, strict=True)
        )
        assert gamma and beta, "scale and shift train"
        assert (mean, variance) == (moves, moves)


def test_the_decision_needs_the_forward_pass_only() -> None:
    """A layer that cannot be back-propagated through does no harm until a sample trains."""
    built = []

    @tf.custom_gradient
    def one_way(x: tf.Tensor) -> tuple[tf.Tensor, object]:
        def backward(error: tf.Tensor) -> tf.Tensor:
            if not built:  # a new trainer looks for the ways of the error
                return error
            raise RuntimeError("went backward")

        return tf.nn.relu(x), backward

    inputs = keras.Input((4,))
    hidden = layers.Dense(5, activation=one_way)(inputs)
    model = keras.Model(inputs, layers.Dense(3)(hidden))
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (BATCH, 4)).astype(np.float32), rng.integers(0, 3, BATCH)
    nobody, somebody = wrapped(model, Chosen(())), wrapped(model, Chosen((0,)))
    built.append(True)
    nobody.train_on_batch(x, y)
    with pytest.raises(RuntimeError, match="went backward"):
        somebody.train_on_batch(x, y)


def test_tinypropv2_decides_by_share_of_the_running_maximum() -> None:
    """D = alpha / alpha_max over two batches, alpha of the model in inference."""
    model = cnn(dropout=0.5)
    seen: list[np.ndarray] = []

    @dataclass(frozen=True)
    class Watched(TinyPropV2):
        def decide(self, alpha: tf.Tensor, alpha_max: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            keep, new = super().decide(alpha, alpha_max)
            seen.append(np.concatenate([alpha, keep]))
            return keep, new

    trainer = wrapped(model, Watched(threshold=0.6))
    x, y = data(2 * BATCH)
    maximum, decisions = 0.0, []
    for part in (slice(0, BATCH), slice(BATCH, None)):
        p = tf.nn.softmax(model(x[part], training=False)).numpy()
        # Softmax and cross-entropy: the error p - onehot has an absolute sum of 2 (1 - p_true).
        alpha = 2 * (1 - p[np.arange(BATCH), y[part]])
        maximum = max(maximum, alpha.max())
        trainer.train_on_batch(x[part], y[part])
        np.testing.assert_allclose(seen[-1][:BATCH], alpha, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(trainer.alpha_max, maximum, rtol=1e-5)
        decisions.append(alpha / maximum > 0.6)
        np.testing.assert_array_equal(seen[-1][BATCH:], decisions[-1])
    assert 0 < np.sum(decisions) < 2 * BATCH


def test_skipped_samples_raise_the_maximum() -> None:
    model = cnn()
    trainer = wrapped(model, TinyPropV2(threshold=1.0))
    trainer.train_on_batch(*data())
    assert float(trainer.alpha_max) > 0
    assert trainer.get_metrics_result()["skipped"] == 1


def test_an_error_of_zero_trains_nothing_and_divides_nothing() -> None:
    """alpha = alpha_max = 0: a loss without slope."""
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(1)(inputs))
    trainer = OdlModel(model, get_method("tinypropv2"))
    trainer.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    model.layers[-1].kernel.assign(np.zeros((4, 1)))
    logs = trainer.train_on_batch(np.ones((5, 4)), np.zeros((5, 1)), return_dict=True)
    assert logs["skipped"] == 1 and logs["loss"] == 0
    assert not np.asarray(model.layers[-1].kernel).any()


def test_dropout_acts_on_the_samples_that_train() -> None:
    """All are kept: dropout draws the same numbers as in training without a rule."""
    results = []
    for rule in (Chosen(tuple(range(BATCH))), get_method("full").skip):
        keras.utils.set_random_seed(6)
        inputs = keras.Input((6, 6, 2))
        x = layers.Dropout(0.5, seed=1)(layers.Conv2D(4, 3, activation="relu")(inputs))
        x = layers.Dense(5, activation="relu")(layers.Flatten()(x))
        model = keras.Model(inputs, layers.Dense(3)(x))
        wrapped(model, rule, eager=False).train_on_batch(*data())
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_loss_and_metrics_are_those_of_the_whole_batch() -> None:
    """As the model in inference sees it, before the step."""
    model = cnn(dropout=0.5)
    trainer = wrapped(model, Chosen((1, 2)))
    x, y = data()
    want = trainer.test_on_batch(x, y, return_dict=True)
    trainer.reset_metrics()
    logs = trainer.train_on_batch(x, y, return_dict=True)
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(logs[name], want[name], rtol=1e-5)
    assert logs["skipped"] == (BATCH - 2) / BATCH


def test_masks_hold_for_the_samples_that_train() -> None:
    model = cnn()
    method = Method("test", SELECTORS["head"].build(), Dense(), Chosen((0, 1)))
    trainer = OdlModel(model, method)
    trainer.compile(
        keras.optimizers.AdamW(0.01, weight_decay=0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,
    )
    before = model.get_weights()
    trainer.train_on_batch(*data())
    changed = [
        v.path for v, b in zip(model.weights, before, strict=True) if not np.array_equal(v, b)
    ]
    assert changed == [v.path for v in model.layers[-1].weights]
