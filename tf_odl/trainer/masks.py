"""The masks of a model as variables: a traced training step follows them as they change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_odl.methods import Mask, Masks
from tf_odl.trainer.instrument import Site

MakeVariable = Callable[[str, Sequence[int]], keras.Variable]


class MaskVariables:
    """Float32 zeros and ones for every part of every site.

    Args:
        sites: by name.
        make: creates a variable of zeros from its name and shape.
        inputs: also mask the input channels that weights read.
    """

    def __init__(self, sites: Mapping[str, Site], make: MakeVariable, inputs: bool) -> None:
        self.sites = sites
        self._parts: dict[str, dict[str, keras.Variable]] = {}
        for name, site in sites.items():
            parts = ["kernel", "bias"]
            parts += ["scale"] if site.scales else []
            parts += ["shift"] if site.shifts else []
            flat = name.replace("/", "_")
            self._parts[name] = {p: make(f"{flat}_{p}_mask", [site.layer.neurons]) for p in parts}
            if inputs:
                channels = [site.layer.in_channels]
                self._parts[name]["inputs"] = make(f"{flat}_inputs_mask", channels)

    def assign(self, masks: Masks) -> None:
        """Use these masks, one for every site."""
        for name, parts in self._parts.items():
            for part, variable in parts.items():
                if part == "inputs":
                    inputs = masks[name].inputs
                    values = np.ones(variable.shape) if inputs is None else inputs
                else:
                    values = masks[name].part(part)
                variable.assign(values.astype(np.float32))

    def read(self) -> Masks:
        """The masks in use."""
        return {
            name: Mask(**{part: np.asarray(v) > 0 for part, v in parts.items()})
            for name, parts in self._parts.items()
        }

    def kernel(self, name: str) -> tf.Tensor:
        """Neurons whose weights update, float32 [neurons]."""
        return tf.convert_to_tensor(self._parts[name]["kernel"])

    def of_variables(self) -> dict[int, tf.Tensor]:
        """By id of a model's variable: which of its entries update, bool, broadcasts to it."""
        found = {}
        for name, site in self.sites.items():
            parts = self._parts[name]
            for variable, part, shape in site.masked():
                mask = tf.reshape(tf.convert_to_tensor(parts[part]), shape) > 0
                if part == "kernel" and "inputs" in parts and site.layer.kind != "depthwise":
                    mask &= tf.convert_to_tensor(parts["inputs"])[:, None] > 0
                found[id(variable)] = mask
        return found
