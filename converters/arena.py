"""Where TensorFlow Lite Micro's GreedyMemoryPlanner puts every buffer.

The largest buffer goes first; each one takes the first gap between the buffers that live at the
same time (tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 16


@dataclass(frozen=True)
class Buffer:
    """Memory that is needed from op `first` to op `last`, both included."""

    size: int
    first: int
    last: int


def align(size: int) -> int:
    """The next multiple of the arena's alignment, in bytes."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def plan_offsets(buffers: Sequence[Buffer]) -> list[int]:
    """The offset of each buffer from the start of the arena, in bytes."""
    offsets = [0] * len(buffers)
    placed: list[int] = []  # in the order of their offsets
    # Of equal sizes the last comes first.
    for index in sorted(range(len(buffers)), key=lambda i: (-align(buffers[i].size), -i)):
        buffer = buffers[index]
        offset = 0
        for other in placed:
            neighbour = buffers[other]
            if neighbour.last < buffer.first or buffer.last < neighbour.first:
                continue
            if offsets[other] - offset >= align(buffer.size):
                break
            offset = max(offset, offsets[other] + align(neighbour.size))
        offsets[index] = offset
        insort(placed, index, key=offsets.__getitem__)
    return offsets


def arena_bytes(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    """The end of the last buffer."""
    return max((o + align(b.size) for b, o in zip(buffers, offsets, strict=True)), default=0)
