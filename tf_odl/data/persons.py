"""One person's samples: the data a device sees when it is personalised."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tf_odl.data.dataset import Dataset
from tf_odl.errors import UserError

SPLITS = ("recorded", "random")


def one_person(data: Dataset, person: int, split: str = "recorded") -> Dataset:
    """The samples of one subject or speaker, in recorded order.

    Training part: of each class half of that person's samples, rounded down; test part: the rest.

    Args:
        data: with its samples in the order in which they were recorded.
        person: the number of the subject or speaker.
        split: "recorded": the first half, as a device would learn; "random": any half, always the
            same, which is easier where neighbouring samples resemble each other.

    Raises:
        UserError: the set does not say who made its samples, does not know that person, or has
            too few samples of theirs; or there is no such split.
    """
    if split not in SPLITS:
        raise UserError(f"--person-split is {' or '.join(SPLITS)}, got {split!r}")
    if data.groups_train is None or data.groups_test is None or data.group_kind == "recording":
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
    rng = np.random.default_rng(person)
    train = np.zeros(len(y), bool)
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        if split == "random":
            rows = rng.permutation(rows)
        train[rows[: len(rows) // 2]] = True
    if not train.any():
        raise UserError(
            f"{data.group_kind} {person} of {data.name} has {len(y)} samples, at most one per "
            "class: that is too few to train and to test"
        )
    return replace(
        data,
        x_train=x[train],
        y_train=y[train],
        groups_train=groups[train],
        x_test=x[~train],
        y_test=y[~train],
        groups_test=groups[~train],
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
