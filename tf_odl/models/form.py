"""What a Keras model looks like from outside."""

from __future__ import annotations

import keras

from tf_odl.task import Form


def form_of(model: keras.Model) -> Form:
    """The shapes of a sample and its output, and the softmax or sigmoid at the end."""
    inputs, outputs = (tuple(tensors[0].shape[1:]) for tensors in (model.inputs, model.outputs))
    return Form(model.name, inputs, outputs, _end(model))


def last_layer(model: keras.Model) -> keras.layers.Layer:
    """The layer that makes the output, also where models are nested."""
    last = model.layers[-1]
    while isinstance(last, keras.Model):
        last = last.layers[-1]
    return last


def _end(model: keras.Model) -> str | None:
    last = last_layer(model)
    function = getattr(last, "activation", None)
    if isinstance(last, keras.layers.Softmax) or function is keras.activations.softmax:
        return "softmax"
    return "sigmoid" if function is keras.activations.sigmoid else None
