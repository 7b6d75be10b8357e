"""What every op of a training graph keeps in memory and computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tf_odl.converters.costs import Work, measured_costs
from tf_odl.converters.error_type import without_error_type
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.head import FLOAT_HEAD_OP
from tf_odl.converters.layers import WEIGHTED_OPS
from tf_odl.converters.memory import Memory
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
    read = {int(i) for op in training for i in op.inputs if i >= 0}
    backward = {_partner(flat, op): op for op in training}
    plans = []
    for op in flat.operators:
        if _is_training(flat, op):
            continue
        kind = builtin_name(flat.op_name(op))
        y = int(op.outputs[0])
        name = flat.name(y)
        work = work_of(flat, op)
        error = sizes.get(f"{name}/error")
        back = None if backward.get(y) is None else work_of(flat, backward[y])
        plans.append(
            OpPlan(
                name=name,
                op=kind,
                macs_forward=work.macs,
                macs_backward=0 if back is None else back.macs,
                trainable_bytes=sum(sizes[v].bytes for v in _variables(flat, op, backward.get(y))),
                saved_bytes=sizes[name].bytes if y in read else 0,
                error_bytes=0 if error is None else error.bytes,
                instructions_forward=_instructions(work),
                instructions_backward=0 if back is None else _instructions(back),
            )
        )
    return plans


def _variables(flat: FlatModel, *ops: Any) -> set[str]:
    """The names of what some ops learn: weights, biases and what belongs to them."""
    inputs = {int(i) for op in ops if op is not None for i in op.inputs if i >= 0}
    return {flat.name(i) for i in inputs if flat.tensors[i].isVariable} - {STATE}


def _partner(flat: FlatModel, op: Any) -> int | None:
    """The output of the forward op that a training op differentiates, by what both of them read."""
    weights = [int(i) for i in op.inputs[_WEIGHTS : _BIAS + 1] if i >= 0]
    kind = without_error_type(flat.op_name(op))
    if kind in {f"{_OWN}{weighted}_BWD" for weighted in WEIGHTED_OPS}:
        readers = [r for i in weights for r in flat.consumers(i) if not _is_training(flat, r)]
        return int(readers[0].outputs[0]) if readers else _error_of(flat, op)
    return _error_of(flat, op)


def _is_training(flat: FlatModel, op: Any) -> bool:
    kind = flat.op_name(op)
    return kind.startswith(_OWN) and kind not in BUILTIN and kind != FLOAT_HEAD_OP


def _error_of(flat: FlatModel, op: Any) -> int | None:
    return flat.find(flat.name(int(op.inputs[0])).removesuffix("/error"))


def _instructions(work: Work) -> int:
    return round(work.instructions(measured_costs()))


def total_instructions(flat: FlatModel) -> int:
    """Estimated instructions of one run of a plain model, or of one training step of a graph."""
    return sum(_instructions(work_of(flat, op)) for op in flat.operators)
