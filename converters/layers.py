"""Which op of an int8 model is which layer of the folded Keras model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.own_layers import builtin_name

if TYPE_CHECKING:
    import keras

    from tf_odl.converters.fold import Folded

WEIGHTED_OPS = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")
KERNEL = "kernel"
BIAS = "bias"


@dataclass(frozen=True)
class LayerOp:
    """A weighted op and the float weights of its layer, in the op's layout."""

    site: str
    op: Any
    kernel: np.ndarray


def kernel_to_op(layer: keras.layers.Layer) -> np.ndarray:
    """A Keras kernel in the layout of its op.

    Dense [in, out] -> [out, in]; convolution [h, w, in, out] -> [out, h, w, in];
    depthwise [h, w, in, multiplier] -> [1, h, w, in * multiplier].
    """
    import keras

    kernel = np.asarray(layer.kernel, np.float32)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return kernel.reshape(1, *kernel.shape[:2], -1)
    return np.moveaxis(kernel, -1, 0)


def kernel_from_op(layer: keras.layers.Layer, kernel: np.ndarray) -> np.ndarray:
    """The inverse of `kernel_to_op`: an op's weights in the layout of the Keras layer."""
    import keras

    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return kernel.reshape(layer.kernel.shape)
    return np.moveaxis(kernel, 0, -1)


def match_layers(flat: FlatModel, folded: Folded) -> list[LayerOp]:
    """The weighted ops that carry a layer's weights unchanged, in the order of the ops.

    An op belongs to the layer of the same shape whose weights lie within half a quantization step
    of its own. A layer the converter rewrote has no op.
    """
    free = {site: kernel_to_op(folded.model.get_layer(name)) for site, name in folded.sites.items()}
    found = []
    for op in flat.operators:
        if flat.op_name(op) not in WEIGHTED_OPS:
            continue
        weights = _real_weights(flat, int(op.inputs[1]))
        if weights is None:
            continue
        values, tolerance = weights
        for site, kernel in free.items():
            if kernel.shape == values.shape and (np.abs(kernel - values) <= tolerance).all():
                found.append(LayerOp(site, op, free.pop(site)))
                break
    return found


def _real_weights(flat: FlatModel, tensor: int) -> tuple[np.ndarray, np.ndarray] | None:
    """An op's weights and how far a layer's may be from them; None if they are no constant."""
    codes = flat.constant(tensor)
    if codes is None:
        return None
    steps = along_axis(flat.scales(tensor), codes.ndim, weight_axis(flat, tensor))
    return codes * steps, 0.501 * steps


def weight_axis(flat: FlatModel, tensor: int) -> int:
    """The axis of a weight tensor that counts the neurons: per-channel scales run along it."""
    readers = {builtin_name(flat.op_name(op)) for op in flat.consumers(tensor)}
    return 3 if "DEPTHWISE_CONV_2D" in readers else 0


def along_axis(values: np.ndarray, rank: int, axis: int) -> np.ndarray:
    """Values [1] or [channels], float64, shaped to broadcast over `axis` of an array."""
    shape = [1] * rank
    shape[axis] = len(values)
    return values.astype(np.float64).reshape(shape)
