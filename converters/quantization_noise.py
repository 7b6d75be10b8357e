"""Where an int8 model differs from the float model it was made from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from tf_odl.converters import reference
from tf_odl.converters.flatbuffer import FlatModel

if TYPE_CHECKING:
    import keras

    from tf_odl.converters.fold import Folded

SAMPLES = 32


def signal_to_noise(folded: Folded, model: bytes, x: np.ndarray) -> dict[str, float]:
    """The signal-to-quantization-noise ratio of every layer's output, in dB.

    10 log10 (sum of y^2 / sum of (y - y_int8)^2), over at most 32 samples. The noise is that of
    the layer and of all before it; inf where there is none, or no signal.

    Args:
        folded: the float model.
        model: the int8 model; layers' outputs are named like the layers.
        x: real samples, float [N, *input].
    """
    import keras

    flat = FlatModel(model)
    found = {site: flat.find(site) for site in folded.sites}
    tensors = {site: tensor for site, tensor in found.items() if tensor is not None}
    layers = [folded.model.get_layer(folded.sites[site]) for site in tensors]
    floats = keras.Model(folded.model.inputs, [_as_its_op(layer) for layer in layers])
    samples = np.asarray(x[:SAMPLES], np.float32)
    wanted = floats.predict(samples, batch_size=SAMPLES, verbose=0)
    wanted = wanted if isinstance(wanted, list) else [wanted]
    codes = next(
        iter(reference.watch(model, reference.quantize_input(model, samples), [*tensors.values()]))
    )
    return {
        site: _decibel(y, flat.scales(t)[0] * (c.astype(np.float64) - flat.zero_point(t)))
        for (site, t), y, c in zip(tensors.items(), wanted, codes, strict=True)
    }


def _as_its_op(layer: keras.layers.Layer) -> keras.KerasTensor:
    """What the int8 op of a layer gives: a softmax, tanh and the like are ops of their own."""
    import keras

    activations = keras.activations
    if layer.activation in (activations.linear, activations.relu, activations.relu6):
        return layer.output
    name = f"{layer.name}_without_activation"
    linear = type(layer).from_config({**layer.get_config(), "activation": None, "name": name})
    output = linear(layer.input)
    linear.set_weights(layer.get_weights())
    return output


def _decibel(wanted: np.ndarray, got: np.ndarray) -> float:
    signal = float(np.square(wanted, dtype=np.float64).sum())
    noise = float(np.square(wanted.reshape(got.shape) - got).sum())
    return 10 * float(np.log10(signal / noise)) if signal > 0 and noise > 0 else float("inf")


def noisiest(ratios: dict[str, float], count: int = 3) -> Iterable[tuple[str, float]]:
    """The layers that lose most, the worst first."""
    return sorted(ratios.items(), key=lambda item: item[1])[:count]
