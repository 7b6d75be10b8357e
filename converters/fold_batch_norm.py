"""Batch normalization as weights: y = scale * x + shift, per channel of the last axis."""

from __future__ import annotations

import numpy as np

from tf_odl.converters.fold_affine import as_depthwise
from tf_odl.converters.graph import Graph, Node
from tf_odl.errors import UserError


def fold_batch_normalization(graph: Graph) -> None:
    """Fold every batch normalization into the linear layer before it.

    One that has no such layer (it follows an activation, a branch or the input) becomes a 1x1
    depthwise convolution. That layer is frozen: it is no site.

    Raises:
        UserError: a normalization over another axis than the last.
    """
    import keras

    for node in list(graph.nodes):
        if node.kind is not keras.layers.BatchNormalization:
            continue
        if node.config["axis"] not in (-1, len(node.shape), [len(node.shape)]):
            raise UserError(
                f"batch normalization {node.name!r} normalizes axis {node.config['axis']}; "
                "only the last axis (channels) can be exported"
            )
        producer = node.inputs[0]
        if _is_linear(producer) and graph.only_reader(producer) is node:
            scale, shift = _scale_and_shift(node)
            _scale_weights(producer, scale, shift)
            graph.bypass(node)
        else:
            graph.replace(node, as_depthwise(node, *_scale_and_shift(node)))


def _is_linear(node: Node) -> bool:
    import keras

    kinds = (keras.layers.Dense, keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    return node.kind in kinds and node.config.get("activation", "linear") == "linear"


def _scale_and_shift(node: Node) -> tuple[np.ndarray, np.ndarray]:
    """float64 [channels] each."""
    weights = [w.astype(np.float64) for w in node.weights]
    gamma = weights.pop(0) if node.config["scale"] else np.ones_like(weights[-1])
    beta = weights.pop(0) if node.config["center"] else np.zeros_like(weights[-1])
    mean, variance = weights
    scale = gamma / np.sqrt(variance + node.config["epsilon"])
    return scale, beta - scale * mean


def _scale_weights(node: Node, scale: np.ndarray, shift: np.ndarray) -> None:
    import keras

    kernel = node.weights[0].astype(np.float64)
    bias = node.weights[1].astype(np.float64) if node.config["use_bias"] else 0.0
    if node.kind is keras.layers.DepthwiseConv2D:  # kernel [h, w, in_channels, multiplier]
        kernel = kernel * scale.reshape(kernel.shape[-2:])
    else:  # kernel [..., out_channels]
        kernel = kernel * scale
    node.weights = [kernel.astype(np.float32), (bias * scale + shift).astype(np.float32)]
    node.config = {**node.config, "use_bias": True}
