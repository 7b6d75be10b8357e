"""One person's samples: the data a device sees when it is personalised."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tf_odl.data.dataset import Dataset
from tf_odl.errors import UserError


def one_person(data: Dataset, person: int) -> Dataset:
    """The samples of one subject or speaker, in recorded order.

    Training part: of each class the first half of that person's samples, rounded down; test part:
    the rest. Samples are expected in the order in which they were recorded.

    Raises:
        UserError: the set does not say who made its samples, does not know that person, or has
            too few samples of theirs.
    """
    if data.groups_train is None or data.groups_test is None:
        raise UserError(f"{data.name} does not say who made its samples: leave --person out")
    x, y, groups = (
        np.concatenate(
            [part[found] for part, found in zip(parts, _rows(data, person), strict=True)]
        )
        for parts in (
            (data.x_train, data.x_test),
            (data.y_train, data.y_test),
            (data.groups_train, data.groups_test),
        )
    )
    first = np.zeros(len(y), bool)
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        first[rows[: len(rows) // 2]] = True
    if not first.any():
        raise UserError(
            f"{data.group_kind} {person} of {data.name} has {len(y)} samples, at most one per "
            "class: that is too few to train and to test"
        )
    return replace(
        data,
        x_train=x[first],
        y_train=y[first],
        groups_train=groups[first],
        x_test=x[~first],
        y_test=y[~first],
        groups_test=groups[~first],
        person=person,
    )


def _rows(data: Dataset, person: int) -> tuple[np.ndarray, np.ndarray]:
    assert data.groups_train is not None and data.groups_test is not None
    found = data.groups_train == person, data.groups_test == person
    if not any(part.any() for part in found):
        held_out = sorted(set(data.groups_test.tolist()) - set(data.groups_train.tolist()))
        raise UserError(
            f"{data.name} has no {data.group_kind} {person}; those of its test part are "
            f"{_listing(held_out)}"
        )
    return found


def _listing(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:30]))
    return shown if len(numbers) <= 30 else f"{shown}, .. ({len(numbers)} in all)"
