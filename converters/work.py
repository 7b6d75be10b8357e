"""The work of the ops of a plain or training model, as their instructions grow with it.

What the sizes of a backward op mean: `errors` are those it reads, `learning` those of neurons that
learn, `inputs` the errors it hands down. A convolution adds up spans of inputs or of weights, two
errors at a time: `spans` of so many `rows`, in `words` of four and single `bytes`; `windows` are
those whose place it computes one by one. `weights` are those that change at random, `kept` those
that keep what is left of a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tf_odl.contract import Flags
from tf_odl.converters.costs import Work
from tf_odl.converters.error_type import without_error_type
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.geometry import Window, sliding_window
from tf_odl.converters.head import FLOAT_HEAD_BWD_OP, FLOAT_HEAD_OP
from tf_odl.converters.options import (
    AccumulateOptions,
    ConvOptions,
    FullyConnectedOptions,
    LayerOptions,
    PoolOptions,
    SumRule,
)
from tf_odl.converters.own_layers import OWN_CONVOLUTIONS, OWN_LAYERS, builtin_name
from tf_odl.converters.weight_changes import EXPORTED, LOAD_WEIGHTS_OP, STORE_WEIGHTS_OP

_POINTWISE = " 1x1"
_MAX_POOL_BWD = "TFODL_MAX_POOL_2D_BWD"
_WORD = 4  # elements that kernels take together

Sizes = dict[str, float]


def work_of(flat: FlatModel, op: Any) -> Work:
    """The work of an op of a plain or training model, when no error is zero that can be another."""
    kind = without_error_type(flat.op_name(op))
    if kind in _WORK:
        return _WORK[kind](flat, op)
    reads = math.prod(flat.shape(int(op.inputs[0])))
    if kind == "TFODL_SEED":
        return Work(kind, 0, {"call": 1})
    if kind.startswith("TFODL_"):
        return Work(flat.op_name(op), 0, {"call": 1, "errors": reads})
    outputs = math.prod(flat.shape(int(op.outputs[0])))
    return Work(kind, 0, {"call": 1, "outputs": outputs, "reads": reads})


def _dense(flat: FlatModel, op: Any) -> Work:
    outputs = math.prod(flat.shape(int(op.outputs[0])))
    macs = outputs * math.prod(flat.shape(int(op.inputs[1]))[1:])
    return Work(flat.op_name(op), macs, {"call": 1, "outputs": outputs, "MACs": macs})


def _own_dense(flat: FlatModel, op: Any) -> Work:
    """Four neurons at a time, then what is left of them in pairs, a last one twice."""
    o = FullyConnectedOptions.unpack(op.customOptions.tobytes())
    macs = o.rows * o.in_c * o.out_c
    outputs, rest = o.rows * o.out_c, o.out_c % _WORD
    sizes: Sizes = {"call": 1, "outputs": outputs, "MACs": macs - o.rows * o.in_c * rest}
    sizes |= {"pairs": o.rows * o.in_c * -(-rest // 2), "single": outputs * (o.in_c % _WORD)}
    return Work(flat.op_name(op), macs, sizes)


def _float_head(flat: FlatModel, op: Any) -> Work:
    outputs, inputs = flat.shape(int(op.inputs[1]))
    macs = outputs * inputs
    sizes: Sizes = {"call": 1, "outputs": outputs, "inputs": inputs, "MACs": macs}
    return Work(FLOAT_HEAD_OP, macs, sizes)


def _convolution(flat: FlatModel, op: Any) -> Work:
    """By its options where it has them: the output's tensor may have channels of other ops."""
    kind = flat.op_name(op)
    is_own = kind in OWN_CONVOLUTIONS
    if is_own:
        w = _window(ConvOptions.unpack(op.customOptions.tobytes()))
    else:
        w = sliding_window(flat, op, *flat.shape(int(op.inputs[1]))[1:3])
    window, pixels = w.window_h * w.window_w, w.out_h * w.out_w
    outputs = pixels * w.out_c
    sizes: Sizes = {"call": 1, "pixels": pixels, "outputs": outputs}
    if builtin_name(kind) == "DEPTHWISE_CONV_2D":
        rows, columns = _inside(w)
        macs = outputs * window
        sizes |= {"rows": sum(rows) * w.out_w * w.out_c, "MACs": macs}
        return Work(kind, macs, sizes | {"inside": sum(rows) * sum(columns) * w.out_c})
    fan_in = window * w.in_c
    macs = outputs * fan_in
    if is_own:
        # Two pixels, four channels and four elements at a time, some of them twice.
        whole = (pixels + pixels % 2) * _whole_words(w.out_c) * _whole_words(fan_in)
        sizes |= {"MACs": whole, "widened": pixels * fan_in}
    else:
        sizes |= {"MACs": macs}
    if window == 1:
        more: Sizes = {} if is_own else {"weights": w.out_c * fan_in}
        return Work(kind + _POINTWISE, macs, sizes | more)
    sizes |= {"taps": pixels * window}
    if not is_own:
        sizes |= {"widened": pixels * fan_in, "single": outputs * (fan_in % _WORD)}
    return Work(kind, macs, sizes)


def _whole_words(count: int) -> int:
    return -(-count // _WORD) * _WORD


def _pool(flat: FlatModel, op: Any) -> Work:
    options = op.builtinOptions
    w = sliding_window(flat, op, int(options.filterHeight), int(options.filterWidth))
    pixels, taps = w.out_h * w.out_w, w.window_h * w.window_w
    sizes: Sizes = {"call": 1, "pixels": pixels, "outputs": pixels * w.out_c}
    sizes |= {"taps": pixels * taps, "reads": pixels * w.out_c * taps}
    return Work(flat.op_name(op), 0, sizes)


def _pool_backward(flat: FlatModel, op: Any) -> Work:
    o = PoolOptions.unpack(op.customOptions.tobytes())
    rows, columns = _inside(_window(o))
    windows = o.out_h * o.out_w
    sizes: Sizes = {"call": 1, "windows": windows, "errors": windows * o.in_c}
    sizes |= {"rows": sum(rows) * o.out_w * o.in_c, "inside": sum(rows) * sum(columns) * o.in_c}
    return Work(flat.op_name(op), 0, sizes | {"inputs": o.in_h * o.in_w * o.in_c})


def _dense_backward(flat: FlatModel, op: Any) -> Work:
    o = LayerOptions.unpack(op.customOptions.tobytes())
    macs = o.in_c * o.out_c
    propagated, learned = _shares(o)
    sizes: Sizes = {"call": 1, "errors": o.out_c, "inputs": o.in_c * propagated}
    sizes |= {"propagated": macs * propagated, _changed(o): learned * macs}
    return Work(flat.op_name(op), macs * propagated + round(learned * macs), sizes)


def _float_head_backward(flat: FlatModel, op: Any) -> Work:
    o = LayerOptions.unpack(op.customOptions.tobytes())
    propagated, learned = _shares(o)
    macs = o.in_c * o.out_c * propagated + round(learned * o.in_c * o.out_c)
    sizes: Sizes = {"call": 1, "errors": o.out_c, "inputs": o.in_c * (1 + propagated)}
    return Work(flat.op_name(op), macs, sizes | {"MACs": macs})


def _conv_backward(flat: FlatModel, op: Any) -> Work:
    o = LayerOptions.unpack(op.customOptions.tobytes())
    propagated, learned = _shares(o)
    errors, fan_in = o.out_h * o.out_w * o.out_c, o.kernel_h * o.kernel_w * o.in_c
    macs = errors * fan_in
    present = _present(flat, op, errors)
    rows, columns = _inside(_window(o))
    # Neurons of a pixel are taken in pairs to hand errors down; to learn, pixels of a neuron whose
    # windows have all their columns, the others one by one.
    down = propagated * present * o.out_c / 2
    own = learned * present * o.out_c
    whole = [columns == o.kernel_w for columns in columns]
    spans = [down + own * (0.5 if inside else 1) for inside in whole]
    lengths = [count * o.in_c for count in columns]
    edges = own * o.out_h * whole.count(False)
    sizes: Sizes = {
        "call": 1,
        "errors": errors,
        "learning": learned * errors,
        "inputs": propagated * o.in_h * o.in_w * o.in_c,
        "windows": propagated * o.out_h * o.out_w + edges,
        "spans": o.out_h * sum(spans),
        "rows": sum(rows) * sum(spans),
        "words": sum(rows) * sum(n * (x // _WORD) for n, x in zip(spans, lengths, strict=True)),
        "bytes": sum(rows) * sum(n * (x % _WORD) for n, x in zip(spans, lengths, strict=True)),
        "neurons": learned * o.out_c,
        _changed(o): learned * o.out_c * fan_in,
    }
    return Work(flat.op_name(op), macs * propagated + round(learned * macs), sizes)


def _depthwise_backward(flat: FlatModel, op: Any) -> Work:
    o = LayerOptions.unpack(op.customOptions.tobytes())
    propagated, learned = _shares(o)
    errors, window = o.out_h * o.out_w * o.out_c, o.kernel_h * o.kernel_w
    macs = errors * window
    present = _present(flat, op, errors)
    rows, columns = _inside(_window(o))
    sizes: Sizes = {
        "call": 1,
        "errors": errors,
        "inputs": propagated * o.in_h * o.in_w * o.in_c,
        "rows": sum(rows) * o.out_c * (propagated * present * o.out_w + learned * o.kernel_w),
        "inside": sum(rows) * sum(columns) * o.out_c * (propagated * present + learned),
        _changed(o): learned * o.out_c * window,
    }
    return Work(flat.op_name(op), macs * propagated + round(learned * macs), sizes)


def _accumulate(flat: FlatModel, op: Any) -> Work:
    """Of one sample: the sums change the weights once in so many."""
    options = AccumulateOptions.unpack(op.customOptions.tobytes())
    sums = [int(i) for i in op.inputs[3::4] if i >= 0]
    weights = sum(math.prod(flat.shape(i)[1:]) for i in sums)  # [2, rows, fan-in]
    changed = "kept" if options.rule == SumRule.KEEP_REST else "weights"
    return Work(flat.op_name(op), 0, {"call": 1, changed: weights / options.samples})


def _weight_changes(flat: FlatModel, op: Any) -> Work:
    exported = int(op.inputs[EXPORTED])
    return Work(flat.op_name(op), 0, {"call": 1, "weights": math.prod(flat.shape(exported))})


_WORK: dict[str, Callable[[FlatModel, Any], Work]] = {
    "FULLY_CONNECTED": _dense,
    OWN_LAYERS["FULLY_CONNECTED"]: _own_dense,
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", *OWN_CONVOLUTIONS), _convolution),
    **dict.fromkeys(("MAX_POOL_2D", "AVERAGE_POOL_2D"), _pool),
    **dict.fromkeys((_MAX_POOL_BWD, "TFODL_AVERAGE_POOL_2D_BWD"), _pool_backward),
    "TFODL_FULLY_CONNECTED_BWD": _dense_backward,
    "TFODL_CONV_2D_BWD": _conv_backward,
    "TFODL_DEPTHWISE_CONV_2D_BWD": _depthwise_backward,
    "TFODL_ACCUMULATE": _accumulate,
    **dict.fromkeys((LOAD_WEIGHTS_OP, STORE_WEIGHTS_OP), _weight_changes),
    FLOAT_HEAD_OP: _float_head,
    FLOAT_HEAD_BWD_OP: _float_head_backward,
}


def _window(o: ConvOptions | LayerOptions | PoolOptions) -> Window:
    if isinstance(o, PoolOptions):
        size, out_c = (o.filter_h, o.filter_w), o.in_c
    else:
        size, out_c = (o.kernel_h, o.kernel_w), o.out_c
    ends = (o.stride_h, o.stride_w, o.pad_top, o.pad_left)
    return Window(o.in_h, o.in_w, o.in_c, o.out_h, o.out_w, out_c, *size, *ends)


def _shares(options: LayerOptions) -> tuple[int, float]:
    """Whether the error is handed down, and the share of the neurons whose weights learn."""
    propagated = int(bool(options.flags & Flags.PROPAGATE))
    if not options.flags & Flags.UPDATE_WEIGHTS:
        return propagated, 0.0
    mask = options.mask
    return propagated, 1.0 if mask is None else sum(mask) / len(mask)


def _changed(options: LayerOptions) -> str:
    """The sums of an accumulation change as weights with a residual do."""
    return "kept" if options.flags & (Flags.RESIDUAL | Flags.ACCUMULATE) else "weights"


def _present(flat: FlatModel, op: Any, errors: int) -> float:
    """The share of the errors that can be other than 0: each window of a MAX_POOL_2D hands its
    error to one of its inputs."""
    error = int(op.inputs[0])
    writer = flat.producer(error)
    if writer is None or without_error_type(flat.op_name(writer)) != _MAX_POOL_BWD:
        return 1.0
    readers = (without_error_type(flat.op_name(reader)) for reader in flat.consumers(error))
    if "TFODL_ADD_ERRORS" in readers:
        return 1.0
    return min(1.0, math.prod(flat.shape(int(writer.inputs[0]))) / errors)


def _inside(w: Window) -> tuple[list[int], list[int]]:
    """How many rows and columns of each window lie inside the input."""

    def inside(out: int, stride: int, pad: int, window: int, size: int) -> list[int]:
        starts = [i * stride - pad for i in range(out)]
        return [max(0, min(start + window, size) - max(start, 0)) for start in starts]

    rows = inside(w.out_h, w.stride_h, w.pad_top, w.window_h, w.in_h)
    return rows, inside(w.out_w, w.stride_w, w.pad_left, w.window_w, w.in_w)
