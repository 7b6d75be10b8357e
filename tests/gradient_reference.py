"""Sparse backpropagation by TensorFlow's autodiff and NumPy, sharing no code with the trainer.

The forward pass is written in plain tf.nn and cut at every pre-activation, which continues as a
new leaf. Going back from the loss, the error of each leaf is what autodiff says given the masked
errors of the later ones; then NumPy masks it in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Cut = Callable[[tf.Tensor], tf.Tensor]


@dataclass
class Settings:
    """Of one sparsifier, by the formulas of the papers. `ratio` None means TinyProp."""

    ratio: float | None = None
    dense: bool = False
    s_min: float = 0.2
    s_max: float = 1.0
    zeta: float = 0.9
    sparsify_output: bool = False


@dataclass
class Step:
    """What one step of the reference found."""

    gradients: list[np.ndarray]
    kept: list[np.ndarray]  # per site, bool [B, N]
    nonzero: list[np.ndarray]  # per site, bool [B, N]: kept and not exactly 0
    y_max: list[float] = field(default_factory=list)


def _activation(layer: keras.layers.Layer, x: tf.Tensor) -> tf.Tensor:
    name = getattr(layer.activation, "__name__", None)
    table = {"linear": tf.identity, "relu": tf.nn.relu, "relu6": tf.nn.relu6}
    return {**table, "softmax": tf.nn.softmax, "tanh": tf.tanh}[name](x)


def _as_2d(
    values: list[Any], layer: keras.layers.Layer
) -> tuple[list[Any], tuple[int, int], tuple[int, int]]:
    """A 1-D convolution as a 2-D one of height 1: kernels, (stride, dilation)."""
    (stride,), (dilation,) = layer.strides, layer.dilation_rate
    # A depthwise op wants equal strides; along a height of 1 the stride does not matter.
    return [v[None] for v in values], (stride, stride), (dilation, dilation)


def _weighted(layer: keras.layers.Layer, x: tf.Tensor, cut: Cut) -> tf.Tensor:
    if isinstance(layer, keras.layers.Dense):
        z = tf.tensordot(x, layer.kernel.value, [[-1], [0]])
        return _activation(layer, cut(z + layer.bias.value if layer.use_bias else z))
    flat = len(layer.kernel_size) == 1
    separable = hasattr(layer, "pointwise_kernel")
    kernels = [layer.depthwise_kernel, layer.pointwise_kernel] if separable else [layer.kernel]
    values = [k.value for k in kernels]
    if flat:
        values, strides, dilation = _as_2d(values, layer)
        x = x[:, None]
    else:
        strides, dilation = layer.strides, layer.dilation_rate
    squeeze = (lambda t: t[:, 0]) if flat else tf.identity
    padding = layer.padding.upper()
    depthwise = separable or isinstance(
        layer, (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
    )
    if depthwise:
        z = tf.nn.depthwise_conv2d(x, values[0], [1, *strides, 1], padding, dilations=dilation)
    else:
        z = tf.nn.conv2d(x, values[0], strides, padding, dilations=dilation)
    if separable:
        z = tf.nn.conv2d(cut(z), values[1], 1, "VALID")
    z = squeeze(z)
    return _activation(layer, cut(z + layer.bias.value if layer.use_bias else z))


def _normalize(layer: Any, x: tf.Tensor, training: bool) -> tf.Tensor:
    mean, variance = layer.moving_mean.value, layer.moving_variance.value
    if training:
        mean, variance = tf.nn.moments(x, list(range(len(x.shape) - 1)))
    y = (x - mean) / tf.sqrt(variance + layer.epsilon)
    y = y * layer.gamma.value if layer.scale else y
    return y + layer.beta.value if layer.center else y


def _pool(layer: Any, x: tf.Tensor) -> tf.Tensor:
    kind = "MAX" if "Max" in type(layer).__name__ else "AVG"
    return tf.nn.pool(
        x, layer.pool_size, kind, strides=layer.strides, padding=layer.padding.upper()
    )


def forward(model: keras.Model, x: tf.Tensor, training: bool, cut: Cut) -> tf.Tensor:
    """The functional model's output; every pre-activation is replaced by what `cut` returns."""
    values: dict[int, tf.Tensor] = {id(model.inputs[0]): x}
    for layer in model.layers[1:]:
        inputs = keras.tree.flatten(layer.input)
        args = [values[id(t)] for t in inputs]
        h = args[0]
        kind = type(layer).__name__
        if hasattr(layer, "kernel_size") or kind == "Dense":
            y = _weighted(layer, h, cut)
        elif kind == "BatchNormalization":
            y = _normalize(layer, h, training)
        elif kind == "Activation":
            y = _activation(layer, h)
        elif kind == "ReLU":
            y = tf.nn.relu(h) if layer.max_value is None else tf.nn.relu6(h)
        elif kind.startswith("GlobalAverage"):
            y = tf.reduce_mean(h, list(range(1, len(h.shape) - 1)))
        elif "Pooling" in kind:
            y = _pool(layer, h)
        elif kind == "Flatten":
            y = tf.reshape(h, [h.shape[0], -1])
        elif kind == "Add":
            y = tf.add_n(args)
        else:
            raise AssertionError(f"the reference does not know {kind}")
        values[id(layer.output)] = y
    return values[id(model.outputs[0])]


def cross_entropy_sum(logits: tf.Tensor, labels: np.ndarray) -> tf.Tensor:
    """Summed over the samples."""
    return tf.reduce_sum(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    )


def _keep(delta: np.ndarray, depth: int, y_max: float, settings: Settings) -> tuple[Any, float]:
    """Which entries of [B, N] are kept, and the new running maximum."""
    total = np.abs(delta).sum(axis=1)
    size = delta.shape[1]
    y_max = max(y_max, float(total.max()))
    everything = np.ones(delta.shape, bool)
    if settings.dense or (depth == 0 and not settings.sparsify_output):
        return everything, y_max
    if settings.ratio is not None:
        share = np.full(len(delta), settings.ratio)
    else:
        share = settings.s_min + total / y_max * (settings.s_max - settings.s_min)
        share = share * settings.zeta**depth
    kept = np.zeros(delta.shape, bool)
    for row, k in enumerate(np.clip(np.floor(share * size + 0.5).astype(int), 1, size)):
        kept[row, np.argsort(-np.abs(delta[row]), kind="stable")[:k]] = True
    return kept, y_max


def output_errors(model: keras.Model, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """alpha: sum of |dLoss/dz| at the output, per sample, of the model in inference."""
    zs: list[tf.Tensor] = []
    with tf.GradientTape() as tape:

        def cut(z: tf.Tensor) -> tf.Tensor:
            tape.watch(z)
            zs.append(z)
            return z

        loss = cross_entropy_sum(forward(model, tf.constant(x), False, cut), labels)
    error = tape.gradient(loss, zs[-1]).numpy()
    return np.abs(error).sum(axis=1)


def sparse_step(
    model: keras.Model,
    x: np.ndarray,
    labels: np.ndarray,
    settings: Settings,
    *,
    y_max: list[float] | None = None,
    training: bool = True,
    batch: int | None = None,
) -> Step:
    """Gradients of every trainable variable of `model`.

    Args:
        model: functional, cross-entropy on its logits.
        x, labels: the samples that train.
        settings: of the sparsifier.
        y_max: running maxima so far, per site.
        training: batch normalization uses the statistics of the batch.
        batch: what the loss's sum is divided by; the number of samples by default.
    """
    batch = batch or len(x)
    zs: list[tf.Tensor] = []
    leaves: list[tf.Tensor] = []
    with tf.GradientTape(persistent=True) as tape:

        def cut(z: tf.Tensor) -> tf.Tensor:
            leaf = tf.constant(z.numpy())
            tape.watch(leaf)
            zs.append(z)
            leaves.append(leaf)
            return leaf

        loss = cross_entropy_sum(forward(model, tf.constant(x), training, cut), labels) / batch
    count = len(zs)
    y_max = list(y_max or [0.0] * count)
    errors: list[tf.Tensor] = [tf.zeros_like(z) for z in zs]
    kept: list[np.ndarray] = [np.zeros(0)] * count
    nonzero: list[np.ndarray] = [np.zeros(0)] * count
    one = tf.ones([])
    for i in reversed(range(count)):
        later = range(i + 1, count)
        error = tape.gradient(
            [loss, *(zs[j] for j in later)],
            leaves[i],
            output_gradients=[one, *(errors[j] for j in later)],
        ).numpy()
        rows = error.reshape(len(x), -1)
        kept[i], y_max[i] = _keep(rows * batch, count - 1 - i, y_max[i], settings)
        nonzero[i] = kept[i] & (rows != 0)
        errors[i] = tf.constant(np.where(kept[i], rows, 0).reshape(error.shape))
    variables = [v.value for v in model.trainable_variables]
    gradients = tape.gradient(
        [loss, *zs], variables, output_gradients=[one, *errors], unconnected_gradients="zero"
    )
    return Step([g.numpy() for g in gradients], kept, nonzero, y_max)
