"""The arena of a training step over time, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_KINDS = {"activation": "#1b6ca8", "error": "#c0392b", "scratch": "#6c757d"}
_FIXED = {
    "variable_bytes": ("trainable weights", "#e0a03b"),
    "struct_bytes": ("interpreter", "#c8ccd0"),
}


def plot_plan(plan: dict[str, Any], path: Path) -> None:
    """Draw what lives in the arena at every op of a training step, against the board's limit.

    Args:
        plan: the contents of plan.json.
        path: a .png file.
    """
    from matplotlib.figure import Figure

    training = plan["training"]
    tensors = [t for t in training["tensors"] if t["offset"] is not None]
    ops = range(max((t["last"] for t in tensors), default=0) + 1)
    kib = 1024
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axis = figure.subplots()
    bottom = [0.0] * len(ops)
    for key, (label, color) in _FIXED.items():
        top = [b + training[key] / kib for b in bottom]
        axis.fill_between(ops, bottom, top, step="mid", color=color, label=label, lw=0)
        bottom = top
    for kind, color in _KINDS.items():
        chosen = [t for t in tensors if t["kind"] == kind]
        live = [sum(t["bytes"] for t in chosen if t["first"] <= i <= t["last"]) for i in ops]
        top = [b + n / kib for b, n in zip(bottom, live, strict=True)]
        label = {"activation": "activations", "error": "errors"}.get(kind, kind)
        axis.fill_between(ops, bottom, top, step="mid", color=color, label=label, lw=0)
        bottom = top
    arena, limit = training["arena_bytes"] / kib, plan["target"]["arena_bytes"] / kib
    axis.axhline(arena, color="#222", lw=1, ls=":", label=f"arena {arena:.1f} KiB")
    if limit < 2.5 * arena:
        label = f"{plan['target']['board']}: {limit:.0f} KiB"
        axis.axhline(limit, color="#c0392b", lw=1, ls="--", label=label)
    axis.set_xlabel("op of a training step: forward, loss, backward")
    axis.set_ylabel("KiB")
    axis.set_xlim(0, len(ops) - 1)
    axis.set_ylim(0, None)
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(fontsize=8, frameon=False, loc="outside right center")
    figure.savefig(path, dpi=130)
