"""A table in a .csv file: a row is a sample, a column a feature, one the label."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from tf_odl.data.csv_file import LABELS, TARGET, CsvFile, read_csv
from tf_odl.data.dataset import NO_LABELS, Dataset, checked, measured, split_groups, split_rows
from tf_odl.errors import UserError
from tf_odl.task import CLASSIFYING, Loss, Task

RECORDING = "recording"  # the column that says which rows belong together


def load_table(path: Path, task: Task) -> Dataset:
    """Features, and the label or the targets; split 80 : 20.

    The label is in the column `label`, `class` or `target`, targets are in those whose names begin
    with `target_`. Without such names the last column is it, if the model takes one feature less
    than there are columns or its number of features is not known. Names and fractions tell whether
    a label is a class or a target where the task does not. Rows of the same `recording` stay
    together.

    Raises:
        UserError: the file cannot be read as a table, or the task needs another one; names the
            line.
    """
    table = read_csv(path)
    columns = table.columns
    groups = [i for i in columns if table.key(i) == RECORDING]
    columns = [i for i in columns if i not in groups]
    labels, notes = _label_columns(table, columns, task)
    features = [i for i in columns if i not in labels]
    if not features:
        raise UserError(f"{path} has no column of features")
    x = _shaped(table, features, labels, task)
    y, names, target_names = _values(table, labels, task)
    if groups:
        if len(groups) > 1:
            found = ", ".join(map(table.name, groups))
            raise UserError(f"{path} has several columns of recordings ({found}): keep one")
        (column,) = groups
        of = np.unique([row[column] for row in table.rows], return_inverse=True)[1]
        if of.max() == 0:
            raise UserError(f"{path} has one {RECORDING}: training and test need one each")
        train, test = split_groups(np.zeros(len(y), np.int64) if target_names else y, of)
    else:
        of = None
        train, test = _split(table, y, names)
    data = checked(
        path.stem,
        (x[train], y[train]),
        (x[test], y[test]),
        source=str(path),
        class_names=names,
        target_names=target_names,
        groups=None if of is None else (of[train], of[test]),
        group_kind=None if of is None else RECORDING,
        one_class=task.loss not in CLASSIFYING,
    )
    return replace(data, notes=(*table.notes, *notes))


def _label_columns(
    table: CsvFile, columns: list[int], task: Task
) -> tuple[list[int], tuple[str, ...]]:
    """The columns of labels or targets, and what to say of the choice."""
    named = [i for i in columns if table.key(i) in LABELS]
    targets = [i for i in columns if table.key(i).startswith(TARGET)]
    if len(named) + bool(targets) > 1:
        found = ", ".join(table.name(i) for i in sorted([*named, *targets]))
        raise UserError(f"{table.path} has several labels ({found}): which one is it?")
    if named or targets:
        return named or targets, ()
    wanted = None if task.shape is None else math.prod(task.shape)
    last = columns[-1]
    if wanted == len(columns) and not _is_text(table, last):
        if task.loss in (None, Loss.RECONSTRUCTION):
            return [], ()
        raise UserError(
            f"{table.path} has {len(columns)} columns and the model takes {wanted} features: "
            f"there is none for the {'target' if task.loss is Loss.MSE else 'label'}"
        )
    if task.loss is Loss.RECONSTRUCTION and not _is_text(table, last):
        return [], ()
    kind = "target" if task.loss is Loss.MSE else "label"
    title = f"{table.path.name}: the {kind} is the last column"
    return [last], (title if table.names is None else f"{title}, {table.name(last)}",)


def _is_text(table: CsvFile, column: int) -> bool:
    try:
        table.numbers([column])
    except UserError:
        return True
    return False


def _shaped(table: CsvFile, features: list[int], labels: list[int], task: Task) -> np.ndarray:
    """float32 [rows, *shape]"""
    shape = task.shape or (len(features),)
    if math.prod(shape) != len(features):
        names = ", ".join(table.name(i) for i in features[:6]) + (", .." if features[6:] else "")
        beside = " beside " + ", ".join(table.name(i) for i in labels) if labels else ""
        hint = ""
        if shape[1:] and len(features) in shape:
            hint = ": are the rows time steps? Put recordings into a folder, a file per class"
        raise UserError(
            f"{table.path}, line {table.lines[0]}: {len(features)} features ({names}){beside}, the "
            f"model takes {' x '.join(map(str, shape))}{hint}"
        )
    return table.numbers(features).reshape(-1, *shape)


def _values(
    table: CsvFile, columns: list[int], task: Task
) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Labels int64 [rows] or targets float32 [rows, targets], names of classes, and of targets."""
    if not columns:
        return np.zeros(len(table.rows), np.int64), NO_LABELS, ()
    is_target = table.key(columns[0]).startswith(TARGET)
    if is_target and task.loss in CLASSIFYING:
        raise UserError(
            f"{table.path} has targets ({table.name(columns[0])}), the model learns classes: call "
            "their column label; a regression is exported with --loss mse"
        )
    if is_target and task.loss is Loss.RECONSTRUCTION:
        return np.zeros(len(table.rows), np.int64), NO_LABELS, ()
    is_text = _is_text(table, columns[0])
    values = None if is_text and task.loss is not Loss.MSE else table.numbers(columns)
    are_targets = task.loss is None and values is not None and measured(values).any()
    if is_target or task.loss is Loss.MSE or are_targets:
        assert values is not None
        names = (table.name(i) for i in columns)
        without = (n[len(TARGET) :] if n.lower().startswith(TARGET) else n for n in names)
        return values, (), tuple(without)
    column = columns[0]
    if values is None:
        found = [row[column] for row in table.rows]
        empty = next((i for i, name in enumerate(found) if not name), None)
        if empty is not None:
            raise UserError(f"{table.path}, line {table.lines[empty]}: the label is empty")
        classes, y = np.unique(found, return_inverse=True)
        return y.astype(np.int64), tuple(map(str, classes)), ()
    numbers = values[:, 0]
    bad = np.flatnonzero(measured(numbers) | (numbers < 0))
    if len(bad):
        cell = table.rows[bad[0]][column]
        raise UserError(
            f"{table.path}, line {table.lines[bad[0]]}: the label {cell} is no class 0, 1, 2, .. "
            "(of a regression name the column target)"
        )
    return numbers.astype(np.int64), tuple(map(str, range(int(numbers.max()) + 1))), ()


def _split(table: CsvFile, y: np.ndarray, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the training and of the test part."""
    if y.ndim == 1:
        for label, count in enumerate(np.bincount(y)):
            if count == 1:
                line = table.lines[int(np.flatnonzero(y == label)[0])]
                raise UserError(
                    f"{table.path}, line {line}: the only sample of the class {names[label]!r}, "
                    "training and test need one each"
                )
    if len(y) < 2:
        raise UserError(f"{table.path} holds a single row: training and test need one each")
    return split_rows(np.zeros(len(y)) if y.ndim > 1 else y)
