"""What each op of a training step costs on a Cortex-M4 inside TensorFlow Lite Micro.

    python benchmarks/mcu/op_costs.py CHIRALE_DIR

Counts the instructions of every op of some models (Chirale_TensorFLowLite with CMSIS-NN, QEMU) and
fits, per kind of op, a cost to each size of its work (`converters/costs.py`).
`converters/costs.json` gets the result, which `tf-odl plan` uses, and what each model took beside
what the fit to the others predicts, which is also the table of docs/plan.md. docs/memory.md gets
what weighted layers take in both of their forms. Takes ten minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import through_tflm
from run import CPU, EMULATOR, HERE, LINK, QEMU_FILES, ROOT, command

from tf_odl.converters.costs import Work
from tf_odl.converters.error_type import ErrorType
from tf_odl.converters.export import export
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.head import Head
from tf_odl.converters.memory import plan_memory
from tf_odl.converters.own_layers import OWN_LAYERS, builtin_name
from tf_odl.converters.targets import get_target
from tf_odl.converters.update_rule import UpdateRule
from tf_odl.converters.work import work_of
from tf_odl.methods.dense import Dense
from tf_odl.methods.never import Never
from tf_odl.models import build, set_statistics

COSTS = ROOT / "converters" / "costs.json"
PAGE = ROOT / "docs" / "plan.md"
HEADER = ("| model | instructions | predicted | arena used, bytes | planned |", "|---" * 5 + "|")
MEMORY_PAGE = ROOT / "docs" / "memory.md"
WEIGHTED = (
    "| | ops | MACs | instructions per MAC, builtin | of our own | ratio | largest ratio |",
    "|---" * 7 + "|",
)
KERNELS = (*through_tflm.KERNELS, "add", "concatenation", "depthwise_conv", "pad", "pooling")
KERNELS = (*KERNELS, "quantize", "reduce", "softmax")
OTHER = "other-ops"
#: Ops that AddOps leaves out.
SEPARATE = ("Accumulation", "FloatHead", "FloatHeadBackward", "LoadWeights", "StoreWeights")
RATE = 0.002
ACCUMULATED = 4  # samples, as many as op_costs.cpp counts
#: Other ways to train some of them: arguments of `export`. An accumulation ends once in the counted
#: steps; its rate is that of one step of their mean.
VARIANTS: Mapping[str, dict[str, Any]] = {
    "training-residual": {"update_rule": UpdateRule.RESIDUAL},
    "training-accumulated": {"accumulate": ACCUMULATED, "learning_rate": RATE / ACCUMULATED},
    "training-residual-accumulated": {
        "update_rule": UpdateRule.RESIDUAL,
        "accumulate": ACCUMULATED,
        "learning_rate": RATE / ACCUMULATED,
    },
    "training-float-head": {"head": Head.FLOAT32},
    "training-bfloat16": {"errors": ErrorType.BFLOAT16},
    "training-changes": {"update_rule": UpdateRule.CHANGES},
}
#: What the table calls them.
TRAINED = {
    "training-residual": "training, residual",
    "training-accumulated": f"training, {ACCUMULATED} samples together",
    "training-residual-accumulated": f"training, residual, {ACCUMULATED} samples together",
    "training-float-head": "training, float head",
    "training-bfloat16": "training, bfloat16 errors",
    "training-changes": "training, weights in flash",
}
VARIED = ("mlp5-hapt", "cnn5-digits", "ds-cnn-speech", "mobilenet-48")
#: Labels of MODELS that are trained in the last of these ways, too.
NARROW = (
    *("mlp5-mnist", "cnn5-cifar", "ds-cnn", "resnet8", "mobilenet-32"),
    *("other-ops", "other-ops-large"),
)
#: Half of the neurons of MobileNetV2's last two blocks, and the head.
HALF = (
    *("block_15_expand[0:168]", "block_15_depthwise", "block_15_project[0:28]"),
    *("block_16_expand[0:168]", "block_16_depthwise", "block_16_project[0:56]", "predictions"),
)
#: All of them.
BLOCKS = (
    *("block_15_expand", "block_15_depthwise", "block_15_project"),
    *("block_16_expand", "block_16_depthwise", "block_16_project", "predictions"),
)
#: By label what an export is told: the arena in bytes, where not all the room it wants.
FITTED: Mapping[str, dict[str, Any]] = {
    "mobilenet-96-half": {"arena": 150_000},
    "mobilenet-96-blocks": {"arena": 150_000, "update_rule": UpdateRule.CHANGES},
}
#: Name, built-in model, samples, classes, layers that train (how many of the last, None: all).
Trained = int | tuple[str, ...] | None
MODELS: list[tuple[str, str, tuple[int, ...], int, Trained]] = [
    ("mlp5-mnist", "mlp5", (28, 28, 1), 10, None),
    ("mlp5-hapt", "mlp5", (561,), 6, None),
    ("cnn5-mnist", "cnn5", (28, 28, 1), 10, None),
    ("cnn5-cifar", "cnn5", (32, 32, 3), 10, None),
    ("cnn5-1d", "cnn5-1d", (128, 9), 6, None),
    ("cnn5-digits", "cnn5", (16, 16, 1), 10, None),
    ("ds-cnn", "ds-cnn", (49, 10), 12, None),
    ("ds-cnn-speech", "ds-cnn", (49, 13), 8, 3),
    ("resnet8", "resnet8", (32, 32, 3), 10, None),
    ("mobilenet-32", "mobilenetv2-0.35", (32, 32, 3), 10, None),
    ("mobilenet-48", "mobilenetv2-0.35", (48, 48, 3), 2, 5),
    ("mobilenet-96", "mobilenetv2-0.35", (96, 96, 3), 2, 1),
    ("mobilenet-96-half", "mobilenetv2-0.35", (96, 96, 3), 10, HALF),
    ("mobilenet-96-blocks", "mobilenetv2-0.35", (96, 96, 3), 10, BLOCKS),
    ("other-ops", OTHER, (24, 24, 3), 4, None),
    ("other-ops-large", OTHER, (32, 32, 4), 6, None),
]


def exported(
    folder: Path,
    name: str,
    shape: tuple[int, ...],
    classes: int,
    trained: Trained,
    *,
    arena: int = 1 << 30,
    **how: Any,
) -> Path:
    x = np.random.default_rng(1).normal(size=(20, *shape)).astype(np.float32)
    model = linear(other_ops(shape, classes) if name == OTHER else build(name, shape, classes, 1))
    set_statistics(model, x)
    export(
        model,
        x,
        target=replace(get_target("nano33"), arena_bytes=arena, flash_bytes=1 << 30),
        out_dir=folder,
        sparsifier=Dense(),
        skip_rule=Never(),
        layers=trained if isinstance(trained, tuple) else None,
        train_layers=None if isinstance(trained, tuple) else trained,
        **{"learning_rate": RATE, **how},
    )
    return folder


def other_ops(shape: tuple[int, ...], classes: int) -> keras.Model:
    """What the built-in models do not have: PAD, CONCATENATION, AVERAGE_POOL_2D, SOFTMAX."""
    layers = keras.layers
    x = inputs = keras.Input(shape)
    for _ in range(2):
        x = layers.Conv2D(8, 3, padding="same")(x)
        left = layers.AveragePooling2D(2)(x)
        right = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
        x = layers.Concatenate()([left, right])
    return keras.Model(inputs, layers.Dense(classes, "softmax")(layers.Flatten()(x)))


def linear(model: keras.Model) -> keras.Model:
    """The model without activations: no error is zero, so that costs follow from the shapes."""

    def without(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.ReLU):
            return keras.layers.Activation("linear", name=layer.name)
        config = layer.get_config()
        if config.get("activation") not in (None, "softmax"):
            config["activation"] = "linear"
        return type(layer).from_config(config)

    return keras.models.clone_model(model, clone_function=without)


def sources(folder: Path) -> dict[str, bytes]:
    """The plain and the training model of each of MODELS; writes the headers of the program."""
    found: dict[str, bytes] = {}
    for label, *model in MODELS:
        out = exported(folder / label, *model, **FITTED.get(label, {}))
        found[f"{label}.inference"] = (out / "model.tflite").read_bytes()
        found[f"{label}.training"] = (out / "model_train.tflite").read_bytes()
        for variant, how in VARIANTS.items():
            if label not in (*VARIED, *(NARROW if "errors" in how else ())):
                continue
            name = f"{label}.{variant}"
            out = exported(folder / name, *model, **how)
            found[name] = (out / "model_train.tflite").read_bytes()
    text = [
        "#include <stdint.h>",
        "struct Model { const char* name; const uint8_t* data; bool trains; };",
        '#define TFODL_MODEL alignas(16) __attribute__((section(".models")))',
    ]
    rows = []
    for number, (name, data) in enumerate(found.items()):
        values = ",".join(map(str, data))
        text.append(f"TFODL_MODEL const uint8_t kData{number}[] = {{{values}}};")
        trains = "false" if name.endswith("inference") else "true"
        rows.append(f'{{"{name}", kData{number}, {trains}}}')
    text.append(f"const Model kModels[] = {{{', '.join(rows)}}};")
    (folder / "models.h").write_text("\n".join(text) + "\n")
    flats = [FlatModel(data) for data in found.values()]
    kinds = {flat.op_name(op) for flat in flats for op in flat.operators}
    builtin = sorted(kind for kind in kinds if not kind.startswith("TFODL_"))
    adds = "".join(f"  resolver.Add{_camel(kind)}();\n" for kind in builtin)
    separate = [*map(_camel, OWN_LAYERS), *SEPARATE]
    adds += "".join(f"  tfodl::Add{what}(resolver);\n" for what in separate)
    adds += (
        "  for (int op = 0; op < tfodl::kBfloat16OpCount; ++op) {\n"
        "    tfodl::Registration registration = tfodl::Bfloat16OpRegistration(op);\n"
        "    resolver.AddCustom(tfodl::Bfloat16OpName(op), &registration);\n"
        "  }\n"
    )
    count = f"{len(builtin) + len(separate)} + tfodl::kBfloat16OpCount"
    (folder / "op_costs_resolver.h").write_text(
        '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"\n'
        '#include "TfOdl.h"\n'
        f"using Resolver = tflite::MicroMutableOpResolver<tfodl::kOpCount + {count}>;\n"
        f"inline void AddAll(Resolver& resolver) {{\n{adds}  tfodl::AddOps(resolver);\n}}\n"
    )
    return found


def _camel(kind: str) -> str:
    return "".join(part if part == "2D" else part.capitalize() for part in kind.split("_"))


def measure(library: Path) -> tuple[dict[str, bytes], dict[str, list[int]], dict[str, int]]:
    """The models, the instructions of their ops in order, and the arenas in bytes."""
    through_tflm.KERNELS = KERNELS
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        models = sources(folder)
        objects = through_tflm.compile_with(library, HERE / "op_costs.cpp", folder)
        start = folder / "startup.o"
        command(["arm-none-eabi-gcc", *CPU, "-Os", "-c", QEMU_FILES / "startup.c", "-o", start])
        script = folder / "all_memory.ld"
        script.write_text(_all_memory((QEMU_FILES / "mps2.ld").read_text()))
        program = folder / "op_costs.elf"
        link = [*LINK, "-T", script, "--specs=rdimon.specs"]
        command(["arm-none-eabi-g++", *link, start, *objects, "-o", program])
        machine = ["-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none"]
        machine += ["-semihosting-config", "enable=on,target=native", "-icount", "shift=10"]
        lines = command([EMULATOR, *machine, "-kernel", program], timeout=3000).splitlines()
    counts: dict[str, list[int]] = {name: [] for name in models}
    arenas = {}
    for line in lines:
        name, what, *rest = line.split()
        if what == "arena":
            arenas[name] = int(rest[0])
        else:
            counts[name].append(int(rest[-1]))
    return models, counts, arenas


def _all_memory(script: str) -> str:
    """The linker script with what the emulated machine has in place of what a board has."""
    script = re.sub(r"(FLASH.*LENGTH = )\w+", r"\g<1>0x400000", script)
    script = re.sub(r"(RAM .*LENGTH = )\w+", r"\g<1>0x3ffe00", script)
    script = script.replace("{\n", "{\n  MODELS (r) : ORIGIN = 0x21000000, LENGTH = 0x1000000\n", 1)
    return script.replace("SECTIONS\n{\n", "SECTIONS\n{\n  .models : { *(.models) } > MODELS\n")


Counts = Mapping[str, list[tuple[Work, int]]]  # of each model: its ops and their instructions


def fit(rows: list[tuple[Work, int]]) -> dict[str, dict[str, float]]:
    """Per kind of op: instructions per unit of each size of its work, none negative.

    Least squares, errors in proportion to the root of the count: large ops count more, not alone.
    """
    from scipy.optimize import nnls

    costs = {}
    for kind in sorted({work.kind for work, _ in rows}):
        chosen = [(work, n) for work, n in rows if work.kind == kind and n > 0]
        names = sorted({name for work, _ in chosen for name in work.sizes})
        matrix = np.array([[work.sizes.get(name, 0) for name in names] for work, _ in chosen])
        wanted = np.array([n for _, n in chosen], float)
        scale = np.sqrt(wanted)
        solution, _ = nnls(matrix / scale[:, None], wanted / scale)
        found = {name: round(float(c), 3) for name, c in zip(names, solution, strict=True)}
        costs[kind] = {name: c for name, c in found.items() if c}
    return costs


def rows_of(models: Counts) -> list[tuple[Work, int]]:
    """The ops of all models; where a model is trained in several ways, what they share once."""
    found = []
    for name, ops in models.items():
        first = name.endswith((".inference", ".training"))
        found += [row for row in ops if first or _trains(row[0])]
    return found


def _trains(work: Work) -> bool:
    kind = work.kind.split()[0]
    return kind.startswith("TFODL_") and builtin_name(kind) == kind


def weighted_rows(models: Counts) -> list[str]:
    """What weighted layers take in model.tflite, and the same ones in the training graph."""
    pairs: dict[str, list[tuple[int, int, int]]] = {}
    for name, ops in models.items():
        label, how = name.split(".")
        if how != "inference":
            continue
        own = [row for row in models[f"{label}.training"] if builtin_name(_op(row)) != _op(row)]
        builtin = [row for row in ops if _op(row) in OWN_LAYERS]
        for (work, n), (_, m) in zip(builtin, own, strict=True):
            pairs.setdefault(work.kind, []).append((work.macs, n, m))
    lines = []
    for kind, title in (
        ("CONV_2D", "convolution, larger than 1x1"),
        ("CONV_2D 1x1", "convolution, 1x1"),
        ("DEPTHWISE_CONV_2D", "depthwise convolution"),
        ("FULLY_CONNECTED", "fully connected"),
    ):
        macs, builtin, own = np.array(pairs[kind]).T
        total, n, m = macs.sum(), builtin.sum(), own.sum()
        rates = f"{n / total:.2f} | {m / total:.2f} | {m / n:.2f} | {(own / builtin).max():.2f}"
        lines.append(f"| {title} | {len(macs)} | {total:,} | {rates} |")
    return lines


def _op(row: tuple[Work, int]) -> str:
    return row[0].kind.split()[0]


def row_of(name: str, row: Mapping[str, int]) -> str:
    """A row of the table: what was counted, and by how much the prediction is off."""
    label, how = name.split(".")
    what = TRAINED.get(how, how)
    off = row["predicted"] / row["instructions"] - 1
    surplus = row["arena_planned"] / row["arena_used"] - 1
    counts = f"{row['instructions']:,} | {off:+.1%} | {row['arena_used']:,} | {surplus:+.2%}"
    return f"| {label}, {what} | {counts} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", type=Path, help="the Arduino library Chirale_TensorFLowLite")
    models, counts, arenas = measure(parser.parse_args().library)
    per_model: dict[str, list[tuple[Work, int]]] = {}
    for name, data in models.items():
        flat = FlatModel(data)
        ops = [(work_of(flat, op), n) for op, n in zip(flat.operators, counts[name], strict=True)]
        per_model[name] = ops
    result: dict[str, Any] = {"costs": fit(rows_of(per_model)), "models": {}}
    for name, ops in per_model.items():
        # A model's own ops do not help to predict it.
        label = name.split(".")[0]
        others = {n: found for n, found in per_model.items() if n.split(".")[0] != label}
        costs = fit(rows_of(others))
        result["models"][name] = {
            "instructions": sum(counts[name]),
            "predicted": round(sum(work.instructions(costs) for work, _ in ops)),
            "arena_used": arenas[name],
            "arena_planned": plan_memory(models[name]).used_bytes,
        }
    COSTS.write_text(json.dumps(result, indent=1) + "\n")
    from results import fill_table

    lines = [row_of(name, row) for name, row in result["models"].items()]
    fill_table(PAGE, [*HEADER, *lines], "costs")
    weighted = weighted_rows(per_model)
    fill_table(MEMORY_PAGE, [*WEIGHTED, *weighted], "weighted")
    print(*lines, *weighted, sep="\n")


if __name__ == "__main__":
    main()
