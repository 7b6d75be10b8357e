"""Fine-tuning runs: what they leave behind, resuming, and every way to start them wrongly."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from interrupted import end_after_an_epoch

from tf_odl.cli import main

SMALL = ["--epochs", "3", "--batch-size", "16", "--lr", "0.05"]


def finetune(*arguments: object) -> list[str]:
    return ["finetune", *map(str, arguments)]


def run(*arguments: object):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def small(data_file: Path, out: Path, *more: object) -> list[str]:
    return finetune("--model", "cnn5", "--data", data_file, "--out", out, *SMALL, *more)


def weights(run_dir: Path) -> list[np.ndarray]:
    import keras

    return keras.models.load_model(run_dir / "model.keras").get_weights()


def test_a_run_leaves_everything_needed_to_use_and_to_repeat_it(data_file, tmp_path):
    result = run(*small(data_file, tmp_path / "run", "--json"))
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["status"] == "complete"
    assert [row["epoch"] for row in record["epochs"]] == [1, 2, 3]
    assert record["settings"]["seed"] == 0 and record["settings"]["learning_rate"] == 0.05
    assert record["method"]["skip"] == {
        "name": "tinypropv2", "threshold": 0.1, "d_min": 0.0, "d_max": 1.0, "beta": 1.0,
    }  # fmt: skip
    files = {p.name for p in (tmp_path / "run").iterdir()}
    assert files == {
        "run.json", "initial.keras", "model.keras", "masks.npz", "curves.png", "checkpoints",
    }  # fmt: skip
    with np.load(tmp_path / "run" / "masks.npz") as masks:
        assert all(masks[k].dtype == bool for k in masks.files)
        assert sum(m["neurons"] for m in record["masks"].values()) == sum(
            len(masks[k]) for k in masks.files if k.endswith("/kernel")
        )
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_same_seed_same_result_other_seed_other_result(data_file, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert run(*small(data_file, tmp_path / name, "--seed", seed)).exit_code == 0
    a, b, c = (weights(tmp_path / n) for n in "abc")
    assert all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))
    assert not all(np.array_equal(p, q) for p, q in zip(a, c, strict=True))


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_resumes_to_the_same_result(data_file, tmp_path, sent):
    """Masks, velocities, random generators and who rests have to survive, too."""
    more = ["--method", "rest", "--selector", "velocity", "--budget", "50%", "--epochs", 40]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(*small(data_file, whole, *more)).exit_code == 0
    arguments = [sys.executable, "-m", "tf_odl", *small(data_file, killed, *more)]
    code, errors = end_after_an_epoch(arguments, killed, sent, 120)
    record = json.loads((killed / "run.json").read_text())
    assert record["status"] == "running", "the run was over before it could be killed"
    if sent == signal.SIGINT:
        assert code == 130
        assert "--resume" in errors and "Traceback" not in errors
    result = run("finetune", "--out", killed, "--resume")
    assert result.exit_code == 0, result.output
    assert all(np.array_equal(p, q) for p, q in zip(weights(whole), weights(killed), strict=True))
    rows = [json.loads((d / "run.json").read_text())["epochs"] for d in (whole, killed)]
    assert rows[0][0]["selection_macs"] == 2 * rows[0][1]["selection_macs"] > 0
    for one, other in zip(*rows, strict=True):
        one.pop("seconds"), other.pop("seconds")
        assert one == other
    assert max(row["resting"] for row in rows[0]) > 0
    record = json.loads((whole / "run.json").read_text())
    spent = sum(r["forward_macs"] + r["backward_macs"] + r["selection_macs"] for r in rows[0])
    full = record["model"]["forward_macs"] + record["model"]["full_backward_macs"]
    samples = len(rows[0]) * record["data"]["train"][0]
    assert record["result"]["effort_total"] == pytest.approx(spent / (samples * full))


def test_nothing_of_tensorflow_survives_ctrl_c(data_file, tmp_path, monkeypatch):
    """Iterators call Python from threads of TensorFlow's, which may crash when Python ends."""
    from tensorflow.python.data.ops.iterator_ops import OwnedIterator

    from tf_odl.trainer import finetune as module

    def iterators() -> int:
        return sum(isinstance(thing, OwnedIterator) for thing in gc.get_objects())

    monkeypatch.setattr(module._Recorder, "on_epoch_end", _interrupted)
    gc.collect()
    before = iterators()
    result = run(*small(data_file, tmp_path / "run"))
    assert result.exit_code == 130 and "--resume" in result.stderr
    assert iterators() == before


def _interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_resume_refuses_other_settings_and_finished_runs_stay_as_they_are(data_file, tmp_path):
    out = tmp_path / "run"
    assert run(*small(data_file, out)).exit_code == 0
    before = (out / "model.keras").read_bytes()
    result = run("finetune", "--out", out, "--resume", "--epochs", 9)
    assert result.exit_code == 2 and "epochs = 3" in result.output
    assert run("finetune", "--out", out, "--resume").exit_code == 0
    assert (out / "model.keras").read_bytes() == before


def test_a_damaged_newest_checkpoint_is_named(data_file, tmp_path):
    out = tmp_path / "run"
    assert run(*small(data_file, out)).exit_code == 0
    record = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps(record | {"status": "running"}))
    newest = sorted((out / "checkpoints").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    result = run("finetune", "--out", out, "--resume")
    assert result.exit_code == 2 and newest.name in result.output


def _bad_arrays(kind: str) -> dict[str, np.ndarray]:
    x, y = np.zeros((20, 8, 8, 1), np.float32), np.arange(20) % 10
    if kind == "nan":
        x[7, 1, 1, 0] = np.nan
    elif kind == "negative label":
        y[3] = -1
    elif kind == "shape":
        x = x[:, :5]
    return {"x": x, "y": y}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "missing.keras", "--data", "digits"], "missing.keras"),
        (["--model", "corrupt.keras", "--data", "digits"], "corrupt.keras"),
        (["--model", "nothing", "--data", "digits"], "nothing"),
        (["--model", "cnn5", "--data", "missing.npz"], "missing.npz"),
        (["--model", "cnn5", "--data", "nan.npz"], "7"),
        (["--model", "cnn5", "--data", "negative label.npz"], "-1"),
        (["--model", "digits.keras", "--data", "shape.npz"], "(8, 8, 1)"),
        (["--model", "digits.keras"], "--data"),
        (["--model", "cnn5", "--data", "mnist", "--data-dir", "."], "train-images"),
        (["--method", "wonder"], "wonder"),
        (["--selector", "wonder"], "wonder"),
        (["--method", "velocity", "--budget", "0"], "budget 0"),
        (["--method", "velocity", "--budget", "3"], "--budget"),
        (["--method", "velocity", "--budget", "tiny"], "tiny"),
        (["--method", "full", "--budget", "10%"], "budget"),
        (["--set", "threshold"], "NAME=VALUE"),
        (["--set", "wonder=1"], "wonder"),
        (["--set", "s_min=2"], "s_min"),
        (["--shift", "spin:3"], "spin"),
        (["--epochs", "0"], "epochs"),
        (["--lr", "-1"], "learning rate"),
        (["--schedule", "sometimes"], "sometimes"),
        (["--resume"], "--out"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(tmp_path, monkeypatch, arguments, message):
    import keras

    monkeypatch.chdir(tmp_path)
    (tmp_path / "corrupt.keras").write_bytes(b"PK\x03\x04 not a model")
    inputs = keras.Input((8, 8, 1))
    keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(inputs))).save("digits.keras")
    for kind in ("nan", "negative label", "shape"):
        np.savez(tmp_path / f"{kind}.npz", **_bad_arrays(kind))
    before = sorted(tmp_path.iterdir())
    more = [] if "--resume" in arguments else ["--out", "run"]
    result = run("finetune", *arguments, *more)
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("error: ")
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert sorted(tmp_path.iterdir()) == before, "something was left behind"


def test_unwritable_places_are_refused(data_file, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        result = run(*small(data_file, out))
        assert result.exit_code == 2 and str(out) in result.stderr
    if os.geteuid() != 0:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        assert run(*small(data_file, closed / "run")).exit_code == 2
    used = tmp_path / "used"
    used.mkdir()
    (used / "precious").write_text("mine")
    result = run(*small(data_file, used))
    assert result.exit_code == 2 and (used / "precious").read_text() == "mine"


def test_divergence_is_an_error_that_keeps_the_last_good_epoch(data_file, tmp_path):
    result = run(*small(data_file, tmp_path / "run", "--method", "full", "--lr", "1e30"))
    assert result.exit_code == 2 and "--lr" in result.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "running"
