"""Layers that scale and shift their channels, such as Rescaling, as 1x1 depthwise convolutions.

TensorFlow Lite would multiply a factor in front of a convolution into its weights, and then those
are no longer the layer's and cannot be trained. A Normalization would become a SUB and a MUL
whose constants have one int8 scale for all channels; a depthwise convolution has one for each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_odl.converters.graph import Graph, Node, layer_node
from tf_odl.errors import UserError

Affine = tuple[np.ndarray, np.ndarray]  # scale and shift, float64 [channels] each


def fold_affine(graph: Graph) -> None:
    """Replace Rescaling, Normalization and arithmetic with one number by frozen convolutions.

    Layers of these kinds that follow each other become one. Those with values that differ along
    another axis than the last stay.
    """
    for node in list(graph.nodes):
        if node not in graph.nodes or len(node.shape) > 3:
            continue
        affine = _affine(node)
        if affine is None:
            continue
        reader = graph.only_reader(node)
        while reader is not None and (further := _affine(reader)) is not None:
            affine = (affine[0] * further[0], affine[1] * further[0] + further[1])
            graph.bypass(reader)
            reader = graph.only_reader(node)
        graph.replace(node, as_depthwise(node, *affine))


def _affine(node: Node) -> Affine | None:
    """What a node does to each channel, None if it is none of the kinds meant here."""
    import keras

    channels = node.shape[-1:]
    pair: tuple[Any, Any] | None
    if node.kind is keras.layers.Rescaling:
        pair = (node.config["scale"], node.config["offset"])
    elif node.kind is keras.layers.Normalization:
        pair = _normalization(node)
    else:
        pair = _arithmetic(node)
    if pair is None:
        return None
    try:
        scale, shift = (np.broadcast_to(np.asarray(v, np.float64), channels) for v in pair)
    except ValueError:  # another axis than the last
        return None
    return scale, shift


def _normalization(node: Node) -> tuple[Any, Any] | None:
    import keras

    axes = node.config["axis"]
    last = (-1, len(node.shape))
    if axes is not None and any(a not in last for a in np.atleast_1d(axes)):
        return None
    if node.config["mean"] is not None:
        mean, variance = (np.asarray(node.config[k], np.float64) for k in ("mean", "variance"))
    else:
        mean, variance = (w.astype(np.float64) for w in node.weights[:2])
    deviation = np.maximum(np.sqrt(variance.reshape(-1)), keras.config.epsilon())
    mean = mean.reshape(-1)
    if node.config["invert"]:
        return deviation, mean
    return 1 / deviation, -mean / deviation


def _arithmetic(node: Node) -> tuple[float, float] | None:
    """`x / 255`, `x - 1` and the like in a functional model, as preprocess_input writes them."""
    operands = [*node.args, *node.kwargs.values()]
    if len(operands) != 2:
        return None
    name = node.kind.__name__
    numbers = [x for x in operands if isinstance(x, (int, float))]
    if len(numbers) != 1 or not any(isinstance(x, Node) for x in operands):
        return None
    value = float(numbers[0])
    first = isinstance(operands[0], Node)  # x - value, not value - x
    if name == "Add":
        return 1.0, value
    if name == "Subtract":
        return (1.0, -value) if first else (-1.0, value)
    if name == "Multiply":
        return value, 0.0
    if name in ("TrueDivide", "Divide") and first:
        return 1 / value, 0.0
    return None


def as_depthwise(node: Node, scale: np.ndarray, shift: np.ndarray) -> list[Node]:
    """A 1x1 depthwise convolution in the place of `node`; it is frozen, no site.

    Args:
        node: a layer with one input of the shape of its output.
        scale, shift: float [channels] each.

    Raises:
        UserError: more than three dimensions.
    """
    import keras

    k = keras.layers
    channels = node.shape[-1]
    if len(node.shape) > 3:
        raise UserError(
            f"layer {node.name!r} ({node.kind.__name__}) works on {len(node.shape)} dimensions; "
            "at most height, width and channels can be exported"
        )
    as_map = (*(1,) * (3 - len(node.shape)), *node.shape)
    chain = []
    source = node.inputs[0]
    if as_map != node.shape:
        source = layer_node(k.Reshape, f"{node.name}_map", {"target_shape": as_map}, source, as_map)
        chain.append(source)
    weights = [scale.reshape(1, 1, channels, 1), shift]
    source = layer_node(
        k.DepthwiseConv2D,
        node.name,
        {"kernel_size": 1, "use_bias": True},
        source,
        as_map,
        [w.astype(np.float32) for w in weights],
    )
    chain.append(source)
    if as_map != node.shape:
        config = {"target_shape": node.shape}
        chain.append(layer_node(k.Reshape, f"{node.name}_flat", config, source, node.shape))
    return chain
