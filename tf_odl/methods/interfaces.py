"""The three small interfaces every method is made of.

A method is a triple: a *selector* (which neurons may update, per epoch), a *sparsifier* (which
error entries propagate, per sample and layer) and a *skip rule* (does this sample train at all).
Any selector works with any sparsifier and any skip rule.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_odl.methods.budget import Budget


@dataclass(frozen=True)
class WeightedLayer:
    """What a method has to know about one weighted layer.

    A neuron is one output unit of a dense layer or one output channel of a convolution. A
    separable convolution is two weighted layers, depthwise and pointwise.
    """

    name: str
    kind: str  # "dense", "conv" or "depthwise"
    neurons: int
    positions: int  # entries of the output map per neuron: H*W, 1 for a vector
    fan_in: int  # weights per neuron: kh*kw*in_channels, depthwise kh*kw
    has_bias: bool
    affine: int  # batch normalization parameters folded into each neuron: 0, 1 or 2
    input_size: int  # elements of the layer's input, one sample
    depth: int  # L - l: 0 for the output layer
    upstream: frozenset[str] | None = None  # the layers its input depends on; None: all before it

    @property
    def outputs(self) -> int:
        """N^l, the number of entries of the layer's error."""
        return self.neurons * self.positions

    @property
    def parameters_per_neuron(self) -> int:
        return self.fan_in + int(self.has_bias) + self.affine


class Mask(NamedTuple):
    """Which neurons of one layer may update: bool [neurons] each."""

    kernel: np.ndarray
    bias: np.ndarray


Masks = dict[str, Mask]
SelectorState = Mapping[str, np.ndarray]


class Selector(ABC):
    """Which neurons may update, decided before every epoch."""

    name: ClassVar[str]
    static: ClassVar[bool] = False  # the masks never change: frozen layers cost no backward pass
    needs_budget: ClassVar[bool] = False
    needs_outputs: ClassVar[bool] = False  # wants the neurons' outputs on a fixed subset

    @abstractmethod
    def select(
        self,
        layers: Sequence[WeightedLayer],
        budget: Budget | None,
        epoch: int,
        rng: np.random.Generator,
        state: SelectorState,
    ) -> Masks:
        """The masks of one epoch."""

    def observe(
        self,
        layers: Sequence[WeightedLayer],
        outputs: Sequence[np.ndarray],
        state: SelectorState,
    ) -> SelectorState:
        """The state after an epoch, from each layer's outputs [samples, positions, neurons].

        Selectors that remember nothing leave it as it is.
        """
        return state


class Sparse(NamedTuple):
    """A sparsifier's answer for one layer and one batch."""

    selected: tf.Tensor | None  # bool [B, N]; None keeps every entry
    y_max: tf.Tensor  # float32 scalar, the running maximum of Y^l


class Sparsifier(Protocol):
    """Which entries of a layer's error are kept."""

    name: ClassVar[str]

    def keep(self, delta: tf.Tensor, y_max: tf.Tensor, depth: int) -> Sparse:
        """Choose entries of delta_z, float32 [B, N], one row per sample."""
        ...


class SkipRule(Protocol):
    """Does a sample train, decided from the forward pass alone."""

    name: ClassVar[str]
    always_trains: ClassVar[bool]

    def decide(self, alpha: tf.Tensor, alpha_max: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """From alpha = Y^L, float32 [B], to (trains bool [B], new running maximum)."""
        ...


def all_neurons(layer: WeightedLayer, on: bool = True) -> Mask:
    """The mask of a layer that updates completely, or not at all."""
    return Mask(np.full(layer.neurons, on), np.full(layer.neurons, on))
