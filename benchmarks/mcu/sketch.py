"""Flash, RAM and instructions of the whole sketch on the QEMU board.

    python benchmarks/mcu/sketch.py EXPORT_DIR... --libraries DIR --build DIR

DIR of --libraries holds Chirale_TensorFLowLite. QEMU counts instructions (-icount shift=10: one is
1.024 us of the board's time), and a step's answer has its microseconds. Inputs are random.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np

from tf_odl.converters.header import model_header
from tf_odl.converters.sketch import ops_header

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from qemu_board import QemuBoard, build_sketch  # noqa: E402

TEACH = ROOT / "tflm_port" / "examples" / "Teach"
STEPS = 20
MICROSECONDS_PER_INSTRUCTION = 1.024
ARENA_BYTES = 120_000  # enough for all; what is used is measured


def write_sketch(graph: bytes, folder: Path) -> Path:
    """The example with another model."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(TEACH / "Teach.ino", folder / f"{folder.name}.ino")
    (folder / "model_data.h").write_text(model_header({"model_train_tflite": graph}))
    (folder / "model_ops.h").write_text(ops_header(graph, ARENA_BYTES))
    return folder / f"{folder.name}.ino"


def measure(export: Path, libraries: Path, build: Path) -> dict[str, int]:
    sketch = write_sketch((export / "model_train.tflite").read_bytes(), build / "Model")
    elf, used = build_sketch(sketch, build, libraries, timeout=7200)
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
        arena = client.stats()["arena_bytes"]
    counts = {kind: round(float(np.mean(values))) for kind, values in spent.items()}
    used["ram"] += int(arena) - ARENA_BYTES
    return {**used, "arena": int(arena), **counts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exports", type=Path, nargs="+")
    parser.add_argument("--libraries", type=Path, required=True)
    parser.add_argument("--build", type=Path, required=True, help="kept: the library takes minutes")
    options = parser.parse_args()
    for export in options.exports:
        start = time.monotonic()
        row = measure(export, options.libraries.resolve(), options.build.resolve())
        print(export.name, json.dumps(row), f"{time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
