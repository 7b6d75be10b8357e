"""ReLU and ReLU6 layers as the activation of the layer before them."""

from __future__ import annotations

from tf_odl.converters.graph import Graph, Node


def fuse_activations(graph: Graph) -> None:
    """Fuse a ReLU or ReLU6 into a Dense or convolution that nothing else reads."""
    import keras

    kinds = (keras.layers.Dense, keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    for node in list(graph.nodes):
        name = _relu_name(node)
        if name is None:
            continue
        producer = node.inputs[0]
        if (
            producer.kind in kinds
            and producer.config.get("activation", "linear") == "linear"
            and graph.only_reader(producer) is node
        ):
            graph.bypass(node)
            producer.config = {**producer.config, "activation": name}


def _relu_name(node: Node) -> str | None:
    """ "relu" or "relu6" if the layer is one of them, whichever way it is written."""
    import keras

    if node.kind is keras.layers.Activation:
        name = node.config["activation"]
        return name if name in ("relu", "relu6") else None
    if node.kind is keras.layers.ReLU:
        if node.config["negative_slope"] or node.config["threshold"]:
            return None
        return {None: "relu", 6: "relu6"}.get(node.config["max_value"])
    return None
