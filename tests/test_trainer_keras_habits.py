"""OdlModel is a Keras model: what people do with one works, what cannot work is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tf_odl.errors import UserError
from tf_odl.methods import METHODS, get_method
from tf_odl.trainer import batches
from tf_odl.trainer.model import OdlModel
from tf_odl.trainer.schedule import learning_rate

LOSS = {"from_logits": True}
METERS = {
    "effort",
    "effort_nonzero",
    "skipped",
    "resting",
    "backward_macs",
    "forward_macs",
    "recompute_macs",
}


def small(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6,))
    x = layers.Dense(8, activation="relu")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(5)(x)))
    return keras.Model(inputs, layers.Dense(3)(x))


def data(samples: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three classes that a small network separates."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, samples)
    x = rng.normal(0, 0.5, (samples, 6)) + 2 * np.eye(6)[y]
    return x.astype(np.float32), y


def wrapped(method: str = "tinypropv2", *, seed: int = 0, **compile_options: Any) -> OdlModel:
    needs_budget = get_method(method).selector.needs_budget
    trainer = OdlModel(
        small(seed),
        get_method(method, budget="50%" if needs_budget else None),
        selection_data=data()[0][:5],
        support_data=data(30, 2),
        seed=seed,
    )
    options = {"run_eagerly": True, "metrics": ["accuracy"]} | compile_options
    optimizer = options.pop("optimizer", None) or keras.optimizers.Adam(0.02)
    trainer.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(**LOSS), **options)
    return trainer


def equal(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_with_default_options(method: str) -> None:
    """compile without any option of ours, and a last batch of 3 samples."""
    trainer = wrapped(method, run_eagerly=False, optimizer=keras.optimizers.Adam(0.05))
    x, y = data(67)
    history = trainer.fit(x, y, validation_data=data(30, 1), epochs=8, batch_size=16, verbose=0)
    logs = history.history
    assert set(logs) == {"loss", "accuracy", "val_loss", "val_accuracy"} | METERS
    assert all(len(v) == 8 for v in logs.values())
    assert logs["val_loss"][-1] < 0.9 * logs["val_loss"][0]
    assert 0 < logs["effort_nonzero"][-1] <= logs["effort"][-1] <= 1
    assert (logs["effort"][-1] < 1) == (method != "full")


def test_tf_data_trains_as_arrays_do() -> None:
    x, y = data(43)
    plain, streamed = wrapped(), wrapped()
    plain.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    stream = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    streamed.fit(stream, epochs=2, shuffle=False, verbose=0)
    assert equal(plain.get_weights(), streamed.get_weights())


def test_our_batches_depend_on_seed_and_epoch_alone() -> None:
    x, y = np.arange(21, dtype=np.float32)[:, None], np.arange(21)

    def labels(first: int, last: int, seed: int = 4) -> list[list[int]]:
        def order() -> tuple[int, np.ndarray]:
            epoch = next(epochs)
            return epoch, batches.shuffled(21, seed, epoch)

        epochs = iter(range(first, last))
        epoch = batches.single(x, y, batch_size=8, steps=2, order=order)
        found = [batch for _ in range(first, last) for batch in epoch]
        assert all(np.array_equal(b.x[:, 0], b.y) and np.array_equal(b.ids, b.y) for b in found)
        positions = [b.position.numpy().tolist() for b in found]
        steps = range(3 * first, 3 * last)
        assert positions == [[i] * len(b.y) for i, b in zip(steps, found, strict=True)]
        return [b.y.numpy().tolist() for b in found]

    whole = labels(0, 3)
    steps = batches.steps_per_epoch(21, 8)
    assert steps == 3 and [len(b) for b in whole] == [8, 8, 5] * 3
    for epoch in range(3):
        own = whole[steps * epoch : steps * epoch + steps]
        assert sorted(label for batch in own for label in batch) == list(range(21))
        assert labels(epoch, epoch + 1) == own
    assert labels(1, 3) == whole[steps:]
    assert whole[:steps] != whole[steps : 2 * steps]
    assert labels(0, 1, seed=5) != whole[:steps]


def test_evaluate_and_predict_are_those_of_the_model_inside() -> None:
    trainer = wrapped()
    x, y = data(43)
    trainer.fit(x, y, epochs=2, verbose=0)
    inner = trainer.model
    inner.compile(loss=keras.losses.SparseCategoricalCrossentropy(**LOSS), metrics=["accuracy"])
    want = inner.evaluate(x, y, verbose=0, return_dict=True)
    got = trainer.evaluate(x, y, verbose=0, return_dict=True)
    assert got.keys() == want.keys()
    for name, value in want.items():
        assert got[name] == pytest.approx(value, rel=1e-5), name
    np.testing.assert_array_equal(trainer.predict(x, verbose=0), inner.predict(x, verbose=0))
    np.testing.assert_array_equal(trainer(x), inner(x))


def test_metrics_of_a_class() -> None:
    recall = keras.metrics.Recall(class_id=1, name="recall_of_1")
    inputs = keras.Input((6,))
    trainer = OdlModel(
        keras.Model(inputs, layers.Dense(3, activation="softmax")(inputs)), get_method("tinyprop")
    )
    trainer.compile("adam", "categorical_crossentropy", metrics=[recall], run_eagerly=True)
    x, y = data(60)
    one_hot = np.eye(3, dtype=np.float32)[y]
    logs = trainer.fit(x, one_hot, validation_data=(x, one_hot), epochs=3, verbose=0).history
    predicted = trainer.predict(x, verbose=0)[:, 1] > 0.5
    assert logs["val_recall_of_1"][-1] == pytest.approx(predicted[y == 1].mean())
    assert len(logs["recall_of_1"]) == 3


def test_early_stopping_restores_the_best_weights() -> None:
    trainer = wrapped()
    x, y = data()
    stop = keras.callbacks.EarlyStopping(
        "val_loss", mode="max", patience=2, restore_best_weights=True
    )
    kept: list[list[np.ndarray]] = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: kept.append(trainer.model.get_weights())
    )
    logs = trainer.fit(x, y, validation_data=(x, y), epochs=9, callbacks=[stop, keep], verbose=0)
    assert len(logs.epoch) == 3, "val_loss falls, and the first is kept as the largest"
    assert equal(trainer.model.get_weights(), kept[0])


def test_learning_rate_schedulers_and_schedules() -> None:
    trainer = wrapped(optimizer=keras.optimizers.SGD(0.1))
    x, y = data()
    drop = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    logs = trainer.fit(x, y, epochs=3, callbacks=[drop], verbose=0).history
    assert logs["learning_rate"] == pytest.approx([0.1, 0.05, 0.1 / 3])
    before = trainer.model.trainable_variables[0].numpy()
    stop = keras.callbacks.LearningRateScheduler(lambda epoch: 0.0)
    trainer.fit(x, y, callbacks=[stop], verbose=0)
    np.testing.assert_array_equal(trainer.model.trainable_variables[0], before)


def test_the_papers_schedule() -> None:
    """Linear to the peak, then half a cosine to zero, over the steps of the run."""
    rate = learning_rate(0.2, schedule="cosine", steps=100, warmup_steps=20)
    values = [float(rate(step)) for step in (0, 10, 20, 60, 100, 150)]
    assert values == pytest.approx([0, 0.1, 0.2, 0.1, 0, 0], abs=1e-7)
    rate = learning_rate(0.2, schedule="cosine", steps=100, warmup_steps=0)
    assert [float(rate(s)) for s in (0, 50, 100)] == pytest.approx([0.2, 0.1, 0], abs=1e-7)
    assert learning_rate(0.2, schedule="constant", steps=100, warmup_steps=20) == 0.2


@pytest.mark.parametrize("method", ["tinypropv2", "velocity", "random", "head"])
def test_a_saved_trainer_continues_as_if_it_had_not_been_away(method: str, tmp_path: Path) -> None:
    """Optimizer, running maxima, masks and what the selector remembers come back."""
    x, y = data()
    options = {"batch_size": 16, "shuffle": False, "verbose": 0}
    trainer = wrapped(method)
    trainer.fit(x, y, epochs=2, **options)
    trainer.save(tmp_path / "trainer.keras")
    loaded = keras.models.load_model(tmp_path / "trainer.keras")
    loaded.run_eagerly = True
    assert isinstance(loaded, OdlModel)
    assert loaded.method == trainer.method
    assert loaded.selection_macs == trainer.selection_macs
    assert loaded.selector_state.keys() == trainer.selector_state.keys()
    for name, mask in trainer.masks.items():
        np.testing.assert_array_equal(loaded.masks[name].kernel, mask.kernel)
        np.testing.assert_array_equal(loaded.masks[name].bias, mask.bias)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), trainer.predict(x, verbose=0))
    logs = [t.fit(x, y, initial_epoch=2, epochs=4, **options).history for t in (trainer, loaded)]
    assert logs[0] == logs[1]
    assert equal(trainer.get_weights(), loaded.get_weights())
    for v, w in zip(trainer.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(v, w)


@pytest.mark.parametrize("weights_only", [False, True])
def test_model_checkpoint(weights_only: bool, tmp_path: Path) -> None:
    path = tmp_path / ("best.weights.h5" if weights_only else "best.keras")
    trainer = wrapped("velocity")
    x, y = data()
    keep = keras.callbacks.ModelCheckpoint(path, save_weights_only=weights_only)
    trainer.fit(x, y, epochs=2, callbacks=[keep], verbose=0)
    if weights_only:
        loaded = wrapped("velocity", seed=9)
        assert not equal(loaded.get_weights(), trainer.get_weights())
        loaded.load_weights(path)
    else:
        loaded = keras.models.load_model(path)
    assert equal(loaded.get_weights(), trainer.get_weights())
    for key, value in trainer.selector_state.items():
        np.testing.assert_array_equal(loaded.selector_state[key], value)


def test_the_same_seed_gives_the_same_weights() -> None:
    def run(seed: int) -> list[np.ndarray]:
        method = get_method("tinypropv2", selector="velocity", budget="50%")
        trainer = OdlModel(small(seed), method, selection_data=data()[0][:5], seed=seed)
        loss = keras.losses.SparseCategoricalCrossentropy(**LOSS)
        trainer.compile("adam", loss, run_eagerly=True)
        trainer.fit(*data(), batch_size=16, epochs=3, verbose=0)
        return trainer.get_weights()

    first = run(1)
    assert equal(first, run(1))
    assert not equal(first, run(2))


def test_the_model_inside_is_shared_and_left_as_it_was() -> None:
    """Its layers stay usable and keep no trace of the trainer."""
    trainer = wrapped()
    inner = trainer.model
    names = [set(vars(layer)) for layer in inner.layers]
    trainer.fit(*data(), verbose=0)
    assert all("call" not in vars(layer) for layer in inner.layers)
    assert [set(vars(layer)) for layer in inner.layers] == names
    x, _ = data()
    expected = inner.predict(x, verbose=0)
    copy = keras.models.clone_model(inner)
    copy.set_weights(inner.get_weights())
    np.testing.assert_array_equal(copy.predict(x, verbose=0), expected)


def test_a_failing_step_leaves_no_trace_either() -> None:
    trainer = wrapped()
    with pytest.raises(ValueError):
        trainer.fit(np.zeros((8, 7), np.float32), np.zeros(8), verbose=0)
    assert all("call" not in vars(layer) for layer in trainer.model.layers)
    trainer.fit(*data(), verbose=0)


def test_layers_of_other_kinds_may_be_frozen() -> None:
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(7, 4, trainable=False)(inputs)
    x = layers.Dense(6, activation="relu")(layers.LSTM(4, trainable=False)(x))
    trainer = OdlModel(keras.Model(inputs, layers.Dense(3)(x)), get_method("tinypropv2"))
    trainer.compile("adam", keras.losses.SparseCategoricalCrossentropy(**LOSS))
    rng = np.random.default_rng(0)
    trainer.fit(rng.integers(0, 7, (9, 5)), rng.integers(0, 3, 9), verbose=0)


def _net(shape: tuple[int | None, ...], *middle: layers.Layer, dtype: str = "float32") -> Any:
    x = inputs = keras.Input(shape, dtype=dtype)
    for layer in middle:
        x = layer(x)
    return keras.Model(inputs, layers.Dense(2)(x), name="net")


def _two_inputs() -> keras.Model:
    a, b = keras.Input((3,)), keras.Input((4,))
    return keras.Model([a, b], layers.Dense(2)(layers.Concatenate()([a, b])), name="net")


def _named_input() -> keras.Model:
    a = keras.Input((3,), name="a")
    return keras.Model({"a": a}, layers.Dense(2)(a), name="net")


def _two_outputs() -> keras.Model:
    a = keras.Input((3,))
    return keras.Model(a, [layers.Dense(2)(a), layers.Dense(2)(a)], name="net")


def _shared() -> keras.Model:
    odd = layers.Dense(3, name="odd")
    return _net((3,), odd, layers.ReLU(), odd)


class _Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="net")
        self.only = layers.Dense(2)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return self.only(x)


def _subclassed() -> keras.Model:
    model = _Subclassed()
    model(np.zeros((1, 3), np.float32))
    return model


def _frozen() -> keras.Model:
    model = _net((3,))
    model.trainable = False
    return model


MAP = (6, 6, 4)


@pytest.mark.parametrize(
    ("build", "name", "reason"),
    [
        (_two_inputs, "net", "several"),
        (_named_input, "net", "named inputs"),
        (_two_outputs, "net", "several outputs"),
        (_subclassed, "net", "subclassed"),
        (_frozen, "net", "no trainable layer"),
        (_shared, "odd", "more than once"),
        (lambda: _net((3, 2), layers.TimeDistributed(layers.Dense(2, name="odd")),
                      layers.Flatten()), "odd", "more than once"),
        (lambda: _net((None, 2), layers.GlobalAveragePooling1D()), "net", r"open shape \(None"),
        (lambda: keras.Sequential([layers.Dense(2, name="odd")]), "odd", "no weights yet"),
        (lambda: keras.Sequential([keras.Input((3,)), layers.ReLU()], name="net"), "net",
         "no Dense or convolution"),
        (lambda: _net(MAP, layers.Conv2D(4, 3, groups=2, name="odd"), layers.Flatten()), "odd",
         "grouped"),
        (lambda: _net((6, 4), layers.Conv1D(4, 3, padding="causal", name="odd"), layers.Flatten()),
         "odd", "causal"),
        (lambda: _net((3,), layers.Dense(2, name="odd", dtype="mixed_bfloat16")), "odd",
         "bfloat16"),
        (lambda: _net((3,), keras.Sequential([keras.Input((3,)), layers.Dense(3, name="odd")]),
                      layers.Dense(3, name="odd")), "odd", "its own name"),
        (lambda: _net(MAP, layers.Conv2DTranspose(2, 3, name="odd"), layers.Flatten()), "odd",
         "Conv2DTranspose"),
        (lambda: _net((5, *MAP), layers.Conv3D(2, 3, name="odd"), layers.Flatten()), "odd",
         "Conv3D"),
        (lambda: _net((6, 4), layers.LSTM(3, name="odd")), "lstm_cell", "LSTM"),
        (lambda: _net((6,), layers.Embedding(3, 2, name="odd"), layers.Flatten(), dtype="int32"),
         "odd", "Embedding"),
    ],
)  # fmt: skip
def test_models_that_cannot_be_trained(
    build: Callable[[], keras.Model], name: str, reason: str
) -> None:
    """Refused in a sentence that names the layer or the model and says why."""
    with pytest.raises(UserError, match=f"'{name}'.*{reason}") as caught:
        OdlModel(build(), get_method("full"))
    assert "\n" not in str(caught.value)


def test_channels_first_is_refused() -> None:
    model = _net((6, 6, 4), layers.Conv2D(2, 3, name="odd"), layers.Flatten())
    model.get_layer("odd").data_format = "channels_first"  # TensorFlow cannot build it on a CPU
    with pytest.raises(UserError, match=r"'odd'.*channels_first"):
        OdlModel(model, get_method("full"))


def test_velocity_needs_samples_to_look_at() -> None:
    with pytest.raises(UserError, match=r"'velocity'.*selection_data"):
        OdlModel(small(), get_method("velocity"))


def test_a_budget_without_room_for_a_neuron() -> None:
    with pytest.raises(UserError, match=r"no room for one neuron of layer 'dense"):
        OdlModel(small(), get_method("random", budget="5"))
