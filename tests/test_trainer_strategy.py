"""Two devices train as one does: tf.distribute.MirroredStrategy on two logical CPUs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest

from tf_odl.errors import UserError
from tf_odl.methods import get_method
from tf_odl.trainer.settings import Settings

SCRIPT = Path(__file__).with_name("two_devices.py")
EXACT = ("full", "head", "bias-only", "random", "velocity")
SPARSE = ("meprop", "tinyprop", "tinypropv2")


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *EXACT, *SPARSE],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
        stdout=subprocess.PIPE,
        check=True,
        timeout=600,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("method", [*EXACT, "meprop"])
def test_methods_without_running_maxima_train_alike(found: dict[str, Any], method: str) -> None:
    """The same weights, and the same counts; also where the devices' shares differ."""
    assert found[method]["apart"] < 1e-6
    one, two = found[method]["one"], found[method]["two"]
    for name in ("backward_macs", "forward_macs", "skipped"):
        assert one[name] == two[name], name
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-5)
    assert one["accuracy"] == two["accuracy"]


@pytest.mark.parametrize("method", ["tinyprop", "tinypropv2"])
def test_running_maxima_are_shared_after_every_step(found: dict[str, Any], method: str) -> None:
    """Within a step a device knows only its own errors, which moves k a little."""
    one, two = found[method]["one"], found[method]["two"]
    assert one["forward_macs"] == two["forward_macs"]
    for name in ("loss", "effort", "skipped"):
        assert one[name] == pytest.approx(two[name], rel=0.05, abs=0.02), name


def test_resting_samples_need_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    from two_devices import data, model

    from tf_odl.trainer.model import OdlModel

    trainer = OdlModel(model(), get_method("rest"))
    trainer.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    class Two:
        num_replicas_in_sync = 2

    monkeypatch.setattr(OdlModel, "distribute_strategy", Two())
    with pytest.raises(UserError, match="one device"):
        trainer.fit(*data(), verbose=0)


def test_unknown_strategies_are_refused() -> None:
    with pytest.raises(UserError, match=r"strategy 'multi'.*mirrored"):
        Settings(strategy="multi")
