"""A part of the training data in place of the test data: what settings are chosen on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tf_odl.data.dataset import Dataset
from tf_odl.errors import UserError


def validation_part(data: Dataset, part: str) -> Dataset:
    """`data` without its test samples, tested on a part of its training samples instead.

    Persons and recordings stay whole where the set knows them; otherwise every part has the same
    share of every class. The parts are random, always the same, and together all training samples.

    Args:
        data: with its training samples in the order of the files.
        part: "K/N", the K-th of N parts.

    Raises:
        UserError: no such part, or too few persons or samples per class for so many.
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, StratifiedKFold

    which, _, total = part.partition("/")
    if not (which.isdecimal() and total.isdecimal() and 1 <= int(which) <= int(total) >= 2):
        raise UserError(f"--validation is K/N, the K-th of N parts from 1/2, got {part!r}")
    parts = int(total)
    groups = data.groups_train
    y = data.y_train if data.classes else np.zeros(len(data.y_train), np.int64)
    count = np.bincount(y).max() if groups is None else len(np.unique(groups))
    if parts > count:
        has = f"{count} samples per class" if groups is None else f"{count} {data.group_kind}s"
        raise UserError(f"the training part of {data.name} has {has}: --validation 1/{count}")
    folds: type[StratifiedKFold | GroupKFold | StratifiedGroupKFold] = StratifiedKFold
    if groups is not None:  # a recording is of one class, a person makes samples of all
        folds = StratifiedGroupKFold if data.group_kind == "recording" else GroupKFold
    split = folds(parts, shuffle=True, random_state=0).split(y, y, groups)
    train, test = list(split)[int(which) - 1]
    return replace(
        data,
        x_train=data.x_train[train],
        y_train=data.y_train[train],
        groups_train=None if groups is None else groups[train],
        x_test=data.x_train[test],
        y_test=data.y_train[test],
        groups_test=None if groups is None else groups[test],
    )
