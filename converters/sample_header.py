"""What a model reads and says, as a C header beside its sketch."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from tf_odl.task import Loss, recorded_loss


def sample_header(record: Mapping[str, Any]) -> str:
    """`sample.h` of an export.

    Args:
        record: the contents of export.json; of its provenance `pixels`, `mean` and `deviation`
            (float [channels]), `class_names` and `target_names` are used where they are.
    """
    shape, given = record["input"]["shape"][1:], record.get("provenance", {})
    form = " x ".join(str(d) for d in shape) + (", the last index fastest" if shape[1:] else "")
    lines = [
        "/* Written by tf-odl export: what the model reads and says. */",
        "#ifndef TFODL_SAMPLE_H_",
        "#define TFODL_SAMPLE_H_",
        "",
        f"/* Of a sample, float: {form}. */",
        f"constexpr unsigned kSampleSize = {math.prod(shape)};",
    ]
    if given.get("pixels"):
        lines += [
            f"/* The value of a white pixel. */\nconstexpr float kWhite = {given['pixels']}f;"
        ]
    if given.get("mean") is not None:
        lines += _standardising(given["mean"], given["deviation"])
    names = given.get("class_names") or []
    if names:
        lines += ["", "/* By their numbers, which predict() gives and learn() takes. */"]
        lines += _names("kClasses", "kClassNames", names)
    targets = given.get("target_names") or []
    if targets:
        lines += ["", "/* Of a regression, in the order of the outputs. */"]
        lines += _names("kTargets", "kTargetNames", targets)
    if recorded_loss(record) is Loss.RECONSTRUCTION:
        lines += _squared_error((record.get("error") or {}).get("int8"))
    return "\n".join([*lines, "", "#endif /* TFODL_SAMPLE_H_ */", ""])


def _names(count: str, array: str, names: Sequence[str]) -> list[str]:
    quoted = ", ".join(json.dumps(str(name)) for name in names)
    return [
        f"constexpr unsigned {count} = {len(names)};",
        f"static const char* const {array}[{count}] = {{{quoted}}};",
    ]


def _standardising(mean: list[float], deviation: list[float]) -> list[str]:
    def values(name: str, of: list[float]) -> str:
        text = ", ".join(f"{v:.9g}" for v in of)
        return textwrap.fill(f"static const float {name}[kChannels] = {{{text}}};", 100)

    return [
        "",
        "/* The model was trained on standardised samples: before predict() and learn(). */",
        f"constexpr unsigned kChannels = {len(mean)};",
        values("kMean", mean),
        values("kDeviation", deviation),
        "",
        "inline void Standardise(float* sample) {",
        "  for (unsigned i = 0; i < kSampleSize; ++i) {",
        "    sample[i] = (sample[i] - kMean[i % kChannels]) / kDeviation[i % kChannels];",
        "  }",
        "}",
    ]


def _squared_error(normal: float | None) -> list[str]:
    usual = "" if normal is None else f" The mean of the test samples was {normal:.4g}."
    comment = (
        "After predict() of a sample: how badly it is restored, large for what the model does not "
        f"know.{usual} */"
    )
    return [
        "",
        *textwrap.wrap(f"/* {comment}", 100),
        "template <class Device>",
        "float SquaredError(const Device& device, const float* sample) {",
        "  float sum = 0.0f;",
        "  for (unsigned i = 0; i < kSampleSize; ++i) {",
        "    const float difference = device.output(i) - sample[i];",
        "    sum += difference * difference;",
        "  }",
        "  return sum / kSampleSize;",
        "}",
    ]
