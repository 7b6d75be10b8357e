"""A layer in front of a model that prepares its samples."""

from __future__ import annotations

from typing import Any

import keras


def begin_with(
    model: keras.Model, layer: keras.layers.Layer, shape: tuple[int, ...]
) -> keras.Model:
    """A copy of a functional model, with its weights, that takes samples of `shape` to `layer`.

    A copy that calls the model as a layer would nest it; this one is as flat as the model.
    """
    inputs = keras.Input(shape)
    prepared = layer(inputs)

    def call(each: keras.layers.Layer, x: Any, *args: Any, **kwargs: Any) -> Any:
        return each(prepared if x is inputs else x, *args, **kwargs)

    copy = keras.models.clone_model(model, input_tensors=inputs, call_function=call)
    copy.set_weights(model.get_weights())
    return copy
