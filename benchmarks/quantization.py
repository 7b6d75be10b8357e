"""What int8 costs: float against post-training quantization and quantization-aware training.

    python benchmarks/quantization.py --data-dir DATA [--only NAME ...] [--seeds 3]

Trains each model in float32 with plain Keras, exports it with every calibration and with
`--quantize qat`, and prints a table for docs/quantization.md. DATA holds a folder per data set.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from tf_odl.converters.export import AwareTraining, export
from tf_odl.converters.targets import get_target
from tf_odl.data import load
from tf_odl.data.dataset import Dataset
from tf_odl.methods import get_method
from tf_odl.models import build

METHOD = get_method("tinypropv2")
CALIBRATIONS = ("min-max", "percentile", "mse")
CALIBRATION_SAMPLES = 300
TEST_SAMPLES = 3000
QAT_EPOCHS = 3


@dataclass(frozen=True)
class Case:
    model: str
    data: str
    folder: str
    epochs: int
    flip: bool = False  # images may be mirrored


CASES = {
    "mnist": Case("cnn5", "mnist", "mnist", 8),
    "speech": Case("ds-cnn", "arabic-speech", "arabic_speech_commands", 60),
    "cifar": Case("mobilenetv2-0.35", "cifar10", "cifar10", 25, flip=True),
}


def trained(case: Case, data: Dataset, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = build(case.model, data.x_train.shape[1:], data.classes, seed)
    steps = case.epochs * -(-len(data.x_train) // 64)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    rng = np.random.default_rng(seed)
    for _ in range(case.epochs):
        x = data.x_train
        if case.flip:
            x = np.where(rng.random((len(x), 1, 1, 1)) < 0.5, x[:, :, ::-1], x)
        model.fit(x, data.y_train, batch_size=64, verbose=0)
    return model


def accuracies(model: keras.Model, data: Dataset, head_only: bool) -> dict[str, float]:
    board = replace(get_target("nano33"), arena_bytes=1 << 30, flash_bytes=1 << 30)
    x_test, y_test = data.x_test[:TEST_SAMPLES], data.y_test[:TEST_SAMPLES]
    found = {}
    for how in (*CALIBRATIONS, "qat"):
        aware = AwareTraining(data.x_train, data.y_train, QAT_EPOCHS) if how == "qat" else None
        with tempfile.TemporaryDirectory() as folder:
            report = export(
                model,
                data.x_train[:CALIBRATION_SAMPLES],
                target=board,
                out_dir=Path(folder) / "export",
                sparsifier=METHOD.sparsifier,
                skip_rule=METHOD.skip,
                train_layers=1 if head_only else None,
                calibration="min-max" if how == "qat" else how,
                aware=aware,
                test=(x_test, y_test),
            )
        found["float"] = 100 * report.export["accuracy"]["float"]
        found[how] = 100 * report.export["accuracy"]["int8"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"| | float | {' | '.join(CALIBRATIONS)} | qat |\n|{'---|' * (len(CALIBRATIONS) + 3)}")
    for name in arguments.only:
        case = CASES[name]
        data = load(case.data, data_dir=arguments.data_dir / case.folder)
        head_only = case.model.startswith("mobilenet")
        runs = [accuracies(trained(case, data, s), data, head_only) for s in range(arguments.seeds)]
        floats = [run.pop("float") for run in runs]
        changes = [
            f"{mean(run[how] - f for run, f in zip(runs, floats, strict=True)):+.2f}"
            for how in runs[0]
        ]
        cells = [f"`{case.model}`, `{case.data}`", f"{mean(floats):.2f}", *changes]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
