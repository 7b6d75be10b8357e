"""An Arduino project of an export: the sketch, its model, and the library it needs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from tf_odl.converters.error_type import ErrorType, error_type_of
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.head import FLOAT_HEAD_BWD_OP, FLOAT_HEAD_OP
from tf_odl.converters.header import model_header
from tf_odl.converters.own_layers import OWN_LAYERS
from tf_odl.converters.sample_header import sample_header
from tf_odl.converters.targets import Target
from tf_odl.converters.training_graph import ACCUMULATE_OP, RATE_OP, RESELECT_OP
from tf_odl.converters.weight_changes import LOAD_WEIGHTS_OP, STORE_WEIGHTS_OP
from tf_odl.task import Loss, recorded_loss

PROJECT = "arduino"  # folder of an export
TFLM_LIBRARY, TFLM_VERSION = "Chirale_TensorFLowLite", "2.0.0"

_LIBRARY_PARTS = ("src", "library.properties", "keywords.txt", "README.md", "LICENSE")
_HARDWARE = Path("hardware") / "tfodl" / "qemu"  # in a sketchbook, and in tflm_port/boards
_LONGEST_NAME = 63
# What a sketch does with samples of its own.
_LEARN_CLASS = [
    "device.learn(sample, label)     where you know the class, for instance from a button"
]
_LEARN = {
    Loss.MSE: [
        "device.output(i)                of that, what the model says, in the units of the targets",
        "device.learnTargets(sample, targets)   float[] of the true values, where you know them",
    ],
    Loss.RECONSTRUCTION: [
        "SquaredError(device, sample)    of that, from sample.h: large for what it does not know",
        "device.learn(sample, 0)         where you know that all is normal",
    ],
}
_OWN_FUNCTION = {
    RATE_OP: "AddRateSchedule",
    ACCUMULATE_OP: "AddAccumulation",
    FLOAT_HEAD_OP: "AddFloatHead",
    FLOAT_HEAD_BWD_OP: "AddFloatHeadBackward",
    RESELECT_OP: "AddReselection",
    LOAD_WEIGHTS_OP: "AddLoadWeights",
    STORE_WEIGHTS_OP: "AddStoreWeights",
    OWN_LAYERS["FULLY_CONNECTED"]: "AddFullyConnected",
    OWN_LAYERS["CONV_2D"]: "AddConv2D",
    OWN_LAYERS["DEPTHWISE_CONV_2D"]: "AddDepthwiseConv2D",
}


def write_project(
    folder: Path,
    *,
    record: Mapping[str, Any],
    training: bytes,
    target: Target,
    arena_bytes: int,
) -> str:
    """Create `folder` as an Arduino sketchbook; returns the name of the sketch in it.

    Args:
        record: the contents of export.json; the sketch is called as its `model`.
        training: model_train.tflite.
        target: the board.
        arena_bytes: of the tensor arena, as planned.
    """
    model = record["model"]
    name = sketch_name(model)
    sketch = folder / name
    sketch.mkdir(parents=True)
    narrow = error_type_of(training) is ErrorType.BFLOAT16
    add_ops = "AddBfloat16Ops" if narrow else "AddOps"
    learn = "\n".join(f"  //   {line}" for line in _LEARN.get(recorded_loss(record), _LEARN_CLASS))
    (sketch / f"{name}.ino").write_text(
        _filled("sketch.ino", model=model, add_ops=add_ops, learn=learn)
    )
    (sketch / "model_data.h").write_text(model_header({"model_train_tflite": training}))
    (sketch / "sample.h").write_text(sample_header(record), encoding="utf-8")
    (sketch / "model_ops.h").write_text(ops_header(training, arena_bytes))
    (sketch / "sketch.yaml").write_text(
        _filled(
            "sketch.yaml",
            target=target.name,
            sketch=name,
            board=target.board,
            fqbn=target.fqbn,
            platform=_platform(target),
            tflm_library=TFLM_LIBRARY,
            tflm_version=TFLM_VERSION,
        )
    )
    _copy_library(folder / "libraries" / "TfOdl")
    is_local = target.platform_version is None
    if is_local:
        _copy("boards", _HARDWARE, folder / _HARDWARE)
    (folder / "README.md").write_text(
        _filled(
            "README.md",
            model=model,
            board=target.board,
            sketch=name,
            and_library=f" and the library {TFLM_LIBRARY}",
            hardware_row="\n| `hardware/` | the board for Arduino's tools |" if is_local else "",
            by_hand="\n".join(_by_hand(target, name)),
        )
    )
    return name


def sketch_name(model: str) -> str:
    """`model` as Arduino wants folders of sketches: letters, digits, `_.-`, at most 63 of them."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", model).strip("_.-")
    return name[:_LONGEST_NAME] or "model"


def ops_header(training: bytes, arena_bytes: int) -> str:
    """model_ops.h: adds the ops of a training graph that the library's AddOps leaves out."""
    ops = [f"  resolver.{resolver_method(op)}();" for op in forward_ops(training)]
    ops += [f"  tfodl::{add}(resolver);" for add in _ops_beside_add_ops(training)]
    return _filled("model_ops.h", count=len(ops), arena_bytes=arena_bytes, ops="\n".join(ops))


def forward_ops(training: bytes) -> list[str]:
    """The builtin ops of a model, each once, in the order of their first use."""
    flat = FlatModel(training)
    names = (flat.op_name(op) for op in flat.operators)
    return [n for n in dict.fromkeys(names) if not n.startswith("TFODL_")]


def _ops_beside_add_ops(training: bytes) -> list[str]:
    """The library's functions for the training ops that its AddOps leaves out."""
    flat = FlatModel(training)
    names = {flat.op_name(op) for op in flat.operators}
    return [add for name, add in _OWN_FUNCTION.items() if name in names]


def resolver_method(op: str) -> str:
    """`AddConv2D` of CONV_2D: the method of TFLM's MicroMutableOpResolver."""
    words = op.replace("PADV2", "PAD_V2").split("_")
    return "Add" + "".join(w if w[0].isdigit() else w.capitalize() for w in words)


def _platform(target: Target) -> str:
    if target.platform_version is None:
        return target.platform
    pinned = f"{target.platform} ({target.platform_version})"
    if target.platform_index is None:
        return pinned
    return f"{pinned}\n        platform_index_url: {target.platform_index}"


def _by_hand(target: Target, sketch: str) -> list[str]:
    """Commands to compile and upload, and to install what they need."""
    library = f"arduino-cli lib install {TFLM_LIBRARY}@{TFLM_VERSION}"
    if target.platform_version is None:
        return [
            library,
            f"ARDUINO_DIRECTORIES_USER=$PWD arduino-cli compile -b {target.fqbn} "
            f"--libraries ~/Arduino/libraries {sketch}",
        ]
    return [
        f"arduino-cli compile --profile {target.name} {sketch}",
        f"arduino-cli upload --profile {target.name} --port PORT {sketch}",
    ]


def _copy_library(folder: Path) -> None:
    for part in _LIBRARY_PARTS:
        _copy("", Path(part), folder / part)


def _copy(base: str, part: Path, to: Path) -> None:
    """Copy a file or folder of the installed library."""
    with resources.as_file(resources.files("tf_odl.tflm_port")) as port:
        source = port / base / part
        to.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, to)
        else:
            shutil.copyfile(source, to)


def _filled(template: str, **values: Any) -> str:
    text = resources.files("tf_odl.converters").joinpath("templates", template).read_text()
    return Template(text).substitute(values)
