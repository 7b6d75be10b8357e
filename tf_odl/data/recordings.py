"""Recordings in .csv files: a row is a time step, a column a channel, cut to windows.

A file holds one recording, or several with blank lines between them, as a board prints them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tf_odl.data.csv_file import read_csv
from tf_odl.data.dataset import Dataset, checked
from tf_odl.errors import UserError
from tf_odl.task import CLASSIFYING, Task

TEST_SHARE = 0.2


class _Recording(NamedTuple):
    """values: float32 [steps, channels]. line: the first one in the file."""

    path: Path
    line: int
    label: int
    values: np.ndarray


class _Windows(NamedTuple):
    """x: float32 [N, *shape]. y, recording: int64 [N]."""

    x: np.ndarray
    y: np.ndarray
    recording: np.ndarray

    def take(self, rows: np.ndarray) -> _Windows:
        return _Windows(*(part[rows] for part in self))


def load_recordings(
    folder: Path,
    parts: list[list[tuple[Path, int]]],
    class_names: tuple[str, ...],
    task: Task,
) -> Dataset:
    """Windows of recordings; no recording is in both the training and the test part.

    A window is as long as the model's input, without one as a whole recording, and windows do not
    overlap. A fifth of every class's recordings is the test part; of a single recording the last
    fifth of its windows.

    Args:
        folder: what to call it by.
        parts: the files with their classes, of one set or of training and test.
        class_names: of all classes.
        task: its shape is [steps, channels], also with axes of 1, or flat.

    Raises:
        UserError: a file cannot be read, has other channels, or too few rows; names file and line.
    """
    notes: list[str] = []
    read = [_read(files, notes) for files in parts]
    steps, shape = _window(read[0][0], [r for part in read for r in part], task)
    cut, first = [], 0
    for part in read:
        cut.append(_cut(part, steps, shape, class_names, notes, first))
        first += len(part)
    rng = np.random.default_rng(0)
    if len(cut) == 1:
        rows = _split(cut[0], class_names, rng, notes)
        train, test = (cut[0].take(r) for r in rows)
    else:
        train, test = cut
    train = train.take(rng.permutation(len(train.y)))
    data = checked(
        folder.name,
        (train.x, train.y),
        (test.x, test.y),
        source=str(folder),
        class_names=class_names,
        groups=(train.recording, test.recording),
        group_kind="recording",
        one_class=task.loss not in CLASSIFYING,
    )
    flat = read[0][0].values.shape[1] if len(shape) == 1 else None
    return replace(data, channels=flat, notes=tuple(notes))


def _read(files: list[tuple[Path, int]], notes: list[str]) -> list[_Recording]:
    found: list[_Recording] = []
    first: Path | None = None
    for path, label in files:
        table = read_csv(path)
        channels = table.columns
        if found and len(channels) != found[0].values.shape[1]:
            raise UserError(
                f"{path}, line {table.lines[0]}: {len(channels)} channels, {first} has "
                f"{found[0].values.shape[1]}"
            )
        first = first or path
        notes += [note for note in table.notes[:1] if note not in notes]
        values = table.numbers(channels)
        ends = [*table.starts[1:], len(values)]
        for begin, end in zip(table.starts, ends, strict=True):
            found.append(_Recording(path, table.lines[begin], label, values[begin:end]))
    return found


def _window(
    first: _Recording, recordings: list[_Recording], task: Task
) -> tuple[int, tuple[int, ...]]:
    """Steps of a window, and the shape it gets."""
    channels = first.values.shape[1]
    if task.shape is None:
        steps = len(first.values)
        other = next((r for r in recordings if len(r.values) != steps), None)
        if other is not None:
            raise UserError(
                f"{other.path}, line {other.line}: a recording of {len(other.values)} rows, the "
                f"first one has {steps}: all must be as long, or a .keras model has to say how "
                "long a window is"
            )
        return steps, (steps, channels)
    shape = task.shape
    sizes = [size for size in shape if size > 1] or [1]
    if len(sizes) == 1 and sizes[0] % channels == 0:
        return sizes[0] // channels, shape
    if len(sizes) == 2 and sizes[1] == channels:
        return sizes[0], shape
    raise UserError(
        f"{first.path}, line {first.line}: {channels} channels, the model takes samples of "
        f"{' x '.join(map(str, shape))}"
    )


def _cut(
    recordings: list[_Recording],
    steps: int,
    shape: tuple[int, ...],
    class_names: tuple[str, ...],
    notes: list[str],
    first: int,
) -> _Windows:
    """All windows of the recordings, which are numbered from `first`."""
    short = [r for r in recordings if len(r.values) < steps]
    if short:
        notes.append(
            f"{len(short)} of {len(recordings)} recordings have fewer than the {steps} rows the "
            f"model takes and are left out, the first in {short[0].path}, line {short[0].line}"
        )
    x, y, numbers = [], [], []
    for number, recording in enumerate(recordings, start=first):
        count = len(recording.values) // steps
        windows = recording.values[: count * steps].reshape(count, *shape)
        x.append(windows)
        y += [recording.label] * count
        numbers += [number] * count
    labels = np.array(y, np.int64)
    missing = sorted(set(range(len(class_names))) - set(y))
    if missing:
        bad = next((r for r in recordings if r.label == missing[0]), None)
        if bad is not None:
            raise UserError(
                f"{bad.path}, line {bad.line}: {len(bad.values)} rows, and no recording of "
                f"{class_names[missing[0]]!r} has the {steps} rows the model takes"
            )
    return _Windows(np.concatenate(x), labels, np.array(numbers, np.int64))


def _split(
    windows: _Windows, class_names: tuple[str, ...], rng: np.random.Generator, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the training and of the test part."""
    test = np.zeros(len(windows.y), bool)
    for label, name in enumerate(class_names):
        of_class = windows.y == label
        recordings = np.unique(windows.recording[of_class])
        if len(recordings) > 1:
            held_out = max(1, round(TEST_SHARE * len(recordings)))
            test |= np.isin(windows.recording, rng.permutation(recordings)[:held_out]) & of_class
            continue
        rows = np.flatnonzero(of_class)
        if len(rows) < 2:
            raise UserError(f"{name!r} has a single window: training and test need one each")
        test[rows[-max(1, round(TEST_SHARE * len(rows))) :]] = True
        notes.append(f"{name!r} is a single recording: its last fifth is the test part")
    return np.flatnonzero(~test), np.flatnonzero(test)
