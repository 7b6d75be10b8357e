"""Reach the pre-activation of every weighted layer of any Keras model, without rebuilding it.

While `instrumented` is active, weighted layers compute z = linear part, hand it to a callback
and apply their activation to what comes back. Layers keep their identity, names and weights, so
nested models and layers of the user's own around them work, and nothing remains after the block.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.models.functional import Functional

from tf_odl.errors import UserError
from tf_odl.methods import WeightedLayer

_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
_MODELS = (keras.Sequential, Functional)
_CONV = (keras.layers.Conv1D, keras.layers.Conv2D)
_WEIGHTED = (keras.layers.Dense, *_CONV, *_DEPTHWISE, *_SEPARABLE)
# Their weights belong to no neuron but cost no multiply-accumulates that effort would miss.
_ELEMENTWISE = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.PReLU,
)


class Hooks:
    """What to do at the weighted layers; override what is needed."""

    def pre_activation(self, name: str, x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        """Called with a site's input and pre-activation, both with the batch in front.

        The activation gets what it returns.
        """
        return z

    def output(self, name: str, y: tf.Tensor) -> None:
        """Called with a site's output after the layer's own activation, [batch, ..., neurons]."""

    def batch_normalization(self, layer: keras.layers.Layer, x: tf.Tensor, training: Any) -> Any:
        """Called with a batch normalization's input; returns the `training` it shall use."""
        return training


@dataclass
class Site:
    """A weighted layer with the variables its neurons own."""

    layer: WeightedLayer
    kernel: keras.Variable
    bias: keras.Variable | None
    scales: list[keras.Variable] = field(default_factory=list)  # batch normalization gamma
    shifts: list[keras.Variable] = field(default_factory=list)  # and beta

    def masked(self) -> Iterator[tuple[keras.Variable, str, tuple[int, ...]]]:
        """(variable, the part of a mask that covers it, shape that broadcasts that part)."""
        per_neuron = tuple(self.kernel.shape[-2:]) if self.layer.kind == "depthwise" else (-1,)
        yield self.kernel, "kernel", per_neuron
        if self.bias is not None:
            yield self.bias, "bias", (-1,)
        yield from ((v, "scale", (-1,)) for v in self.scales)
        yield from ((v, "shift", (-1,)) for v in self.shifts)


def weighted_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """All layers with a kernel we can sparsify, in the order the model lists them."""
    return [x for x in model._flatten_layers() if isinstance(x, _WEIGHTED)]


@contextmanager
def instrumented(model: keras.Model, hooks: Hooks) -> Iterator[None]:
    """Run `hooks` at every weighted layer and batch normalization of the model inside the block."""
    patched: list[keras.layers.Layer] = []
    try:
        for layer in model._flatten_layers():
            if isinstance(layer, _SEPARABLE):
                call = _separable(layer, hooks)
            elif isinstance(layer, _WEIGHTED):
                call = _plain(layer, hooks)
            elif isinstance(layer, keras.layers.BatchNormalization):
                call = _batch_normalization(layer, hooks)
            else:
                continue
            object.__setattr__(layer, "call", call)
            patched.append(layer)
        yield
    finally:
        for layer in patched:
            object.__delattr__(layer, "call")


def _finish(hooks: Hooks, name: str, x: tf.Tensor, z: tf.Tensor, activation: Any) -> tf.Tensor:
    z = hooks.pre_activation(name, x, z)
    y = z if activation is None else activation(z)
    hooks.output(name, y)
    return y


def _plain(layer: keras.layers.Layer, hooks: Hooks) -> Callable[..., Any]:
    def call(inputs: tf.Tensor, *args: Any, **kwargs: Any) -> tf.Tensor:
        activation = layer.activation
        object.__setattr__(layer, "activation", None)
        try:
            z = type(layer).call(layer, inputs, *args, **kwargs)
        finally:
            object.__setattr__(layer, "activation", activation)
        return _finish(hooks, layer.name, inputs, z, activation)

    return call


def _separable(layer: keras.layers.Layer, hooks: Hooks) -> Callable[..., Any]:
    """The depthwise and the pointwise half are two sites; only the second has an activation."""
    depthwise, pointwise = _site_names(layer)

    def call(inputs: tf.Tensor) -> tf.Tensor:
        z = keras.ops.depthwise_conv(
            inputs,
            layer.depthwise_kernel,
            strides=layer.strides,
            padding=layer.padding,
            dilation_rate=layer.dilation_rate,
        )
        middle = _finish(hooks, depthwise, inputs, z, None)
        z = keras.ops.conv(middle, layer.pointwise_kernel, strides=1, padding="valid")
        if layer.use_bias:
            z = z + layer.bias
        return _finish(hooks, pointwise, middle, z, layer.activation)

    return call


def _batch_normalization(layer: keras.layers.Layer, hooks: Hooks) -> Callable[..., Any]:
    def call(inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        training = hooks.batch_normalization(layer, inputs, training)
        return type(layer).call(layer, inputs, training=training, mask=mask)

    return call


class _Probe(Hooks):
    """Notes the order of the sites, their inputs, and who feeds which batch normalization."""

    def __init__(self, tape: tf.GradientTape) -> None:
        self.tape = tape
        self.inputs: dict[str, tf.Tensor] = {}
        self.pre_activations: dict[str, tf.Tensor] = {}
        self.outputs: dict[str, tf.Tensor] = {}  # in the order of the forward pass
        self.owners: dict[str, list[keras.layers.Layer]] = {}
        self.repeated: list[str] = []

    def pre_activation(self, name: str, x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        if name in self.inputs:
            self.repeated.append(name)
        self.inputs[name] = x
        z = tf.stop_gradient(z)  # the tape sees no further than from one site to the next
        self.tape.watch(z)
        self.pre_activations[name] = z
        return z

    def output(self, name: str, y: tf.Tensor) -> None:
        self.outputs[name] = y

    def batch_normalization(self, layer: keras.layers.Layer, x: tf.Tensor, training: Any) -> Any:
        for name, y in self.outputs.items():
            if y is x:
                self.owners.setdefault(name, []).append(layer)
        return training

    def upstream(self) -> dict[str, frozenset[str]]:
        """For every site those whose pre-activations reach its input, directly or not."""
        found: dict[str, frozenset[str]] = {}
        for name in self.outputs:
            reached = self.tape.gradient(self.inputs[name], self.pre_activations)
            direct = [n for n, gradient in reached.items() if gradient is not None]
            found[name] = frozenset(direct).union(*(found[n] for n in direct))
        return found


def find_sites(model: keras.Model) -> list[Site]:
    """The trainable structure of a model, in the order the forward pass meets it.

    One forward pass on zeros shows the order, the map sizes, which batch normalization belongs
    to which layer, and which layers lie upstream of which, whatever the branches of the model.

    Raises:
        UserError: no weighted layer, a layer used twice, an unsupported configuration.
    """
    layers = weighted_layers(model)
    if not layers:
        raise UserError(f"model {model.name!r} has no Dense or convolution layer to train")
    for layer in layers:
        _check(layer)
    names = [name for layer in layers for name in _site_names(layer)]
    if len(set(names)) != len(names):
        double = next(n for n in names if names.count(n) > 1)
        raise UserError(f"two layers are called {double!r}: give every layer its own name")
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        probe = _Probe(tape)
        with instrumented(model, probe):
            model(_zeros(model), training=False)
    if probe.repeated:
        raise UserError(
            f"layer {probe.repeated[0]!r} is used more than once, which is not supported"
        )
    order = list(probe.outputs)
    unused = [n for n in names if n not in order]
    if unused:
        raise UserError(f"layer {unused[0]!r} takes no part in the forward pass: remove it")

    by_name = {n: layer for layer in layers for n in _site_names(layer)}
    upstream = probe.upstream()
    sites = []
    for position, name in enumerate(order):
        layer, part = by_name[name], name.removeprefix(by_name[name].name + "/")
        kernel, bias, kind = _parameters(layer, part)
        shape = probe.outputs[name].shape
        affine = probe.owners.get(name, [])
        site = Site(
            WeightedLayer(
                name=name,
                kind=kind,
                neurons=int(shape[-1]),
                positions=int(np.prod(shape[1:-1], dtype=np.int64)),
                fan_in=int(np.prod(kernel.shape)) // int(shape[-1]),
                has_bias=bias is not None,
                affine=sum(int(x.scale) + int(x.center) for x in affine),
                input_size=int(np.prod(probe.inputs[name].shape[1:], dtype=np.int64)),
                depth=len(order) - 1 - position,
                upstream=upstream[name],
                shifts=sum(int(x.center) for x in affine),
                in_channels=int(kernel.shape[-2]),
            ),
            kernel,
            bias,
            [x.gamma for x in affine if x.scale],
            [x.beta for x in affine if x.center],
        )
        sites.append(site)
    return sites


def _zeros(model: keras.Model) -> Any:
    if not getattr(model, "inputs", None):
        raise UserError(
            f"model {model.name!r} is subclassed or has no input shape: "
            "make it a functional or sequential model that begins with keras.Input"
        )
    if len(model.inputs) != 1 or isinstance(getattr(model, "_inputs_struct", None), dict):
        raise UserError(f"model {model.name!r} has several or named inputs; one array is supported")
    if len(model.outputs) != 1:
        raise UserError(f"model {model.name!r} has several outputs; one is supported")
    shape = model.inputs[0].shape
    if any(d is None for d in shape[1:]):
        raise UserError(
            f"model {model.name!r} has an input of open shape {shape[1:]}: give every dimension"
        )
    return tf.zeros((1, *shape[1:]), model.inputs[0].dtype)


def _site_names(layer: keras.layers.Layer) -> list[str]:
    if isinstance(layer, _SEPARABLE):
        return [f"{layer.name}/depthwise", f"{layer.name}/pointwise"]
    return [layer.name]


def _parameters(
    layer: keras.layers.Layer, part: str
) -> tuple[keras.Variable, keras.Variable | None, str]:
    if isinstance(layer, _SEPARABLE):
        if part == "depthwise":
            return layer.depthwise_kernel, None, "depthwise"
        return layer.pointwise_kernel, layer.bias if layer.use_bias else None, "conv"
    bias = layer.bias if layer.use_bias else None
    if isinstance(layer, _DEPTHWISE):
        return layer.kernel, bias, "depthwise"
    return layer.kernel, bias, "conv" if isinstance(layer, _CONV) else "dense"


def _check(layer: keras.layers.Layer) -> None:
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise UserError(f"layer {layer.name!r} is channels_first; only channels_last is supported")
    if getattr(layer, "groups", 1) != 1:
        raise UserError(f"layer {layer.name!r} is a grouped convolution, which is not supported")
    if getattr(layer, "padding", "") == "causal":
        raise UserError(
            f"layer {layer.name!r} has causal padding, which is not supported: put "
            "ZeroPadding1D(((kernel_size - 1) * dilation_rate, 0)) in front of it instead"
        )
    if not layer.built:
        raise UserError(f"layer {layer.name!r} has no weights yet: build the model first")
    if layer.compute_dtype != "float32":
        raise UserError(
            f"layer {layer.name!r} computes in {layer.compute_dtype}; only float32 is supported"
        )


def repeats_forward(model: keras.Model) -> bool:
    """Whether training computes other outputs than inference: dropout and what may be like it.

    All layers that ask for `training` count, but for batch normalization, whose statistics a skip
    rule freezes, and models, whose layers count by themselves.
    """
    known = {x.call for x in (*_WEIGHTED, keras.layers.BatchNormalization, *_MODELS)}
    calls = {type(layer).call for layer in model._flatten_layers()}
    return any("training" in inspect.signature(call).parameters for call in calls - known)


def outside_neurons(sites: Sequence[Site], model: keras.Model) -> list[keras.Variable]:
    """Trainable variables that belong to no neuron, so that no mask could cover them.

    Raises:
        UserError: they belong to a layer whose cost we could not count.
    """
    owned = {id(v) for site in sites for v, _, _ in site.masked()}
    trainable = {id(v) for v in model.trainable_variables}
    for layer in model._flatten_layers():
        mine = {id(v) for v in layer._trainable_variables} & trainable
        if mine - owned and not isinstance(layer, _ELEMENTWISE):
            raise UserError(
                f"layer {layer.name!r} ({type(layer).__name__}) is not supported: its weights "
                "belong to no neuron of a Dense or 1-D or 2-D convolution layer; set "
                "trainable=False on it"
            )
    return [v for v in model.trainable_variables if id(v) not in owned]
