"""Zero padding in front of a convolution, as Keras applications write it."""

from __future__ import annotations

from tf_odl.converters.graph import Graph, Node


def absorb_zero_padding(graph: Graph) -> None:
    """Turn ZeroPadding2D + "valid" convolution into "same" where both pad alike.

    This saves an op with a full copy of the map, and the backward pass can cross the layer.
    """
    import keras

    for node in list(graph.nodes):
        if node.kind is not keras.layers.ZeroPadding2D:
            continue
        reader = graph.only_reader(node)
        if (
            reader is not None
            and reader.kind in (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
            and reader.config["padding"] == "valid"
            and _is_same_padding(node, reader)
        ):
            graph.bypass(node)
            reader.config = {**reader.config, "padding": "same"}


def _is_same_padding(padding: Node, reader: Node) -> bool:
    """Whether TensorFlow's "same" padding pads by the same amounts (its formula)."""
    for axis in (0, 1):
        size = padding.inputs[0].shape[axis]
        stride = reader.config["strides"][axis]
        window = (reader.config["kernel_size"][axis] - 1) * reader.config["dilation_rate"][axis] + 1
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        if tuple(padding.config["padding"][axis]) != (total // 2, total - total // 2):
            return False
    return True
