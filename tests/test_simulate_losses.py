"""Keras models that do not end in a softmax, from their file to what they learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cli_calls import figures, invoke

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 6)).astype(np.float32)
X[:, 3:] = X[:, :3] + 0.1 * X[:, 3:]
ABOVE = (X[:, 0] - X[:, 1] > -0.4).astype(np.int64)  # more ones than zeros
TRAIN, TEST = slice(0, 200), slice(200, 300)


def trained(path: Path, y: np.ndarray, loss: Any, *ends: keras.layers.Layer) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), L.Dense(12, activation="relu"), *ends])
    model.compile(keras.optimizers.Adam(0.02), loss)
    model.fit(X[TRAIN], y[TRAIN], epochs=20, verbose=0)
    model.save(path)
    return model


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    path = tmp_path / "above.npz"
    parts = {"x_train": X[TRAIN], "y_train": ABOVE[TRAIN], "x_test": X[TEST], "y_test": ABOVE[TEST]}
    np.savez(path, **parts)
    return path


@pytest.mark.parametrize("sigmoid", [True, False])
def test_one_output_tells_two_classes_apart(tmp_path: Path, labelled: Path, sigmoid: bool) -> None:
    """Before learning it is right as often as Keras says, with and without the sigmoid."""
    loss = keras.losses.BinaryCrossentropy(from_logits=not sigmoid)
    end = L.Dense(1, activation="sigmoid" if sigmoid else None)
    model = trained(tmp_path / "mine.keras", ABOVE, loss, end)
    outputs = model.predict(X[TEST], verbose=0)[:, 0]
    expected = ((outputs >= (0.5 if sigmoid else 0)) == ABOVE[TEST]).mean()
    assert expected > 0.9
    out = tmp_path / "out"
    report = figures("export", tmp_path / "mine.keras", "--data", labelled, "--out", out)
    assert report["export"]["loss"] == "binary-cross-entropy"
    assert report["export"]["accuracy"]["float"] == pytest.approx(expected)
    assert report["export"]["accuracy"]["int8"] == pytest.approx(expected, abs=0.03)
    simulated = figures("simulate", out, "--lr", "0.0001", "--save", tmp_path / "learned")
    assert simulated["accuracy_before"] == report["export"]["accuracy"]["int8"]
    assert simulated["accuracy_after"] == pytest.approx(expected, abs=0.05)
    learned = keras.models.load_model(tmp_path / "learned" / "learned.keras")
    assert learned.output_shape == (None, 1)


def test_an_autoencoder_needs_no_labels_and_its_error_falls(tmp_path: Path) -> None:
    ends = [L.Dense(3, activation="relu"), L.Dense(12, activation="relu"), L.Dense(6)]
    model = trained(tmp_path / "mine.keras", X, "mse", *ends)
    other = X * np.repeat(np.float32([1, -1]), 3)
    np.savez(tmp_path / "plain.npz", x_train=X[TRAIN], x_test=X[TEST])
    np.savez(tmp_path / "other.npz", x_train=other[TRAIN], x_test=other[TEST])
    out = tmp_path / "out"
    figures(
        *("export", tmp_path / "mine.keras", "--data", tmp_path / "plain.npz", "--out", out),
    )
    before = figures("simulate", out, "--samples", 1)
    expected = float(((model.predict(X[TEST], verbose=0) - X[TEST]) ** 2).mean())
    assert before["error_before"] == pytest.approx(expected, rel=0.1)
    assert before["accuracy_before"] is before["accuracy_after"] is None
    learned = figures(
        "simulate", out, "--data", tmp_path / "other.npz", "--lr", 0.02, "--passes", 5
    )
    assert learned["error_after"] < 0.5 * learned["error_before"]
    shown = invoke("simulate", out)
    assert "mean squared error" in shown.stdout and "accuracy" not in shown.stdout


def test_a_regression_needs_targets_to_learn_but_not_to_be_exported(tmp_path: Path) -> None:
    y = (3 * X[:, :1]).astype(np.float32)
    trained(tmp_path / "mine.keras", y, "mse", L.Dense(1))
    np.savez(tmp_path / "mine.npz", x_train=X[TRAIN], x_test=X[TEST])
    out = tmp_path / "out"
    mine = ("export", tmp_path / "mine.keras", "--data", tmp_path / "mine.npz", "--out", out)
    exported = figures(*mine, "--loss", "mse")["export"]
    assert exported["accuracy"] is None and exported["error"] is None
    refused = invoke("simulate", out)
    assert refused.exit_code == 2 and "learns targets, and mine has none" in refused.stderr


def test_exports_of_keras_and_tflite_files_recognise_a_regression(tmp_path: Path) -> None:
    """As finetune does, by the columns of the table."""
    y = X @ RNG.normal(size=(6, 1)).astype(np.float32)
    trained(tmp_path / "mine.keras", y, "mse", L.Dense(1))
    rows = [",".join(f"{v:.4f}" for v in (*x, *t)) for x, t in zip(X, y, strict=True)]
    (tmp_path / "mine.csv").write_text("\n".join(["a,b,c,d,e,f,target_ppm", *rows]))
    keras_out, tflite_out = tmp_path / "keras", tmp_path / "tflite"
    data = ("--data", tmp_path / "mine.csv")
    first = figures("export", tmp_path / "mine.keras", *data, "--out", keras_out)["export"]
    again = figures("export", keras_out / "model.tflite", *data, "--out", tflite_out)["export"]
    for record in (first, again):
        assert record["loss"] == "mse" and record["accuracy"] is None
        assert record["provenance"]["target_names"] == ["ppm"]
    assert again["error"]["int8"] == first["error"]["int8"] < 0.1 * float(y.var())
    assert figures("simulate", tflite_out, "--lr", 1e-6)["before"]["r2"] > 0.9


def test_commands_say_how_a_table_was_read(tmp_path: Path) -> None:
    trained(tmp_path / "mine.keras", X[:, :1] + X[:, 1:2], "mse", L.Dense(1))
    rows = [",".join(f"{v:.4f}" for v in (i, *x, x[0])) for i, x in enumerate(X)]
    (tmp_path / "mine.csv").write_text("\n".join(["timestamp,a,b,c,d,e,f,target_ppm", *rows]))
    out = tmp_path / "out"
    said = "mine.csv: the column 'timestamp' is left out"
    for command in (
        ("export", tmp_path / "mine.keras", "--data", tmp_path / "mine.csv", "--out", out),
        ("simulate", out),
        ("verify", out),
    ):
        result = invoke(*command)
        assert result.exit_code == 0 and said in result.stderr
        assert said not in result.stdout
