"""A picture of learning sample by sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tf_odl.stream import Stream


def plot_stream(path: Path, title: str, stream: Stream) -> None:
    """Running accuracy, else loss, and share of trained samples over the stream, as a PNG."""
    from matplotlib.figure import Figure

    count = len(stream.losses)
    window = min(count, max(20, min(200, count // 20)))
    kernel = np.ones(window) / window
    steps = np.arange(window, count + 1)

    def running(values: np.ndarray) -> np.ndarray:
        return np.convolve(values, kernel, "valid")

    figure = Figure(figsize=(7, 3.8), layout="constrained")
    axis = figure.subplots()
    if stream.correct is None:
        loss_axis = axis.twinx()
        label = f"loss before learning from it (of the last {window}), right"
        loss_axis.plot(steps, running(stream.losses), color="#1b6ca8", label=label)
        loss_axis.set(ylabel="loss", ylim=(0, None))
        loss_axis.spines["top"].set_visible(False)
    else:
        label = f"recognized before learning from it (of the last {window})"
        axis.plot(steps, 100 * running(stream.correct), color="#1b6ca8", label=label)
    label = f"back-propagated (of the last {window})"
    axis.plot(steps, 100 * running(stream.was_trained), color="#c0392b", label=label)
    for value, color, when in (
        (stream.accuracy_before, "#6c757d", "before"),
        (stream.accuracy_after, "#1b6ca8", "after"),
    ):
        if value is not None:
            label = f"test accuracy {when}: {value:.1%}"
            axis.axhline(100 * value, color=color, linestyle="--", linewidth=1, label=label)
    axis.set(xlabel="labelled samples seen", ylabel="%", ylim=(0, 103), title=title)
    axis.grid(alpha=0.25)
    axis.spines["top"].set_visible(False)
    axis.spines["right"].set_visible(stream.correct is None)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.savefig(path, dpi=130)
