"""Two devices train as one does: tf.distribute.MirroredStrategy on two logical CPUs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interrupted import end_after_an_epoch

from tf_odl.errors import UserError
from tf_odl.methods.registry import METHODS
from tf_odl.trainer.settings import Settings

COMMAND_ON_TWO_DEVICES = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tf_odl.cli import main
main()
"""
SCRIPT = Path(__file__).with_name("two_devices.py")
QUICK = ("full", "tinytrain", "tinypropv2", "rest", "asleep")
OTHERS = tuple(name for name in METHODS if name not in QUICK)


def run(methods: tuple[str, ...]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *methods],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
        stdout=subprocess.PIPE,
        check=True,
        timeout=1800,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return run(QUICK)


def compare(found: dict[str, Any]) -> None:
    """With momentum and a schedule; at the end of an epoch one device gets no sample at all."""
    assert found["apart"] < 1e-6
    one, two = found["one"], found["two"]
    for name in ("backward_macs", "forward_macs", "recompute_macs", "skipped", "resting"):
        assert one[name] == two[name], name
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-5)
    assert one["accuracy"] == two["accuracy"]


@pytest.mark.parametrize("method", QUICK)
def test_two_devices_train_as_one(found: dict[str, Any], method: str) -> None:
    compare(found[method])


@pytest.mark.slow
def test_two_devices_train_as_one_by_the_other_methods() -> None:
    for method, figures in run(OTHERS).items():
        print(method)
        compare(figures)


def test_samples_rest_on_two_devices(found: dict[str, Any]) -> None:
    assert max(found["rest"]["two"]["resting"]) > 0.1
    assert found["asleep"]["two"]["resting"] == [0, 1, 0, 1, 1, 0, 1, 1]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", COMMAND_ON_TWO_DEVICES, "finetune", *map(str, arguments)]


def weights(run_dir: Path) -> list[np.ndarray]:
    import keras

    return keras.models.load_model(run_dir / "model.keras").get_weights()


@pytest.mark.slow
def test_an_interrupted_run_on_two_devices_resumes_to_the_same_result(tmp_path: Path) -> None:
    more = ["--strategy", "mirrored", "--method", "rest", "--selector", "velocity"]
    more += ["--epochs", 8, "--samples", 300]
    whole, interrupted = tmp_path / "whole", tmp_path / "interrupted"
    subprocess.run(command(*more, "--out", whole), check=True, timeout=300)
    code, errors = end_after_an_epoch(
        command(*more, "--out", interrupted), interrupted, signal.SIGINT, 300
    )
    assert code == 130 and "--resume" in errors
    assert 0 < len(json.loads((interrupted / "run.json").read_text())["epochs"]) < 8
    subprocess.run(command("--out", interrupted, "--resume"), check=True, timeout=300)
    for one, other in zip(weights(whole), weights(interrupted), strict=True):
        np.testing.assert_array_equal(one, other)


def test_unknown_strategies_are_refused() -> None:
    with pytest.raises(UserError, match=r"strategy 'multi'.*mirrored"):
        Settings(strategy="multi")
