"""A picture of learning sample by sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def plot_stream(
    path: Path,
    title: str,
    *,
    correct: np.ndarray,
    was_trained: np.ndarray,
    accuracy_before: float | None,
    accuracy_after: float | None,
) -> None:
    """Running accuracy and share of trained samples over the stream, as a PNG.

    Args:
        correct: bool [samples], right before it was learned from.
        was_trained: bool [samples].
        accuracy_before: on test samples; None if not measured.
        accuracy_after: on test samples; None if not measured.
    """
    from matplotlib.figure import Figure

    window = min(len(correct), max(20, min(200, len(correct) // 20)))
    kernel = np.ones(window) / window
    steps = np.arange(window, len(correct) + 1)
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    axis = figure.subplots()
    for values, color, label in (
        (correct, "#1b6ca8", f"recognized before learning from it (of the last {window})"),
        (was_trained, "#c0392b", f"back-propagated (of the last {window})"),
    ):
        axis.plot(steps, 100 * np.convolve(values, kernel, "valid"), color=color, label=label)
    for value, color, when in (
        (accuracy_before, "#6c757d", "before"),
        (accuracy_after, "#1b6ca8", "after"),
    ):
        if value is not None:
            label = f"test accuracy {when}: {value:.1%}"
            axis.axhline(100 * value, color=color, linestyle="--", linewidth=1, label=label)
    axis.set(xlabel="labelled samples seen", ylabel="%", ylim=(0, 103), title=title)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, fontsize=8, frameon=False)
    figure.savefig(path, dpi=130)
