"""Features computed from time series: what a device feeds a network in place of raw windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tf_odl.data.dataset import Dataset
from tf_odl.errors import UserError

FEATURES = ("statistics",)


def with_features(data: Dataset, name: str) -> Dataset:
    """`data` with every sample replaced by its features.

    "statistics" of a time series, float32 [steps, channels], are float32 [5 channels]: for all
    channels the mean, then the deviations, minima, maxima and mean absolute steps
    |x[t + 1] - x[t]|.

    Raises:
        UserError: no such features, or the samples are no time series.
    """
    if name not in FEATURES:
        raise UserError(f"no features {name!r}: --features is {' or '.join(FEATURES)}")
    if data.x_train.ndim != 3:
        raise UserError(
            f"--features {name} needs time series [steps, channels], {data.name} has "
            f"{list(data.x_train.shape[1:])}"
        )
    x_train, x_test = _statistics(data.x_train), _statistics(data.x_test)
    return replace(data, x_train=x_train, x_test=x_test, pixels=None)


def _statistics(x: np.ndarray) -> np.ndarray:
    steps = np.abs(np.diff(x, axis=1))
    parts = x.mean(1), x.std(1), x.min(1), x.max(1), steps.mean(1)
    return np.concatenate(parts, axis=1, dtype=np.float32)
