"""Flash, RAM and instructions of whole sketches on the QEMU board.

    python benchmarks/mcu/sketch.py --libraries DIR --build DIR                 docs/boards.md
    python benchmarks/mcu/sketch.py EXPORT_DIR... --libraries DIR --build DIR   of these exports

DIR of --libraries holds Chirale_TensorFLowLite. QEMU counts instructions (-icount shift=10: one is
1.024 us of the board's time), and a step's answer has its microseconds. Inputs are random.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from tf_odl.cli import main as command_line
from tf_odl.converters.export import export
from tf_odl.converters.header import model_header
from tf_odl.converters.sketch import PROJECT, ops_header
from tf_odl.converters.targets import get_target
from tf_odl.methods.dense import Dense
from tf_odl.methods.never import Never
from tf_odl.models import build, set_statistics

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tests"), str(ROOT / "benchmarks")]

from qemu_board import QemuBoard, build_sketch  # noqa: E402
from results import fill_table  # noqa: E402

PAGE = ROOT / "docs" / "boards.md"
HEADER = (
    "| sketch | flash | RAM | of it arena | instructions per predict | per learn |",
    "|---" + "|---:" * 5 + "|",
)
EXAMPLES = ROOT / "tflm_port" / "examples"
OPS = "model_ops.h"  # of sketches with TensorFlow Lite Micro
STEPS = 20
MICROSECONDS_PER_INSTRUCTION = 1.024
ARENA_BYTES = 120_000  # enough for all; what is used is measured


def teach_with(export_dir: Path, folder: Path) -> Path:
    """The example Teach with the model of an export."""
    graph = (export_dir / "model_train.tflite").read_bytes()
    folder.mkdir(parents=True)
    shutil.copy(EXAMPLES / "Teach" / "Teach.ino", folder / f"{folder.name}.ino")
    (folder / "model_data.h").write_text(model_header({"model_train_tflite": graph}))
    (folder / OPS).write_text(ops_header(graph, ARENA_BYTES))
    return folder


def demonstration(folder: Path) -> Path:
    """The sketch of the README's first commands, for QEMU."""
    run = folder / "first"
    for arguments in (
        ["finetune", "--method", "tinypropv2", "--out", str(run)],
        ["export", str(run), "--target", "qemu"],
    ):
        command_line(arguments, standalone_mode=False)
    (sketch,) = (run / "export-qemu" / PROJECT).glob("*/*.ino")
    return sketch.parent


def cnn5(folder: Path) -> Path:
    """Teach with `cnn5` for images of 28x28, random weights, every step dense."""
    x = np.random.default_rng(1).normal(size=(20, 28, 28, 1)).astype(np.float32)
    model = build("cnn5", x.shape[1:], 10, 1)
    set_statistics(model, x)
    export(
        model,
        x,
        target=get_target("nano33"),
        out_dir=folder / "cnn5",
        sparsifier=Dense(),
        skip_rule=Never(),
    )
    return teach_with(folder / "cnn5", folder / "cnn5-teach")


def sketches(folder: Path) -> dict[str, Path]:
    """The folders of those in docs/boards.md, by what the page calls them."""
    return {
        "`LinearLearner`: 561 features, 6 classes, no TensorFlow Lite Micro": EXAMPLES
        / "LinearLearner",
        "`Teach`: the CNN of the digits, its last layer trains": EXAMPLES / "Teach",
        "the sketch that `export --target qemu` makes of the demonstration, all layers train by "
        "the residual rule": demonstration(folder),
        "`Teach` with `cnn5` for MNIST (28x28), all five layers train, dense": cnn5(folder),
    }


def compiled(sketch: Path, libraries: Path, folder: Path) -> tuple[Path, dict[str, int]]:
    """As `build_sketch`. What the builder keeps serves for all sketches with TensorFlow Lite Micro:
    they get one name, and others, for which the library compiles to less, a folder of their own."""
    if not (sketch / OPS).exists():
        folder /= "alone"
    copy = folder / "Model"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(sketch, copy)
    (copy / f"{sketch.name}.ino").rename(copy / f"{copy.name}.ino")
    return build_sketch(copy / f"{copy.name}.ino", folder, libraries, timeout=7200)


def measure(sketch: Path, libraries: Path, folder: Path) -> dict[str, int]:
    """Bytes of flash, RAM and arena; instructions of a predict and a learn, mean of STEPS."""
    elf, used = compiled(sketch, libraries, folder)
    rng = np.random.default_rng(1)
    spent: dict[str, list[float]] = {"predict": [], "learn": []}
    with QemuBoard(elf, None, "-icount", "shift=10") as client:
        client.timeout = 300
        hello = client.hello()
        for step in range(STEPS + 1):
            sample = rng.integers(-128, 128, hello["input_bytes"], np.int8).tobytes()
            results = {
                "predict": client.predict(sample),
                "learn": client.learn(sample, step % hello["classes"]),
            }
            for kind, result in results.items():
                if step > 0 and (kind == "predict" or result["trained"]):
                    spent[kind].append(result["microseconds"] / MICROSECONDS_PER_INSTRUCTION)
        arena = int(client.stats()["arena_bytes"])
    counts = {kind: round(float(np.mean(values))) for kind, values in spent.items()}
    used["ram"] += arena - reserved_arena(sketch, arena)
    return {**used, "arena": arena, **counts}


def reserved_arena(sketch: Path, used: int) -> int:
    """Bytes that the sketch reserves: as OPS says, without one exactly what it uses."""
    header = sketch / OPS
    if not header.exists():
        return used
    (reserved,) = re.findall(r"kArenaBytes = (\d+);", header.read_text())
    return int(reserved)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exports", type=Path, nargs="*")
    parser.add_argument("--libraries", type=Path, required=True)
    parser.add_argument("--build", type=Path, required=True, help="kept: the library takes minutes")
    options = parser.parse_args()
    libraries, folder = options.libraries.resolve(), options.build.resolve()
    if not list(libraries.glob("*/src/Chirale_TensorFlowLite.h")):
        parser.error(f"{libraries} does not hold the Arduino library Chirale_TensorFLowLite")
    with tempfile.TemporaryDirectory() as temporary:
        if options.exports:
            for number, path in enumerate(options.exports):
                sketch = teach_with(path, Path(temporary) / str(number))
                print(path.name, json.dumps(measure(sketch, libraries, folder)), flush=True)
            return
        lines = []
        for title, sketch in sketches(Path(temporary)).items():
            row = measure(sketch, libraries, folder)
            lines.append(f"| {title} | " + " | ".join(f"{n:,}" for n in row.values()) + " |")
            print(lines[-1], flush=True)
        fill_table(PAGE, [*HEADER, *lines], "sketches")


if __name__ == "__main__":
    main()
