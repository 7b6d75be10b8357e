"""How well a model does, in the figures that suit what it learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tf_odl.task import CLASSIFYING, Loss

if TYPE_CHECKING:
    from tf_odl.data import Dataset


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

ALL = tuple(dict.fromkeys(figure for of_loss in FIGURES.values() for figure in of_loss))


def tested(before: Mapping[str, float], after: Mapping[str, float]) -> list[list[str]]:
    """Rows of (what, value) of the figures on test samples, before and after learning."""
    return [
        [f"test {figure.title} {when}", figure.text(figures[figure.key])]
        for figure in ALL
        for when, figures in (("before", before), ("after", after))
        if figure.key in figures
    ]


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


def int8_figures(model: bytes, codes: np.ndarray, data: Dataset, loss: Loss) -> dict[str, float]:
    """The figures of an int8 model by its outputs int8 [N, ..] on the N test samples of `data`."""
    from tf_odl.converters.accuracy import decided
    from tf_odl.converters.reference import real_outputs

    if loss in CLASSIFYING:
        return {"accuracy": float((decided(model, codes) == data.y_test).mean())}
    outputs = real_outputs(model, codes)
    if loss is Loss.MSE:
        return regression_figures(outputs, data.y_test)
    return reconstruction_figures(outputs, data.x_test, data.y_test)
