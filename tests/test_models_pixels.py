"""Models that scale 0..255 themselves get it; the whole path of one such model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from tf_odl.cli import main
from tf_odl.data import load
from tf_odl.models.pixels import as_the_model_takes, scales_pixels

L = keras.layers


def images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, 8, 8, 3]: the class is the brightest channel."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    x = rng.integers(0, 120, (count, 8, 8, 3)).astype(np.uint8)
    x[np.arange(count), :, :, labels] += 100
    return x, labels


def adapted() -> keras.layers.Layer:
    layer = L.Normalization()
    layer.adapt(images(30, 5)[0].astype(np.float32))
    return layer


def functional(front: Callable[[Any], Any]) -> keras.Model:
    given = keras.Input((8, 8, 3))
    return keras.Model(given, L.Dense(3)(L.Flatten()(front(given))))


def stack(*front: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 3)), *front, L.Flatten(), L.Dense(3)])


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: stack(L.Rescaling(1 / 255)), True),
        (lambda: stack(L.Rescaling(1 / 127.5, -1)), True),
        (lambda: stack(L.RandomFlip(), L.RandomRotation(0.1), L.Rescaling(1 / 255)), True),
        (lambda: stack(keras.Sequential([L.Rescaling(1 / 255)])), True),
        (lambda: stack(adapted()), True),
        (lambda: functional(lambda x: x / 255), True),
        (lambda: functional(keras.applications.mobilenet_v2.preprocess_input), True),
        (lambda: stack(), False),
        (lambda: stack(L.Rescaling(2.0, -1.0)), False),
        (lambda: stack(L.Rescaling(255.0, [-123.68, -116.779, -103.939])), False),
        (lambda: stack(L.Conv2D(2, 3), L.Rescaling(1 / 255)), False),
        (lambda: stack(L.Normalization(mean=0.5, variance=0.1)), False),
        (lambda: functional(lambda x: x / 2), False),
    ],
)
def test_models_that_scale_bytes(make: Callable[[], keras.Model], expected: bool) -> None:
    assert scales_pixels(make()) is expected


def test_only_samples_that_were_bytes_become_bytes_again(tmp_path: Path) -> None:
    x, y = images(30, 0)
    np.savez(tmp_path / "bytes.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    floats = x.astype(np.float32)
    np.savez(tmp_path / "floats.npz", x_train=floats, y_train=y, x_test=floats, y_test=y)
    model = stack(L.Rescaling(1 / 255))
    for name in ("bytes", "floats"):
        data = as_the_model_takes(model, load(str(tmp_path / f"{name}.npz")))
        np.testing.assert_allclose(data.x_train, floats, atol=1e-4)
    plain = as_the_model_takes(stack(), load(str(tmp_path / "bytes.npz")))
    assert plain.x_train.max() <= 1


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_model_that_begins_with_rescaling_is_finetuned_exported_and_learns(
    tmp_path: Path,
) -> None:
    """Trained by plain Keras on 0..255, as in Keras' own tutorials."""
    keras.utils.set_random_seed(0)
    layers = [
        L.Rescaling(1 / 255),
        L.Conv2D(4, 3, use_bias=False, name="conv"),
        L.BatchNormalization(),
        L.ReLU(),
        L.GlobalAveragePooling2D(),
        L.Dense(3, activation="softmax", name="out"),
    ]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    model.compile(
        keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(*images(120, 1), epochs=30, verbose=0)
    x_test, y_test = images(60, 2)
    expected = model.evaluate(x_test, y_test, verbose=0)[1]
    assert expected > 0.9
    model.save(tmp_path / "mine.keras")
    x, y = images(60, 3)
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)

    mine = ("--model", str(tmp_path / "mine.keras"), "--data", str(tmp_path / "mine.npz"))
    out = str(tmp_path / "run")
    record = json.loads(
        run("finetune", *mine, "--epochs", "1", "--lr", "0.001", "--out", out, "--json")
    )
    assert record["result"]["accuracy_before"] == pytest.approx(expected)
    exported = json.loads(run("export", out, "--json"))["export"]
    assert exported["input"]["scale"] == pytest.approx(1, rel=0.2)
    assert {layer["name"] for layer in exported["layers"] if layer["trainable_weights"]} == {
        "conv",
        "out",
    }
    folder = str(tmp_path / "run" / "export-nano33")
    for data in ([], ["--data", str(tmp_path / "mine.npz")]):
        figures = json.loads(run("simulate", folder, *data, "--json"))
        assert figures["accuracy_before"] > expected - 0.1
        assert figures["accuracy_after"] > expected - 0.1
