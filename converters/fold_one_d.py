"""One-dimensional layers as two-dimensional ones of height 1: [B, T, C] becomes [B, 1, T, C]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tf_odl.converters.graph import Graph, Node, layer_node


def lift_one_dimensional(graph: Graph) -> None:
    """Rewrite 1-D convolutions and pooling as 2-D, with as few reshapes as possible.

    A lifted tensor stays lifted through elementwise layers, normalization and Dense, so that a
    chain of 1-D layers costs one reshape at its beginning and at most one at its end.
    """
    _Lifting(graph).run()


class _Lifting:
    def __init__(self, graph: Graph) -> None:
        import keras

        k = keras.layers
        self.graph = graph
        self.convert: dict[type, Callable[[Node], None]] = {
            k.Conv1D: self._windowed(k.Conv2D, "kernel_size", square_strides=False),
            k.DepthwiseConv1D: self._windowed(
                k.DepthwiseConv2D, "kernel_size", square_strides=True
            ),
            k.MaxPooling1D: self._windowed(k.MaxPooling2D, "pool_size", square_strides=False),
            k.AveragePooling1D: self._windowed(
                k.AveragePooling2D, "pool_size", square_strides=False
            ),
            k.GlobalAveragePooling1D: self._global(k.GlobalAveragePooling2D),
            k.GlobalMaxPooling1D: self._global(k.GlobalMaxPooling2D),
        }
        self.follow = (
            k.Activation,
            k.Add,
            k.BatchNormalization,
            k.Dense,
            k.LeakyReLU,
            k.Multiply,
            k.ReLU,
            k.Softmax,
            k.Subtract,
        )
        self.lifted: dict[Node, Node] = {}  # flat node -> its [1, T, C] form
        self.only_lifted: set[Node] = set()  # nodes whose flat form has not been made
        self.nodes: list[Node] = []

    def run(self) -> None:
        for node in self.graph.nodes:
            self._visit(node)
        if self.graph.output in self.only_lifted:
            self.graph.output = self._flat(self.graph.output)
        self.graph.nodes = self.nodes

    def _visit(self, node: Node) -> None:
        import keras

        inputs = node.inputs
        converter = self.convert.get(node.kind)
        if converter is not None:
            node.rewire({x: self._lift(x) for x in inputs})
            converter(node)
            self.nodes.append(node)
            if len(node.shape) == 2:
                self._is_lifted(node)
            return
        any_lifted = any(x in self.only_lifted for x in inputs)
        if any_lifted and issubclass(node.kind, self.follow) and _last_axis_only(node):
            node.rewire({x: self._lift(x) for x in inputs})
            if node.kind is keras.layers.BatchNormalization:
                node.config = {**node.config, "axis": -1}
            self._is_lifted(node)
        elif node.kind is keras.layers.Flatten and any_lifted:
            node.rewire({x: self._lift(x) for x in inputs})
        else:
            node.rewire({x: self._flat(x) for x in inputs})
        self.nodes.append(node)

    def _is_lifted(self, node: Node) -> None:
        node.shape = (1, *node.shape)
        self.lifted[node] = node
        self.only_lifted.add(node)

    def _lift(self, node: Node) -> Node:
        if node not in self.lifted:
            self.lifted[node] = self._reshape(node, f"{node.name}_as_2d", (1, *node.shape))
        return self.lifted[node]

    def _flat(self, node: Node) -> Node:
        if node not in self.only_lifted:
            return node
        return self._reshape(node, f"{node.name}_as_1d", node.shape[1:])

    def _reshape(self, node: Node, name: str, shape: tuple[int, ...]) -> Node:
        import keras

        result = layer_node(keras.layers.Reshape, name, {"target_shape": shape}, node, shape)
        self.nodes.append(result)
        return result

    def _windowed(self, kind: type, window: str, *, square_strides: bool) -> Callable[[Node], None]:
        """A layer with a sliding window; TensorFlow wants equal strides for depthwise ones."""

        def convert(node: Node) -> None:
            stride = _single(node.config["strides"])
            config = {
                **node.config,
                window: (1, _single(node.config[window])),
                "strides": (stride if square_strides else 1, stride),
            }
            if "dilation_rate" in config:
                config["dilation_rate"] = (1, _single(node.config["dilation_rate"]))
            node.kind, node.config = kind, config
            if node.weights:
                node.weights = [node.weights[0][None], *node.weights[1:]]

        return convert

    def _global(self, kind: type) -> Callable[[Node], None]:
        def convert(node: Node) -> None:
            node.kind = kind

        return convert


def _single(value: Any) -> int:
    return int(value[0]) if isinstance(value, (list, tuple)) else int(value)


def _last_axis_only(node: Node) -> bool:
    """Whether the layer treats all axes but the last alike."""
    axis = node.config.get("axis", -1)
    return axis in (-1, len(node.shape))
