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
    from tf_odl.methods.top_k import TopK


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
    shifts: int = 0  # of the affine parameters, those that add to the bias; the others are factors
    in_channels: int = 1  # channels of the input, for a dense layer its units

    @property
    def outputs(self) -> int:
        """N^l, the number of entries of the layer's error."""
        return self.neurons * self.positions

    @property
    def parameters_per_neuron(self) -> int:
        return self.fan_in + int(self.has_bias) + self.affine

    def fan_in_from(self, inputs: np.ndarray | None) -> int:
        """Weights per neuron that read these input channels, bool [in_channels]; None: all.

        A neuron of a depthwise convolution reads one channel, so it has all of its weights.
        """
        if inputs is None or self.kind == "depthwise":
            return self.fan_in
        return self.fan_in // self.in_channels * int(np.count_nonzero(inputs))


class Mask(NamedTuple):
    """Which parameters of one layer may update.

    kernel, bias: bool [neurons]. inputs: bool [in_channels], the weights that read these channels
    may update, None for all. scale, shift: bool [neurons], of batch normalization; None for those
    of kernel and bias.
    """

    kernel: np.ndarray
    bias: np.ndarray
    inputs: np.ndarray | None = None
    scale: np.ndarray | None = None
    shift: np.ndarray | None = None

    def part(self, name: str) -> np.ndarray:
        """The mask of "kernel", "bias", "scale" or "shift", bool [neurons]."""
        if name == "scale" and self.scale is None:
            return self.kernel
        if name == "shift" and self.shift is None:
            return self.bias
        return getattr(self, name)

    @property
    def trains(self) -> bool:
        """Whether anything of the layer may update."""
        return any(self.part(name).any() for name in ("kernel", "bias", "scale", "shift"))


Masks = dict[str, Mask]
SelectorState = Mapping[str, np.ndarray]


class Analysis(Protocol):
    """What a selector may measure before the first epoch; every call is counted as overhead.

    The weights are those of the start before and after every call.
    """

    layers: Sequence[WeightedLayer]  # all of the model, also those the user froze
    macs: int  # counted so far

    def fisher(self) -> dict[str, np.ndarray]:
        """Fisher information of every neuron of every layer, float64 [neurons].

        F_o = 1/(2N) sum_n (sum_hw a g)^2 over N support samples, with a the neuron's output and
        g the gradient of the sample's loss by it (TinyTrain, Kwon et al., 2024).
        """
        ...

    def weights(self) -> dict[str, np.ndarray]:
        """The kernels, float32 [in_channels, window, neurons], depthwise [1, window, neurons]."""
        ...

    def accuracy(self, masks: Masks, epochs: int, learning_rate: float) -> float:
        """Accuracy on held-out support samples after training on the others under these masks."""
        ...

    def note(self, message: str) -> None:
        """Show how far a long analysis is."""
        ...


class Selector(ABC):
    """Which neurons may update, decided before every epoch."""

    name: ClassVar[str]
    static: ClassVar[bool] = False  # the masks never change: frozen layers cost no backward pass
    needs_budget: ClassVar[bool] = False
    needs_outputs: ClassVar[bool] = False  # wants the neurons' outputs on a fixed subset
    masks_inputs: ClassVar[bool] = False  # its masks may choose input channels
    needs_analysis: ClassVar[bool] = False  # measures on labelled samples before the first epoch

    @property
    def support_samples(self) -> int:
        """How many labelled samples `analyse` asks for."""
        return 0

    @property
    def needs_classes(self) -> bool:
        """Whether `analyse` measures accuracy, which only a classifier has."""
        return False

    def check(self, layers: Sequence[WeightedLayer], budget: Budget | None) -> None:
        """Refuse layers or a budget the selector cannot serve, before anything runs.

        Raises:
            UserError: says what does not fit.
        """
        return None

    def analyse(
        self,
        layers: Sequence[WeightedLayer],
        budget: Budget | None,
        analysis: Analysis,
        rng: np.random.Generator,
    ) -> SelectorState:
        """The state `select` works from, for selectors with `needs_analysis`."""
        raise NotImplementedError(f"selector {self.name!r} has no analysis")

    def files(self, state: SelectorState) -> dict[str, str]:
        """What to keep beside a run, by file name: text that can be read and used again."""
        return {}

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

    selected: TopK | None  # None keeps every entry
    y_max: tf.Tensor  # float32 scalar, the running maximum of Y^l
    dense_bias: bool = False  # the layer's bias sees every entry all the same
    entries: tf.Tensor | None = None  # int32 [B], how many are selected, where that is known


class Sparsifier(Protocol):
    """Which entries of a layer's error are kept."""

    name: ClassVar[str]
    follows_error: ClassVar[bool]  # needs the running maximum of Y^l

    def keep(self, delta: tf.Tensor, y_max: tf.Tensor, layer: WeightedLayer) -> Sparse:
        """Choose entries of delta_z, float32 [B, N], one row per sample, neurons fastest."""
        ...


class SkipRule(Protocol):
    """Does a sample train, decided from the forward pass alone."""

    name: ClassVar[str]
    always_trains: ClassVar[bool]

    @property
    def rests(self) -> int:
        """Epochs at most for which a skipped sample is not even forwarded; 0 for none."""
        ...

    def decide(self, alpha: tf.Tensor, alpha_max: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """From alpha = Y^L, float32 [B], to (trains bool [B], new running maximum)."""
        ...


def all_neurons(layer: WeightedLayer, on: bool = True) -> Mask:
    """The mask of a layer that updates completely, or not at all."""
    return Mask(np.full(layer.neurons, on), np.full(layer.neurons, on))
