"""Channels of mean 0 and deviation 1, by the statistics of the training part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tf_odl.data.dataset import Dataset


def statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the last axis of float32 [N, .., channels].

    A channel that never changes gets the deviation 1.

    Returns:
        Two arrays float32 [channels].
    """
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes, dtype=np.float64)
    deviation = x.std(axes, dtype=np.float64)
    deviation[deviation < 1e-6 * np.maximum(1, np.abs(mean))] = 1
    return mean.astype(np.float32), deviation.astype(np.float32)


def standardised(data: Dataset, mean: np.ndarray, deviation: np.ndarray) -> Dataset:
    """`data` with samples `(x - mean) / deviation`; both are kept in the result."""
    x_train, x_test = ((x - mean) / deviation for x in (data.x_train, data.x_test))
    return replace(
        data, x_train=x_train, x_test=x_test, mean=mean, deviation=deviation, pixels=None
    )
