"""Which loss a model is trained with."""

from __future__ import annotations

import keras


def gives_logits(model: keras.Model) -> bool:
    """Whether the outputs are logits: no softmax at the end."""
    last = model.layers[-1]
    while isinstance(last, keras.Model):
        last = last.layers[-1]
    activation = getattr(last, "activation", None)
    return not (isinstance(last, keras.layers.Softmax) or activation is keras.activations.softmax)
