"""Whether an export computes the same everywhere, and uses the memory it was planned to use."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from tf_odl.converters import reference
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.head import FLOAT_HEAD_OP
from tf_odl.converters.reference import LITERT, TFLITE_RUNTIME, Runtime
from tf_odl.simulation import read_export, read_model
from tf_odl.task import CLASSIFYING, recorded_loss
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

Progress = Callable[[str, int, int], None]

TFLM, TFLM_TRAINING = "TensorFlow Lite Micro", "TensorFlow Lite Micro, training graph"


@dataclass(frozen=True)
class Parity:
    """How the outputs of a runtime differ from those of the reference kernels.

    `must_match`: whether a difference is an error, or the nature of other kernels. `skipped` says
    why a runtime was not run; the figures are None then. `same_class` is None without classes.
    """

    runtime: str
    must_match: bool
    skipped: str | None = None
    differing: float | None = None  # share of the output values
    largest: int | None = None  # in units of the last bit
    mean: float | None = None  # of |difference|, in the same unit
    same_class: float | None = None  # share of the samples
    may_differ_by: int = 0  # where it must match

    @property
    def holds(self) -> bool:
        return not self.must_match or (self.largest or 0) <= self.may_differ_by


@dataclass(frozen=True)
class Arena:
    """The arena of a model on this machine in bytes, where pointers have 8."""

    model: str
    planned: int
    used: int

    @property
    def holds(self) -> bool:
        """Never more than planned, and at most 2 % and a block of 16 bytes less."""
        return self.used <= self.planned <= self.used * 1.02 + 16


@dataclass(frozen=True)
class Verification:
    samples: int
    parities: list[Parity]
    arenas: list[Arena]

    @property
    def holds(self) -> bool:
        return all(p.holds for p in self.parities) and all(a.holds for a in self.arenas)


def verify(export_dir: Path, samples: np.ndarray, progress: Progress | None = None) -> Verification:
    """Run the model of an export in every runtime there is.

    The reference kernels of TFLite are the measure. TensorFlow Lite Micro has to give the same
    bits, with and without the training ops in the graph; the outputs of a float head may differ by
    one. Optimized kernels may round differently.

    Args:
        export_dir: what `tf-odl export` wrote.
        samples: int8 [N, *input].
        progress: called with (runtime, samples done, samples in all).

    Raises:
        UserError: the reference kernels cannot run the model.
    """
    model = read_model(export_dir, "model.tflite")
    training = read_model(export_dir, "model_train.tflite")
    plan = json.loads((export_dir / "plan.json").read_text())
    classifies = recorded_loss(read_export(export_dir)) in CLASSIFYING

    def tell(what: str) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, n: progress(what, done, n)

    first = reference.default_runtime()
    wanted = reference.infer(model, samples, tell(_name(first)), first)
    parities = []
    for package in (TFLITE_RUNTIME, LITERT):
        for kernels in (True, False):
            runtime = Runtime(package, kernels)
            name = _name(runtime)
            if find_spec(package) is None:
                parities.append(Parity(name, False, skipped="not installed"))
            elif runtime != first:
                outputs = reference.infer(model, samples, tell(name), runtime)
                parities.append(_compare(name, False, wanted, outputs, classifies))
    arenas = []
    missing = available()
    for name, data, key in ((TFLM, model, "inference"), (TFLM_TRAINING, training, "training")):
        if missing is not None:
            parities.append(Parity(name, True, skipped=missing))
            continue
        with TrainingInterpreter(data) as tflm:
            parity = _compare(name, True, wanted, tflm.infer(samples), classifies)
            apart = _apart_by_float_head(data) if FLOAT_HEAD_OP.encode() in data else 0
            parities.append(replace(parity, may_differ_by=apart))
            arenas.append(Arena(key, plan[key]["arena_bytes_host"], tflm.arena_used_bytes))
    return Verification(len(samples), parities, arenas)


def _apart_by_float_head(training: bytes) -> int:
    """What one step more or less of each logit makes of an output, in steps.

    A float head rounds once where the int8 layer rounds twice. Behind a softmax two logits that
    part by a step each change a probability by up to tanh(step / 2), behind a sigmoid one logit by
    tanh(step / 4); int8 counts 256 of them, and rounds.
    """
    flat = FlatModel(training)
    producer = flat.producer(flat.outputs[0])
    kind = None if producer is None else flat.op_name(producer)
    share = {"SOFTMAX": 2, "LOGISTIC": 4}.get(kind or "")
    if producer is None or share is None:
        return 1
    step = float(flat.scales(int(producer.inputs[0]))[0])
    return 1 + math.floor(256 * math.tanh(step / share))


def _name(runtime: Runtime) -> str:
    kernels = "reference kernels" if runtime.reference_kernels else "default kernels"
    return f"{runtime.package.replace('_', '-')}, {kernels}"


def _compare(
    name: str, must_match: bool, wanted: np.ndarray, got: np.ndarray, classifies: bool
) -> Parity:
    rows = wanted.reshape(len(wanted), -1).astype(int)
    others = got.reshape(rows.shape).astype(int)
    apart = np.abs(rows - others)
    classes = classifies and rows.shape[1] > 1
    return Parity(
        name,
        must_match,
        differing=float((apart > 0).mean()),
        largest=int(apart.max(initial=0)),
        mean=float(apart.mean()),
        same_class=float((rows.argmax(1) == others.argmax(1)).mean()) if classes else None,
    )


def to_dict(verification: Verification) -> dict[str, Any]:
    """For --json."""
    return {
        "holds": verification.holds,
        "samples": verification.samples,
        "runtimes": [{**vars(p), "holds": p.holds} for p in verification.parities],
        "arenas": [{**vars(a), "holds": a.holds} for a in verification.arenas],
    }
