"""What the library's own forward ops save on a Cortex-M4, of whole models.

    python benchmarks/mcu/own_layers.py CHIRALE_DIR

Exports models of op_costs.py with the weighted layers of the library and with TensorFlow Lite
Micro's, runs training steps of both (Chirale_TensorFLowLite with CMSIS-NN, QEMU), and writes their
arenas, models and instructions into docs/memory.md. Takes ten minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from unittest.mock import patch

import op_costs

from tf_odl.converters import on_board

#: Labels of op_costs.MODELS, and what the table calls them.
TITLES = {
    "cnn5-mnist": "CNN, 28x28, all layers train",
    "cnn5-cifar": "CNN, 32x32x3, all",
    "ds-cnn": "DS-CNN, all",
    "resnet8": "ResNet8, all",
    "mobilenet-32": "MobileNet 32x32, all",
    "mobilenet-48": "MobileNet 48x48, the last 5",
    "mobilenet-96": "MobileNet 96x96, the head",
}
HEADER = (
    "| | arena in QEMU, builtin | of our own | training model, builtin | of our own "
    "| instructions of a training step, builtin | of our own | |",
    "|---" * 8 + "|",
)


def measure(library: Path) -> dict[str, tuple[int, int, int]]:
    """By label: bytes of the arena in use and of the training model, instructions of a step."""
    chosen = [model for model in op_costs.MODELS if model[0] in TITLES]
    with patch.multiple(op_costs, MODELS=chosen, VARIANTS={}):
        models, counts, arenas = op_costs.measure(library)
    names = {label: f"{label}.training" for label in TITLES}
    return {
        label: (arenas[name], len(models[name]), sum(counts[name])) for label, name in names.items()
    }


def measure_builtin(library: Path) -> dict[str, tuple[int, int, int]]:
    """The same of training graphs whose weighted layers are those of model.tflite."""
    with patch.object(on_board, "with_own_layers", lambda graph: graph):
        return measure(library)


def row_of(title: str, builtin: tuple[int, ...], own: tuple[int, ...]) -> str:
    pairs = " | ".join(f"{a:,} | {b:,}" for a, b in zip(builtin, own, strict=True))
    return f"| {title} | {pairs} | {own[-1] / builtin[-1] - 1:+.0%} |".replace("%", " %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", type=Path, help="the Arduino library Chirale_TensorFLowLite")
    library = parser.parse_args().library
    own, builtin = measure(library), measure_builtin(library)
    lines = [row_of(title, builtin[label], own[label]) for label, title in TITLES.items()]
    from results import fill_table

    fill_table(op_costs.MEMORY_PAGE, [*HEADER, *lines], "own")
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
