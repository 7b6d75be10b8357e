"""Room to learn: wider weight and activation scales than post-training quantization chooses.

On a board the scales are frozen while the weights move. Headroom widens the range of trainable
weights, margin that of the activations behind them; the real values stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.layers import BIAS, KERNEL, WEIGHTED_OPS, LayerOp, along_axis, weight_axis

# Ops that rescale between the scales of their inputs and outputs. All others hand values on as
# they are, so that their tensors have to keep one common scale.
_RESCALING = {
    *WEIGHTED_OPS,
    "ADD",
    "BATCH_MATMUL",
    "DIV",
    "ELU",
    "HARD_SWISH",
    "LEAKY_RELU",
    "LOGISTIC",
    "MEAN",
    "MUL",
    "PRELU",
    "QUANTIZE",
    "RELU",
    "RELU6",
    "SOFTMAX",
    "SQUARED_DIFFERENCE",
    "SUB",
    "SUM",
    "TANH",
    "TRANSPOSE_CONV",
}
# Ops whose output scale is fixed by the kernel.
_FIXED_OUTPUT = {"SOFTMAX", "LOGISTIC", "TANH", "LOG_SOFTMAX", "L2_NORMALIZATION"}


def rescale(
    flat: FlatModel,
    layers: list[LayerOp],
    trainable: set[str],
    headroom: float,
    margin: float,
    factors: Mapping[int, float] | None = None,
) -> None:
    """Change the scales of an int8 model in place.

    Args:
        flat: the model.
        layers: its weighted layers with their float weights.
        trainable: sites whose weights get headroom, and a bias if they have none.
        headroom: weight scales become headroom * max|w| / 127, requantized from float.
        margin: factor on the scales of internal activations and of the logits; the model's input
            and the outputs of softmax and the like keep theirs.
        factors: what the calibration makes of each activation's range, by tensor (see
            `calibration.range_factors`); tensors that share a scale take the largest.
    """
    steps = {id(op): bias_steps(flat, op) for op in _weighted(flat)}
    for layer in layers:
        if layer.site in trainable:
            _widen_weights(flat, layer, headroom)
    _widen_activations(flat, margin, factors or {})
    for op in _weighted(flat):
        _requantize_bias(flat, op, steps[id(op)])
    for layer in layers:
        if layer.site in trainable and not has_bias(layer.op):
            add_bias(flat, layer.op)


def _weighted(flat: FlatModel) -> list[Any]:
    return [op for op in flat.operators if flat.op_name(op) in WEIGHTED_OPS]


def has_bias(op: Any) -> bool:
    """Whether a weighted op adds one."""
    return len(op.inputs) > 2 and op.inputs[2] >= 0


def bias_steps(flat: FlatModel, op: Any) -> np.ndarray:
    """The real value of one unit of an op's accumulator: float64 [1] or [channels]."""
    x, kernel = int(op.inputs[0]), int(op.inputs[1])
    return flat.scales(x)[0].astype(np.float64) * flat.scales(kernel).astype(np.float64)


def _widen_weights(flat: FlatModel, layer: LayerOp, headroom: float) -> None:
    kernel = int(layer.op.inputs[1])
    if len(flat.consumers(kernel)) > 1:
        kernel = _own_copy(flat, layer.op, 1)
    axis = weight_axis(flat, kernel)
    per_channel = len(flat.scales(kernel)) > 1
    others = tuple(i for i in range(layer.kernel.ndim) if i != axis or not per_channel)
    largest = np.abs(layer.kernel).max(axis=others).astype(np.float64).reshape(-1)
    # A channel of zeros still needs a step to learn with, and a bias that fits into 32 bits.
    floor = largest.max() / 127 if largest.any() else 1.0
    scales = (headroom * np.maximum(largest, floor) / 127).astype(np.float32)
    codes = np.round(layer.kernel / along_axis(scales, layer.kernel.ndim, axis))
    flat.set_constant(kernel, np.clip(codes, -127, 127).astype(np.int8))
    flat.tensors[kernel].quantization.scale = scales


def _own_copy(flat: FlatModel, op: Any, position: int) -> int:
    """Give an op a constant input of its own where it shares one with another op."""
    import copy

    tensor = copy.deepcopy(flat.tensors[int(op.inputs[position])])
    flat.tensors.append(tensor)
    op.inputs[position] = len(flat.tensors) - 1
    return len(flat.tensors) - 1


def _widen_activations(flat: FlatModel, margin: float, factors: Mapping[int, float]) -> None:
    for group in _equal_scale_groups(flat):
        if _is_fixed(flat, group):
            continue
        factor = np.float32(margin * max(factors.get(tensor, 1.0) for tensor in group))
        for tensor in group:
            scale = flat.scales(tensor)[0]
            limit = max(scale, min((_ceiling(flat, t) for t in group), default=np.inf))
            wide = np.float32(min(scale * factor, limit))
            flat.tensors[tensor].quantization.scale = np.asarray([wide], np.float32)


def _equal_scale_groups(flat: FlatModel) -> list[list[int]]:
    """The int8 activations, and constants beside them, in groups that share a scale."""
    leader: dict[int, int] = {}

    def find(tensor: int) -> int:
        while leader.setdefault(tensor, tensor) != tensor:
            tensor = leader[tensor]
        return tensor

    for op in flat.operators:
        tensors = [int(t) for t in (*op.inputs, *op.outputs) if t >= 0]
        tensors = [t for t in tensors if flat.dtype(t) == np.int8]
        if flat.op_name(op) in _RESCALING:
            tensors = [t for t in tensors if flat.constant(t) is None]
            for t in tensors:
                find(t)
        else:
            for t in tensors[1:]:
                leader[find(t)] = find(tensors[0])
    groups: dict[int, list[int]] = {}
    for tensor in list(leader):
        groups.setdefault(find(tensor), []).append(tensor)
    return list(groups.values())


def _is_fixed(flat: FlatModel, group: list[int]) -> bool:
    for tensor in group:
        producer = flat.producer(tensor)
        if producer is None or flat.op_name(producer) in _FIXED_OUTPUT:
            return True  # the model's input, a constant, or a scale the kernel prescribes
    return False


def _ceiling(flat: FlatModel, tensor: int) -> float:
    """The widest scale that is of use: behind a ReLU6 nothing exceeds 6."""
    from tf_odl.converters.flatbuffer import schema

    producer = flat.producer(tensor)
    options = None if producer is None else producer.builtinOptions
    activation = getattr(options, "fusedActivationFunction", None)
    is_relu6 = producer is not None and flat.op_name(producer) == "RELU6"
    if is_relu6 or activation == schema().ActivationFunctionType.RELU6:
        return 6 / 255
    return float("inf")


def _requantize_bias(flat: FlatModel, op: Any, old_steps: np.ndarray) -> None:
    if not has_bias(op):
        return
    bias = int(op.inputs[2])
    if len(flat.consumers(bias)) > 1:
        bias = _own_copy(flat, op, 2)
    codes = flat.constant(bias)
    steps = bias_steps(flat, op)
    if codes is None or np.array_equal(steps, old_steps):
        return
    limits = np.iinfo(np.int32)
    scaled = np.clip(np.round(codes * (old_steps / steps)), limits.min, limits.max)
    flat.set_constant(bias, scaled.astype(np.int32))
    set_bias_scale(flat, bias, steps)


def set_bias_scale(flat: FlatModel, bias: int, steps: np.ndarray) -> None:
    """Let one unit of a bias, or of each of its elements, be worth `steps`, float [1] or [n]."""
    from tf_odl.converters.flatbuffer import schema

    quantization = schema().QuantizationParametersT()
    quantization.scale = steps.astype(np.float32)
    quantization.zeroPoint = np.zeros(len(steps), np.int64)
    flat.tensors[bias].quantization = quantization


def add_bias(flat: FlatModel, op: Any, name: str = BIAS) -> None:
    """Give a weighted op a bias of zeros."""
    steps = bias_steps(flat, op)
    channels = flat.shape(int(op.outputs[0]))[-1]
    bias = flat.add_tensor(name, (channels,), np.int32, values=np.zeros(channels, np.int32))
    set_bias_scale(flat, bias, steps)
    op.inputs = np.asarray([*op.inputs[:2], bias], np.int32)


def rename(flat: FlatModel, layers: Sequence[tuple[str, Any]]) -> None:
    """Short, telling tensor names: the output of a layer (name, op) is called like the layer.

    The converter's names tell how it works and cost up to 100 bytes of flash each.
    """
    sites = {id(op): site for site, op in layers}
    for position, op in enumerate(flat.operators):
        kind = flat.op_name(op)
        name = sites.get(id(op), f"{kind.lower()}_{position}")
        for i, tensor in enumerate(op.inputs):
            if tensor >= 0 and flat.constant(int(tensor)) is not None:
                known = {1: KERNEL, 2: BIAS} if kind in WEIGHTED_OPS else {}
                flat.tensors[int(tensor)].name = f"{name}/{known.get(i, f'constant{i}')}"
        for i, tensor in enumerate(op.outputs):
            flat.tensors[int(tensor)].name = name if i == 0 else f"{name}/output{i}"
    for tensor in flat.inputs:
        flat.tensors[tensor].name = "input"
