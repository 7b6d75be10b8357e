"""Regressions, autoencoders and single outputs: the PC trains them, and as the board does."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from cli_calls import figures, invoke
from keras import layers

from tf_odl.board import image
from tf_odl.board.messages import InputType, Step
from tf_odl.cli import teaching as lesson
from tf_odl.data import load
from tf_odl.errors import UserError
from tf_odl.figures import reconstruction_figures, regression_figures
from tf_odl.methods import get_method
from tf_odl.models import form_of
from tf_odl.task import Loss, Task, suggested_loss
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available
from tf_odl.trainer.loss import keras_loss, metrics, wanted
from tf_odl.trainer.model import OdlModel

RNG = np.random.default_rng(3)
X = RNG.normal(size=(240, 6)).astype(np.float32)
TARGETS = np.stack([X[:, 0] - 2 * X[:, 1], np.tanh(X[:, 2])], axis=1).astype(np.float32)
CORRELATED = (RNG.normal(size=(240, 2)) @ RNG.normal(size=(2, 6))).astype(np.float32)
SERIES = np.cumsum(RNG.normal(size=(60, 12, 2)), axis=1).astype(np.float32)
needs_tflm = pytest.mark.skipif(available() is not None, reason=str(available()))


def regressor(outputs: int = 2) -> keras.Model:
    ends = [layers.Dense(12, activation="relu"), layers.Dense(outputs)]
    return keras.Sequential([keras.Input((6,)), *ends])


def autoencoder() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(10, activation="relu"),
            layers.Dense(3, activation="relu"),
            layers.Dense(10, activation="relu"),
            layers.Dense(6),
        ]
    )


def convolutions() -> keras.Model:
    """An autoencoder whose output is no vector."""
    return keras.Sequential(
        [
            keras.Input((12, 2)),
            layers.Conv1D(4, 3, padding="same", activation="relu"),
            layers.Conv1D(2, 3, padding="same"),
        ]
    )


def binary(end: str | None = "sigmoid") -> keras.Model:
    ends = [layers.Dense(8, activation="relu"), layers.Dense(1, activation=end)]
    return keras.Sequential([keras.Input((6,)), *ends])


def npz(path: Path, x: np.ndarray = X, y: np.ndarray | None = None) -> str:
    count = 3 * len(x) // 4
    parts = {"x_train": x[:count], "x_test": x[count:]}
    if y is not None:
        parts |= {"y_train": y[:count], "y_test": y[count:]}
    np.savez(path, **parts)
    return str(path)


def saved(path: Path, build: Callable[[], keras.Model]) -> Path:
    keras.utils.set_random_seed(2)
    build().save(path)
    return path


# -- training -----------------------------------------------------------------------------------

KINDS: dict[str, tuple[Loss, Callable[[], keras.Model], np.ndarray, np.ndarray | None]] = {
    "regression": (Loss.MSE, regressor, X, TARGETS),
    "autoencoder": (Loss.RECONSTRUCTION, autoencoder, CORRELATED, None),
    "convolutions": (Loss.RECONSTRUCTION, convolutions, SERIES, None),
    "binary": (Loss.BINARY, binary, X, (X[:, 0] > 0).astype(np.int64)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_full_is_plain_keras_training(tmp_path: Path, kind: str) -> None:
    """With the loss and what is compared written out."""
    loss, build, x, y = KINDS[kind]
    data = load(npz(tmp_path / "some.npz", x, y), task=Task(loss))
    trained, logs = [], []
    for wrap in (True, False):
        keras.utils.set_random_seed(7)
        model = build()
        optimizer = keras.optimizers.SGD(0.05)
        if wrap:
            fitted: keras.Model = OdlModel(model, get_method("full"))
            fitted.compile(optimizer, keras_loss(model, loss), metrics=metrics(model, loss))
            given, _ = wanted(model, data, loss)
        else:
            fitted = model
            plain = "binary_crossentropy" if loss is Loss.BINARY else "mean_squared_error"
            fitted.compile(optimizer, plain)
            given = data.x_train if y is None else data.y_train.reshape(len(data.x_train), -1)
        history = fitted.fit(data.x_train, given, 8, epochs=2, shuffle=False, verbose=0)
        trained.append(model.get_weights())
        logs.append(history.history["loss"])
    np.testing.assert_allclose(logs[0], logs[1], rtol=1e-5)
    for ours, theirs in zip(*trained, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["regression", "convolutions"])
def test_skipping_follows_the_squared_error_as_on_the_board(tmp_path: Path, kind: str) -> None:
    """alpha = sum |2 d / n| of the n outputs, as TFODL_SQUARED_ERROR has it."""
    loss, build, x, y = KINDS[kind]
    data = load(npz(tmp_path / "some.npz", x, y), task=Task(loss))
    keras.utils.set_random_seed(1)
    model = build()
    outputs = model.predict(data.x_train, verbose=0).reshape(len(data.x_train), -1)
    given, _ = wanted(model, data, loss)
    alpha = np.abs(2 * (outputs - given.reshape(outputs.shape)) / outputs.shape[1]).sum(1)
    trains = alpha / np.maximum.accumulate(alpha) > 0.5
    assert 0.1 < trains.mean() < 0.9
    trainer = OdlModel(model, get_method("tinypropv2", settings={"threshold": "0.5"}))
    trainer.compile(keras.optimizers.SGD(1e-12), keras_loss(model, loss))
    history = trainer.fit(data.x_train, given, 1, shuffle=False, verbose=0).history
    assert history["skipped"][0] == pytest.approx(1 - trains.mean(), abs=1e-6)
    assert float(trainer.alpha_max) == pytest.approx(alpha.max(), rel=1e-5)


@pytest.mark.parametrize("method", ["tinyprop", "tinypropv2", "velocity", "rest", "tinytrain"])
@pytest.mark.parametrize("kind", ["regression", "autoencoder"])
def test_methods_lower_the_error(tmp_path: Path, kind: str, method: str) -> None:
    _, build, x, y = KINDS[kind]
    budget = ["--budget", "60%"] if method in ("velocity", "tinytrain") else []
    record = figures(
        *("finetune", "--model", saved(tmp_path / "mine.keras", build)),
        *("--data", npz(tmp_path / "some.npz", x, y), "--out", tmp_path / "run"),
        *("--method", method, "--lr", 0.05, "--epochs", 6, "--batch-size", 8, *budget),
    )
    key = "rmse" if kind == "regression" else "mse"
    result = record["result"]
    assert result[key] < 0.8 * result[f"{key}_before"]
    assert (tmp_path / "run" / "curves.png").is_file()


def test_a_regression_far_from_zero_trains_with_the_defaults(tmp_path: Path) -> None:
    """A fresh model begins at the mean of its targets, at a rate its steps survive."""
    run = tmp_path / "run"
    record = figures(
        *("finetune", "--model", "mlp5", "--data", npz(tmp_path / "some.npz", X, TARGETS + 32)),
        *("--epochs", 8, "--out", run),
    )
    assert record["settings"]["learning_rate"] == 0.01
    assert record["method"]["skip"]["threshold"] == 0.02
    assert record["result"]["rmse_before"] < 2 * TARGETS.std()
    assert record["result"]["r2"] > 0.5
    out = tmp_path / "out"
    exported = figures("export", run, "--out", out)["export"]
    assert exported["skip_rule"]["threshold"] == 0.02
    of_file = figures(
        *("export", run / "model.keras", "--data", tmp_path / "some.npz"),
        *("--out", tmp_path / "of_file"),
    )
    assert of_file["export"]["skip_rule"]["threshold"] == 0.02


def test_what_is_chosen_replaces_the_defaults_of_squared_errors() -> None:
    settings = {"threshold": "0.3"}
    assert get_method(settings=settings, squared_errors=True).skip.threshold == 0.3  # type: ignore
    assert get_method("rest", squared_errors=True).skip.threshold == 0.02  # type: ignore
    assert get_method("rest").skip.threshold == 0.1  # type: ignore
    assert get_method("full", squared_errors=True) == get_method("full")


def test_a_regression_that_diverges_says_what_to_do(tmp_path: Path) -> None:
    result = invoke(
        *("finetune", "--model", "mlp5", "--data", npz(tmp_path / "some.npz", X, 1000 * TARGETS)),
        *("--out", tmp_path / "run"),
    )
    assert result.exit_code == 2
    assert "lower --lr (it was 0.01), or scale the targets" in result.stderr


def test_a_last_step_that_diverges_is_noticed(tmp_path: Path) -> None:
    """The loss of an epoch is that before its steps."""
    y = (X[:, 0] > 0).astype(np.int64)
    result = invoke(
        *("finetune", "--model", "mlp5", "--data", npz(tmp_path / "some.npz", X, y)),
        *("--batch-size", 240, "--epochs", 1, "--lr", 1e30, "--out", tmp_path / "run"),
    )
    assert result.exit_code == 2 and "the loss is not finite in epoch 1" in result.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "running"


# -- figures ------------------------------------------------------------------------------------


def test_figures_of_a_regression_by_hand() -> None:
    found = regression_figures(
        np.array([[1.0, 0], [2, 0], [6, 0]]), np.array([[1, 3], [2, 3], [3, 3]])
    )
    squares = (9 + 3 * 9) / 6
    assert found == pytest.approx({"rmse": squares**0.5, "mae": (3 + 9) / 6, "r2": 1 - 9 / 2})


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    errors = np.array([1.0, 2, 3, 2.5, 4])
    labels = np.array([0, 0, 0, 1, 1])
    found = reconstruction_figures(np.sqrt(errors)[:, None], np.zeros((5, 1)), labels)
    assert found == pytest.approx({"mse": 2.0, "auc": 5 / 6})
    assert "auc" not in reconstruction_figures(np.ones((2, 1)), np.zeros((2, 1)), np.zeros(2))


def test_large_whole_numbers_are_no_classes(tmp_path: Path) -> None:
    """A billion classes would take all memory."""
    y = np.arange(240) + 10**9
    path = npz(tmp_path / "some.npz", X, y)
    lines = [",".join([*(f"{v:.3f}" for v in x), str(t)]) for x, t in zip(X, y, strict=True)]
    (tmp_path / "some.csv").write_text("\n".join(["a,b,c,d,e,f,label", *lines]))
    for name in (path, str(tmp_path / "some.csv")):
        assert load(name, task=Task(None, (6,))).target_names
        with pytest.raises(UserError, match=r"1000000\d+ .*is no class"):
            load(name)


# -- what is minimised --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "y", "loss"),
    [
        (regressor, TARGETS, Loss.MSE),
        (lambda: regressor(1), np.arange(240) % 9, Loss.MSE),
        (autoencoder, None, Loss.RECONSTRUCTION),
        (autoencoder, (X[:, 0] > 0).astype(int), Loss.RECONSTRUCTION),
        (lambda: regressor(6), np.arange(240) % 6, Loss.CROSS_ENTROPY),
        (regressor, (X[:, 0] > 0).astype(int), Loss.CROSS_ENTROPY),
        (binary, (X[:, 0] > 0).astype(int), Loss.BINARY),
        (lambda: binary(None), (X[:, 0] > 0).astype(int), Loss.BINARY),
    ],
)
def test_model_and_data_say_what_is_minimised(
    tmp_path: Path, build: Callable[[], keras.Model], y: np.ndarray | None, loss: Loss
) -> None:
    data = load(npz(tmp_path / "some.npz", X, y), task=Task(None, (6,)))
    assert suggested_loss(form_of(build()), data) is loss


def test_data_without_labels_are_an_autoencoders(tmp_path: Path) -> None:
    data = load(npz(tmp_path / "some.npz"), task=Task(None, (6,)))
    with pytest.raises(UserError, match=r"no labels.*no autoencoder"):
        suggested_loss(form_of(regressor()), data)


@pytest.mark.parametrize(
    ("build", "y", "options", "message"),
    [
        (regressor, None, ["--loss", "mse"], "has no targets"),
        (lambda: regressor(3), TARGETS, [], "has 3 outputs, some has the targets 0, 1"),
        (regressor, X[:, 0] > 0, ["--loss", "reconstruction"], "an autoencoder has as many"),
        (regressor, X[:, 0] > 0, ["--loss", "binary-cross-entropy"], "needs a single one"),
        (regressor, np.zeros(240, int), [], "a classifier needs at least two classes"),
        (convolutions, X[:, 0] > 0, [], "takes samples of shape"),
        (regressor, TARGETS, ["--method", "sparse-update", "--budget", "50%"], "measures accuracy"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tmp_path: Path,
    build: Callable[[], keras.Model],
    y: np.ndarray | None,
    options: list[str],
    message: str,
) -> None:
    result = invoke(
        *("finetune", "--model", saved(tmp_path / "mine.keras", build)),
        *("--data", npz(tmp_path / "some.npz", X, y), "--out", tmp_path / "run", *options),
    )
    assert result.exit_code == 2 and message in result.stderr, result.stderr
    assert not (tmp_path / "run").exists()


# -- to the board -------------------------------------------------------------------------------


@needs_tflm
@pytest.mark.parametrize("kind", ["regression", "autoencoder"])
def test_float_and_the_board_learn_the_same_stream_alike(tmp_path: Path, kind: str) -> None:
    """A sensor that has drifted, or machines that sound otherwise: one pass at batch 1."""
    loss, build, x, y = KINDS[kind]
    keras.utils.set_random_seed(4)
    model = build()
    model.compile(keras.optimizers.Adam(0.02), "mse")
    model.fit(x, x if y is None else y, batch_size=8, epochs=30, verbose=0)
    model.save(tmp_path / "mine.keras")
    drifted = x * np.repeat(np.float32([1, -1]), 3) if y is None else x
    then = drifted if y is None else y * np.float32([0.5, 1]) + np.float32([1, 0])
    known, met = tmp_path / "known.npz", tmp_path / "met.npz"
    npz(known, x, y)
    npz(met, drifted, None if y is None else then)
    out, rate = tmp_path / "out", 0.02
    exported = figures(
        *("export", tmp_path / "mine.keras", "--data", known, "--loss", loss.value),
        *("--method", "full", "--lr", rate, "--out", out),
    )["export"]
    assert exported["error"]["int8"] == pytest.approx(exported["error"]["float"], rel=0.2, abs=0.01)
    board = figures("simulate", out, "--data", met)
    count = 3 * len(x) // 4
    model.compile(keras.optimizers.SGD(rate), "mse")
    before = model.evaluate(drifted[count:], then[count:], verbose=0)
    model.fit(drifted[:count], then[:count], 1, epochs=1, shuffle=False, verbose=0)
    after = model.evaluate(drifted[count:], then[count:], verbose=0)
    assert board["error_before"] == pytest.approx(before, rel=0.1)
    assert after < 0.4 * before and board["error_after"] < 0.4 * before
    assert board["error_after"] == pytest.approx(after, rel=0.25, abs=0.01)
    assert board["skipped"] == 0


def test_a_run_tells_plan_and_export_what_it_minimises(tmp_path: Path) -> None:
    """A single logit looks like a regression."""
    data = npz(tmp_path / "some.npz", X, (X[:, 0] > 0).astype(np.int64))
    mine, run = saved(tmp_path / "mine.keras", lambda: binary(None)), tmp_path / "run"
    figures("finetune", "--model", mine, "--data", data, "--epochs", 1, "--out", run)
    assert figures("plan", run)["fits"]
    assert figures("plan", run, "--fit")["plan"]["fits"]
    assert figures("export", run)["export"]["loss"] == "binary-cross-entropy"


@needs_tflm
@pytest.mark.parametrize("kind", ["regression", "autoencoder"])
def test_the_board_skips_as_the_trainer_does(tmp_path: Path, kind: str) -> None:
    """The same model, samples, order and threshold; a rate that changes nothing."""
    loss, build, x, y = KINDS[kind]
    mine, data = saved(tmp_path / "mine.keras", build), npz(tmp_path / "some.npz", x, y)
    found = load(data, task=Task(loss))
    model = keras.models.load_model(mine)
    trainer = OdlModel(model, get_method("tinypropv2"))
    trainer.compile(keras.optimizers.SGD(1e-12), keras_loss(model, loss))
    given, _ = wanted(model, found, loss)
    history = trainer.fit(found.x_train, given, 1, shuffle=False, verbose=0).history
    run, out = tmp_path / "run", tmp_path / "out"
    figures(
        *("finetune", "--model", mine, "--data", data, "--set", "threshold=0.1"),
        *("--lr", 1e-12, "--epochs", 1, "--out", run),
    )
    figures("export", run, "--out", out)
    board = figures("simulate", out, "--lr", 1e-12)
    assert 0.02 < board["skipped"] < 0.98
    assert board["skipped"] == pytest.approx(history["skipped"][0], abs=0.02)


@needs_tflm
def test_a_calibration_from_its_table_to_what_the_board_learned(tmp_path: Path) -> None:
    """Names of the targets, standardisation and the loss go with the run."""
    units = X * np.float32([1, 10, 1, 1, 1, 1]) + np.float32([5, 0, 0, 0, 0, 0])
    lines = ["u,v,w,x,y,z,target_ppm,target_K"]
    lines += [
        ",".join(f"{v:.5f}" for v in (*row, *target))
        for row, target in zip(units, TARGETS, strict=True)
    ]
    table = tmp_path / "sensor.csv"
    table.write_text("\n".join(lines))
    run = tmp_path / "run"
    record = figures(
        *("finetune", "--model", saved(tmp_path / "mine.keras", regressor), "--data", table),
        *("--standardise", "--method", "full", "--lr", 0.05, "--batch-size", 8, "--out", run),
    )
    assert record["loss"] == "mse" and record["data"]["targets"] == ["ppm", "K"]
    model = keras.models.load_model(run / "model.keras")
    data = load(str(table), task=Task(Loss.MSE, (6,)), standardise=True)
    outputs = model.predict(data.x_test, verbose=0)
    assert data.mean is not None and data.mean[0] == pytest.approx(5, abs=0.3)
    expected = regression_figures(outputs, data.y_test)
    for key in ("rmse", "mae", "r2"):
        assert record["result"][key] == pytest.approx(expected[key], rel=1e-4)
    assert expected["r2"] > 0.9
    figures("export", run)
    out = run / "export-nano33"
    header = next(out.glob("arduino/*/sample.h")).read_text()
    assert "kTargets = 2" in header and '{"ppm", "K"}' in header and "Standardise" in header
    simulated = figures("simulate", out, "--lr", 0.0001, "--save", tmp_path / "learned")
    for key in ("rmse", "mae", "r2"):
        assert simulated["before"][key] == pytest.approx(expected[key], rel=0.2, abs=0.05)
    assert keras.models.load_model(tmp_path / "learned" / "learned.keras").output_shape == (None, 2)
    shown = invoke("simulate", out)
    assert "test root mean squared error before" in " ".join(shown.stdout.split())
    again = invoke("finetune", "--out", run, "--resume")
    assert again.exit_code == 0 and "test R2" in again.stdout


@needs_tflm
def test_an_autoencoder_learns_what_is_normal_and_tells_what_is_not(tmp_path: Path) -> None:
    mix = RNG.normal(size=(2, 6))
    normal = RNG.normal(size=(240, 2)) @ mix + RNG.normal(0, 0.1, (240, 6))
    strange = RNG.normal(size=(40, 6)) * 1.5
    lines = ["a,b,c,d,e,f,label"]
    for name, part in (("normal", normal), ("worn", strange)):
        lines += [",".join([*(f"{v:.5f}" for v in row), name]) for row in part]
    table = tmp_path / "bearing.csv"
    table.write_text("\n".join(lines))
    data = load(str(table), task=Task(Loss.RECONSTRUCTION, (6,)))
    assert len(data.x_train) == 192 and not data.y_train.any()
    assert np.bincount(data.y_test).tolist() == [48, 40]
    run = tmp_path / "run"
    record = figures(
        *("finetune", "--model", saved(tmp_path / "mine.keras", autoencoder), "--data", table),
        *("--method", "tinyprop", "--epochs", 20, "--batch-size", 8, "--out", run),
    )
    assert record["loss"] == "reconstruction"
    model = keras.models.load_model(run / "model.keras")
    error = ((model.predict(data.x_test, verbose=0) - data.x_test) ** 2).mean(1)
    pairs = error[data.y_test == 1][:, None] > error[data.y_test == 0]
    result = record["result"]
    assert result["mse"] == pytest.approx(error[data.y_test == 0].mean(), rel=1e-4)
    assert result["auc"] == pytest.approx(pairs.mean(), abs=1e-6)
    assert result["auc"] > 0.9 and result["auc"] > result["auc_before"]
    figures("export", run)
    simulated = figures("simulate", run / "export-nano33", "--lr", 0.0001)
    assert simulated["before"]["auc"] == pytest.approx(result["auc"], abs=0.05)
    assert simulated["before"]["mse"] == pytest.approx(result["mse"], rel=0.3)
    recorded: dict[str, Any] = json.loads((run / "export-nano33" / "export.json").read_text())
    assert recorded["loss"] == "reconstruction" and recorded["provenance"]["class_names"] == []


class Taught:
    """The real TFLM as a board of `teach`: it learns, and its weights can be read."""

    def __init__(self, export: Path, tflm: TrainingInterpreter) -> None:
        self.tflm, self.repeats = tflm, 0
        record = json.loads((export / "export.json").read_text())
        self.layout, given = record["state_image"], record["input"]
        targets = len(record["provenance"]["target_names"])
        self.hello = SimpleNamespace(
            input_type=InputType.INT8,
            input_bytes=math.prod(given["shape"]),
            input_scale=given["scale"],
            input_zero_point=given["zero_point"],
            classes=0,
            target_bytes=4 * targets,
            has_storage=False,
        )

    def learn(self, sample: bytes, label: int, target: bytes | None = None) -> Step:
        codes = np.frombuffer(sample, np.int8).reshape(1, *self.tflm.input_shape[1:])
        targets = None if target is None else np.frombuffer(target, "<f4")[None]
        _, report = self.tflm.train(codes, np.array([label], np.int32), targets=targets)
        return Step(-1, 0.0, float(report[0, 0]), 0.0, bool(report[0, 2]), 1)

    def stats(self) -> SimpleNamespace:
        state, counts = self.tflm.state(), self.tflm.counts()
        return SimpleNamespace(
            samples=state.samples,
            saturated=state.saturated,
            non_finite=state.non_finite,
            clipped=counts.clipped,
            seedings=counts.seedings,
        )

    def read_image(self) -> bytes:
        body = image.join(bytes(self.layout["state_bytes"]), self.tflm.variables())
        return image.build(image.Image(1, 0, body))


@needs_tflm
@pytest.mark.parametrize("kind", ["regression", "autoencoder"])
def test_teach_tests_what_has_no_classes(tmp_path: Path, kind: str, capsys: Any) -> None:
    """By the weights it reads from the board: the figures of simulate on the same samples."""
    loss, build, x, y = KINDS[kind]
    mine, path = saved(tmp_path / "mine.keras", build), npz(tmp_path / "some.npz", x, y)
    out = tmp_path / "out"
    figures("export", mine, "--data", path, "--out", out)
    expected = figures("simulate", out)
    data = load(path, task=Task(loss))
    with TrainingInterpreter((out / "model_train.tflite").read_bytes()) as tflm:
        board: Any = Taught(out, tflm)
        options = {"samples": None, "passes": 1, "test_share": 1, "lr": None, "save": False}
        result = lesson.run(board, data, export_dir=out, quiet=True, **options)
    assert result.before == pytest.approx(expected["before"], rel=1e-12)
    assert result.after == pytest.approx(expected["after"], rel=1e-12)
    assert result.before != result.after and result.test_samples == len(data.x_test)
    lesson.show(result, data, "test", tmp_path)
    shown = " ".join(capsys.readouterr().out.split())
    assert "mean squared error before" in shown and "mean squared error after" in shown
