"""What a model needs of TensorFlow Lite Micro's tensor arena, tensor by tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tf_odl.converters.arena import ALIGNMENT, Buffer, align, arena_bytes, plan_offsets
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.training_graph import SEED_OP

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
_POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
_REDUCTIONS = ("MEAN", "REDUCE_MAX")


@dataclass(frozen=True)
class StructSizes:
    """Bytes of the interpreter's own structures, which depend on the platform.

    Measured for 64 bits with the tflite-micro wheel, for 32 bits with the TensorFlow Lite Micro of
    the Arduino libraries on a Cortex-M4 in QEMU (benchmarks/mcu/op_costs.py).
    """

    eval_tensor: int  # per tensor
    io_tensor: int  # per input and output of the model
    io_quantization: int  # per quantized one of those
    node: int  # per op
    builtin_data: int  # per builtin op that has no size of its own; pools have 8 more
    builtin_data_of: dict[str, int]  # by kind
    fixed: int  # interpreter, allocator and planner, and 32 for gaps between allocations
    end: int  # what is used is so much above a multiple of the arena's alignment
    op_data: dict[str, int]  # per op of a kind, without per-channel arrays
    custom_op_data: int  # per training op
    variable: int  # per trainable tensor, in TFODL_SEED
    lifetime: int  # per tensor and scratch memory, while the arena is planned
    request: int  # per scratch memory and UNUSED_REQUESTS more, while the arena is planned
    cmsis_nn: bool  # whether convolutions ask for CMSIS-NN's scratch memory


# Of quantize.TFLM_OPS and what other files may have, measured in chains of each op and rounded up.
_OP_DATA = {
    "ABS": 0,
    "ADD": 60,
    "AVERAGE_POOL_2D": 32,
    "CONCATENATION": 56,
    "GATHER": 0,
    "HARD_SWISH": 0,
    "LEAKY_RELU": 0,
    "LOGISTIC": 28,
    "MAXIMUM": 0,
    "MAX_POOL_2D": 32,
    "MEAN": 44,
    "MINIMUM": 0,
    "MIRROR_PAD": 32,
    "MUL": 32,
    "PACK": 0,
    "PAD": 56,
    "PADV2": 56,
    "PRELU": 0,
    "QUANTIZE": 0,
    "REDUCE_MAX": 44,
    "RELU": 16,
    "RESHAPE": 0,
    "RESIZE_BILINEAR": 0,
    "RESIZE_NEAREST_NEIGHBOR": 0,
    "SPLIT": 0,
    "SQUARED_DIFFERENCE": 80,
    "STRIDED_SLICE": 80,
    "SUB": 60,
    "TANH": 28,
    "TRANSPOSE": 0,
    "TRANSPOSE_CONV": 96,
    "UNPACK": 0,
}
_UNKNOWN_OP_DATA = 96
_UNUSED_REQUESTS = 12  # kMaxScratchBuffersPerOp
_PLANNED_BUFFER = 40  # of the planner, per buffer it places
_POOL_DATA = 8
_BUILTIN_DATA = {"LOGISTIC": 0, "RESHAPE": 36, "TANH": 0}

BOARD = StructSizes(
    eval_tensor=12,
    io_tensor=64,
    io_quantization=28,
    node=44,
    builtin_data=28,
    builtin_data_of=_BUILTIN_DATA,
    fixed=208,
    end=4,
    op_data={
        **_OP_DATA,
        "ADD": 32,
        "CONV_2D": 64,
        "DEPTHWISE_CONV_2D": 64,
        "FULLY_CONNECTED": 32,
        "SOFTMAX": 72,
    },
    custom_op_data=12,
    variable=12,
    lifetime=24,
    request=12,
    cmsis_nn=True,
)
HOST = StructSizes(
    eval_tensor=24,
    io_tensor=64,
    io_quantization=40,
    node=64,
    builtin_data=32,
    builtin_data_of={
        **_BUILTIN_DATA,
        "ADD": 8,
        "CONCATENATION": 24,
        "MAXIMUM": 0,
        "MINIMUM": 0,
        "MIRROR_PAD": 24,
        "MUL": 24,
        "PACK": 8,
        "PAD": 0,
        "PADV2": 0,
        "RELU": 24,
        "RESHAPE": 40,
        "RESIZE_BILINEAR": 8,
        "RESIZE_NEAREST_NEIGHBOR": 8,
        "SPLIT": 8,
        "SUB": 8,
        "TRANSPOSE": 0,
        "UNPACK": 8,
    },
    fixed=528,
    end=0,
    op_data={
        **_OP_DATA,
        "CONV_2D": 80,
        "DEPTHWISE_CONV_2D": 80,
        "FULLY_CONNECTED": 72,
        "GATHER": 16,
        "LOGISTIC": 16,
        "SOFTMAX": 48,
        "STRIDED_SLICE": 96,
        "TANH": 16,
    },
    custom_op_data=16,
    variable=16,
    lifetime=32,
    request=16,
    cmsis_nn=False,
)


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor, or an op's scratch memory.

    `kind` is activation, error, scratch, variable or constant. `first` and `last` are the ops
    between which it has to keep its values; `offset` is None for what the planner does not place.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    kind: str
    first: int
    last: int
    offset: int | None


@dataclass(frozen=True)
class Memory:
    """The arena of one model, in bytes."""

    tensors: list[PlannedTensor]
    planned_bytes: int  # activations, errors and scratch, overlaid in time
    variable_bytes: int  # trainable weights and the state
    struct_bytes: int  # the interpreter's own structures, estimated
    planner_bytes: int  # what planning takes beside them, at the place of what is planned

    @property
    def used_bytes(self) -> int:
        """What the interpreter says it uses."""
        return self.planned_bytes + self.variable_bytes + self.struct_bytes

    @property
    def arena_bytes(self) -> int:
        """What it needs to start: of a small model planning takes more than what is planned."""
        beside = max(self.planned_bytes, self.planner_bytes)
        return beside + self.variable_bytes + self.struct_bytes


def plan_memory(model: bytes | FlatModel, sizes: StructSizes = BOARD) -> Memory:
    """Plan the arena of a .tflite model as TensorFlow Lite Micro would."""
    flat = FlatModel(model) if isinstance(model, bytes) else model
    lives = _lives(flat)
    entries = [_describe(flat, i, lives) for i in range(len(flat.tensors))]
    entries += [s for i, op in enumerate(flat.operators) for s in _op_scratch(flat, i, op, sizes)]
    planned = [i for i, t in enumerate(entries) if t.kind in ("activation", "error", "scratch")]
    buffers = [Buffer(entries[i].bytes, entries[i].first, entries[i].last) for i in planned]
    offsets = plan_offsets(buffers)
    for i, offset in zip(planned, offsets, strict=True):
        entries[i] = replace(entries[i], offset=offset)
    return Memory(
        tensors=entries,
        planned_bytes=arena_bytes(buffers, offsets),
        variable_bytes=sum(align(t.bytes) for t in entries if t.kind == "variable"),
        struct_bytes=_struct_bytes(flat, sizes),
        planner_bytes=_planner_bytes(flat, sizes, len(entries), len(planned)),
    )


def _lives(flat: FlatModel) -> dict[int, tuple[int, int]]:
    """The first and the last op that mention a tensor."""
    lives: dict[int, tuple[int, int]] = {}
    for position, op in enumerate(flat.operators):
        for tensor in (int(i) for i in (*op.inputs, *op.outputs)):
            lives[tensor] = (lives.get(tensor, (position, 0))[0], position)
    return lives


def _describe(flat: FlatModel, index: int, lives: dict[int, tuple[int, int]]) -> PlannedTensor:
    name, shape, dtype = flat.name(index), flat.shape(index), flat.dtype(index)
    end = len(flat.operators) - 1
    first, last = lives.get(index, (0, 0))
    if index in flat.inputs:
        first = 0
    if index in flat.outputs:
        last = end
    if flat.tensors[index].isVariable:
        kind, first, last = "variable", 0, end
    elif flat.is_constant(index):
        kind, first, last = "constant", 0, end
    elif name.endswith("/error"):
        kind = "error"
    elif name.endswith("/scratch"):
        kind = "scratch"
    else:
        kind = "activation"
    size = math.prod(shape) * dtype.itemsize
    return PlannedTensor(name, shape, dtype.name, size, kind, first, last, None)


def _op_scratch(flat: FlatModel, index: int, op: Any, sizes: StructSizes) -> list[PlannedTensor]:
    """Memory that an op asks the planner for, beside its tensors."""
    kind = flat.op_name(op)
    x, y = (int(op.inputs[0]), int(op.outputs[0])) if len(op.outputs) else (-1, -1)
    requests: list[int] = []
    if kind in _REDUCTIONS:
        rank, axes = len(flat.shape(x)), len(np.ravel(flat.constant(int(op.inputs[1]))))
        requests = [4 * rank, 4 * axes, 4 * int(np.prod(flat.shape(y)))]
    elif kind == "TRANSPOSE_CONV":
        requests = [4 * int(np.prod(flat.shape(y)))]
    elif sizes.cmsis_nn and kind == "CONV_2D":
        row = int(np.prod(flat.shape(int(op.inputs[1]))[1:]))
        requests = [4 * (-(-row // 4) * 4)]
    elif sizes.cmsis_nn and kind == "DEPTHWISE_CONV_2D":
        requests = [2 * int(np.prod(flat.shape(int(op.inputs[1]))))]
    elif sizes.cmsis_nn and kind == "AVERAGE_POOL_2D":
        requests = [4 * flat.shape(x)[-1]]
    return [
        PlannedTensor(f"{flat.name(y)}/op_scratch", (n,), "uint8", n, "scratch", index, index, None)
        for n in requests
    ]


def _planner_bytes(flat: FlatModel, sizes: StructSizes, entries: int, planned: int) -> int:
    """Temporary memory of MicroAllocator::CommitStaticMemoryPlan.

    The structures of inputs and outputs are made later, so what they take is free then.
    """
    scratch = entries - len(flat.tensors)
    total = sizes.request * (_UNUSED_REQUESTS + scratch) + sizes.lifetime * entries
    total += _PLANNED_BUFFER * planned + ALIGNMENT
    return total - _io_bytes(flat, sizes)


def _io_bytes(flat: FlatModel, sizes: StructSizes) -> int:
    ends = [*flat.inputs, *flat.outputs]
    quantized = [t for t in ends if len(flat.scales(t))]
    return sizes.io_tensor * len(ends) + sizes.io_quantization * len(quantized)


def _struct_bytes(flat: FlatModel, sizes: StructSizes) -> int:
    total = sizes.fixed + sizes.eval_tensor * len(flat.tensors) + _io_bytes(flat, sizes)
    for op in flat.operators:
        kind = flat.op_name(op)
        total += sizes.node
        if kind.startswith("TFODL_"):
            total += align(sizes.custom_op_data)
        else:
            total += sizes.builtin_data_of.get(kind, sizes.builtin_data)
            total += _POOL_DATA if kind in _POOLS else 0
            total += align(sizes.op_data.get(kind, _UNKNOWN_OP_DATA))
        if kind == SEED_OP:
            total += align(sizes.variable * (len(op.inputs) - 1) // 2)
        if kind in _CONVOLUTIONS:
            total += 2 * align(4 * flat.shape(int(op.outputs[0]))[-1])
    return align(total - sizes.end) + sizes.end
