"""Channels of mean 0 and deviation 1, by the statistics of the training part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tf_odl.data.dataset import Dataset
from tf_odl.errors import UserError

LARGEST_RATIO = 100  # of channels' deviations, and the largest deviation


def statistics(x: np.ndarray, channels: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the last axis of float32 [N, .., channels].

    A channel that never changes gets the deviation 1.

    Args:
        channels: of flat windows [N, steps * channels].

    Returns:
        Two arrays float32 [channels].
    """
    if channels is not None:
        x = x.reshape(-1, channels)
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes, dtype=np.float64)
    deviation = x.std(axes, dtype=np.float64)
    deviation[deviation < 1e-6 * np.maximum(1, np.abs(mean))] = 1
    return mean.astype(np.float32), deviation.astype(np.float32)


def uneven(data: Dataset) -> str | None:
    """What is wrong with the scales of the channels and what helps, None if nothing is.

    An int8 input has one scale for all channels, and SGD one learning rate.
    """
    if data.mean is not None or data.pixels is not None:
        return None
    x = data.x_train.reshape(-1, data.channels or data.x_train.shape[-1])
    deviation = x.std(0, dtype=np.float64)
    deviation = deviation[deviation > 0]
    if not len(deviation) or deviation.max() <= LARGEST_RATIO * min(deviation.min(), 1):
        return None
    return (
        f"the samples' channels have deviations of {deviation.min():.2g} to {deviation.max():.2g}: "
        "SGD and int8 want similar ones near 1. Use --standardise, with a model that has no "
        "Normalization in front"
    )


def standardised_as(data: Dataset, record: Mapping[str, Any]) -> Dataset:
    """`data` standardised as those of a record with `mean` and `deviation`, lists or None.

    Data that were standardised in another way, as sound always is, are what they were first.
    """
    if record.get("mean") is None or standardisation(data)["mean"] == record["mean"]:
        return data
    mean, deviation = (np.asarray(record[k], np.float32) for k in ("mean", "deviation"))
    known = data.channels or data.x_train.shape[-1]
    if known != len(mean):
        raise UserError(
            f"{data.name} has {known} channels, the model was trained on samples "
            f"with {len(mean)} that were standardised"
        )
    if data.mean is not None and data.deviation is not None:
        times = data.x_train.shape[-1] // known
        by, plus = np.tile(data.deviation, times), np.tile(data.mean, times)
        data = replace(data, x_train=data.x_train * by + plus, x_test=data.x_test * by + plus)
    return standardised(data, mean, deviation)


def standardisation(data: Dataset) -> dict[str, list[float] | None]:
    """What `standardised_as` reads."""
    values = {"mean": data.mean, "deviation": data.deviation}
    return {k: None if v is None else [float(x) for x in v] for k, v in values.items()}


def standardised(data: Dataset, mean: np.ndarray, deviation: np.ndarray) -> Dataset:
    """`data` with samples `(x - mean) / deviation`; both are kept in the result."""
    times = data.x_train.shape[-1] // len(mean)
    less, by = np.tile(mean, times), np.tile(deviation, times)
    x_train, x_test = ((x - less) / by for x in (data.x_train, data.x_test))
    return replace(
        data, x_train=x_train, x_test=x_test, mean=mean, deviation=deviation, pixels=None
    )
