"""Input-channel masks, the authors' scope, channels and dense biases in training, by hand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from keras import layers

from tf_odl.cli import main
from tf_odl.methods import Mask, MeProp, Method, get_method
from tf_odl.methods.interfaces import Selector
from tf_odl.trainer.model import OdlModel

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def cnn() -> keras.Model:
    """4x4x3 -> conv 2x2 to 4, with normalization (3x3x4) -> conv 1x1 to 2 (3x3x2) -> dense 3."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            layers.Conv2D(4, 2, use_bias=False, name="low"),
            layers.BatchNormalization(name="normalization"),
            layers.Conv2D(2, 1, name="high"),
            layers.Flatten(),
            layers.Dense(3, name="head"),
        ]
    )


FORWARD = 36 * 12 + 18 * 4 + 3 * 18


def data(samples: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return rng.normal(size=(samples, 4, 4, 3)).astype(np.float32), rng.integers(0, 3, samples)


class Chosen(Selector):
    """The masks it is given."""

    name = "chosen"
    masks_inputs = True

    def __init__(self, masks: dict[str, Mask]) -> None:
        self.masks = masks

    def select(self, layers, budget, epoch, rng, state):
        return self.masks


def trained(
    method: Method, optimizer: keras.optimizers.Optimizer | None = None
) -> tuple[OdlModel, dict[str, np.ndarray], dict[str, float]]:
    """One step on six samples: (trainer, which entries moved, logs)."""
    trainer = OdlModel(cnn(), method, selection_data=data()[0], seed=3)
    trainer.compile(optimizer or keras.optimizers.Adam(0.01), LOSS, run_eagerly=True)
    before = values(trainer)
    history = trainer.fit(*data(), batch_size=6, verbose=0).history
    return trainer, changes(trainer, before), {k: v[-1] for k, v in history.items()}


def values(trainer: OdlModel) -> dict[str, np.ndarray]:
    """Trainable variables by layer and name."""
    return {
        "/".join(v.path.split("/")[-2:]): np.array(v) for v in trainer.model.trainable_variables
    }


def changes(trainer: OdlModel, before: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Which entries moved."""
    return {name: value != before[name] for name, value in values(trainer).items()}


def bits(text: str) -> np.ndarray:
    return np.array([c == "1" for c in text])


# -- masks of input channels --------------------------------------------------------------------


def test_only_weights_that_read_the_chosen_channels_move() -> None:
    masks = {
        "low": Mask(bits("1011"), bits("1111"), inputs=bits("010"), scale=bits("0000")),
        "high": Mask(bits("11"), bits("01"), inputs=bits("1001")),
        "head": Mask(bits("111"), bits("111")),
    }
    full = get_method("full")
    _, moved, logs = trained(Method("t", Chosen(masks), full.sparsifier, full.skip))
    low = np.zeros((2, 2, 3, 4), bool)
    low[:, :, 1, [0, 2, 3]] = True
    np.testing.assert_array_equal(moved["low/kernel"], low)
    high = np.zeros((1, 1, 4, 2), bool)
    high[:, :, [0, 3]] = True
    np.testing.assert_array_equal(moved["high/kernel"], high)
    assert moved["high/bias"].tolist() == [False, True]
    assert not moved["normalization/gamma"].any() and moved["normalization/beta"].all()
    assert moved["head/kernel"].all() and moved["head/bias"].all()
    # Gradients of 3 of 4 neurons from a third of 12 inputs, of 2 neurons from 2 of 4; both errors
    # go on, that of head and of high.
    gradients = 9 * 3 * 4 + 9 * 2 * 2 + 3 * 18
    propagated = 18 * 4 + 3 * 18
    assert logs["backward_macs"] == 6 * (gradients + propagated)
    assert logs["forward_macs"] == 6 * FORWARD


def test_masks_of_inputs_follow_the_epochs_in_one_graph() -> None:
    """Not eager: the masks are variables of a traced step."""
    every, none = {"head": Mask(bits("111"), bits("111"))}, bits("0000")
    chosen = Chosen(every | {"low": Mask(none | True, none, inputs=bits("100"), scale=none)})
    full = get_method("full")
    trainer = OdlModel(cnn(), Method("t", chosen, full.sparsifier, full.skip))
    trainer.compile(keras.optimizers.SGD(0.1, momentum=0.9), LOSS)
    for inputs in ("100", "001", "011"):
        chosen.masks["low"] = Mask(none | True, none, inputs=bits(inputs), scale=none)
        trainer.select(0)
        before = np.array(trainer.sites["low"].kernel)
        trainer.fit(*data(), batch_size=6, verbose=0)
        moved = (np.array(trainer.sites["low"].kernel) != before).any(axis=(0, 1, 3))
        assert moved.tolist() == bits(inputs).tolist()


# -- the scope of the authors -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["random", "velocity", "sparse-update"])
def test_in_the_scope_of_the_authors_normalization_and_dense_layers_always_train(name: str) -> None:
    """A quarter of 48 + 10 parameters in convolutions; the rest is free."""
    method = get_method(name, budget="25%", settings={"scope": "authors"})
    trainer = OdlModel(cnn(), method, selection_data=data()[0], support_data=data(30), seed=3)
    trainer.compile(keras.optimizers.SGD(0.1), LOSS)
    trainer.analyse()
    before = values(trainer)
    trainer.fit(*data(), batch_size=6, verbose=0)
    moved = changes(trainer, before)
    for path in ("normalization/gamma", "normalization/beta", "head/kernel", "head/bias"):
        assert moved[path].all(), path
    counted = sum(int(moved[p].sum()) for p in ("low/kernel", "high/kernel", "high/bias"))
    assert counted <= 0.25 * 58


# -- channels -----------------------------------------------------------------------------------


def test_whole_channels_propagate_and_their_effort_is_counted() -> None:
    """Half of the channels: 2 of 4 on 9 positions, 1 of 2; head stays dense."""
    full = get_method("full")
    sparsifier = MeProp(0.5, granularity="channel")
    method = Method("t", full.selector, sparsifier, full.skip)
    _, _, logs = trained(method, keras.optimizers.SGD(0.1))
    kept = 18 * 12 + 9 * 4 * 2 + 54 * 2
    assert logs["backward_macs"] == 6 * kept
    x, y = data(1)
    trainer = OdlModel(cnn(), method)
    trainer.compile(keras.optimizers.SGD(0.1), LOSS, run_eagerly=True)
    before = np.array(trainer.sites["high"].kernel)
    trainer.fit(x, y, batch_size=1, verbose=0)
    change = (np.array(trainer.sites["high"].kernel) != before).reshape(4, 2)
    assert sorted(change.all(axis=0).tolist()) == [False, True]
    assert change.any(axis=0).sum() == 1


# -- biases -------------------------------------------------------------------------------------


def mlp() -> keras.Model:
    keras.utils.set_random_seed(4)
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(6, name="hidden"),
            layers.Dense(3, name="head"),
        ]
    )


@pytest.mark.parametrize("dense_bias", ["true", "false"])
@pytest.mark.parametrize("skip", ["never", "tinypropv2"])
def test_a_dense_bias_follows_the_whole_error(dense_bias: str, skip: str) -> None:
    """k = 1 of 6 for the weights; the bias gets every entry, or that one alone."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 5)).astype(np.float32), rng.integers(0, 3, 4)
    model = mlp()
    w, b, v, c = (np.array(t) for t in model.weights)
    settings = {"s_min": "0.1", "s_max": "0.1", "zeta": "1", "dense_bias": dense_bias}
    if skip == "tinypropv2":
        settings["threshold"] = "0"
    trainer = OdlModel(model, get_method("tinyprop", skip=skip, settings=settings))
    trainer.compile(keras.optimizers.SGD(1.0), LOSS, run_eagerly=True)
    trainer.train_on_batch(x, y)

    z = (x @ w + b) @ v + c
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    delta = (p - np.eye(3)[y]) @ v.T / 4
    sparse = np.where(np.abs(delta) == np.abs(delta).max(axis=1, keepdims=True), delta, 0)
    np.testing.assert_allclose(w - np.array(model.weights[0]), x.T @ sparse, atol=1e-6)
    seen = delta if dense_bias == "true" else sparse
    np.testing.assert_allclose(b - np.array(model.weights[1]), seen.sum(axis=0), atol=1e-6)


# -- loops in the graph -------------------------------------------------------------------------


def convolutions_1d() -> keras.Model:
    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [
            keras.Input((12, 3)),
            layers.Conv1D(6, 3, activation="relu"),
            layers.Conv1D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("tinyprop", {"granularity": "channel", "variant": "authors", "dense_bias": "true"}),
        ("sparse-update", {"samples": "40"}),
    ],
)
def test_a_compiled_loop_of_single_samples_is_the_same(name: str, settings: dict) -> None:
    """XLA runs batches of one, eight per call; one at a time it does not."""
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(40, 12, 3)).astype(np.float32), rng.integers(0, 3, 40)
    logs, found = [], []
    for steps in (1, 8):
        budget = "70%" if name == "sparse-update" else None
        method = get_method(name, budget=budget, settings=settings)
        trainer = OdlModel(convolutions_1d(), method, support_data=(x, y))
        trainer.compile(keras.optimizers.SGD(0.05), LOSS, steps_per_execution=steps)
        history = trainer.fit(x, y, batch_size=1, epochs=2, shuffle=False, verbose=0).history
        logs.append(history["backward_macs"])
        found.append([np.array(v) for v in trainer.model.trainable_variables])
    assert logs[0] == logs[1]
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


# -- runs ---------------------------------------------------------------------------------------


def command(data_file: Path, out: Path, *more: object) -> list[str]:
    fixed = ["finetune", "--model", "cnn5", "--data", data_file, "--out", out]
    return [str(a) for a in (*fixed, "--epochs", 3, "--lr", 0.05, *more)]


SPARSE_UPDATE = ("--method", "sparse-update", "--budget", "30%", "--set", "samples=60")


def weights(run_dir: Path) -> list[np.ndarray]:
    return keras.models.load_model(run_dir / "model.keras").get_weights()


def test_a_run_keeps_its_scheme_and_the_cost_of_finding_it(data_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "first"
    result = CliRunner().invoke(main, command(data_file, out, *SPARSE_UPDATE))
    assert result.exit_code == 0, result.output
    assert "contribution 1/21: classifier alone:" in result.stderr
    assert "contribution 21/21:" in result.stderr
    record = json.loads((out / "run.json").read_text())
    rows = record["epochs"]
    assert rows[0]["selection_macs"] > 0 and rows[1]["selection_macs"] == 0
    assert f"analysis_macs: {rows[0]['selection_macs']}" in (out / "scheme.yaml").read_text()
    assert record["result"]["effort_total"] > record["result"]["effort"]
    again = tmp_path / "again"
    reuse = command(data_file, again, *SPARSE_UPDATE, "--set", f"scheme={out / 'scheme.yaml'}")
    assert CliRunner().invoke(main, reuse).exit_code == 0
    assert json.loads((again / "run.json").read_text())["result"]["selection_macs"] == 0
    for one, other in zip(weights(out), weights(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_masks_of_input_channels_are_kept_and_no_board_can_follow_them(
    data_file: Path, tmp_path: Path
) -> None:
    out, scheme = tmp_path / "run", tmp_path / "scheme.yaml"
    rows = [(8, 0), (16, 0), (16, 0.25), (32, 0)]
    scheme.write_text(
        yaml.safe_dump(
            {
                "layers": [
                    {"neurons": n, "bias": i > 1, "weights": w} for i, (n, w) in enumerate(rows)
                ]
            }
        )
    )
    more = ("--method", "sparse-update", "--budget", "100%", "--set", f"scheme={scheme}")
    result = CliRunner().invoke(main, command(data_file, out, *more))
    assert result.exit_code == 0, result.output
    with np.load(out / "masks.npz") as masks:
        chosen = [k for k in masks.files if k.endswith("/inputs")]
        assert len(chosen) == 1 and masks[chosen[0]].mean() == 0.25
        name = chosen[0].removesuffix("/inputs")
        assert masks[f"{name}/kernel"].all()
    exported = CliRunner().invoke(main, ["export", str(out), "--target", "esp32"])
    assert exported.exit_code == 2
    assert f"layer '{name}': the mask chooses input channels" in exported.output


def test_a_run_killed_after_its_analysis_does_not_repeat_it(
    data_file: Path, tmp_path: Path
) -> None:
    more = [*SPARSE_UPDATE, "--epochs", 6]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert CliRunner().invoke(main, command(data_file, whole, *more)).exit_code == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "tf_odl", *command(data_file, killed, *more)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while not list(killed.glob("checkpoints/epoch-*.npz")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=120)
    record = json.loads((killed / "run.json").read_text())
    assert record["status"] == "running", "the run was over before it could be killed"
    (killed / "scheme.yaml").unlink(missing_ok=True)
    result = CliRunner().invoke(main, ["finetune", "--out", str(killed), "--resume"])
    assert result.exit_code == 0, result.output
    for one, other in zip(weights(whole), weights(killed), strict=True):
        np.testing.assert_array_equal(one, other)
    rows = [json.loads((d / "run.json").read_text())["epochs"] for d in (whole, killed)]
    assert rows[0][0]["selection_macs"] == rows[1][0]["selection_macs"] > 0
    assert sum(r["selection_macs"] for r in rows[1][1:]) == 0
    # Keras numbers the layers it names itself through the whole life of a process.
    one, other = (
        [x for x in (d / "scheme.yaml").read_text().splitlines() if "name:" not in x]
        for d in (whole, killed)
    )
    assert one == other


def test_a_scheme_that_is_not_there_is_refused_before_anything_is_written(
    data_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    arguments = command(data_file, out, *SPARSE_UPDATE, "--set", "scheme=nowhere.yaml")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2 and "scheme nowhere.yaml cannot be read" in result.output
    assert not out.exists()
