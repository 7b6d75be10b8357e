"""What a model is trained to minimise, by which targets, and what is measured meanwhile."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tf_odl.data import Dataset
from tf_odl.models import form_of
from tf_odl.task import Loss


def gives_logits(model: keras.Model) -> bool:
    """Whether the outputs are logits: no softmax at the end."""
    return form_of(model).end != "softmax"


def keras_loss(model: keras.Model, loss: Loss) -> keras.losses.Loss:
    """The loss, a mean over samples and outputs."""
    if loss in (Loss.MSE, Loss.RECONSTRUCTION):
        return keras.losses.MeanSquaredError()
    if loss is Loss.BINARY:
        return keras.losses.BinaryCrossentropy(from_logits=form_of(model).end != "sigmoid")
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
        middle = 0.5 if form_of(model).end == "sigmoid" else 0.0
        return [keras.metrics.BinaryAccuracy(name="accuracy", threshold=middle)]
    return ["accuracy"]


def wanted(
    model: keras.Model, data: Dataset, loss: Loss
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """What `fit` compares outputs with: for the training samples, and the test samples with theirs.

    An autoencoder is tested on normal samples.

    Returns:
        int64 [N] classes, float32 [N, 1] of two, [N, targets], or [N, *output] of an autoencoder.
    """
    if loss is Loss.RECONSTRUCTION:
        shape = (-1, *model.outputs[0].shape[1:])
        normal = data.x_test[data.y_test == 0]
        return data.x_train.reshape(shape), (normal, normal.reshape(shape))
    if loss is Loss.BINARY:
        train, test = (y[:, None].astype(np.float32) for y in (data.y_train, data.y_test))
        return train, (data.x_test, test)
    return data.y_train, (data.x_test, data.y_test)
