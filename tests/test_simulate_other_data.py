"""Data named after the run are prepared as the run's were."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from cli_calls import figures, invoke

X = np.random.default_rng(0).normal([5000, 0.2, -3], [800, 0.001, 40], (300, 3))
Y = ((X - X.mean(0)) / X.std(0)).argmax(axis=1)
TRAIN, TEST = slice(0, 200), slice(200, 300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("standardised")
    layers = keras.layers
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(8, "relu"), layers.Dense(3)])
    model.save(folder / "mine.keras")
    parts = {"x_train": X[TRAIN], "y_train": Y[TRAIN], "x_test": X[TEST], "y_test": Y[TEST]}
    np.savez(folder / "mine.npz", **parts)
    # Another person, all of whose values lie higher: its own mean would hide that.
    parts |= {"x_train": X[TRAIN] + X.std(0), "x_test": X[TEST] + X.std(0)}
    np.savez(folder / "other.npz", **parts)
    mine = ("--model", folder / "mine.keras", "--data", folder / "mine.npz")
    figures("finetune", *mine, "--standardise", "--epochs", 20, "--out", folder / "run")
    figures("export", folder / "run")
    return folder


def test_the_same_data_by_name_give_the_same_figures(folder: Path) -> None:
    export = folder / "run" / "export-nano33"
    own = figures("simulate", export)
    named = figures("simulate", export, "--data", folder / "mine.npz")
    assert own["accuracy_before"] > 0.85
    for key in ("accuracy_before", "accuracy_after", "skipped", "effort"):
        assert named[key] == own[key]


def test_other_data_are_standardised_as_those_of_the_run(folder: Path) -> None:
    """By hand: Keras' answers for (x - mean) / deviation of the run's training samples."""
    model = keras.models.load_model(folder / "run" / "model.keras")
    mean, deviation = X[TRAIN].mean(0), X[TRAIN].std(0)
    outputs = model.predict((X[TEST] + X.std(0) - mean) / deviation, verbose=0)
    expected = (outputs.argmax(axis=1) == Y[TEST]).mean()
    export = folder / "run" / "export-nano33"
    other = figures("simulate", export, "--data", folder / "other.npz", "--samples", 1)
    assert other["accuracy_before"] == pytest.approx(expected, abs=0.03)
    out = folder / "calibrated"
    report = figures("export", folder / "run", "--data", folder / "other.npz", "--out", out)
    assert report["export"]["accuracy"]["float"] == pytest.approx(expected)
    given = report["export"]["provenance"]
    np.testing.assert_allclose(given["mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(given["deviation"], deviation, rtol=1e-5)


@pytest.mark.parametrize(
    ("scales", "options", "warned"),
    [
        ([1, 1, 1], (), False),
        ([1, 50, 0], (), False),
        ([1, 0.001, 1], (), True),
        ([1, 1, 1000], (), True),
        ([1000, 1000, 1000], (), True),
        ([1, 1, 1000], ("--standardise",), False),
    ],
)
def test_channels_of_unlike_scales_are_warned_of(
    folder: Path, tmp_path: Path, scales: list[float], options: tuple[str, ...], warned: bool
) -> None:
    x = np.random.default_rng(0).normal(size=(100, 3)) * scales
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(100) % 3)
    mine = ("--model", folder / "mine.keras", "--data", tmp_path / "x.npz", "--epochs", 1)
    result = invoke("finetune", *mine, "--lr", 1e-9, *options, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert ("warning: " in result.stderr and "--standardise" in result.stderr) == warned


@pytest.mark.parametrize("command", ["simulate", "verify"])
@pytest.mark.parametrize("name", ["model.tflite", "model_train.tflite"])
def test_files_of_an_export_that_are_gone_or_damaged(
    folder: Path, tmp_path: Path, command: str, name: str
) -> None:
    export = shutil.copytree(folder / "run" / "export-nano33", tmp_path / "export")
    whole = (export / name).read_bytes()
    (export / name).write_bytes(whole[:500])
    refused = invoke(command, export)
    assert refused.exit_code == 2 and f"{name} is damaged" in refused.stderr
    (export / name).unlink()
    refused = invoke(command, export)
    assert refused.exit_code == 2 and f"{name} cannot be read" in refused.stderr


def test_masks_of_a_run_that_are_damaged(folder: Path, tmp_path: Path) -> None:
    run = shutil.copytree(folder / "run", tmp_path / "run")
    (run / "masks.npz").write_bytes(b"nothing")
    refused = invoke("export", run, "--out", tmp_path / "out")
    assert refused.exit_code == 2 and "masks.npz is no .npz file with masks" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_other_channels_are_refused(folder: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", x=X[:, :2], y=Y)
    refused = invoke("simulate", folder / "run" / "export-nano33", "--data", tmp_path / "two.npz")
    assert refused.exit_code == 2 and "2 channels" in refused.stderr
