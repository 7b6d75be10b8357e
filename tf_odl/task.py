"""What a model asks of its data: the form of a sample, and what is learned from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


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
