"""A flat, editable list of a Keras model's layers, and the way back to a model.

Nested models are flattened. A node holds what a layer is made from (class, configuration,
weights), so a rewrite is an edit of plain values; nothing of the original model is touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_odl.errors import UserError, reason_of

if TYPE_CHECKING:
    import keras


@dataclass(eq=False)
class Node:
    """One layer with its inputs.

    `args` and `kwargs` are those of the layer's call, with nodes in place of tensors; `shape` is
    the output's, without the batch dimension. `site` is the name under which methods know the
    layer, None for a layer that has no weights of its own to train. `trainable` is the layer's.
    """

    kind: Any  # a subclass of keras.Operation
    name: str
    config: dict[str, Any]
    weights: list[np.ndarray]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shape: tuple[int, ...]
    site: str | None = None
    trainable: bool = True

    @property
    def inputs(self) -> list[Node]:
        import keras

        flat = keras.tree.flatten((self.args, self.kwargs))
        return [x for x in flat if isinstance(x, Node)]

    def rewire(self, replacements: dict[Node, Node]) -> None:
        """Read from `replacements[x]` wherever this node reads from x."""
        import keras

        def swap(x: Any) -> Any:
            return replacements.get(x, x) if isinstance(x, Node) else x

        self.args, self.kwargs = keras.tree.map_structure(swap, (self.args, self.kwargs))


@dataclass
class Graph:
    """Nodes in an order in which they can be computed; the input is no element of `nodes`."""

    input: Node
    nodes: list[Node] = field(default_factory=list)
    output: Node = field(init=False)

    def __post_init__(self) -> None:
        self.output = self.input

    def consumers(self, node: Node) -> list[Node]:
        """The nodes that read it, in their order."""
        return [n for n in self.nodes if any(x is node for x in n.inputs)]

    def only_reader(self, node: Node) -> Node | None:
        """The single consumer, None if there are several or the node is the model's output."""
        readers = self.consumers(node)
        return readers[0] if len(readers) == 1 and node is not self.output else None

    def bypass(self, node: Node) -> None:
        """Remove a node with one input: its consumers read that input."""
        self.nodes.remove(node)
        self.redirect(node, node.inputs[0])

    def redirect(self, old: Node, new: Node) -> None:
        """All that read `old` read `new`, but `new` itself."""
        for reader in self.nodes:
            if reader is not new:
                reader.rewire({old: new})
        if self.output is old:
            self.output = new

    def replace(self, old: Node, new: list[Node]) -> None:
        """Put a chain of new nodes in the place of `old`; the last one is its substitute."""
        position = self.nodes.index(old)
        self.nodes[position : position + 1] = new
        for reader in self.nodes:
            if not any(reader is n for n in new):
                reader.rewire({old: new[-1]})
        if self.output is old:
            self.output = new[-1]


def layer_node(
    kind: type,
    name: str,
    config: dict[str, Any],
    source: Node,
    shape: tuple[int, ...],
    weights: list[np.ndarray] | None = None,
    site: str | None = None,
) -> Node:
    """A node of a layer with a single input tensor."""
    return Node(kind, name, config, weights or [], (source,), {}, shape, site)


def trace(model: keras.Model) -> Graph:
    """The layers of a Functional or Sequential model, nested models flattened.

    Raises:
        UserError: a subclassed model, several inputs or outputs, open dimensions, a layer used
            more than once, or an input that is not floating point.
    """
    import keras

    if not isinstance(model, (keras.Function, keras.Sequential)):
        raise UserError(
            f"model {model.name!r} is a subclassed model: only Functional and Sequential models "
            "show their structure. Rebuild it with the functional API to export it"
        )
    if not model.built:
        raise UserError(f"model {model.name!r} has no weights yet: build it first")
    for what, tensors in (("inputs", model.inputs), ("outputs", model.outputs)):
        if len(tensors) != 1:
            raise UserError(f"model {model.name!r} has {len(tensors)} {what}; one is supported")
    tensor = model.inputs[0]
    if any(d is None for d in tensor.shape[1:]):
        raise UserError(
            f"model {model.name!r} has an input of open shape {tuple(tensor.shape[1:])}: "
            "give every dimension but the batch"
        )
    if not keras.backend.is_float_dtype(tensor.dtype):
        raise UserError(f"model {model.name!r} reads {tensor.dtype}; only float input is supported")
    shape = tuple(int(d) for d in tensor.shape[1:])
    graph = Graph(Node(keras.layers.InputLayer, "input", {}, [], (), {}, shape))
    graph.output = _trace_into(graph, model, graph.input)
    _make_names_unique(graph)
    return graph


def _trace_into(graph: Graph, model: Any, source: Node) -> Node:
    import keras

    function = model._functional if isinstance(model, keras.Sequential) else model
    values: dict[int, Node] = {id(function.inputs[0]): source}
    for node in _in_order(function):
        if len(node.outputs) != 1:
            raise UserError(
                f"layer {node.operation.name!r} has {len(node.outputs)} outputs; one is supported"
            )
        args, kwargs = node.arguments.fill_in(values)
        kwargs = {k: v for k, v in kwargs.items() if k not in ("training", "mask")}
        if isinstance(node.operation, (keras.Function, keras.Sequential)):
            result = _trace_into(graph, node.operation, args[0])
        else:
            result = _copy(node.operation, args, kwargs, node.outputs[0].shape)
            graph.nodes.append(result)
        values[id(node.outputs[0])] = result
    return values[id(function.outputs[0])]


def _in_order(function: Any) -> Iterator[Any]:
    by_depth = function._nodes_by_depth
    for depth in sorted(by_depth, reverse=True):
        yield from (node for node in by_depth[depth] if not node.is_input)


def _copy(operation: Any, args: Any, kwargs: Any, shape: tuple[int | None, ...]) -> Node:
    if any(d is None for d in shape[1:]):
        raise UserError(
            f"layer {operation.name!r} has an output of open shape {tuple(shape[1:])}, "
            "which a microcontroller cannot plan for"
        )
    weights = operation.get_weights() if hasattr(operation, "get_weights") else []
    return Node(
        kind=type(operation),
        name=operation.name,
        config=operation.get_config(),
        weights=[np.asarray(w, np.float32) for w in weights],
        args=tuple(args),
        kwargs=kwargs,
        shape=tuple(int(d) for d in shape[1:] if d is not None),
        trainable=getattr(operation, "trainable", True),
    )


def _make_names_unique(graph: Graph) -> None:
    """Give layers that share a name a number, unless they have weights: methods name those."""
    seen: dict[str, Node] = {}
    for node in graph.nodes:
        if node.name in seen:
            if node.weights or seen[node.name].weights:
                raise UserError(
                    f"layer {node.name!r} is used more than once, or two layers share the name: "
                    "give every layer with weights its own name and use it once"
                )
            number = 1
            while f"{node.name}_{number}" in seen:
                number += 1
            node.name = f"{node.name}_{number}"
        seen[node.name] = node


def build(graph: Graph, name: str) -> keras.Model:
    """A functional Keras model of the graph, float32 [batch, *input] -> [batch, *output].

    Raises:
        UserError: a layer that cannot be made from its configuration.
    """
    import keras

    tensor = keras.Input(graph.input.shape, name=graph.input.name)
    tensors: dict[Node, Any] = {graph.input: tensor}
    for node in graph.nodes:
        config = {**node.config, "name": node.name}
        if issubclass(node.kind, keras.layers.Layer):
            config["dtype"] = "float32"
        try:
            layer = node.kind.from_config(config)
        except Exception as error:
            raise UserError(
                f"layer {node.name!r} ({node.kind.__name__}) cannot be made again from its "
                f"configuration: {reason_of(error)[:200]}"
            ) from error
        args, kwargs = keras.tree.map_structure(
            lambda x: tensors[x] if isinstance(x, Node) else x, (node.args, node.kwargs)
        )
        tensors[node] = layer(*args, **kwargs)
        if node.weights:
            layer.set_weights(node.weights)
    return keras.Model(tensor, tensors[graph.output], name=name)
