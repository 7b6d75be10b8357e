"""Does it fit? Arena and flash of an export on a board."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from typing import Any

from tf_odl.converters.flatbuffer import Packed
from tf_odl.converters.layer_plan import op_plans, total_instructions
from tf_odl.converters.memory import HOST, Memory, plan_memory
from tf_odl.converters.targets import Target
from tf_odl.converters.training_graph import STATE

# The deepest stack of the training ops, measured on a Cortex-M4 (docs/mcu-benchmark.md), and of
# TensorFlow Lite Micro's kernels, assumed.
STACK_BYTES = 640 + 1400


def make_plan(model: Packed, training: Packed, target: Target) -> dict[str, Any]:
    """The contents of plan.json: every tensor with its size and lifetime, and the totals.

    `arena_bytes` is the board's; `arena_bytes_host` is what the simulation uses, where pointers
    have 8 bytes. `inference` is model.tflite alone, `training.inference` what the training graph
    does with an unlabelled sample.

    Args:
        model: model.tflite.
        training: model_train.tflite, the one a learning sketch holds.
        target: the board.
    """
    graph = training.flat
    learning = plan_memory(graph)
    ops, step = op_plans(graph, learning)
    forward = sum(op.instructions_forward for op in ops)
    flash = target.code_bytes + len(training.data)
    variables = [t for t in learning.tensors if t.kind == "variable" and t.name != STATE]
    return {
        "target": asdict(target),
        "fits": learning.arena_bytes <= target.arena_bytes and flash <= target.flash_bytes,
        "trainable_bytes": sum(t.bytes for t in variables),
        "flash": {
            "model_bytes": len(model.data),
            "training_model_bytes": len(training.data),
            "code_bytes": target.code_bytes,
            "total_bytes": flash,
        },
        "stack_bytes": STACK_BYTES,
        "inference": _inference(model, target),
        "training": _memory(learning, plan_memory(graph, HOST))
        | _cost(step, target)
        | {"inference": _cost(forward, target)},
        "ops": [asdict(op) for op in ops],
    }


@lru_cache(1)  # several training graphs of one model are planned, one after the other
def _inference(model: Packed, target: Target) -> dict[str, Any]:
    flat = model.flat
    memory = _memory(plan_memory(flat), plan_memory(flat, HOST))
    return memory | _cost(total_instructions(flat), target)


def _cost(instructions: int, target: Target) -> dict[str, float]:
    """One inference, or one dense training step; estimates."""
    return {
        "instructions": instructions,
        "milliseconds": target.processor.milliseconds(instructions),
        "microjoules": target.processor.microjoules(instructions),
    }


def _memory(board: Memory, host: Memory) -> dict[str, Any]:
    return {
        "arena_bytes": board.arena_bytes,
        "arena_bytes_host": host.used_bytes,
        **(vars(board) | {"tensors": [dict(vars(tensor)) for tensor in board.tensors]}),
    }


def summary_rows(plan: dict[str, Any]) -> list[list[str]]:
    """Rows of (what, bytes, bytes available on the board)."""
    target, flash, training = plan["target"], plan["flash"], plan["training"]
    rows: list[tuple[str, int, int | None]] = [
        ("arena, training", training["arena_bytes"], target["arena_bytes"]),
        ("  activations, errors, scratch", training["planned_bytes"], None),
        *(
            [("  planning them at the start", training["planner_bytes"], None)]
            if training["planner_bytes"] > training["planned_bytes"]
            else []
        ),
        ("  trainable weights and state", training["variable_bytes"], None),
        ("  interpreter (estimated)", training["struct_bytes"], None),
        ("arena, inference only", plan["inference"]["arena_bytes"], target["arena_bytes"]),
        ("stack (assumed)", plan["stack_bytes"], None),
        ("flash", flash["total_bytes"], target["flash_bytes"]),
        ("  training model", flash["training_model_bytes"], None),
        ("  code (assumed)", flash["code_bytes"], None),
    ]
    return [[what, f"{n:,}", "" if limit is None else f"{limit:,}"] for what, n, limit in rows]


def measures(plan: dict[str, Any]) -> list[str]:
    """What was done so that the model fits, a sentence each."""
    done = [
        f"to fit: {layer} and the layer before it run in {groups} groups of channels"
        for layer, groups in plan.get("channel_groups", {}).items()
    ]
    if plan.get("bfloat16_errors"):
        done.append("to fit: errors are bfloat16, which takes half the memory of float32")
    return done


def cost_rows(plan: dict[str, Any]) -> list[list[str]]:
    """Rows of (what, instructions, milliseconds, microjoules)."""
    costs = {
        "inference": plan["training"]["inference"],
        "training step, dense": plan["training"],
        "inference only": plan["inference"],
    }
    return [
        [what, f"{c['instructions']:,}", f"{c['milliseconds']:.2f}", f"{c['microjoules']:.0f}"]
        for what, c in costs.items()
    ]


_NAMES = {"FULLY_CONNECTED": "dense", "DEPTHWISE_CONV_2D": "depthwise"}
OP_HEADERS = ["output of", "op", "MACs", "back", "learns", "saved", "error", "instr", "back"]


def op_rows(plan: dict[str, Any]) -> list[list[str]]:
    """Rows under OP_HEADERS: MACs, bytes and instructions, forward and backward, shortened."""
    return [
        [
            op["name"],
            _NAMES.get(op["op"], op["op"].removesuffix("_2D").replace("_", " ").lower()),
            *(
                _short(op[key])
                for key in (
                    "macs_forward",
                    "macs_backward",
                    "trainable_bytes",
                    "saved_bytes",
                    "error_bytes",
                    "instructions_forward",
                    "instructions_backward",
                )
            ),
        ]
        for op in plan["ops"]
    ]


def _short(number: int) -> str:
    """Three digits: 4.61k."""
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number) if number else ""
