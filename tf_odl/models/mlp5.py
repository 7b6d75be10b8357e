"""The five-layer perceptron of the TinyProp papers: 128-96-64-48-classes."""

from __future__ import annotations

import functools

import keras

HIDDEN = (128, 96, 64, 48)


def mlp5(shape: tuple[int, ...], classes: int) -> keras.Model:
    """For samples of any shape; ReLU between the layers, He initialization, logits at the end."""
    layers = keras.layers
    dense = functools.partial(layers.Dense, kernel_initializer="he_normal")
    hidden = [dense(n, activation="relu") for n in HIDDEN]
    flat = [] if len(shape) == 1 else [layers.Flatten()]
    return keras.Sequential([keras.Input(shape), *flat, *hidden, dense(classes)], name="mlp5")
