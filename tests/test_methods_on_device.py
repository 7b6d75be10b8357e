"""Every method that exists on a board, by the commands a user types: fine-tuned, exported, learning
in the real TensorFlow Lite Micro with the same sparsifier, skip rule and masks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tf_odl.cli import main
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.mask_file import read_masks
from tf_odl.converters.split import parse_window, window_name
from tf_odl.tflm_port.interpreter import available

pytestmark = pytest.mark.skipif(available() is not None, reason=str(available()))

SAMPLES = 400


def run(*arguments: object) -> str:
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def learned(run_dir: Path, out: Path, *method: object) -> dict[str, Any]:
    """What a simulated board reports after digits that are turned further."""
    run("export", run_dir, "--out", out, *method)
    options = ["--shift", "rotate:50", "--samples", SAMPLES, "--save", out / "learned"]
    figures = json.loads(run("simulate", out, *options, "--json"))
    assert figures["samples"] == SAMPLES and figures["non_finite"] == 0
    assert figures["accuracy_after"] > figures["accuracy_before"] + 0.05
    return figures


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without masks, so that each method can be exported from it."""
    out = tmp_path_factory.mktemp("runs") / "full"
    run("finetune", "--method", "full", "--epochs", 1, "--samples", SAMPLES, "--out", out)
    return out


def test_sparsifiers_and_skip_rules(adapted: Path, tmp_path: Path) -> None:
    found = {
        method: learned(adapted, tmp_path / method, "--method", method)
        for method in ("full", "meprop", "tinyprop", "tinypropv2")
    }
    assert found["full"]["effort"] == 1 and found["full"]["skipped"] == 0
    for method in ("meprop", "tinyprop"):
        assert found[method]["effort"] < 0.6 and found[method]["skipped"] == 0
    assert 0 < found["tinypropv2"]["skipped"] < 1
    assert found["tinypropv2"]["effort"] < found["tinyprop"]["effort"]
    assert len({figures["effort"] for figures in found.values()}) == len(found)


@pytest.mark.parametrize(
    "method", [("head",), ("random", "--budget", "20%"), ("velocity", "--budget", "20%")]
)
def test_masks_of_a_selector(method: tuple[str, ...], tmp_path: Path) -> None:
    """The neurons of masks.npz learn on the board, and no others."""
    chosen = ("--method", *method)
    data = ("--epochs", 2, "--samples", SAMPLES)
    run("finetune", *chosen, *data, "--out", tmp_path / "run")
    learned(tmp_path / "run", tmp_path / "export", "--lr", 0.05)
    before = FlatModel((tmp_path / "export" / "model.tflite").read_bytes())
    after = FlatModel((tmp_path / "export" / "learned" / "learned.tflite").read_bytes())
    masks = read_masks(tmp_path / "run" / "masks.npz")
    frozen = moved = 0
    for name, mask in masks.items():
        old, new = (_rows(flat, name, len(mask.kernel)) for flat in (before, after))
        changed = (old != new).any(axis=1)
        assert not changed[~mask.kernel].any(), name
        frozen += int((~mask.kernel).sum())
        moved += int(changed.sum())
    assert frozen > 0 and moved > 0


def _rows(flat: FlatModel, layer: str, neurons: int) -> np.ndarray:
    """Weights by neuron: the first axis, of a depthwise layer the last.

    A layer of which a window of neurons trains is in parts, `layer[0:8]` and so on.
    """
    windows = [parse_window(flat.name(i).removesuffix("/kernel")) for i in range(len(flat.tensors))]
    edges = sorted({(a, b) for site, a, b in windows if site == layer and b is not None})
    names = [f"{window_name(layer, a, b)}/kernel" for a, b in edges] or [f"{layer}/kernel"]
    parts = [flat.constant(tensor) for tensor in map(flat.find, names) if tensor is not None]
    assert len(parts) == len(names), names
    if len(parts) > 1:
        return np.concatenate([part.reshape(len(part), -1) for part in parts])
    values = parts[0]
    depthwise = values.ndim == 4 and values.shape[0] == 1 and values.shape[-1] == neurons
    return values.reshape(-1, neurons).T if depthwise else values.reshape(neurons, -1)
