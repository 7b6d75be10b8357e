"""Weighted layers of a training graph with forward ops of the library's own.

TensorFlow Lite Micro computes two int32 for every output channel of every convolution when the
model is loaded, and keeps them in the arena. TFODL_CONV_2D and TFODL_DEPTHWISE_CONV_2D find them in
their options, which stay in the model, and so does TFODL_FULLY_CONNECTED. A depthwise convolution
whose map keeps its size writes its output over its input where nothing else reads that, and
convolutions whose outputs a CONCATENATION only puts side by side write them there themselves. The
results are the same bits.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from tf_odl.converters.flatbuffer import FlatModel, schema
from tf_odl.converters.geometry import activation_range, sliding_window
from tf_odl.converters.options import ConvOptions, FullyConnectedOptions

OWN_LAYERS = {
    "FULLY_CONNECTED": "TFODL_FULLY_CONNECTED",
    "CONV_2D": "TFODL_CONV_2D",
    "DEPTHWISE_CONV_2D": "TFODL_DEPTHWISE_CONV_2D",
}
BUILTIN = {own: builtin for builtin, own in OWN_LAYERS.items()}
OWN_CONVOLUTIONS = tuple(OWN_LAYERS[kind] for kind in ("CONV_2D", "DEPTHWISE_CONV_2D"))

_ABSENT = -1
_GROUP = 4  # elements that the kernel widens together
_LARGEST_FAN_IN = 65792  # kMaxFanIn of fixed_point.h


def builtin_name(kind: str) -> str:
    """`CONV_2D` of TFODL_CONV_2D; any other op's name as it is."""
    return BUILTIN.get(kind, kind)


def with_own_layers(graph: FlatModel) -> FlatModel:
    """The training graph with every weighted layer replaced that the ops can compute.

    Variables, state image and results stay the same.
    """
    flat = graph.copy()
    found = [_options(flat, op) for op in flat.operators]
    for position, options in enumerate(found):
        if options is not None:
            op = flat.operators[position]
            flat.operators[position] = _own(flat, op, OWN_LAYERS[flat.op_name(op)], options)
    for position, options in enumerate(found):
        if options is not None:  # only now, as layers may share their weights
            _drop_scales(flat, flat.operators[position])
    for op in list(flat.operators):
        if flat.op_name(op) == "CONCATENATION":
            _write_side_by_side(flat, op)
    for op in flat.operators:
        if flat.op_name(op) == OWN_LAYERS["DEPTHWISE_CONV_2D"]:
            _work_in_place(flat, op)
    flat.drop_unused_tensors()
    return flat


def fixed_point(scales: np.ndarray) -> tuple[list[int], list[int]] | None:
    """Multipliers and shifts with scale = multiplier / 2^(31 + shift), multiplier >= 2^30.

    None where a scale has none: TFLite takes it for zero, or refuses it. As QuantizeMultiplier of
    tensorflow/lite/kernels/internal/quantization_util.cc.

    Args:
        scales: float64 [n].
    """
    fractions, exponents = np.frexp(scales)
    exact = fractions * 2.0**31
    multipliers = np.floor(exact)
    multipliers += exact - multipliers >= 0.5
    full = multipliers == 2.0**31
    multipliers[full] /= 2
    shifts = -(exponents + full)
    if ((multipliers < 2**30) | (shifts > 31) | (shifts < -30)).any():
        return None
    return multipliers.astype(np.int64).tolist(), shifts.tolist()


def scratch_words(options: ConvOptions) -> int:
    """4-byte words of scratch memory of TFODL_CONV_2D: two windows of int16, one of int8."""
    window = options.kernel_h * options.kernel_w
    groups = -(-window * options.in_c // _GROUP)
    return 4 * groups + (0 if window == 1 else groups)


def in_place_words(options: ConvOptions) -> int:
    """4-byte words of scratch memory of TFODL_DEPTHWISE_CONV_2D in place: the rows of a window."""
    return -(-options.kernel_h * options.in_w * options.in_c // 4)


def _write_side_by_side(flat: FlatModel, op: Any) -> None:
    """Let the ops before a CONCATENATION of channels write into its output, and leave it out."""
    y = int(op.outputs[0])
    parts = [int(i) for i in op.inputs]
    producers = [flat.producer(part) for part in parts]
    if int(op.builtinOptions.axis) % len(flat.shape(y)) != 3 or len(set(parts)) < len(parts):
        return
    for part, producer in zip(parts, producers, strict=True):
        if (
            producer is None
            or flat.op_name(producer) not in OWN_CONVOLUTIONS
            or [reader is op for reader in flat.consumers(part)] != [True]
            or part in flat.outputs
            or (flat.scales(part).tolist(), flat.zero_point(part))
            != (flat.scales(y).tolist(), flat.zero_point(y))
        ):
            return
    first = 0
    for producer in producers:
        assert producer is not None
        options = ConvOptions.unpack(producer.customOptions.tobytes())
        placed = replace(options, y_c=flat.shape(y)[3], first_c=first)
        producer.customOptions = np.frombuffer(placed.pack(), np.uint8)
        producer.outputs = np.asarray([y, *(int(i) for i in producer.outputs[1:])], np.int32)
        first += options.out_c
    position = next(i for i, known in enumerate(flat.operators) if known is op)
    del flat.operators[position]


def _work_in_place(flat: FlatModel, op: Any) -> None:
    """Let the op before write into the output, where the ops' tensors allow that.

    The output's tensor stays, as its readers may look at its scale. So the one before has to be an
    op of ours, which looks at no scale.
    """
    x, y = int(op.inputs[0]), int(op.outputs[0])
    before = flat.producer(x)
    options = ConvOptions.unpack(op.customOptions.tobytes())
    is_whole = options.out_c == options.y_c
    keeps_size = (
        flat.shape(x) == flat.shape(y)
        and is_whole
        and (options.stride_h, options.stride_w) == (1, 1)
    )
    if (
        not keeps_size
        or before is None
        or flat.op_name(before) not in BUILTIN
        or sum(x in other.outputs.tolist() for other in flat.operators) > 1
        or len(flat.consumers(x)) > 1
        or x in flat.outputs
    ):
        return
    name = f"{flat.name(y)}/rows/scratch"
    rows = flat.add_tensor(name, (in_place_words(options),), np.float32)
    before.outputs = np.asarray([y, *(int(i) for i in before.outputs[1:])], np.int32)
    op.inputs = np.asarray([y, *(int(i) for i in op.inputs[1:])], np.int32)
    op.outputs = np.asarray([y, rows], np.int32)


def _options(flat: FlatModel, op: Any) -> ConvOptions | FullyConnectedOptions | None:
    """Those of the op that takes the place of this one, None where it stays."""
    kind = flat.op_name(op)
    if kind not in OWN_LAYERS:
        return None
    return _dense_options(flat, op) if kind == "FULLY_CONNECTED" else _conv_options(flat, op)


def _conv_options(flat: FlatModel, op: Any) -> ConvOptions | None:
    """None for a convolution that the ops do not have: dilated, in groups, of other numbers."""
    x, kernel, y = int(op.inputs[0]), int(op.inputs[1]), int(op.outputs[0])
    dilation = (op.builtinOptions.dilationHFactor, op.builtinOptions.dilationWFactor)
    if tuple(map(int, dilation)) != (1, 1):
        return None
    if not _is_int8(flat, op):
        return None
    window = sliding_window(flat, op, *flat.shape(kernel)[1:3])
    depthwise = flat.op_name(op) == "DEPTHWISE_CONV_2D"
    fan_in = window.window_h * window.window_w * (1 if depthwise else window.in_c)
    is_whole = depthwise or flat.shape(kernel)[3] == window.in_c
    if not is_whole or fan_in > _LARGEST_FAN_IN:
        return None
    # In double precision and in this order, as TFLite does.
    x_scale, y_scale = float(flat.scales(x)[0]), float(flat.scales(y)[0])
    scales = np.broadcast_to(flat.scales(kernel).astype(np.float64), (window.out_c,))
    scaled = fixed_point(x_scale * scales / y_scale)
    if scaled is None:
        return None
    return ConvOptions(
        **window.fields("kernel"),
        y_c=window.out_c,
        first_c=0,
        **_ranges(flat, op),
        multipliers=tuple(scaled[0]),
        shifts=tuple(scaled[1]),
    )


def _dense_options(flat: FlatModel, op: Any) -> FullyConnectedOptions | None:
    """None for a layer that the op does not have: of other numbers, or of weights in an order of
    their own."""
    plain = schema().FullyConnectedOptionsWeightsFormat.DEFAULT
    if not _is_int8(flat, op) or op.builtinOptions.weightsFormat != plain:
        return None
    x, kernel, y = int(op.inputs[0]), int(op.inputs[1]), int(op.outputs[0])
    out_c, in_c = flat.shape(kernel)
    scales = flat.scales(kernel)
    if in_c > _LARGEST_FAN_IN or len(scales) not in (1, out_c):
        return None
    if len(scales) == 1:
        # The product of two floats, which a convolution's is not.
        products = (flat.scales(x)[:1].astype(np.float32) * scales).astype(np.float64)
    else:
        products = float(flat.scales(x)[0]) * scales.astype(np.float64)
    scaled = fixed_point(products / float(flat.scales(y)[0]))
    if scaled is None:
        return None
    return FullyConnectedOptions(
        rows=math.prod(flat.shape(y)) // out_c,
        in_c=in_c,
        out_c=out_c,
        **_ranges(flat, op),
        n_scales=len(scales),
        multipliers=tuple(scaled[0]),
        shifts=tuple(scaled[1]),
    )


def _is_int8(flat: FlatModel, op: Any) -> bool:
    return all(flat.dtype(int(t)) == np.int8 for t in (*op.inputs[:2], op.outputs[0]))


def _ranges(flat: FlatModel, op: Any) -> dict[str, int]:
    """The fields of an op's options about the zero points of its maps and the bounds of y."""
    low, high = activation_range(flat, op)
    return {
        "x_zero_point": flat.zero_point(int(op.inputs[0])),
        "y_zero_point": flat.zero_point(int(op.outputs[0])),
        "act_min": max(low, -128),
        "act_max": min(high, 127),
    }


def _own(flat: FlatModel, op: Any, code: str, options: ConvOptions | FullyConnectedOptions) -> Any:
    inputs = [int(i) for i in op.inputs]
    inputs += [_ABSENT] * (3 - len(inputs))
    y = int(op.outputs[0])
    outputs = [y]
    if isinstance(options, ConvOptions) and BUILTIN[code] == "CONV_2D":
        name = f"{flat.name(y)}/windows/scratch"
        outputs.append(flat.add_tensor(name, (scratch_words(options),), np.float32))
    return flat.custom_op(code, inputs, outputs, options.pack())


def _drop_scales(flat: FlatModel, op: Any) -> None:
    """Nobody reads the 12 bytes per channel of a constant of an own layer any more."""
    for tensor in (int(i) for i in op.inputs[1:] if i != _ABSENT):
        if flat.tensors[tensor].isVariable:
            flat.keep_one_zero_point(tensor)
        elif all(flat.op_name(reader) in BUILTIN for reader in flat.consumers(tensor)):
            flat.tensors[tensor].quantization = None
