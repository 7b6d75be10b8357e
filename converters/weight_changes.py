"""Weights that stay in flash, with what learning changes of them in RAM: 4 bits each.

A change has one of 15 values, which lie wider apart the larger they are; between two of them it is
rounded at random.

TFODL_LOAD_WEIGHTS adds the changes to the weights as exported, for as long as one op needs them;
TFODL_STORE_WEIGHTS takes them apart again after a step (docs/training-graph.md).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.options import VersionOptions

LOAD_WEIGHTS_OP, STORE_WEIGHTS_OP = "TFODL_LOAD_WEIGHTS", "TFODL_STORE_WEIGHTS"
EXPORTED, STORED = 2, 3  # inputs: of both ops the constant, of the second the weights
CHANGES = "changes"  # the last part of the name of their tensor
#: In steps of a weight, by the lower three bits of a code; the fourth is the sign.
SIZES = (0, 2, 4, 8, 12, 18, 26, 38)

_ABSENT = -1
_GROUP = 8  # weights that share four bytes


def changes_name(weights: str) -> str:
    """The name of the changes of a weight tensor."""
    return f"{weights}/{CHANGES}"


def weights_of(changes: str) -> str | None:
    """The name of the weights that a tensor holds the changes of, None for another tensor."""
    name, _, last = changes.rpartition("/")
    return name if last == CHANGES else None


def changes_bytes(weights: int) -> int:
    """Bytes for the changes of so many weights."""
    return -(-weights // _GROUP) * (_GROUP // 2)


def changed(exported: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """The weights, within [-127, 127].

    Byte j of four has the codes of the weights j (low half) and j + 4 (high half) of eight.

    Args:
        exported: int8, any shape.
        changes: int8 [changes_bytes(n)].

    Returns:
        int8, as `exported`.
    """
    codes = np.asarray(changes).view(np.uint8).reshape(-1, _GROUP // 2)
    halves = np.concatenate([codes & 15, codes >> 4], axis=1).ravel()[: exported.size]
    steps = np.asarray([*SIZES, *(-size for size in SIZES)], np.int16)[halves]
    return np.clip(exported.ravel() + steps, -127, 127).astype(np.int8).reshape(exported.shape)


def add_changes(flat: FlatModel, weights: int) -> int:
    """The variable that keeps what changes of a constant tensor."""
    count = math.prod(flat.shape(weights))
    return flat.add_tensor(
        changes_name(flat.name(weights)),
        (changes_bytes(count),),
        np.int8,
        quantization=flat.no_quantization(),
        is_variable=True,
    )


def load_for_forward(flat: FlatModel, op: Any, changes: int) -> None:
    """Let a forward op read weights that have changed, which are there while it runs."""
    weights = int(op.inputs[1])
    # A builtin op looks at the scales of what it reads.
    quantization = flat.tensors[weights].quantization
    loaded = flat.add_tensor(
        f"{flat.name(weights)}/forward/scratch",
        flat.shape(weights),
        np.int8,
        quantization=quantization,
    )
    flat.keep_one_zero_point(weights)
    load = flat.custom_op(
        LOAD_WEIGHTS_OP, [_ABSENT, changes, weights], [loaded], VersionOptions().pack()
    )
    position = next(i for i, known in enumerate(flat.operators) if known is op)
    flat.operators.insert(position, load)
    op.inputs = np.asarray([op.inputs[0], loaded, *op.inputs[2:]], np.int32)


def load_and_store(flat: FlatModel, state: int, weights: int, changes: int) -> tuple[int, Any, Any]:
    """For the backward op of a layer, where its sample is trained.

    Returns:
        The weights it reads and updates, the op before it and the op behind it.
    """
    loaded = flat.add_tensor(f"{flat.name(weights)}/backward/scratch", flat.shape(weights), np.int8)
    options = VersionOptions().pack()
    load = flat.custom_op(LOAD_WEIGHTS_OP, [state, changes, weights], [loaded], options)
    store = flat.custom_op(STORE_WEIGHTS_OP, [state, changes, weights, loaded], [], options)
    return loaded, load, store
