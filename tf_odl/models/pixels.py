"""Models that take images of 0..255 because they scale them themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tf_odl.data.dataset import Dataset, as_bytes


def scales_pixels(model: keras.Model) -> bool:
    """Whether the first thing a model does is to scale values of 0..255 down.

    That is a Rescaling or a division before the first layer with weights, by 100 or more; or a
    Normalization to a mean or deviation that values of 0..1 cannot have.
    """
    for operation in _in_order(model):
        if isinstance(operation, keras.layers.Rescaling):
            return float(np.max(np.abs(np.asarray(operation.scale)))) <= 0.01
        if isinstance(operation, keras.layers.Normalization):
            mean, variance = (np.asarray(getattr(operation, k)) for k in ("mean", "variance"))
            return float(np.max(np.abs(mean))) > 1 or float(np.max(variance)) > 1
        if type(operation).__name__ in ("TrueDivide", "Divide"):
            given = operation._inbound_nodes[-1].arguments
            numbers = [x for x in (*given.args, *given.kwargs.values()) if _is_number(x)]
            return bool(numbers) and abs(numbers[0]) >= 100
        if getattr(operation, "weights", None) and not _only_augments(operation):
            return False
    return False


def as_the_model_takes(model: keras.Model, data: Dataset) -> Dataset:
    """`data`, with images as 0..255 if the model scales them itself."""
    return as_bytes(data) if data.pixels and scales_pixels(model) else data


def _in_order(model: Any) -> Iterator[Any]:
    """The operations of a model in the order in which they run; those of models within, too."""
    function = model._functional if isinstance(model, keras.Sequential) else model
    by_depth = getattr(function, "_operations_by_depth", {})
    for depth in sorted(by_depth, reverse=True):
        for operation in by_depth[depth]:
            if isinstance(operation, keras.Model):
                yield from _in_order(operation)
            else:
                yield operation


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _only_augments(operation: Any) -> bool:
    """Random layers hold the state of their generator as a weight."""
    return not operation.trainable_weights and type(operation).__name__.startswith("Random")
