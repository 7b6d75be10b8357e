"""Quantization-aware training: weights that lose less when they become int8.

tensorflow-model-optimization puts fake quantization (Jacob et al., 2018, section 3) around every
layer of the folded model, which is then trained on. Its weights go back into the folded model,
and the export quantizes them like any other: per channel for convolutions, per tensor for Dense.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_odl.converters.legacy_keras import legacy_keras, to_legacy
from tf_odl.errors import UserError, reason_of

if TYPE_CHECKING:
    import keras

Progress = Callable[[str, int, int], None]

LEARNING_RATE = 1e-4
BATCH = 32


def train_aware(
    model: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    *,
    squared: bool = False,
    epochs: int,
    learning_rate: float = LEARNING_RATE,
    seed: int = 0,
    progress: Progress | None = None,
) -> None:
    """Train a folded model with fake quantization; its weights are replaced.

    Adam, batches of 32, cross-entropy or mean squared error.

    Args:
        model: without batch normalization (see `fold.fold`).
        x: samples, float [N, *input].
        y: classes, int [N], or the wanted outputs, float [N, ..].
        squared: the loss is the mean squared error.
        epochs: passes over the samples, at least 1.
        learning_rate: of Adam.
        seed: of the order of the samples.
        progress: called with ("quantization-aware", batches done, batches in all).

    Raises:
        UserError: a layer that tensorflow-model-optimization cannot quantize, or it is missing.
    """
    if epochs < 1:
        raise UserError(f"quantization-aware training needs at least 1 epoch, got {epochs}")
    with legacy_keras() as optimization:
        import tf_keras

        legacy = to_legacy(model)
        try:
            aware = optimization.quantization.keras.quantize_model(legacy)
        except (RuntimeError, ValueError) as error:
            raise UserError(
                "tensorflow-model-optimization cannot quantize the model: "
                f"{reason_of(error)[:300]}. Export with --quantize ptq"
            ) from error
        loss = tf_keras.losses.MeanSquaredError() if squared else _loss(tf_keras, legacy)
        if squared:
            y = y.reshape(-1, *legacy.output_shape[1:])
        aware.compile(tf_keras.optimizers.Adam(learning_rate), loss)
        batches = -(-len(x) // BATCH) * epochs
        report = tf_keras.callbacks.LambdaCallback(on_train_batch_end=lambda _batch, _logs: tell())
        done = 0

        def tell() -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress("quantization-aware", done, batches)

        rng = np.random.default_rng(seed)
        for _ in range(epochs):
            order = rng.permutation(len(x))
            aware.fit(x[order], y[order], BATCH, 1, verbose=0, callbacks=[report], shuffle=False)
        for name, weights in _weights(aware, model).items():
            if not all(np.isfinite(w).all() for w in weights):
                raise UserError("quantization-aware training diverged: use a lower rate")
            model.get_layer(name).set_weights(weights)


def _loss(tf_keras: Any, legacy: Any) -> Any:
    activation = getattr(legacy.layers[-1], "activation", None)
    name = getattr(activation, "__name__", "")
    if legacy.output_shape[-1] == 1:
        return tf_keras.losses.BinaryCrossentropy(from_logits=name != "sigmoid")
    is_softmax = name == "softmax" or isinstance(legacy.layers[-1], tf_keras.layers.Softmax)
    return tf_keras.losses.SparseCategoricalCrossentropy(from_logits=not is_softmax)


def _weights(aware: Any, model: keras.Model) -> dict[str, list[np.ndarray]]:
    """The trained weights of each layer of the folded model, in the order it has them."""
    found: dict[str, list[np.ndarray]] = {}
    for layer in model.layers:
        if not layer.weights:
            continue
        wrapper = aware.get_layer(f"quant_{layer.name}")
        trained = {_role(v.name): v.numpy() for v in wrapper.weights}
        found[layer.name] = [trained[w.name] for w in layer.weights]
    return found


def _role(name: str) -> str:
    """`kernel` of `block/depthwise_kernel:0`."""
    return name.rsplit("/", 1)[-1].split(":")[0].removeprefix("depthwise_")
