"""What more memory buys on a device: the head, what `--fit` chooses, or every layer.

    python benchmarks/fit_gain.py --data-dir DATA [--arena KB] [--samples N]

ResNet8 learns upright digits (MNIST), then meets digits rotated by 40 degrees inside TensorFlow
Lite Micro and learns from one pass over some of them. Prints the table of docs/plan.md.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from tf_odl.converters import reference
from tf_odl.converters.export import export
from tf_odl.converters.targets import get_target
from tf_odl.data import load
from tf_odl.data.dataset import Dataset
from tf_odl.fitting import layers_that_fit
from tf_odl.methods import get_method
from tf_odl.models import build
from tf_odl.tflm_port.interpreter import TrainingInterpreter

METHOD = get_method("tinypropv2")
PRETRAINING, EPOCHS, TEST = 12_000, 3, 1_000  # samples, passes, samples
RATE = 0.002


def pretrained(data: Dataset) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = build("resnet8", data.x_train.shape[1:], data.classes, 0)
    model.compile(
        keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    x, y = data.x_train[:PRETRAINING], data.y_train[:PRETRAINING]
    model.fit(x, y, batch_size=32, epochs=EPOCHS, verbose=0)
    return model


def accuracy(board: TrainingInterpreter, codes: np.ndarray, labels: np.ndarray) -> float:
    outputs = board.infer(codes).reshape(len(codes), -1)
    return float((outputs.argmax(1) == labels).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--arena", type=int, default=120, help="KB")
    parser.add_argument("--samples", type=int, default=1000)
    arguments = parser.parse_args()
    upright = load("mnist", data_dir=arguments.data_dir)
    turned = load("mnist", data_dir=arguments.data_dir, shift="rotate:40")
    model = pretrained(upright)
    small = replace(get_target("nano33"), arena_bytes=arguments.arena * 1024)
    large = replace(small, arena_bytes=1 << 30)
    fit = layers_that_fit(model, METHOD, small, turned).best.layers
    print("| trains | arena, bytes | flash, bytes | step, ms | before, % | after, % |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, layers in (("head", ["head"]), ("--fit", fit), ("everything", None)):
            report = export(
                model,
                turned.x_train[:300],
                target=large if layers is None else small,
                out_dir=Path(folder) / name,
                sparsifier=METHOD.sparsifier,
                skip_rule=METHOD.skip,
                layers=layers,
                learning_rate=RATE,
            )
            plain = (report.folder / "model.tflite").read_bytes()
            learn = reference.quantize_input(plain, turned.x_train[-arguments.samples :])
            test = reference.quantize_input(plain, turned.x_test[:TEST])
            labels = turned.y_test[:TEST]
            with TrainingInterpreter((report.folder / "model_train.tflite").read_bytes()) as board:
                before = accuracy(board, test, labels)
                board.train(learn, turned.y_train[-arguments.samples :])
                after = accuracy(board, test, labels)
            step, flash = report.plan["training"], report.plan["flash"]["total_bytes"]
            what = name if layers is None or name == "head" else f"`{name}`: {', '.join(layers)}"
            print(
                f"| {what} | {step['arena_bytes']:,} | {flash:,} | {step['milliseconds']:,.0f} "
                f"| {100 * before:.1f} | {100 * after:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
