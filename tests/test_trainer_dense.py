"""Method `full` is plain Keras training, whatever the optimizer."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers

from tf_odl.methods import get_method
from tf_odl.trainer.model import OdlModel

SAMPLES, BATCH, EPOCHS = 44, 8, 2  # 6 batches per epoch, the last one of 4


def _cnn() -> keras.Model:
    """Every kind of layer whose training has a state of its own."""
    x = inputs = keras.Input((8, 8, 2))
    for layer in (
        layers.Conv2D(4, 3, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.SeparableConv2D(6, 3, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(6),
        layers.MaxPooling2D(2),
        layers.Dropout(0.3, seed=3),
        layers.Flatten(),
        layers.Dense(8, activation="relu", kernel_regularizer=keras.regularizers.L2(0.01)),
        layers.LayerNormalization(),
        layers.Dense(3),
    ):
        x = layer(x)
    return keras.Model(inputs, x)


def _mlp() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Flatten(),
            layers.Dense(10, activation="tanh"),
            layers.Dense(3, activation="softmax"),
        ]
    )


def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, labels and sample weights."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (SAMPLES, 8, 8, 2)).astype(np.float32)
    return x, rng.integers(0, 3, SAMPLES), rng.uniform(0.5, 2, SAMPLES).astype(np.float32)


OPTIMIZERS: dict[str, Callable[[], keras.optimizers.Optimizer]] = {
    "sgd": lambda: keras.optimizers.SGD(0.1),
    "momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "clipped": lambda: keras.optimizers.SGD(0.1, global_clipnorm=0.5),
    "cosine": lambda: keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 12)),
}


def train(
    build: Callable[[], keras.Model],
    optimizer: str,
    wrap: bool,
    *,
    weighted: bool = False,
) -> tuple[list[np.ndarray], dict[str, list[float]]]:
    """Weights and history after EPOCHS epochs, with and without OdlModel around the model."""
    keras.utils.set_random_seed(11)
    model = build()
    trained: keras.Model = OdlModel(model, get_method("full")) if wrap else model
    softmax = isinstance(model, keras.Sequential)
    trained.compile(
        OPTIMIZERS[optimizer](),
        keras.losses.SparseCategoricalCrossentropy(from_logits=not softmax),
        metrics=["accuracy"],
        weighted_metrics=["accuracy"] if weighted else None,
        jit_compile=False,
    )
    x, y, weights = data()
    history = trained.fit(
        x,
        y,
        sample_weight=weights if weighted else None,
        batch_size=BATCH,
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
    )
    return model.get_weights(), history.history


def assert_equal_training(
    plain: tuple[list[np.ndarray], dict[str, list[float]]],
    ours: tuple[list[np.ndarray], dict[str, list[float]]],
) -> None:
    for p, o in zip(plain[0], ours[0], strict=True):
        np.testing.assert_allclose(o, p, rtol=1e-6, atol=1e-6)
    for name, values in plain[1].items():
        np.testing.assert_allclose(ours[1][name], values, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("build", "optimizer"), [*((_mlp, name) for name in OPTIMIZERS), (_cnn, "momentum")]
)
def test_full_is_plain_keras_training(build: Callable[[], keras.Model], optimizer: str) -> None:
    """Dropout draws the same numbers, regularizers and moving statistics are the same, too."""
    plain = train(build, optimizer, wrap=False)
    ours = train(build, optimizer, wrap=True)
    keras.utils.set_random_seed(11)
    moved = [np.abs(a - b).max() for a, b in zip(plain[0], build().get_weights(), strict=True)]
    assert sum(m > 1e-3 for m in moved) >= 4, "plain training went nowhere"
    assert_equal_training(plain, ours)
    assert ours[1]["effort"] == [1.0] * EPOCHS
    assert ours[1]["skipped"] == [0.0] * EPOCHS


def test_sample_weights_count_as_in_keras() -> None:
    plain = train(_mlp, "sgd", wrap=False, weighted=True)
    ours = train(_mlp, "sgd", wrap=True, weighted=True)
    assert_equal_training(plain, ours)
    unweighted = train(_mlp, "sgd", wrap=True)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(ours[0], unweighted[0], strict=True))


def test_layers_that_the_user_froze_stay_frozen() -> None:
    def build() -> keras.Model:
        model = _cnn()
        for layer in model.layers[:4]:
            layer.trainable = False
        return model

    plain, ours = (train(build, "momentum", wrap=wrap) for wrap in (False, True))
    assert_equal_training(plain, ours)
    keras.utils.set_random_seed(11)
    model = build()
    frozen = {v.path for layer in model.layers[:4] for v in layer.weights}
    assert len(frozen) == 8
    for now, v in zip(ours[0], model.weights, strict=True):
        assert np.array_equal(now, np.asarray(v)) == (v.path in frozen), v.path


def test_a_batch_alone_is_trained_as_by_keras() -> None:
    """train_on_batch and the epoch's last, smaller batch."""
    x, y, _ = data()
    results = []
    for wrap in (False, True):
        keras.utils.set_random_seed(11)
        model = _cnn()
        trained = OdlModel(model, get_method("full")) if wrap else model
        trained.compile(
            "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True
        )
        for n in (8, 1, 5):
            trained.train_on_batch(x[:n], y[:n])
        results.append(model.get_weights())
    for p, o in zip(*results, strict=True):
        np.testing.assert_allclose(o, p, rtol=1e-6, atol=1e-6)


def test_a_regressor_trains_as_by_keras() -> None:
    """Nothing in the trainer depends on cross-entropy."""
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (32, 5)).astype(np.float32)
    y = (x @ rng.normal(0, 1, (5, 2))).astype(np.float32)
    results = []
    for wrap in (False, True):
        keras.utils.set_random_seed(11)
        model = keras.Sequential(
            [keras.Input((5,)), layers.Dense(9, activation="relu"), layers.Dense(2)]
        )
        trained = OdlModel(model, get_method("full")) if wrap else model
        trained.compile("adam", "mse", metrics=["mae"], jit_compile=False)
        history = trained.fit(x, y, epochs=4, batch_size=8, shuffle=False, verbose=0).history
        results.append((model.get_weights(), history))
    assert_equal_training(*results)
