"""What a model is trained to minimise, by which targets, and what is measured meanwhile."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from tf_odl.data import Dataset
from tf_odl.data.dataset import NO_LABELS
from tf_odl.errors import UserError
from tf_odl.task import Loss


def _end(model: keras.Model) -> keras.layers.Layer:
    last = model.layers[-1]
    while isinstance(last, keras.Model):
        last = last.layers[-1]
    return last


def _ends_in(model: keras.Model, function: Any) -> bool:
    return getattr(_end(model), "activation", None) is function


def gives_logits(model: keras.Model) -> bool:
    """Whether the outputs are logits: no softmax at the end."""
    softmax = isinstance(_end(model), keras.layers.Softmax)
    return not (softmax or _ends_in(model, keras.activations.softmax))


def keras_loss(model: keras.Model, loss: Loss) -> keras.losses.Loss:
    """The loss, a mean over samples and outputs."""
    if loss in (Loss.MSE, Loss.RECONSTRUCTION):
        return keras.losses.MeanSquaredError()
    if loss is Loss.BINARY:
        sigmoid = _ends_in(model, keras.activations.sigmoid)
        return keras.losses.BinaryCrossentropy(from_logits=not sigmoid)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=gives_logits(model))


def metrics(model: keras.Model, loss: Loss) -> list[Any]:
    """What is measured in every epoch, by the keys of `tf_odl.figures`."""
    if loss is Loss.MSE:
        return [
            keras.metrics.RootMeanSquaredError(name="rmse"),
            keras.metrics.MeanAbsoluteError(name="mae"),
            keras.metrics.R2Score(name="r2"),
        ]
    if loss is Loss.RECONSTRUCTION:
        return [keras.metrics.MeanSquaredError(name="mse")]
    if loss is Loss.BINARY:
        middle = 0.5 if _ends_in(model, keras.activations.sigmoid) else 0.0
        return [keras.metrics.BinaryAccuracy(name="accuracy", threshold=middle)]
    return ["accuracy"]


def found_loss(model: keras.Model, data: Dataset) -> Loss:
    """The loss that model and data suggest, `data` being loaded for any.

    Targets, or more than two whole numbers for a single output, are a regression. An output as
    large as the input is an autoencoder's, unless there are as many classes. Else it is a
    classifier's.

    Raises:
        UserError: the data have no labels, and the model needs some.
    """
    outputs = math.prod(model.outputs[0].shape[1:])
    if data.target_names:
        return Loss.MSE
    reconstructs = outputs == math.prod(model.inputs[0].shape[1:]) and gives_logits(model)
    if reconstructs and data.classes != outputs:
        return Loss.RECONSTRUCTION
    if data.class_names == NO_LABELS:
        raise UserError(
            f"{data.source} has no labels, and model {model.name!r} is no autoencoder: its output "
            "is not as large as its input"
        )
    if outputs > 1:
        return Loss.CROSS_ENTROPY
    sigmoid = _ends_in(model, keras.activations.sigmoid)
    return Loss.MSE if data.classes > 2 and not sigmoid else Loss.BINARY


def wanted(
    model: keras.Model, data: Dataset, loss: Loss
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """What `fit` compares outputs with: for the training samples, and the test samples with theirs.

    An autoencoder is tested on normal samples.
    """
    if loss is Loss.RECONSTRUCTION:
        shape = (-1, *model.outputs[0].shape[1:])
        normal = data.x_test[data.y_test == 0]
        return data.x_train.reshape(shape), (normal, normal.reshape(shape))
    if loss is Loss.BINARY:
        train, test = (y[:, None].astype(np.float32) for y in (data.y_train, data.y_test))
        return train, (data.x_test, test)
    return data.y_train, (data.x_test, data.y_test)
