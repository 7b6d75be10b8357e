"""What the ops of a model cost on a Cortex-M4, in instructions, by their size.

The costs per kind of op are fitted to counts inside TensorFlow Lite Micro with CMSIS-NN by
`benchmarks/mcu/op_costs.py`, for dense training of random networks; they are estimates.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.layers import WEIGHTED_OPS
from tf_odl.converters.options import ConvOptions, Flags, LayerOptions
from tf_odl.converters.own_convolutions import BUILTIN

_POINTWISE = " 1x1"
_BACKWARD = {f"TFODL_{kind}_BWD" for kind in WEIGHTED_OPS}


@dataclass(frozen=True)
class Work:
    """The size of one op's work.

    `kind` is the op's name, of a 1x1 convolution with a suffix; `elements` those of its output (a
    backward op: of the error it reads); `macs` are multiply-accumulates: of a forward op one
    number, of a layer's backward op those of the input's error and those of the weights'.
    """

    kind: str
    elements: int
    macs: tuple[int, ...]

    def instructions(self, costs: Mapping[str, Sequence[float]]) -> float:
        """By the costs per call, per element and per MAC; 0 for an unknown kind."""
        per = costs.get(self.kind, ())
        return sum(c * n for c, n in zip(per, (1, self.elements, *self.macs), strict=False))


@cache
def measured_costs() -> dict[str, list[float]]:
    """Instructions per call, per element and per MAC of each kind of op."""
    costs: dict[str, list[float]] = json.loads(_file().read_text())["costs"]
    return costs


def _file() -> Path:
    return Path(__file__).with_name("costs.json")


def work_of(flat: FlatModel, op: Any) -> Work:
    """The work of an op of a plain or training model, when every error is propagated."""
    kind = flat.op_name(op)
    if kind in _BACKWARD:
        options = LayerOptions.unpack(op.customOptions.tobytes())
        elements = options.out_h * options.out_w * options.out_c
        depthwise = kind == "TFODL_DEPTHWISE_CONV_2D_BWD"
        fan_in = options.kernel_h * options.kernel_w * (1 if depthwise else options.in_c)
        macs = elements * fan_in
        updated = 1.0 if options.mask is None else sum(options.mask) / len(options.mask)
        propagated = macs if options.flags & Flags.PROPAGATE else 0
        weights = round(updated * macs) if options.flags & Flags.UPDATE_WEIGHTS else 0
        return Work(kind, elements, (propagated, weights))
    if kind in BUILTIN:
        return _own_convolution(kind, ConvOptions.unpack(op.customOptions.tobytes()))
    is_training = kind.startswith("TFODL_")
    tensor = int(op.inputs[0]) if is_training else int(op.outputs[0])
    elements = math.prod(flat.shape(tensor))
    if kind == "TFODL_SEED":
        return Work(kind, 0, ())
    if kind not in WEIGHTED_OPS:
        reads = math.prod(flat.shape(int(op.inputs[0])))
        return Work(kind, elements, (reads,))
    kernel = flat.shape(int(op.inputs[1]))
    fan_in = math.prod(kernel[1:3] if kind == "DEPTHWISE_CONV_2D" else kernel[1:])
    if kind == "CONV_2D" and kernel[1:3] == (1, 1):
        kind += _POINTWISE
    return Work(kind, elements, (elements * fan_in,))


def _own_convolution(kind: str, options: ConvOptions) -> Work:
    """By its options: the output's tensor may have channels of other ops."""
    window = options.kernel_h * options.kernel_w
    elements = options.out_h * options.out_w * options.out_c
    if BUILTIN[kind] == "DEPTHWISE_CONV_2D":
        return Work(kind, elements, (elements * window,))
    pointwise = _POINTWISE if window == 1 else ""
    return Work(kind + pointwise, elements, (elements * window * options.in_c,))
