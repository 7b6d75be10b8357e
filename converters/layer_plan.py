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
from tf_odl.converters.own_layers import BUILTIN, OWN_CONVOLUTIONS, builtin_name
from tf_odl.converters.training_graph import STATE
from tf_odl.converters.weight_changes import (
    EXPORTED,
    LOAD_WEIGHTS_OP,
    STORE_WEIGHTS_OP,
    STORED,
)
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


def op_plans(flat: FlatModel, memory: Memory) -> tuple[list[OpPlan], int]:
    """The forward ops of a training graph in their order, and the instructions of all ops.

    Args:
        flat: model_train.tflite.
        memory: its plan.
    """
    works = {id(op): work_of(flat, op) for op in flat.operators}
    instructions = {op: _instructions(work) for op, work in works.items()}
    sizes = {tensor.name: tensor for tensor in memory.tensors}
    around = _loading_and_storing(flat)
    helpers = {id(op) for ops in around.values() for op in ops}
    training = [op for op in flat.operators if _is_training(flat, op) and id(op) not in helpers]
    forward = [op for op in flat.operators if not _is_training(flat, op)]
    names = _layer_names(flat, forward, around)
    read = {int(i) for op in training for i in op.inputs if i >= 0}
    backward = {_partner(flat, op, names, around): op for op in training}

    def with_weights(op: Any | None) -> list[Any]:
        """An op, and what loads and stores its weights."""
        if op is None:
            return []
        return [op, *(other for i in op.inputs.tolist() for other in around.get(i, ()))]

    plans = []
    for op in forward:
        name = names[id(op)]
        error = sizes.get(f"{name}/error")
        partner = backward.get(name)
        is_saved = int(op.outputs[0]) in read
        forward_ops, backward_ops = with_weights(op), with_weights(partner)
        variables = _variables(flat, forward_ops + backward_ops)
        plans.append(
            OpPlan(
                name=name,
                op=builtin_name(flat.op_name(op)),
                macs_forward=sum(works[id(o)].macs for o in forward_ops),
                macs_backward=sum(works[id(o)].macs for o in backward_ops),
                trainable_bytes=sum(sizes[v].bytes for v in variables),
                saved_bytes=_kept_bytes(flat, op) if is_saved else 0,
                error_bytes=0 if error is None else error.bytes,
                instructions_forward=sum(instructions[id(o)] for o in forward_ops),
                instructions_backward=sum(instructions[id(o)] for o in backward_ops),
            )
        )
    return plans, sum(instructions.values())


def _loading_and_storing(flat: FlatModel) -> dict[int, list[Any]]:
    """Of weights that are there for single ops: what loads and stores them."""
    found: dict[int, list[Any]] = {}
    for op in flat.operators:
        kind = flat.op_name(op)
        if kind == LOAD_WEIGHTS_OP:
            found[int(op.outputs[0])] = [op]
        elif kind == STORE_WEIGHTS_OP:
            found[int(op.inputs[STORED])].append(op)
    return found


def _exported(around: Mapping[int, list[Any]], weights: int) -> int:
    """The constant that loaded weights are changes of, and any other tensor itself."""
    return int(around[weights][0].inputs[EXPORTED]) if weights in around else weights


def _layer_names(
    flat: FlatModel, forward: list[Any], around: Mapping[int, list[Any]]
) -> dict[int, str]:
    """By the `id` of each op the name of its output; of convolutions that share one, their own."""
    writers = Counter(int(op.outputs[0]) for op in forward)
    names = {}
    for op in forward:
        y = int(op.outputs[0])
        if writers[y] > 1:
            kernel = _exported(around, int(op.inputs[1]))
            names[id(op)] = flat.name(kernel).removesuffix(f"/{KERNEL}")
        else:
            names[id(op)] = flat.name(y)
    return names


def _kept_bytes(flat: FlatModel, op: Any) -> int:
    """How much of its output is there after the forward pass."""
    y = int(op.outputs[0])
    whole = math.prod(flat.shape(y)) * flat.dtype(y).itemsize
    if flat.op_name(op) not in OWN_CONVOLUTIONS:
        return whole
    options = ConvOptions.unpack(op.customOptions.tobytes())
    is_overwritten = any(
        other is not op and y in other.inputs.tolist() and int(other.outputs[0]) == y
        for other in flat.operators
        if len(other.outputs)
    )
    return 0 if is_overwritten else whole * options.out_c // options.y_c


def _variables(flat: FlatModel, ops: list[Any]) -> set[str]:
    """The names of what some ops learn: weights, biases and what belongs to them."""
    inputs = {int(i) for op in ops for i in op.inputs if i >= 0}
    return {flat.name(i) for i in inputs if flat.tensors[i].isVariable} - {STATE}


def _partner(
    flat: FlatModel, op: Any, names: Mapping[int, str], around: Mapping[int, list[Any]]
) -> str:
    """The name of the forward op that a training op differentiates, by what both of them read."""
    weights = [int(i) for i in op.inputs[_WEIGHTS : _BIAS + 1] if i >= 0]
    kind = without_error_type(flat.op_name(op))
    if kind in {f"{_OWN}{weighted}_BWD" for weighted in WEIGHTED_OPS}:
        if weights and weights[0] in around:  # the forward op has its own copy
            exported = _exported(around, weights[0])
            weights = [i for i in around if _exported(around, i) == exported]
        readers = [names[id(r)] for i in weights for r in flat.consumers(i) if id(r) in names]
        if readers:
            return readers[0]
    return flat.name(int(op.inputs[0])).removesuffix("/error")


def _is_training(flat: FlatModel, op: Any) -> bool:
    kind = flat.op_name(op)
    return kind.startswith(_OWN) and kind not in BUILTIN and kind != FLOAT_HEAD_OP


def total_instructions(flat: FlatModel) -> int:
    """Estimated instructions of one run of a plain model, or of one training step of a graph."""
    return sum(_instructions(work_of(flat, op)) for op in flat.operators)


def _instructions(work: Work) -> int:
    return round(work.instructions(measured_costs()))
