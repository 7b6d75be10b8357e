"""Loops in the graph train as single steps do; resting samples rest as long as they should."""

from __future__ import annotations

import gc
import math
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from tf_odl.errors import UserError
from tf_odl.methods import get_method
from tf_odl.methods.registry import Method
from tf_odl.methods.rest import Rest
from tf_odl.methods.top_k import RANKED, top_k
from tf_odl.trainer import batches
from tf_odl.trainer.model import OdlModel
from tf_odl.trainer.rest import RestingSamples, worth_of_epochs

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
COUNTED = ("backward_macs", "forward_macs", "recompute_macs", "skipped", "effort_nonzero")


def mlp() -> keras.Model:
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [keras.Input((6,)), *(layers.Dense(n, activation="relu") for n in (9, 7)), layers.Dense(3)]
    )


def cnn() -> keras.Model:
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((6, 5, 2)),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def series() -> keras.Model:
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((12, 2)),
            layers.Conv1D(4, 3, activation="relu"),
            layers.MaxPooling1D(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def data(model: keras.Model, samples: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, samples)
    x = rng.normal(0, 1, (samples, *model.input_shape[1:])) + 0.7 * y.reshape(
        -1, *[1] * (len(model.input_shape) - 1)
    )
    return x.astype(np.float32), y


def trainer(model: keras.Model, method: Method, steps: int, rate: Any = 0.05) -> OdlModel:
    found = OdlModel(model, method, seed=3, selection_data=data(model, 5)[0])
    optimizer = keras.optimizers.SGD(rate, momentum=0.5)
    found.compile(optimizer, LOSS, metrics=["accuracy"], steps_per_execution=steps)
    return found


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("method", ["full", "head", "tinyprop", "tinypropv2", "velocity"])
@pytest.mark.parametrize("build", [mlp, cnn, series])
def test_a_loop_trains_as_single_steps_do(build: Any, method: str, batch: int) -> None:
    """Batches of one are compiled except for 2-D convolutions; 23 samples leave a rest of 3."""
    x, y = data(build(), 23)
    budget = "50%" if get_method(method).selector.needs_budget else None
    chosen = get_method(method, budget=budget, settings={})
    looped, stepped = trainer(build(), chosen, 3), trainer(build(), chosen, 1)
    history = looped.fit(x, y, batch_size=batch, epochs=2, verbose=0).history
    for epoch in range(2):
        stepped.begin_epoch(epoch)
        stepped.reset_metrics()
        order = batches.shuffled(23, 3, epoch)
        for begin in range(0, 23, batch):
            rows = order[begin : begin + batch]
            data_ = tf.constant(x[rows]), tf.constant(y[rows])
            logs = stepped.train_step(data_)
        stepped.observe()
        for name in (*COUNTED, "loss", "accuracy"):
            assert history[name][epoch] == pytest.approx(float(logs[name]), rel=1e-5), name
    for one, other in zip(looped.get_weights(), stepped.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)
    assert int(looped.optimizer.iterations) == int(stepped.optimizer.iterations)


@pytest.mark.parametrize("build", [mlp, cnn, series])
def test_a_loop_repeats_bit_for_bit(build: Any) -> None:
    """Every fresh graph reads its weights before it updates them."""
    results = []
    for _ in range(4):
        model = trainer(build(), get_method("tinypropv2"), 3)
        model.fit(*data(model.model, 23), batch_size=4, epochs=2, verbose=0)
        results.append(model.get_weights())
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_number_of_batches_per_call_changes_nothing() -> None:
    x, y = data(cnn(), 23)
    weights = []
    for steps in (2, 3, 100):
        model = trainer(cnn(), get_method("tinypropv2"), steps)
        model.fit(x, y, batch_size=4, epochs=2, verbose=0)
        weights.append(model.get_weights())
    for other in weights[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(weights[0], other, strict=True))


@settings(max_examples=30, deadline=None)
@given(
    samples=st.integers(1, 40),
    batch=st.integers(1, 9),
    steps=st.integers(2, 5),
    awake=st.floats(0, 1),
)
def test_calls_hold_every_awake_sample_once(
    samples: int, batch: int, steps: int, awake: float
) -> None:
    x = np.arange(samples, dtype=np.float32)[:, None]
    ids = np.random.default_rng(samples).permutation(samples)[: round(awake * samples)]
    found = batches.stored(
        x,
        np.arange(samples),
        batch_size=batch,
        steps=steps,
        order=lambda: (2, ids),
        static=batch == 1,
    )
    calls = list(found)
    assert len(calls) == int(found.cardinality()) == batches.calls_per_epoch(samples, batch, steps)
    seen = np.concatenate([c.ids.numpy()[: int(c.count)].ravel() for c in calls])
    assert seen.tolist() == ids.tolist()
    for call in calls:
        assert np.array_equal(call.x.numpy()[..., 0], call.ids.numpy())
        assert np.array_equal(call.y.numpy(), call.ids.numpy())
        assert int(call.count) <= steps
        if batch == 1:
            assert call.x.shape == (steps, 1, 1)
    nominal = -(-samples // batch)
    positions = [int(c.position) for c in calls]
    assert positions[0] == 2 * nominal and positions == sorted(positions)
    assert positions[-1] <= 3 * nominal


@settings(max_examples=30, deadline=None)
@given(longest=st.integers(1, 8), seed=st.integers(0, 1000))
def test_rest_doubles_with_every_skip_in_a_row(longest: int, seed: int) -> None:
    """Against a plain simulation, sample by sample."""
    rng = np.random.default_rng(seed)
    resting = RestingSamples.of(6, longest)
    streak, wait = [0] * 6, [0] * 6
    for epoch in range(14):
        resting.begin(epoch)
        awake = resting.awake()
        assert awake.tolist() == [w == 0 for w in wait]
        ids = np.flatnonzero(awake)
        trained = rng.random(len(ids)) < 0.3
        resting.visited(tf.constant(ids), tf.constant(trained))
        for i in range(6):
            if wait[i]:
                wait[i] -= 1
                continue
            if trained[ids.tolist().index(i)]:
                streak[i] = 0
            else:
                streak[i] += 1
                wait[i] = min(2 ** (streak[i] - 1), longest)


@dataclass(frozen=True)
class ByError(Rest):
    """Trains where alpha is above a fixed limit; lets others rest."""

    name: ClassVar[str] = "by-error"
    limit: float = 1.0

    def decide(self, alpha: tf.Tensor, alpha_max: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return alpha > self.limit, alpha_max


@pytest.mark.parametrize(("build", "batch"), [(mlp, 1), (mlp, 4), (cnn, 1)])
def test_resting_samples_are_not_forwarded(build: Any, batch: int) -> None:
    """With a learning rate of zero the same samples are skipped at every visit."""
    x, y = data(build(), 23)
    logits = build().predict(x, verbose=0).astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    alpha = 2 * (1 - p[np.arange(23), y])
    limit = float(np.sort(alpha)[[11, 12]].mean())
    full = get_method("full")
    method = Method("rest", full.selector, full.sparsifier, ByError(limit=limit))
    model = trainer(build(), method, 3, rate=0.0)
    history = model.fit(x, y, batch_size=batch, epochs=12, verbose=0).history
    visited = [23 if epoch in (0, 2, 5, 10) else 11 for epoch in range(12)]
    forward = visited[0] * np.array(visited) / visited[0]
    assert np.divide(history["forward_macs"], history["forward_macs"][0] / 23) == pytest.approx(
        forward
    )
    assert history["resting"] == pytest.approx([1 - v / 23 for v in visited])
    assert history["skipped"] == pytest.approx([12 / 23] * 12)
    assert history["effort"] == pytest.approx([11 / 23] * 12)


def cosine_worths(epochs: int) -> list[float]:
    """Cosine from the peak to zero, looked at in the middle of every epoch."""
    rates = [(1 + math.cos(math.pi * (i + 0.5) / epochs)) / 2 for i in range(epochs)]
    return [rate / rates[0] for rate in rates]


def test_an_epoch_is_worth_its_learning_rate() -> None:
    """20 steps per epoch; with a warm-up of two epochs the largest rate so far grows with it."""
    schedules = keras.optimizers.schedules
    falling = keras.optimizers.SGD(schedules.CosineDecay(0.3, 120))
    assert worth_of_epochs(falling, 20, 6) == pytest.approx(cosine_worths(6), rel=1e-5)
    assert worth_of_epochs(falling, 20, 2) == pytest.approx(cosine_worths(6)[:2], rel=1e-5)
    rising = schedules.CosineDecay(0.0, 80, warmup_target=0.3, warmup_steps=40)
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(rising))
    cosine = [(1 + math.cos(math.pi * i / 8)) / 2 for i in (1, 3, 5, 7)]
    expected = [1, 1, 1, *(c / cosine[0] for c in cosine[1:])]
    assert worth_of_epochs(scaled, 20, 6) == pytest.approx(expected, rel=1e-5)
    assert worth_of_epochs(keras.optimizers.SGD(0.3), 20, 3).tolist() == [1, 1, 1]
    assert worth_of_epochs(keras.optimizers.SGD(schedules.CosineDecay(0.0, 9)), 3, 2).all()


@pytest.mark.parametrize("batch", [1, 4])
def test_who_rests_by_the_learning_rate_wakes_later_when_it_falls(batch: int) -> None:
    """Against a plain simulation; the rates are too small to change who is skipped."""
    x, y = data(mlp(), 23)
    full = get_method("full")
    method = Method(
        "rest", full.selector, full.sparsifier, ByError(limit=9.0, pace="learning-rate")
    )
    steps = -(-23 // batch)
    schedule = keras.optimizers.schedules.CosineDecay(1e-9, 16 * steps)
    model = trainer(mlp(), method, 3, rate=schedule)
    history = model.fit(x, y, batch_size=batch, epochs=16, verbose=0).history
    time, due, rest, resting = 0.0, 0.0, 1, []
    for worth in cosine_worths(16):
        resting.append(float(due > time + worth / 2))
        if not resting[-1]:
            due, rest = time + worth + rest, min(2 * rest, 4)
        time += worth
    assert history["resting"] == resting
    by_epochs = [float(epoch not in (0, 2, 5, 10, 15)) for epoch in range(16)]
    assert resting[:6] == by_epochs[:6] and sum(resting) > sum(by_epochs)


def test_a_schedule_of_the_learning_rate_covers_epochs_of_few_samples() -> None:
    """Whoever rests, an epoch begins where an epoch of all samples would."""
    x, y = data(mlp(), 40)
    begins = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 0:
                begins.append(int(self.model.optimizer.iterations))

    full = get_method("full")
    method = Method("rest", full.selector, full.sparsifier, ByError(limit=1.33))
    model = trainer(mlp(), method, 2)
    history = model.fit(x, y, batch_size=4, epochs=5, verbose=0, callbacks=[Look()]).history
    assert max(history["resting"]) > 0.2
    assert begins == [10 * epoch + 2 for epoch in range(5)]


@pytest.mark.parametrize("arguments", [{"sample_weight": np.ones(8)}, {"validation_split": 0.5}])
def test_only_stored_samples_can_rest(arguments: dict[str, Any]) -> None:
    x, y = data(mlp(), 8)
    model = trainer(mlp(), get_method("rest"), 1)
    with pytest.raises(UserError, match="stored"):
        model.fit(x, y, verbose=0, **arguments)
    with pytest.raises(UserError, match="stored"):
        model.fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(4), verbose=0)


def test_a_saved_model_remembers_who_rests(tmp_path: Path) -> None:
    x, y = data(mlp(), 40)
    method = get_method("rest", settings={"threshold": "0.6"})
    model = trainer(mlp(), method, 4)
    model.fit(x, y, batch_size=1, epochs=3, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert set(again.rest_state) == {"skips", "due"}
    for name, value in model.rest_state.items():
        assert np.array_equal(again.rest_state[name], value)
    histories = [
        m.fit(x, y, batch_size=1, initial_epoch=3, epochs=6, verbose=0).history
        for m in (model, again)
    ]
    assert histories[0] == histories[1]
    assert all(
        np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True)
    )


@pytest.mark.parametrize("size", [5, 48, RANKED, RANKED + 1, 700])
def test_top_k_is_exact_where_xla_compiles(size: int) -> None:
    """Against a stable sort, with ties and zeros."""
    rng = np.random.default_rng(size)
    magnitude = np.maximum(rng.normal(0, 1, (7, size)).round(1), 0).astype(np.float32)
    k = np.append(rng.integers(1, size + 1, 6), 0).astype(np.int32)
    compiled = tf.function(top_k, jit_compile=True)
    masks = compiled(tf.constant(magnitude), tf.constant(k))
    for row, wanted, found, nonzero, count in zip(magnitude, k, *masks, strict=True):
        expected = np.zeros(size, bool)
        expected[np.argsort(-row, kind="stable")[:wanted]] = True
        assert np.array_equal(found, expected)
        assert np.array_equal(nonzero, expected & (row > 0))
        assert count == np.count_nonzero(nonzero)


def test_a_trained_model_is_freed() -> None:
    """TensorFlow's registries of gradients and of Python functions must not hold it."""
    model = trainer(cnn(), get_method("tinypropv2"), 2)
    model.fit(*data(model.model, 9), batch_size=4, verbose=0)
    alive = weakref.ref(model)
    del model
    keras.utils.clear_session()
    gc.collect()
    assert alive() is None
