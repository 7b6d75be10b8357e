"""Data of autoencoders: what is normal is learned, what is not is only told from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tf_odl.data.dataset import NO_LABELS, Dataset
from tf_odl.errors import UserError

NORMAL = "normal"
NUMBERS = ("0", "1")  # of classes without names; 0 is normal


def without_labels(data: Dataset) -> Dataset:
    """`data` with all samples of one class that has no name."""
    train, test = (np.zeros(len(x), np.int64) for x in (data.x_train, data.x_test))
    return replace(
        data, y_train=train, y_test=test, classes=1, class_names=NO_LABELS, target_names=()
    )


def only_normal(data: Dataset) -> Dataset:
    """`data` with no anomaly to learn from: those of the training part join the test part.

    Normal is the class of that name, in any case of letters, or 0 of 0 and 1; all others are
    anomalies. Labels without such a class say nothing here and are dropped.

    Returns:
        With the classes 0, normal, and 1, anomaly; or without labels.

    Raises:
        UserError: no training sample is normal.
    """
    lower = [name.lower() for name in data.class_names]
    if NORMAL in lower:
        normal = lower.index(NORMAL)
    elif data.class_names == NUMBERS:
        normal = 0
    else:
        plain = without_labels(data)
        if data.classes < 2:
            return plain
        note = f"{data.name}: no class is called {NORMAL!r}, so labels are not used"
        return replace(plain, notes=(*data.notes, note))
    known = data.y_train == normal
    if not known.any():
        raise UserError(f"{data.name}: no training sample is normal")
    groups = data.groups_train, data.groups_test
    if data.groups_train is not None and data.groups_test is not None:
        groups = (
            data.groups_train[known],
            np.concatenate([data.groups_test, data.groups_train[~known]]),
        )
    anomalies = np.concatenate([data.y_test != normal, np.ones((~known).sum(), bool)])
    return replace(
        data,
        x_train=data.x_train[known],
        y_train=np.zeros(known.sum(), np.int64),
        x_test=np.concatenate([data.x_test, data.x_train[~known]]),
        y_test=anomalies.astype(np.int64),
        groups_train=groups[0],
        groups_test=groups[1],
        classes=2,
        class_names=(NORMAL, "anomaly"),
    )
