"""What a mask may cost: parameters, a share of them, or bytes on the device."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tf_odl.errors import UserError
from tf_odl.methods.interfaces import Mask, Masks, WeightedLayer, all_neurons

WEIGHT_BYTES = 1  # int8
BIAS_BYTES = 4  # int32
_UNITS = {"b": 1, "kb": 1000, "kib": 1024, "mb": 1000**2, "mib": 1024**2}
_FORM = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(%|(?:[kKmM]i?)?[bB])?\s*$")


@dataclass(frozen=True)
class Budget:
    """A limit on what one epoch's mask updates.

    kind "parameters": number of parameters; "share": share of all parameters in (0, 1]; "bytes":
    memory that training takes on the device, which is the int8 weights and int32 biases that
    update, the optimizer's state for them and, once per layer whose weights update, the channels
    of its int8 input that they read. Batch normalization counts as folded.

    state_bytes: of the optimizer per updated parameter. The device's SGD keeps none; Keras'
    momentum keeps 4, Adam 8.
    """

    kind: str
    value: float
    state_bytes: int = 0

    def __str__(self) -> str:
        if self.kind == "share":
            return f"{self.value:.4g} of the parameters"
        return f"{self.value:.0f} {self.kind}"

    def limit(self, layers: Sequence[WeightedLayer]) -> float:
        """The budget as a number in the unit of its costs."""
        if self.kind == "share":
            total = sum(x.neurons * x.parameters_per_neuron for x in layers)
            return round(self.value * total, 6)  # 29 % of 100 is 29, not 28.999999999999996
        return self.value

    def neuron_cost(self, layer: WeightedLayer) -> int:
        """What a neuron costs whose weights and bias update."""
        if self.kind == "bytes":
            return self._bytes(layer.fan_in, 1)
        return layer.parameters_per_neuron

    def layer_cost(self, layer: WeightedLayer) -> int:
        """What the first selected neuron of a layer costs once."""
        return layer.input_size if self.kind == "bytes" else 0

    def cost(self, layers: Sequence[WeightedLayer], masks: Masks) -> int:
        """What masks cost, in the budget's unit."""
        return sum(self.mask_cost(layer, masks[layer.name]) for layer in layers)

    def mask_cost(self, layer: WeightedLayer, mask: Mask) -> int:
        """What one layer's mask costs, in the budget's unit."""
        scale, shift = mask.part("scale"), mask.part("shift")
        factors = layer.affine - layer.shifts
        fan_in = layer.fan_in_from(mask.inputs)
        if self.kind != "bytes":
            return (
                int(mask.kernel.sum()) * fan_in
                + int(mask.bias.sum()) * int(layer.has_bias)
                + int(scale.sum()) * factors
                + int(shift.sum()) * layer.shifts
            )
        rescaled = (scale if factors else scale & False) & ~mask.kernel  # all of their weights
        weights = int(mask.kernel.sum()) * fan_in + int(rescaled.sum()) * layer.fan_in
        biases = int((mask.bias | shift if layer.shifts else mask.bias).sum())
        return self._bytes(weights, biases) + self._saved_input(layer, mask)

    def _bytes(self, weights: int, biases: int) -> int:
        return weights * WEIGHT_BYTES + biases * BIAS_BYTES + (weights + biases) * self.state_bytes

    @staticmethod
    def _saved_input(layer: WeightedLayer, mask: Mask) -> int:
        if not mask.kernel.any():
            return 0
        if mask.inputs is None:
            return layer.input_size
        return layer.input_size // layer.in_channels * int(np.count_nonzero(mask.inputs))


def parse_budget(text: str) -> Budget:
    """Read `50000` (parameters), `10%` (share) or `64KiB` (bytes).

    Raises:
        UserError: not of this form, zero, or more than 100 %.
    """
    match = _FORM.match(text)
    if not match:
        raise UserError(
            f"budget {text!r} is not understood: "
            "use parameters (50000), a share (10%) or bytes (64KiB)"
        )
    value, unit = float(match[1]), (match[2] or "").lower()
    if not math.isfinite(value):
        raise UserError("budget is too large a number")
    if value <= 0:
        raise UserError("budget 0 leaves nothing to train: use a positive budget")
    if unit == "%":
        if value > 100:
            raise UserError(f"budget {text} is more than 100 %")
        return Budget("share", value / 100)
    if unit:
        return Budget("bytes", value * _UNITS[unit])
    if not value.is_integer():
        raise UserError(f"budget {text!r}: a number of parameters is a whole number")
    return Budget("parameters", value)


def take_prefix(
    layers: Sequence[WeightedLayer],
    order: Iterable[tuple[int, int]],
    budget: Budget,
    limit: float | None = None,
) -> Masks:
    """Select neurons in the given order until the next one would exceed the budget.

    Args:
        layers: the weighted layers.
        order: (layer index, neuron index), most wanted first.
        budget: never exceeded.
        limit: the budget as a number, if it is not that of these layers.

    Returns:
        The masks: weights and bias of a selected neuron update together.

    Raises:
        UserError: a single neuron could exceed the budget, so that a mask might stay empty.
    """
    dearest = max(layers, key=lambda x: budget.neuron_cost(x) + budget.layer_cost(x))
    price = budget.neuron_cost(dearest) + budget.layer_cost(dearest)
    limit = budget.limit(layers) if limit is None else limit
    if price > limit:
        raise UserError(
            f"the budget of {budget} ({limit:.0f}) has no room for one neuron of layer "
            f"{dearest.name!r}, which costs {price}: raise --budget"
        )
    masks = {layer.name: all_neurons(layer, False) for layer in layers}
    spent = 0
    opened: set[int] = set()
    for index, neuron in order:
        layer = layers[index]
        price = budget.neuron_cost(layer) + (0 if index in opened else budget.layer_cost(layer))
        if spent + price > limit:
            break
        spent += price
        opened.add(index)
        masks[layer.name].kernel[neuron] = True
        masks[layer.name].bias[neuron] = True
    return masks
