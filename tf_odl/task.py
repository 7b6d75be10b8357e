"""What a model asks of its data: the form of a sample, and what is learned from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from tf_odl.errors import UserError

if TYPE_CHECKING:
    from tf_odl.data import Dataset


class Loss(str, Enum):
    """What training minimises, by its name on the command line."""

    CROSS_ENTROPY = "cross-entropy"  # softmax over at least two classes
    BINARY = "binary-cross-entropy"  # sigmoid, one output
    MSE = "mse"  # of targets that are given
    RECONSTRUCTION = "reconstruction"  # mean squared error of an autoencoder's input


def recorded_loss(record: Mapping[str, Any]) -> Loss:
    """What a run minimises by its run.json, or an export by its export.json."""
    return Loss(record.get("loss", Loss.CROSS_ENTROPY.value))


CLASSIFYING = (Loss.CROSS_ENTROPY, Loss.BINARY)
SQUARED = (Loss.MSE, Loss.RECONSTRUCTION)
LOSSES = tuple(loss.value for loss in Loss)


@dataclass(frozen=True)
class Task:
    """What data are loaded for.

    loss: the labels are classes, targets, or none; None for what the data themselves say.
    shape: of a sample, None if nothing says so; recordings are cut to it.
    """

    loss: Loss | None = Loss.CROSS_ENTROPY
    shape: tuple[int, ...] | None = None


CLASSIFICATION = Task()


@dataclass(frozen=True)
class Form:
    """A model from outside: the shapes of a sample and of its output, without the batch.

    end: "softmax" or "sigmoid" where it ends in one, None for anything else.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    end: str | None = None


def recognise(
    form: Form, named: Loss | None, load: Callable[[Task], Dataset]
) -> tuple[Loss, Dataset]:
    """What a model minimises on some data, and the data as it needs them.

    Args:
        named: what a user says it is; None for what model and data suggest.
        load: gives the data for a task.

    Raises:
        UserError: see `load`, `check_fits` and `suggested_loss`.
    """
    data = load(Task(named, form.inputs))
    if named is None:
        check_fits(form, data, None)
        named = suggested_loss(form, data)
        if named not in CLASSIFYING:
            data = load(Task(named, form.inputs))
    check_fits(form, data, named)
    return named, data


def suggested_loss(form: Form, data: Dataset) -> Loss:
    """The loss that model and data suggest, `data` being loaded for any.

    Targets, or more than two whole numbers for a single output, are a regression. An output as
    large as the input is an autoencoder's, unless there are as many classes. Else it is a
    classifier's.

    Raises:
        UserError: the data have no labels, and the model needs some.
    """
    outputs = math.prod(form.outputs)
    if data.target_names:
        return Loss.MSE
    reconstructs = outputs == math.prod(form.inputs) and form.end != "softmax"
    if reconstructs and data.classes != outputs:
        return Loss.RECONSTRUCTION
    if not data.has_labels:
        raise UserError(
            f"{data.source} has no labels, and model {form.name!r} is no autoencoder: its output "
            "is not as large as its input"
        )
    if outputs > 1:
        return Loss.CROSS_ENTROPY
    return Loss.MSE if data.classes > 2 and form.end != "sigmoid" else Loss.BINARY


def check_fits(form: Form, data: Dataset, loss: Loss | None) -> None:
    """Raises UserError if the samples of `data`, or its labels or targets, do not suit a model.

    A single output tells two classes apart.
    """
    found = data.x_train.shape[1:]
    if form.inputs != found:
        raise UserError(
            f"model {form.name!r} takes samples of shape {form.inputs}, {data.name} has {found}"
        )
    outputs = math.prod(form.outputs)
    plural = "s" if outputs > 1 else ""
    if loss in CLASSIFYING and data.classes > max(outputs, 2):
        raise UserError(
            f"model {form.name!r} has {outputs} output{plural}, the labels of "
            f"{data.name} go up to {data.classes - 1}: label out of range, use a model with "
            f"{data.classes} outputs"
        )
    if loss is Loss.MSE and data.target_names and len(data.target_names) != outputs:
        raise UserError(
            f"model {form.name!r} has {outputs} output{plural}, {data.name} has the "
            f"target{'s' if len(data.target_names) > 1 else ''} {', '.join(data.target_names)}"
        )
