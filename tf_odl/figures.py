"""How well a model does, in the figures that suit what it learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from tf_odl.task import Loss


class Figure(NamedTuple):
    """key: in records. title: for people. is_share: shown as a percentage."""

    key: str
    title: str
    is_share: bool = False

    def text(self, value: float) -> str:
        """The value as people read it."""
        return f"{value:.2%}" if self.is_share else f"{value:.4g}"


_ACCURACY = (Figure("accuracy", "accuracy", is_share=True),)
# The first one is what is watched. AUC exists where a data set has anomalies.
FIGURES: Mapping[Loss, tuple[Figure, ...]] = {
    Loss.CROSS_ENTROPY: _ACCURACY,
    Loss.BINARY: _ACCURACY,
    Loss.MSE: (
        Figure("rmse", "root mean squared error"),
        Figure("mae", "mean absolute error"),
        Figure("r2", "R2, share of the variance explained"),
    ),
    Loss.RECONSTRUCTION: (
        Figure("mse", "mean squared error"),
        Figure("auc", "AUC, anomalies told from normal samples", is_share=True),
    ),
}


def regression_figures(outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Root mean squared and mean absolute error over all targets, and R2, the mean over targets.

    R2 is 1 - sum (y - t)^2 / sum (t - mean t)^2; a target that never changes has none and does not
    count.

    Args:
        outputs, targets: float [N, targets], in the units of the targets.
    """
    outputs, targets = (np.asarray(a, np.float64).reshape(len(a), -1) for a in (outputs, targets))
    difference = outputs - targets
    figures = {
        "rmse": float(np.sqrt((difference**2).mean())),
        "mae": float(np.abs(difference).mean()),
    }
    around = ((targets - targets.mean(0)) ** 2).sum(0)
    if (around > 0).any():
        explained = 1 - (difference**2).sum(0)[around > 0] / around[around > 0]
        figures["r2"] = float(explained.mean())
    return figures


def reconstruction_figures(
    outputs: np.ndarray, samples: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    """Mean squared error of the normal samples, and how well it tells anomalies from them.

    AUC is the area under the receiver operating characteristic: the probability that an anomaly
    has the larger error of two samples, one of each. It is left out without anomalies.

    Args:
        outputs, samples: float [N, ..], as many values in each.
        labels: int [N], 0 for normal samples.
    """
    from sklearn.metrics import roc_auc_score

    rows = (np.asarray(a, np.float64).reshape(len(a), -1) for a in (outputs, samples))
    errors = np.square(np.subtract(*rows)).mean(1)
    anomalies = np.asarray(labels) != 0
    figures = {"mse": float(errors[~anomalies].mean())}
    if anomalies.any():
        figures["auc"] = float(roc_auc_score(anomalies, errors))
    return figures
