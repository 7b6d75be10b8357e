"""Models that others made, through `export` and TensorFlow Lite Micro: docs/third-party.md.

    python benchmarks/third_party.py FILE.tflite [...] [--targets nano33 esp32]

Each file is exported for each board, once with the last layer to train and once with `--fit`. What
is exported learns from some random samples in TensorFlow Lite Micro, and its inference is held
against the reference kernels of TFLite. Prints the table of the page and the
refusals; a `--loss` that a file needs is given as FILE.tflite:LOSS.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from click.testing import CliRunner

from tf_odl.cli import main as tf_odl
from tf_odl.converters import reference
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.tflm_port.interpreter import TrainingInterpreter

SAMPLES = 3


def exported(file: Path, loss: str | None, target: str, fit: bool, folder: Path) -> dict[str, Any]:
    """export.json and plan.json, or {"error": message}."""
    how = ["--fit"] if fit else ["--train-layers", "1"]
    how += ["--loss", loss] if loss else []
    command = ["export", str(file), "--target", target, *how, "--out", str(folder), "--json"]
    result = CliRunner().invoke(tf_odl, command)
    if result.exit_code == 2:
        return {"error": result.stderr.strip().splitlines()[-1].removeprefix("error: ")}
    if result.exit_code:
        raise RuntimeError(f"{file} {target}: {result.output}") from result.exception
    return json.loads(result.stdout)


def learns(folder: Path) -> tuple[int, float]:
    """The arena TensorFlow Lite Micro uses, and the share of outputs that are those of TFLite."""
    plain = (folder / "model.tflite").read_bytes()
    flat = FlatModel(plain)
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (SAMPLES, *flat.shape(flat.inputs[0])[1:]), np.int8)
    record = json.loads((folder / "export.json").read_text())
    with TrainingInterpreter((folder / "model_train.tflite").read_bytes()) as board:
        got = board.infer(x).reshape(SAMPLES, -1)
        targets = np.zeros_like(got, np.float32) if record["loss"] == "mse" else None
        board.train(x, np.zeros(SAMPLES, np.int32), targets=targets)
        arena = board.arena_used_bytes
    want = reference.infer(plain, x).reshape(SAMPLES, -1)
    return arena, float((got == want).mean())


def row(file: Path, target: str, how: str, report: dict[str, Any], folder: Path) -> str:
    plan, layers = report["plan"], report["export"]["layers"]
    count = sum(1 for layer in layers if layer["trainable_weights"])
    arena, same = learns(folder)
    step = plan["training"]
    cells = [f"`{file.stem}`", target, f"{how}: {count} of {len(layers)}"]
    cells += [f"{step['arena_bytes']:,}", f"{plan['flash']['total_bytes']:,}"]
    cells += [f"{step['inference']['milliseconds']:,.1f}", f"{step['milliseconds']:,.1f}"]
    cells += [f"{same:.0%}", f"{100 * (step['arena_bytes_host'] / arena - 1):+.2f} %"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE.tflite[:LOSS]")
    parser.add_argument("--targets", nargs="*", default=["nano33", "esp32"])
    arguments = parser.parse_args()
    heads = ["model", "board", "trains", "arena, bytes", "flash, bytes", "inference, ms"]
    heads += ["step, ms", "same bits", "planned arena"]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    refused: dict[str, None] = {}  # every message once
    for given in arguments.files:
        path, _, loss = given.partition(":")
        file = Path(path)
        for target, fit in itertools.product(arguments.targets, (False, True)):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "export"
                report = exported(file, loss or None, target, fit, out)
                if "error" in report:
                    refused[f"`{file.stem}`: {report['error']}"] = None
                else:
                    how = "`--fit`" if fit else "the last layer"
                    print(row(file, target, how, report, out), flush=True)
    print("", *(f"- {message}" for message in refused), sep="\n")


if __name__ == "__main__":
    main()
