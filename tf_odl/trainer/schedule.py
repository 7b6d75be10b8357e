"""The papers' learning rate: linear warm-up, then cosine decay to zero, or constant."""

from __future__ import annotations

import keras


def learning_rate(
    peak: float, *, schedule: str, steps: int, warmup_steps: int
) -> keras.optimizers.schedules.LearningRateSchedule | float:
    """A Keras schedule over `steps` batches, of which the first `warmup_steps` rise linearly."""
    if schedule == "constant":
        return peak
    if warmup_steps == 0:
        return keras.optimizers.schedules.CosineDecay(peak, steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(steps - warmup_steps, 1), warmup_target=peak, warmup_steps=warmup_steps
    )
