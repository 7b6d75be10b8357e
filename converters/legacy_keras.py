"""A Keras 3 model in tf_keras, which is what tensorflow-model-optimization works on."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tf_odl.converters.graph import Graph, Node, trace
from tf_odl.errors import UserError

if TYPE_CHECKING:
    import keras

_SWITCH = "TF_USE_LEGACY_KERAS"
# What tf_keras does not have and what does not change what a layer computes.
_WITHOUT_EFFECT = ("quantization_config", "seed")
_RENAMED = {"LeakyReLU": {"negative_slope": "alpha"}}


@contextmanager
def legacy_keras() -> Iterator[Any]:
    """tf_keras and tensorflow_model_optimization may be imported inside.

    Importing the latter switches tf.keras of this process and of its children to tf_keras by an
    environment variable, which is put back.

    Raises:
        UserError: one of the two is not installed.
    """
    before = os.environ.get(_SWITCH)
    try:
        import tensorflow_model_optimization as optimization

        yield optimization
    except ImportError as error:
        raise UserError(
            "quantization-aware training needs two more packages: pip install 'tf-odl[qat]'"
        ) from error
    finally:
        if before is None:
            os.environ.pop(_SWITCH, None)
        else:
            os.environ[_SWITCH] = before


def to_legacy(model: keras.Model) -> Any:
    """A functional tf_keras model with the same layers, names and weights.

    A fused ReLU6 becomes a layer of its own: as an activation of another layer it is none that
    tensorflow-model-optimization can quantize.

    Args:
        model: functional, with one input and one output (see `fold.fold`).

    Raises:
        UserError: a layer tf_keras does not have, or with a setting it does not know.
    """
    import tf_keras

    graph: Graph = trace(model)
    tensors: dict[Node, Any] = {
        graph.input: tf_keras.Input(graph.input.shape, name=graph.input.name)
    }
    for node in graph.nodes:
        layer = _layer(tf_keras.layers, node)
        sources = [tensors[x] for x in node.inputs]
        y = layer(sources if len(sources) > 1 else sources[0])
        if _ends_in_relu6(node):
            y = tf_keras.layers.ReLU(6, name=f"{node.name}_relu6")(y)
        tensors[node] = y
        if node.weights:
            layer.set_weights(node.weights)
    return tf_keras.Model(tensors[graph.input], tensors[graph.output], name=model.name)


def _ends_in_relu6(node: Node) -> bool:
    return node.config.get("activation") == "relu6"


def _layer(layers: Any, node: Node) -> Any:
    kind = getattr(layers, node.kind.__name__, None)
    if kind is None:
        raise UserError(
            f"layer {node.name!r} ({node.kind.__name__}) has no counterpart in tf_keras, which "
            "quantization-aware training needs: export with --quantize ptq"
        )
    config = {"name": node.name, "dtype": "float32"}
    for key, value in node.config.items():
        name = _RENAMED.get(node.kind.__name__, {}).get(key, key)
        if key in (*config, *_WITHOUT_EFFECT) or key.endswith("_initializer"):
            continue
        if name not in _parameters(kind):
            raise UserError(
                f"layer {node.name!r} has the setting {key!r}, which tf_keras does not know: "
                "export with --quantize ptq"
            )
        config[name] = value
    if _ends_in_relu6(node):
        config["activation"] = "linear"
    return kind.from_config(config)


def _parameters(kind: type) -> set[str]:
    """What the constructors of a layer class and of its parents take."""
    known = {"name", "dtype", "trainable"}
    for parent in kind.__mro__:
        if "__init__" in vars(parent):
            known |= set(inspect.signature(vars(parent)["__init__"]).parameters)
    return known
