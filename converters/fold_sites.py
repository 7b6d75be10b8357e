"""The weighted layers: their names, what is supported of them, and separable convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_odl.converters.graph import Graph, Node, layer_node
from tf_odl.errors import UserError


def layer_name(site: str) -> str:
    """The folded model's layer of a site: Keras allows no slash in a name."""
    return site.replace("/", "_")


def mark_sites(graph: Graph) -> None:
    """Note on every Dense and convolution the name under which it can be trained.

    Raises:
        UserError: a layer of a form that is not supported.
    """
    import keras

    recurrent = (keras.layers.RNN, keras.layers.Bidirectional, keras.layers.TimeDistributed)
    kinds = (
        keras.layers.Dense,
        keras.layers.Conv1D,
        keras.layers.Conv2D,
        keras.layers.DepthwiseConv1D,
        keras.layers.DepthwiseConv2D,
        keras.layers.SeparableConv1D,
        keras.layers.SeparableConv2D,
    )
    for node in graph.nodes:
        if node.config.get("data_format") == "channels_first":
            raise UserError(f"layer {node.name!r} is channels_first; only channels_last works")
        if issubclass(node.kind, recurrent):
            raise UserError(
                f"layer {node.name!r} ({node.kind.__name__}) works step by step; such layers have "
                "no int8 form here: use convolutions over time"
            )
        if not issubclass(node.kind, kinds):
            continue
        if node.config.get("padding") == "causal":
            raise UserError(
                f"layer {node.name!r} has causal padding, which is not supported: put "
                "ZeroPadding1D(((kernel_size - 1) * dilation_rate, 0)) in front of it instead"
            )
        if node.config.get("groups", 1) != 1:
            raise UserError(f"layer {node.name!r} is a grouped convolution, which is not supported")
        node.site = node.name


def split_separable(graph: Graph) -> None:
    """Replace a separable convolution by a depthwise and a pointwise one.

    They are the sites `name/depthwise` and `name/pointwise`.
    """
    import keras

    halves = {
        keras.layers.SeparableConv1D: (keras.layers.DepthwiseConv1D, keras.layers.Conv1D),
        keras.layers.SeparableConv2D: (keras.layers.DepthwiseConv2D, keras.layers.Conv2D),
    }
    for node in list(graph.nodes):
        if node.kind in halves:
            graph.replace(node, _halves(node, *halves[node.kind]))


def _halves(node: Node, depthwise_kind: type, pointwise_kind: type) -> list[Node]:
    depthwise_kernel, pointwise_kernel, *bias = node.weights
    channels, multiplier = depthwise_kernel.shape[-2:]
    depthwise_config: dict[str, Any] = {
        "kernel_size": node.config["kernel_size"],
        "strides": node.config["strides"],
        "padding": node.config["padding"],
        "depth_multiplier": multiplier,
        "dilation_rate": node.config["dilation_rate"],
        "use_bias": False,
    }
    pointwise_config: dict[str, Any] = {
        "filters": pointwise_kernel.shape[-1],
        "kernel_size": 1,
        "strides": 1,
        "padding": "valid",
        "dilation_rate": 1,
        "activation": node.config["activation"],
        "use_bias": bool(bias),
    }
    depthwise_site, pointwise_site = f"{node.name}/depthwise", f"{node.name}/pointwise"
    depthwise = layer_node(
        depthwise_kind,
        layer_name(depthwise_site),
        depthwise_config,
        node.inputs[0],
        (*node.shape[:-1], channels * multiplier),
        [depthwise_kernel],
        depthwise_site,
    )
    pointwise = layer_node(
        pointwise_kind,
        layer_name(pointwise_site),
        pointwise_config,
        depthwise,
        node.shape,
        [pointwise_kernel, *bias],
        pointwise_site,
    )
    return [depthwise, pointwise]


def add_missing_biases(graph: Graph) -> None:
    """Give every site a bias, zero where it had none: training ops update one."""
    for node in graph.nodes:
        if node.site is not None and not node.config["use_bias"]:
            node.config = {**node.config, "use_bias": True}
            node.weights = [*node.weights, np.zeros(node.shape[-1], np.float32)]


def check_sites(graph: Graph) -> None:
    """Every layer of the rewritten model needs its own name.

    Raises:
        UserError: the model has a layer named as one half of a separable convolution.
    """
    names = [node.name for node in graph.nodes]
    for node in graph.nodes:
        if names.count(node.name) > 1:
            raise UserError(f"two layers would be called {node.name!r}: rename one of them")
