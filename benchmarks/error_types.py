"""Learning with errors of float32 and of bfloat16: docs/on-device-learning.md.

    python benchmarks/error_types.py mnist cnn5 --data-dir DIR [--models 3] [--export-seeds 4]

The same stream is learned inside TensorFlow Lite Micro with both types, by exports with several
seeds: these change the rounding of biases alone, and so tell how far results of one and the same
thing lie apart. Results are kept one by one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from on_device import FOLDER, STREAMS, on_device, streams_of
from results import read_rows, write_rows

from tf_odl.converters.error_type import ErrorType
from tf_odl.converters.update_rule import UpdateRule

RESULTS = FOLDER / "error-types.csv"
FIELDS = ("stream", "model_seed", "export_seed", "errors", "after")


def measure(stream: str, models: int, export_seeds: int, data_dir: Path, work: Path) -> None:
    rows = read_rows(RESULTS)
    known = {tuple(row[field] for field in FIELDS[:-1]) for row in rows}
    for seed, _, model, calibration, data in streams_of(stream, models, data_dir, work):
        for export_seed in range(export_seeds):
            for errors in ErrorType:
                key = (stream, str(seed), str(export_seed), errors.value)
                if key in known:
                    continue
                settings = {
                    "learning_rate": STREAMS[stream].learning_rate,
                    "seed": export_seed,
                    "train_layers": STREAMS[stream].train_layers,
                    "update_rule": UpdateRule.RESIDUAL,
                    "errors": errors,
                }
                _, after = on_device(model, calibration, data, settings)
                rows.append(dict(zip(FIELDS, (*key, f"{after:.4f}"), strict=True)))
                write_rows(RESULTS, FIELDS, rows)


def summary(stream: str) -> str:
    """The difference between the types, and how far equal exports lie apart, in points."""
    accuracy = {
        tuple(row[field] for field in FIELDS[:-1]): 100 * float(row["after"])
        for row in read_rows(RESULTS)
        if row["stream"] == stream
    }
    floats = {key[:3]: a for key, a in accuracy.items() if key[3] == ErrorType.FLOAT32.value}
    difference = np.array(
        [accuracy[(*key, ErrorType.BFLOAT16.value)] - exact for key, exact in floats.items()]
    )
    by_model: dict[str, list[float]] = {}
    for (_, seed, _), exact in floats.items():
        by_model.setdefault(seed, []).append(exact)
    spread = np.mean([np.std(found, ddof=1) for found in by_model.values() if len(found) > 1])
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    return (
        f"{stream}: bfloat16 {difference.mean():+.2f} +- {error:.2f} ({len(difference)} pairs); "
        f"exports that differ in their seed {spread:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("streams", nargs="+", choices=[*STREAMS], metavar="STREAM")
    parser.add_argument("--models", type=int, default=3)
    parser.add_argument("--export-seeds", type=int, default=4)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/on-device"))
    arguments = parser.parse_args()
    for stream in arguments.streams:
        measure(
            stream, arguments.models, arguments.export_seeds, arguments.data_dir, arguments.work
        )
        print(summary(stream))


if __name__ == "__main__":
    main()
