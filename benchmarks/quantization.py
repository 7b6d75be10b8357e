"""What int8 costs: float against post-training quantization and quantization-aware training.

    python benchmarks/quantization.py --data-dir DATA [--only NAME ...] [--seeds 3] [--work DIR]

Trains each model in float32 with plain Keras, quantizes it as `tf-odl export` does, and measures
it on all test samples. `no room` leaves no headroom and no margin for later learning. Results are
kept one by one: killed half-way, the same command continues. Writes the table of
docs/quantization.md. DATA holds a folder per data set.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from pretraining import Recipe, pretrained
from results import Row, fill_table, read_rows, write_rows

from tf_odl.converters.accuracy import int8_accuracy
from tf_odl.converters.fold import Folded, fold
from tf_odl.converters.int8_model import Room, int8_model
from tf_odl.converters.qat import train_aware
from tf_odl.converters.trainable import allowed_masks
from tf_odl.data import load
from tf_odl.data.dataset import Dataset

PAGE = Path(__file__).resolve().parents[1] / "docs" / "quantization.md"
RESULTS = PAGE.with_suffix("") / "results.csv"
FIELDS = ("model", "data", "seed", "samples", "how", "float", "int8")
CALIBRATION_SAMPLES = 300
QAT_EPOCHS = 3
NO_ROOM, ROOM = (1.0, 1.0), (1.5, 1.25)  # headroom and margin; the latter are the defaults


@dataclass(frozen=True)
class Case:
    model: str
    data: str
    folder: str
    recipe: Recipe
    train_layers: int | None = None  # the last so many layers get headroom; None for all


CASES = {
    "mnist": Case("cnn5", "mnist", "mnist", Recipe(8, "Adam", 2e-3, 64)),
    "speech": Case(
        "ds-cnn", "arabic-speech", "arabic_speech_commands", Recipe(60, "Adam", 2e-3, 64)
    ),
    "cifar": Case(
        "mobilenetv2-0.35", "cifar10", "cifar10", Recipe(30, "Adam", 2e-3, 64, flip=True), 5
    ),
}
#: What is measured: whether trained with fake quantization, and the room of the ranges.
WAYS: Mapping[str, tuple[bool, Room]] = {
    "no room": (False, Room(*NO_ROOM, "min-max")),
    "min-max": (False, Room(*ROOM, "min-max")),
    "percentile": (False, Room(*ROOM, "percentile")),
    "mse": (False, Room(*ROOM, "mse")),
    "qat, no room": (True, Room(*NO_ROOM, "min-max")),
    "qat": (True, Room(*ROOM, "min-max")),
}


def aware(folded: Folded, data: Dataset, seed: int, path: Path) -> None:
    """Train with fake quantization, or take the weights of the last time."""
    if not path.is_file():
        train_aware(folded.model, data.x_train, data.y_train, epochs=QAT_EPOCHS, seed=seed)
        folded.model.save_weights(path)
    folded.model.load_weights(path)


def accuracies(case: Case, model: keras.Model, data: Dataset, seed: int, work: Path) -> list[Row]:
    outputs = model.predict(data.x_test, batch_size=256, verbose=0)
    in_float = float((outputs.argmax(axis=1) == data.y_test).mean())
    folded = fold(model)
    masks = allowed_masks(folded.neurons, None, None, case.train_layers)
    rows = []
    for how, (with_fakes, room) in WAYS.items():
        if with_fakes:
            aware(folded, data, seed, work / f"{case.data}-{case.model}-{seed}-qat.weights.h5")
        codes = int8_model(folded, data.x_train[:CALIBRATION_SAMPLES], masks, room, None)
        in_int8 = int8_accuracy(codes, data.x_test, data.y_test, None)
        values = (case.model, case.data, seed, len(data.x_test), how)
        values += (f"{in_float:.4f}", f"{in_int8:.4f}")
        rows.append(dict(zip(FIELDS, map(str, values), strict=True)))
        print(*rows[-1].values(), flush=True)
    return rows


def table(rows: list[Row]) -> list[str]:
    """Mean float accuracy in percent; mean difference in points and its standard error."""
    lines = [f"| | seeds | float | {' | '.join(WAYS)} |", "|---" * (len(WAYS) + 3) + "|"]
    for case in CASES.values():
        of_case = [r for r in rows if (r["model"], r["data"]) == (case.model, case.data)]
        if not of_case:
            continue
        seeds = {r["seed"]: 100 * float(r["float"]) for r in of_case}
        cells = [f"`{case.model}`, `{case.data}` ({int(of_case[0]['samples']):,} samples)"]
        cells += [str(len(seeds)), f"{np.mean([*seeds.values()]):.2f}"]
        for how in WAYS:
            found = [r for r in of_case if r["how"] == how]
            points = np.array([100 * (float(r["int8"]) - float(r["float"])) for r in found])
            error = points.std(ddof=1) / np.sqrt(len(points)) if len(points) > 1 else 0.0
            cells.append(f"{points.mean():+.2f} ± {error:.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("runs/quantization"))
    arguments = parser.parse_args()
    rows = read_rows(RESULTS)
    for name in arguments.only:
        case = CASES[name]
        data = load(case.data, data_dir=arguments.data_dir / case.folder)
        for seed in range(arguments.seeds):
            if any((r["data"], r["seed"]) == (case.data, str(seed)) for r in rows):
                continue
            model = pretrained(case.model, data, case.recipe, seed, arguments.work)
            rows += accuracies(case, model, data, seed, arguments.work)
            write_rows(RESULTS, FIELDS, rows)
    lines = table(rows)
    fill_table(PAGE, lines)
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
