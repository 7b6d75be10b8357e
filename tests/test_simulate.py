"""From a run to a model that has learned inside TFLM, by the commands a user types."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tf_odl.cli import main
from tf_odl.tflm_port import interpreter

pytestmark = pytest.mark.skipif(
    interpreter.available() is not None, reason=str(interpreter.available())
)


def run(*arguments: object):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    result = run("demo", "--out", out, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads((out / "summary.json").read_text())
    return out


@pytest.fixture(scope="module")
def exported(demo) -> Path:
    return demo / "export-nano33"


def test_the_demo_goes_the_whole_way(demo):
    """Loose bounds: a quarter of what is measured would still be learning."""
    summary = json.loads((demo / "summary.json").read_text())
    assert summary["accuracy_before"] < 0.75
    assert summary["accuracy_finetuned"] > 0.9
    assert summary["accuracy_int8"] > summary["accuracy_finetuned"] - 0.02
    assert summary["accuracy_on_device_before"] < 0.6
    assert summary["accuracy_on_device_after"] > summary["accuracy_on_device_before"] + 0.2
    assert 0 < summary["effort"] < 0.2 and 0.4 < summary["skipped"] < 1
    assert summary["arena_bytes"] < 20_000 and summary["flash_bytes"] < 300_000
    assert (demo / "demo.png").read_bytes().startswith(b"\x89PNG")


def test_what_was_learned_is_in_the_saved_models(demo, exported):
    """Keras in float and the reference kernels in int8 reach what TFLM reported."""
    import keras

    from tf_odl.converters.reference import infer, quantize_input
    from tf_odl.data import load

    simulated = json.loads((exported / "simulation" / "simulation.json").read_text())
    data = load("digits", shift="rotate:50")
    learned = (demo / "learned" / "learned.tflite").read_bytes()
    codes = infer(learned, quantize_input(learned, data.x_test))
    assert (codes.argmax(1) == data.y_test).mean() == simulated["accuracy_after"]
    model = keras.models.load_model(demo / "learned" / "learned.keras")
    floats = model.predict(data.x_test, verbose=0)
    assert abs((floats.argmax(1) == data.y_test).mean() - simulated["accuracy_after"]) < 0.02
    before = keras.models.load_model(exported / "model_folded.keras")
    assert not np.array_equal(before.get_weights()[0], model.get_weights()[0])


def test_the_same_export_learns_the_same(exported, tmp_path):
    results = []
    for name in "ab":
        options = ["--shift", "rotate:50", "--samples", 300, "--out", tmp_path / name]
        result = run("simulate", exported, *options, "--json")
        assert result.exit_code == 0, result.output
        figures = json.loads(result.stdout)
        figures.pop("seconds_per_step")
        results.append(figures)
    assert results[0] == results[1]
    assert results[0]["samples"] == 300 and results[0]["trained"] > 0


def test_more_passes_and_another_rate_change_what_is_learned(exported, tmp_path):
    base = ["simulate", exported, "--shift", "rotate:50", "--samples", 100, "--json"]
    runs = [
        json.loads(run(*base, "--out", tmp_path / str(i), *more).stdout)
        for i, more in enumerate([[], ["--passes", 3], ["--lr", "0.02"]])
    ]
    assert [r["samples"] for r in runs] == [100, 300, 100]
    assert len({r["trained"] for r in runs}) == 3


def test_a_learned_model_can_be_exported_again(demo, tmp_path):
    learned = demo / "learned" / "learned.keras"
    options = ["--data", "digits", "--shift", "rotate:50", "--out", tmp_path / "next"]
    result = run("export", learned, "--target", "esp32", *options, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["export"]["target"] == "esp32"
    assert report["export"]["accuracy"]["int8"] > 0.7


def test_exports_are_replaced_only_when_asked(demo, exported):
    result = run("export", demo / "finetuned", "--out", exported)
    assert result.exit_code == 2 and "--overwrite" in result.stderr
    result = run("simulate", exported, "--save", demo / "learned", "--samples", 10)
    assert result.exit_code == 2 and "--overwrite" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "nowhere.npz"], "nowhere.npz"),
        (["--data", "other.npz"], "(8, 8, 1)"),
        (["--shift", "spin:1"], "spin"),
    ],
)
def test_data_that_does_not_fit_is_refused(exported, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    np.savez("other.npz", x=np.zeros((20, 5, 5, 1), np.float32), y=np.arange(20) % 2)
    before = sorted(tmp_path.iterdir())
    result = run("simulate", exported, "--out", "out", *options)
    assert result.exit_code == 2 and message in result.stderr, result.output
    assert result.stderr.count("\n") == 1 and sorted(tmp_path.iterdir()) == before


def test_an_unfinished_run_is_not_exported(demo, tmp_path):
    import shutil

    unfinished = tmp_path / "run"
    shutil.copytree(demo / "finetuned", unfinished)
    record = json.loads((unfinished / "run.json").read_text()) | {"status": "running"}
    (unfinished / "run.json").write_text(json.dumps(record))
    result = run("export", unfinished)
    assert result.exit_code == 2 and "--resume" in result.stderr


def test_without_tflm_the_message_says_how_to_get_it(exported, monkeypatch):
    monkeypatch.setattr(interpreter, "_missing", lambda: "the wheel is not installed; run this")
    result = run("simulate", exported)
    assert result.exit_code == 2 and "the wheel is not installed; run this" in result.stderr
