"""What a budget is about: every trainable parameter, or what the authors of Velocity mask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from tf_odl.errors import UserError
from tf_odl.methods.budget import take_prefix
from tf_odl.methods.interfaces import Masks, WeightedLayer, all_neurons

if TYPE_CHECKING:
    from tf_odl.methods.budget import Budget

Scope = Literal["all", "authors"]
DepthwiseCost = Literal["exact", "authors"]
Order = Callable[[Sequence[WeightedLayer]], Iterable[tuple[int, int]]]


def in_scope(layers: Sequence[WeightedLayer], scope: Scope) -> list[WeightedLayer]:
    """The layers that compete for the budget, with the parameters that count.

    "all": every layer with all parameters. "authors", as the public code of Velocity does it:
    convolutions with weights and bias; batch normalization and dense layers cost nothing.

    Raises:
        UserError: nothing is left.
    """
    if scope == "all":
        return list(layers)
    convolutions = [replace(x, affine=0, shifts=0) for x in layers if x.kind != "dense"]
    if not convolutions:
        raise UserError(
            "scope=authors masks convolutions only and the model has none: use scope=all"
        )
    return convolutions


def with_what_is_free(layers: Sequence[WeightedLayer], masks: Masks, scope: Scope) -> Masks:
    """The masks of all layers: what is out of scope always trains."""
    if scope == "all":
        return masks
    complete = {}
    for layer in layers:
        every = np.ones(layer.neurons, bool)
        if layer.name in masks:
            complete[layer.name] = masks[layer.name]._replace(scale=every, shift=every)
        else:
            complete[layer.name] = all_neurons(layer)
    return complete


def fill_budget(
    layers: Sequence[WeightedLayer],
    budget: Budget,
    order: Order,
    scope: Scope = "all",
    depthwise_cost: DepthwiseCost = "exact",
) -> Masks:
    """Take neurons in an order until the next one would exceed the budget.

    Args:
        layers: the trainable layers.
        budget: never exceeded by what is in scope.
        order: from the layers in scope to (layer index, neuron index), most wanted first.
        scope: see `in_scope`.
        depthwise_cost: "authors" charges a neuron of a depthwise convolution in_channels times
            its weights, as their code does; the limit stays that of the real parameters.
    """
    scoped = in_scope(layers, scope)
    charged = scoped
    if depthwise_cost == "authors":
        charged = [
            replace(x, fan_in=x.fan_in * x.in_channels) if x.kind == "depthwise" else x
            for x in scoped
        ]
    masks = take_prefix(charged, order(charged), budget, budget.limit(scoped))
    return with_what_is_free(layers, masks, scope)
