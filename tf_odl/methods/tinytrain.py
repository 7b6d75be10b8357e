"""TinyTrain: neurons by Fisher information within a memory and a compute budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tf_odl.errors import UserError
from tf_odl.methods.interfaces import (
    Analysis,
    Mask,
    Masks,
    Selector,
    SelectorState,
    WeightedLayer,
    all_neurons,
)
from tf_odl.methods.macs import full_backward_macs, masked_backward_macs

if TYPE_CHECKING:
    from tf_odl.methods.budget import Budget


def layer_scores(
    layers: Sequence[WeightedLayer], fisher: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """P / (normalized parameters * normalized MACs) of every layer, TinyTrain's criterion.

    Args:
        layers: the trainable layers.
        fisher: F_o of their neurons, [neurons]; the potential P of a layer is their sum.

    Parameters and forward MACs are normalized by the largest layer's.
    """
    parameters = {x.name: x.neurons * x.parameters_per_neuron for x in layers}
    macs = {x.name: x.outputs * x.fan_in for x in layers}
    largest = max(parameters.values()) * max(macs.values())
    return {
        name: float(fisher[name].sum()) * largest / (parameters[name] * macs[name])
        for name in parameters
    }


def fill_layers(
    trainable: Sequence[WeightedLayer],
    layers: Sequence[WeightedLayer],
    fisher: Mapping[str, np.ndarray],
    budget: Budget,
    compute: float,
) -> Masks:
    """Whole layers by score, then the best neurons of the others, as far as both budgets allow.

    A layer that does not fit whole waits, so that one large layer cannot take all.

    Args:
        trainable: the layers to choose from.
        layers: all layers of the model, which the error may have to cross.
        fisher: F_o of every neuron by layer, float [neurons]; ties go to the lower index.
        budget: memory, never exceeded.
        compute: share of the dense backward MACs of full training, never exceeded.
    """
    memory_limit = budget.limit(trainable)
    compute_limit = compute * full_backward_macs(layers)
    masks = {x.name: all_neurons(x, False) for x in trainable}

    def left(layer: WeightedLayer, count: int) -> tuple[float, float]:
        """Memory and compute that remain with so many neurons of a layer."""
        wanted = masks | {layer.name: _best(fisher[layer.name], count)}
        return (
            memory_limit - budget.cost(trainable, wanted),
            compute_limit - masked_backward_macs(layers, wanted),
        )

    scores = layer_scores(trainable, fisher)
    by_score = sorted(trainable, key=lambda x: -scores[x.name])
    for layer in by_score:
        if min(left(layer, layer.neurons)) >= 0:
            masks[layer.name] = all_neurons(layer)
    for layer in by_score:
        memory, macs = left(layer, 1)
        if masks[layer.name].trains or memory < 0 or macs < 0:
            continue
        more = min(memory // budget.neuron_cost(layer), macs // (layer.fan_in * layer.positions))
        masks[layer.name] = _best(fisher[layer.name], 1 + int(more))
    return masks


def _best(fisher: np.ndarray, count: int) -> Mask:
    """The neurons of largest Fisher information; ties go to the lower index."""
    chosen = np.zeros(len(fisher), bool)
    chosen[np.argsort(-fisher, kind="stable")[:count]] = True
    return Mask(chosen, chosen.copy())


@dataclass(frozen=True)
class TinyTrain(Selector):
    """Neurons chosen once, before the first epoch, by one pass over labelled support samples.

    Layers by P / (normalized parameters * normalized MACs), within them neurons by their Fisher
    information (Kwon et al., 2024). `compute` bounds the dense backward MACs of a sample, as a
    share of those of full training; `samples` is the size of the support set.
    """

    name: ClassVar[str] = "tinytrain"
    needs_budget: ClassVar[bool] = True
    needs_analysis: ClassVar[bool] = True
    compute: float = 0.5
    samples: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.compute <= 1:
            raise UserError(f"tinytrain: compute must be in (0, 1], got {self.compute}")
        if self.samples < 1:
            raise UserError(f"tinytrain: samples must be at least 1, got {self.samples}")

    @property
    def support_samples(self) -> int:
        """`samples`"""
        return self.samples

    def check(self, layers: Sequence[WeightedLayer], budget: Budget | None) -> None:
        """Refuse a budget without room for the cheapest neuron."""
        assert budget is not None
        price = min(budget.neuron_cost(x) + budget.layer_cost(x) for x in layers)
        if price > budget.limit(layers):
            raise UserError(
                f"the budget of {budget} has no room for a single neuron, the cheapest of which "
                f"costs {price}: raise --budget"
            )

    def analyse(
        self,
        layers: Sequence[WeightedLayer],
        budget: Budget | None,
        analysis: Analysis,
        rng: np.random.Generator,
    ) -> SelectorState:
        """The support pass: Fisher information and the neurons chosen by it.

        Raises:
            UserError: both budgets together leave no neuron.
        """
        assert budget is not None
        fisher = analysis.fisher()
        masks = fill_layers(layers, analysis.layers, fisher, budget, self.compute)
        if not any(mask.trains for mask in masks.values()):
            raise UserError(
                f"compute={self.compute:g} and the budget of {budget} leave no neuron to train: "
                "raise one of them"
            )
        return {f"{x.name}/fisher": fisher[x.name] for x in layers} | {
            f"{x.name}/chosen": masks[x.name].kernel for x in layers
        }

    def select(
        self,
        layers: Sequence[WeightedLayer],
        budget: Budget | None,
        epoch: int,
        rng: np.random.Generator,
        state: SelectorState,
    ) -> Masks:
        """The same neurons in every epoch."""
        chosen = {x.name: np.asarray(state[f"{x.name}/chosen"], bool) for x in layers}
        return {name: Mask(mask, mask.copy()) for name, mask in chosen.items()}
