"""Random int8 layers as .tflite models, and their arithmetic in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import flatbuffers
import numpy as np

from tf_odl.converters.flatbuffer import schema
from tf_odl.converters.options import ConvOptions, FullyConnectedOptions


@dataclass(kw_only=True)
class Layer:
    """Weights, and how they and the activations around them are quantized."""

    weights: np.ndarray  # int8, in the op's layout
    bias: np.ndarray | None  # int32 [out_c]
    activation: str
    x_scale: float
    x_zero_point: int
    y_scale: float
    y_zero_point: int
    scales: np.ndarray  # of the weights: float32 [out_c] or [1]


@dataclass(kw_only=True)
class Convolution(Layer):
    """Of NHWC maps with batch 1; x_shape without the batch.

    Weights are [out_c, h, w, in_c], depthwise [1, h, w, out_c].
    """

    depthwise: bool
    x_shape: tuple[int, int, int]
    stride: tuple[int, int]
    padding: str

    @property
    def y_shape(self) -> tuple[int, int, int]:
        out = []
        for size, window, stride in zip(
            self.x_shape[:2], self.weights.shape[1:3], self.stride, strict=True
        ):
            out.append(
                -(-size // stride) if self.padding == "SAME" else (size - window) // stride + 1
            )
        return out[0], out[1], self.weights.shape[3 if self.depthwise else 0]


@dataclass(kw_only=True)
class Dense(Layer):
    """A fully connected layer on some rows; weights are [out_c, in_c]."""

    rows: int

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (self.rows, self.weights.shape[1])

    @property
    def y_shape(self) -> tuple[int, ...]:
        return (self.rows, self.weights.shape[0])


def random_dense(rng: np.random.Generator, per_channel: bool = False) -> Dense:
    """Any number of inputs and outputs, several rows now and then, scales of every kind."""
    in_c = int(rng.choice([rng.integers(1, 20), rng.integers(20, 150)]))
    out_c = int(rng.integers(1, 15))
    wanted, x_scale, y_scale = _scales(rng, in_c, out_c)
    return Dense(
        rows=int(rng.choice([1, 1, 1, 2, 5])),
        weights=rng.integers(-127, 128, (out_c, in_c)).astype(np.int8),
        bias=rng.integers(-(2**14), 2**14, out_c).astype(np.int32) if rng.integers(4) else None,
        activation=str(rng.choice(["NONE", "RELU", "RELU6"])),
        x_scale=x_scale,
        x_zero_point=int(rng.integers(-128, 128)),
        y_scale=y_scale,
        y_zero_point=int(rng.integers(-128, 128)),
        scales=wanted if per_channel else wanted[:1],
    )


def _scales(rng: np.random.Generator, fan_in: int, out_c: int) -> tuple[np.ndarray, float, float]:
    """Of the weights, the input and the output."""
    # Mostly outputs that fill int8; now and then far too small or large a scale.
    typical = 73 * 73 * np.sqrt(fan_in) / 50
    wanted = np.exp2(rng.uniform(-1, 1, out_c)) / typical * float(rng.choice([1] * 8 + [60, 3e4]))
    x_scale, y_scale = (float(np.float32(rng.uniform(0.01, 2))) for _ in range(2))
    return (wanted * y_scale / x_scale).astype(np.float32), x_scale, y_scale


def random_convolution(rng: np.random.Generator) -> Convolution:
    """Shapes, strides, paddings, scales and zero points of every kind the ops take."""
    depthwise = bool(rng.integers(2))
    kernel = [int(k) for k in (rng.integers(1, 5, 2) if rng.integers(3) else (1, 1))]
    x_shape = tuple(int(n) for n in (*(rng.integers(0, 6, 2) + kernel), rng.integers(1, 14)))
    out_c = int(rng.integers(1, 11))
    shape: tuple[int, ...] = (out_c, *kernel, x_shape[2])
    if depthwise:
        out_c = x_shape[2] * int(rng.choice([1, 1, 1, 2, 3]))
        shape = (1, *kernel, out_c)
    fan_in = kernel[0] * kernel[1] * (1 if depthwise else x_shape[2])
    scales, x_scale, y_scale = _scales(rng, fan_in, out_c)
    has_bias = not depthwise or bool(rng.integers(5))  # which TensorFlow Lite wants
    return Convolution(
        depthwise=depthwise,
        x_shape=x_shape,  # type: ignore[arg-type]
        weights=rng.integers(-127, 128, shape).astype(np.int8),
        bias=rng.integers(-(2**14), 2**14, out_c).astype(np.int32) if has_bias else None,
        stride=(int(rng.integers(1, 4)),) * 2 if depthwise else tuple(rng.integers(1, 4, 2)),
        padding=str(rng.choice(["SAME", "VALID"])),
        activation=str(rng.choice(["NONE", "RELU", "RELU6"])),
        x_scale=x_scale,
        x_zero_point=int(rng.integers(-128, 128)),
        y_scale=y_scale,
        y_zero_point=int(rng.integers(-128, 128)),
        scales=scales if rng.integers(4) or depthwise else scales[:1],
    )


def outputs(
    options: ConvOptions,
    depthwise: bool,
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray | None,
) -> np.ndarray:
    """The ops' outputs int8 [out_h, out_w, out_c] in exact numbers.

    Args:
        options: of the op.
        depthwise: whether channels are kept apart.
        x: int8 [in_h, in_w, in_c].
        weights: int8, in the op's layout.
        bias: int32 [out_c] or None.
    """
    o = options
    padded_h = (o.out_h - 1) * o.stride_h + o.kernel_h
    padded_w = (o.out_w - 1) * o.stride_w + o.kernel_w
    padded = np.zeros(
        (max(padded_h, o.in_h + o.pad_top), max(padded_w, o.in_w + o.pad_left), o.in_c)
    )
    padded[o.pad_top : o.pad_top + o.in_h, o.pad_left : o.pad_left + o.in_w] = (
        x.astype(np.int64) - o.x_zero_point
    )
    y = np.zeros((o.out_h, o.out_w, o.out_c), np.int8)
    for row, column in np.ndindex(o.out_h, o.out_w):
        top, left = row * o.stride_h, column * o.stride_w
        window = padded[top : top + o.kernel_h, left : left + o.kernel_w]
        for c in range(o.out_c):
            if depthwise:
                total = (window[:, :, c * o.in_c // o.out_c] * weights[0, :, :, c]).sum()
            else:
                total = (window * weights[c]).sum()
            total = wrapped(int(total) + (0 if bias is None else int(bias[c])))
            scaled = rescaled(total, o.multipliers[c], o.shifts[c]) + o.y_zero_point
            y[row, column, c] = min(max(scaled, o.act_min), o.act_max)
    return y


def dense_outputs(
    options: FullyConnectedOptions, x: np.ndarray, weights: np.ndarray, bias: np.ndarray | None
) -> np.ndarray:
    """The op's outputs int8 [rows, out_c] in exact numbers."""
    o = options
    y = np.zeros((o.rows, o.out_c), np.int8)
    for row, c in np.ndindex(o.rows, o.out_c):
        total = int((x[row].astype(np.int64) - o.x_zero_point) @ weights[c].astype(np.int64))
        total = wrapped(total + (0 if bias is None else int(bias[c])))
        scale = c if o.n_scales > 1 else 0
        scaled = rescaled(total, o.multipliers[scale], o.shifts[scale]) + o.y_zero_point
        y[row, c] = min(max(scaled, o.act_min), o.act_max)
    return y


def wrapped(total: int) -> int:
    """Modulo 2^32."""
    return (total + 2**31) % 2**32 - 2**31


def rescaled(total: int, multiplier: int, shift: int) -> int:
    """total * multiplier / 2^(31 + shift): halves up, then after a right shift away from zero."""
    if shift < 0:
        total <<= -shift
    high = (total * multiplier + 2**30) >> 31
    if shift <= 0:
        return high
    exact = abs(Fraction(high, 2**shift))
    return int(exact + Fraction(1, 2)) * (1 if high > 0 else -1)


#: Ops and the names of their options.
CODES = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
}


def _kind(layer: Layer) -> str:
    if isinstance(layer, Convolution):
        return "DEPTHWISE_CONV_2D" if layer.depthwise else "CONV_2D"
    return "FULLY_CONNECTED"


def model(layers: Sequence[Layer]) -> bytes:
    """A .tflite file with one input and one output per layer, named `x0`, `y0` and so on."""
    s = schema()
    root = s.ModelT()
    root.version = 3
    graph = s.SubGraphT()
    root.subgraphs, root.operatorCodes = [graph], []
    root.buffers = [s.BufferT()]
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [], []
    for name in CODES:
        code = s.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(s.BuiltinOperator, name)
        code.version = 3 if "CONV" in name else 4
        root.operatorCodes.append(code)

    def tensor(
        name: str,
        shape: Any,
        kind: str,
        scales: Any,
        zero: int,
        axis: int = 0,
        values: np.ndarray | None = None,
    ) -> int:
        t = s.TensorT()
        t.name, t.shape = name, np.asarray(shape, np.int32)
        t.type = getattr(s.TensorType, kind)
        t.quantization = s.QuantizationParametersT()
        t.quantization.scale = np.asarray(scales, np.float32)
        t.quantization.zeroPoint = np.full(len(scales), zero, np.int64)
        t.quantization.quantizedDimension = axis
        if values is not None:
            buffer = s.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            root.buffers.append(buffer)
            t.buffer = len(root.buffers) - 1
        graph.tensors.append(t)
        return len(graph.tensors) - 1

    for i, c in enumerate(layers):
        batch = () if isinstance(c, Dense) else (1,)
        x = tensor(f"x{i}", (*batch, *c.x_shape), "INT8", [c.x_scale], c.x_zero_point)
        kind = _kind(c)
        axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
        w = tensor(f"w{i}", c.weights.shape, "INT8", c.scales, 0, axis, c.weights)
        inputs = [x, w]
        if c.bias is not None:
            scales = np.float32(c.x_scale) * c.scales
            inputs.append(tensor(f"b{i}", c.bias.shape, "INT32", scales, 0, 0, c.bias))
        y = tensor(f"y{i}", (*batch, *c.y_shape), "INT8", [c.y_scale], c.y_zero_point)
        op = s.OperatorT()
        op.opcodeIndex = list(CODES).index(kind)
        op.inputs, op.outputs = np.asarray(inputs, np.int32), np.asarray([y], np.int32)
        name = CODES[kind]
        options = getattr(s, f"{name}T")()
        options.fusedActivationFunction = getattr(s.ActivationFunctionType, c.activation)
        if isinstance(c, Convolution):
            options.strideH, options.strideW = (int(n) for n in c.stride)
            options.padding = getattr(s.Padding, c.padding)
            options.dilationHFactor = options.dilationWFactor = 1
            if c.depthwise:
                options.depthMultiplier = c.y_shape[2] // c.x_shape[2]
        op.builtinOptions = options
        op.builtinOptionsType = getattr(s.BuiltinOptions, name)
        graph.operators.append(op)
        graph.inputs.append(x)
        graph.outputs.append(y)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(root.Pack(builder), b"TFL3")
    return bytes(builder.Output())
