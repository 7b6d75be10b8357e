"""What every op of a training graph keeps in memory and computes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tf_odl.converters.costs import Work, measured_costs
from tf_odl.converters.error_type import without_error_type
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.head import FLOAT_HEAD_OP
from tf_odl.converters.layers import KERNEL, WEIGHTED_OPS
from tf_odl.converters.memory import Memory
from tf_odl.converters.options import ConvOptions
from tf_odl.converters.own_convolutions import BUILTIN, builtin_name
from tf_odl.converters.training_graph import STATE
from tf_odl.converters.work import work_of

_WEIGHTS, _BIAS = 4, 5  # inputs of a layer's backward op
_OWN = "TFODL_"


@dataclass(frozen=True)
class OpPlan:
    """One forward op, with the training op that belongs to it. Sizes are bytes.

    `trainable_bytes` is what it learns, in RAM; `saved_bytes` its output, if the backward
    pass needs it; `error_bytes` the error of its output. Instructions are estimates for a
    Cortex-M4 in dense training, 0 for an op that was not measured.
    """

    name: str
    op: str
    macs_forward: int
    macs_backward: int
    trainable_bytes: int
    saved_bytes: int
    error_bytes: int
    instructions_forward: int
    instructions_backward: int


def op_plans(flat: FlatModel, memory: Memory) -> list[OpPlan]:
    """The forward ops of a training graph in their order, and the loss last.

    Args:
        flat: model_train.tflite.
        memory: its plan.
    """
    sizes = {tensor.name: tensor for tensor in memory.tensors}
    training = [op for op in flat.operators if _is_training(flat, op)]
    forward = [op for op in flat.operators if not _is_training(flat, op)]
    names = _layer_names(flat, forward)
    read = {int(i) for op in training for i in op.inputs if i >= 0}
    backward = {_partner(flat, op, names): op for op in training}
    plans = []
    for op in forward:
        name = names[id(op)]
        work = work_of(flat, op)
        error = sizes.get(f"{name}/error")
        partner = backward.get(name)
        back = None if partner is None else work_of(flat, partner)
        is_saved = int(op.outputs[0]) in read
        plans.append(
            OpPlan(
                name=name,
                op=builtin_name(flat.op_name(op)),
                macs_forward=work.macs,
                macs_backward=0 if back is None else back.macs,
                trainable_bytes=sum(sizes[v].bytes for v in _variables(flat, op, partner)),
                saved_bytes=_kept_bytes(flat, op) if is_saved else 0,
                error_bytes=0 if error is None else error.bytes,
                instructions_forward=_instructions(work),
                instructions_backward=0 if back is None else _instructions(back),
            )
        )
    return plans


def _layer_names(flat: FlatModel, forward: list[Any]) -> dict[int, str]:
    """By the `id` of each op the name of its output; of convolutions that share one, their own."""
    writers = Counter(int(op.outputs[0]) for op in forward)
    names = {}
    for op in forward:
        y = int(op.outputs[0])
        if writers[y] > 1:
            names[id(op)] = flat.name(int(op.inputs[1])).removesuffix(f"/{KERNEL}")
        else:
            names[id(op)] = flat.name(y)
    return names


def _kept_bytes(flat: FlatModel, op: Any) -> int:
    """How much of its output is there after the forward pass."""
    y = int(op.outputs[0])
    whole = math.prod(flat.shape(y)) * flat.dtype(y).itemsize
    if flat.op_name(op) not in BUILTIN:
        return whole
    options = ConvOptions.unpack(op.customOptions.tobytes())
    is_overwritten = any(
        other is not op and y in other.inputs.tolist() and int(other.outputs[0]) == y
        for other in flat.operators
        if len(other.outputs)
    )
    return 0 if is_overwritten else whole * options.out_c // options.y_c


def _variables(flat: FlatModel, *ops: Any) -> set[str]:
    """The names of what some ops learn: weights, biases and what belongs to them."""
    inputs = {int(i) for op in ops if op is not None for i in op.inputs if i >= 0}
    return {flat.name(i) for i in inputs if flat.tensors[i].isVariable} - {STATE}


def _partner(flat: FlatModel, op: Any, names: Mapping[int, str]) -> str:
    """The name of the forward op that a training op differentiates, by what both of them read."""
    weights = [int(i) for i in op.inputs[_WEIGHTS : _BIAS + 1] if i >= 0]
    kind = without_error_type(flat.op_name(op))
    if kind in {f"{_OWN}{weighted}_BWD" for weighted in WEIGHTED_OPS}:
        readers = [names[id(r)] for i in weights for r in flat.consumers(i) if id(r) in names]
        if readers:
            return readers[0]
    return flat.name(int(op.inputs[0])).removesuffix("/error")


def _is_training(flat: FlatModel, op: Any) -> bool:
    kind = flat.op_name(op)
    return kind.startswith(_OWN) and kind not in BUILTIN and kind != FLOAT_HEAD_OP


def _instructions(work: Work) -> int:
    return round(work.instructions(measured_costs()))


def total_instructions(flat: FlatModel) -> int:
    """Estimated instructions of one run of a plain model, or of one training step of a graph."""
    return sum(_instructions(work_of(flat, op)) for op in flat.operators)
