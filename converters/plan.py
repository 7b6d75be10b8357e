"""Does it fit? Arena and flash of an export on a board."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tf_odl.converters.memory import HOST, Memory, plan_memory
from tf_odl.converters.targets import Target
from tf_odl.converters.training_graph import STATE


def make_plan(model: bytes, training: bytes, target: Target) -> dict[str, Any]:
    """The contents of plan.json: every tensor with its size and lifetime, and the totals.

    `arena_bytes` is the board's; `arena_bytes_host` is what the simulation uses, where pointers
    have 8 bytes.

    Args:
        model: model.tflite.
        training: model_train.tflite, the one a learning sketch holds.
        target: the board.
    """
    inference, learning = plan_memory(model), plan_memory(training)
    flash = target.code_bytes + len(training)
    variables = [t for t in learning.tensors if t.kind == "variable" and t.name != STATE]
    return {
        "target": asdict(target),
        "fits": learning.arena_bytes <= target.arena_bytes and flash <= target.flash_bytes,
        "trainable_bytes": sum(t.bytes for t in variables),
        "flash": {
            "model_bytes": len(model),
            "training_model_bytes": len(training),
            "code_bytes": target.code_bytes,
            "total_bytes": flash,
        },
        "inference": _memory(inference, plan_memory(model, HOST)),
        "training": _memory(learning, plan_memory(training, HOST)),
    }


def _memory(board: Memory, host: Memory) -> dict[str, Any]:
    return {
        "arena_bytes": board.arena_bytes,
        "arena_bytes_host": host.arena_bytes,
        **asdict(board),
    }


def summary_rows(plan: dict[str, Any]) -> list[list[str]]:
    """Rows of (what, bytes, bytes available on the board)."""
    target, flash, training = plan["target"], plan["flash"], plan["training"]
    rows: list[tuple[str, int, int | None]] = [
        ("arena, training", training["arena_bytes"], target["arena_bytes"]),
        ("  activations, errors, scratch", training["planned_bytes"], None),
        ("  trainable weights and state", training["variable_bytes"], None),
        ("  interpreter (estimated)", training["struct_bytes"], None),
        ("arena, inference only", plan["inference"]["arena_bytes"], target["arena_bytes"]),
        ("flash", flash["total_bytes"], target["flash_bytes"]),
        ("  training model", flash["training_model_bytes"], None),
        ("  code (assumed)", flash["code_bytes"], None),
    ]
    return [[what, f"{n:,}", "" if limit is None else f"{limit:,}"] for what, n, limit in rows]
