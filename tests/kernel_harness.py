"""Runs the C++ kernels of the host library on numpy arrays, without TensorFlow Lite Micro."""

import ctypes
import struct
from dataclasses import dataclass, field

import numpy as np
from bfloat16 import bfloat16_bits, from_bfloat16_bits

from tf_odl.contract import ABI_VERSION, STATE_WORDS
from tf_odl.tflm_port import host
from tf_odl.tflm_port.state import State

FULLY_CONNECTED, CONV_2D, DEPTHWISE = 0, 1, 2
PROPAGATE, UPDATE_WEIGHTS, UPDATE_BIAS, MASKED, RESIDUAL = 1, 2, 4, 8, 16
DENSE, MEPROP, TINYPROP = 0, 1, 2
NO_ACTIVATION = (-129, 128)

library = host.load()
library.tfodl_count_of_fraction.argtypes = [ctypes.c_float, ctypes.c_uint32]
library.tfodl_count_of_fraction.restype = ctypes.c_uint32
library.tfodl_error_unit.argtypes = [ctypes.c_float, ctypes.c_uint32]
library.tfodl_error_unit.restype = ctypes.c_float
library.tfodl_integer_error.argtypes = [
    ctypes.c_float,
    ctypes.c_float,
    ctypes.c_float,
    ctypes.c_uint32,
]
for _name in ("update_outer", "update_row", "update_four", "store_weights"):
    getattr(library, f"tfodl_{_name}").restype = ctypes.c_uint32


def pointer(array: np.ndarray | None) -> ctypes.c_void_p:
    """The address of a contiguous array, or null."""
    if array is None:
        return ctypes.c_void_p(None)
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


library.tfodl_scratch_words_bfloat16.restype = ctypes.c_uint32


class LayerTensors(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_void_p)
        for name in ("error", "x", "y", "weights", "bias", "error_x", "scratch", "residual")
    ]


@dataclass
class Layer:
    """One weighted layer: its options and its int8 tensors."""

    kind: int
    in_shape: tuple[int, int, int]
    out_shape: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    x_scale: float
    x_zero_point: int
    scales: np.ndarray
    x: np.ndarray
    y: np.ndarray | None
    weights: np.ndarray
    bias: np.ndarray
    flags: int = PROPAGATE | UPDATE_WEIGHTS | UPDATE_BIAS
    activation: tuple[int, int] = NO_ACTIVATION
    sparsifier: int = DENSE
    s: tuple[float, float] = (0.0, 0.0)
    damping: float = 1.0
    layer: int = 0
    mask: np.ndarray | None = None  # bool per neuron
    residual: np.ndarray | None = None  # as the weights; of the rule that has one

    @property
    def fan_in(self) -> int:
        window = self.kernel[0] * self.kernel[1]
        return window if self.kind == DEPTHWISE else window * self.in_shape[2]

    def options(self) -> bytes:
        flags = self.flags | (MASKED if self.mask is not None else 0)
        flags |= RESIDUAL if self.residual is not None else 0
        blob = struct.pack(
            "<3I12Ifi2iI3fI",
            ABI_VERSION,
            flags,
            self.layer,
            *self.in_shape,
            *self.out_shape,
            *self.kernel,
            *self.stride,
            *self.pad,
            self.x_scale,
            self.x_zero_point,
            *self.activation,
            self.sparsifier,
            *self.s,
            self.damping,
            len(self.scales),
        )
        blob += self.scales.astype("<f4").tobytes()
        if self.mask is not None:
            blob += np.packbits(self.mask, bitorder="little").tobytes()
        return blob


@dataclass
class Memory:
    """The state tensor as words."""

    layers: int = 1
    learning_rate: float = 1.0
    rng: int = 2463534242
    words: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.words = np.zeros(STATE_WORDS + self.layers, np.uint32)
        self.words[1] = self.rng
        self.words[3] = 1
        self.words.view(np.float32)[2] = self.learning_rate
        self.words.view(np.float32)[15] = 1.0  # rate_factor

    def state(self) -> State:
        return State.from_bytes(self.words.tobytes())


@dataclass
class Result:
    delta: np.ndarray  # what the op makes of the error in place: overwritten, unless it stops early
    error_x: np.ndarray


def run_layer(layer: Layer, error: np.ndarray, memory: Memory) -> Result:
    """Run one backward op. Updates the layer's weights and biases and the memory."""
    error = np.array(error, np.float32)
    error_x = np.full(layer.in_shape, np.nan, np.float32)
    scratch = np.full(layer.fan_in, -1, np.int32)
    addresses = [error, layer.x, layer.y, layer.weights, layer.bias, error_x, scratch]
    addresses.append(layer.residual)
    tensors = LayerTensors(*[pointer(array) for array in addresses])
    blob = layer.options()
    accepted = library.tfodl_layer_step(
        layer.kind, blob, len(blob), ctypes.byref(tensors), pointer(memory.words)
    )
    assert accepted, "the options were refused"
    return Result(error, error_x)


def run_layer_bfloat16(layer: Layer, error: np.ndarray, memory: Memory) -> np.ndarray:
    """As `run_layer`, with an error that bfloat16 can hold; returns the error of the input."""
    bits = bfloat16_bits(error)
    error_x = np.full(layer.in_shape, -1, np.int16)
    blob = layer.options()
    words = library.tfodl_scratch_words_bfloat16(layer.kind, blob, len(blob))
    scratch = np.full(words, -1, np.int32)
    addresses = [bits, layer.x, layer.y, layer.weights, layer.bias, error_x, scratch]
    addresses.append(layer.residual)
    tensors = LayerTensors(*[pointer(array) for array in addresses])
    accepted = library.tfodl_layer_step_bfloat16(
        layer.kind, blob, len(blob), ctypes.byref(tensors), pointer(memory.words)
    )
    assert accepted, "the options were refused"
    return from_bfloat16_bits(error_x)


def pool_options(
    in_shape: tuple[int, int, int],
    out_shape: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int],
    activation: tuple[int, int] = NO_ACTIVATION,
) -> bytes:
    return struct.pack(
        "<12I2i", ABI_VERSION, *in_shape, *out_shape, *window, *stride, *pad, *activation
    )


def xent_options(
    scale: float,
    skip_rule: int = 0,
    d: tuple[float, float] = (0.0, 0.0),
    beta: float = 1.0,
    threshold: float = 0.0,
) -> bytes:
    words = struct.pack("<IfIffff", ABI_VERSION, scale, skip_rule, *d, beta, threshold)
    table = np.exp(float(np.float32(scale)) * np.arange(-255.0, 1.0))
    return words + np.where(table < 2.0**-126, 0, table).astype("<f4").tobytes()


def window_axis(size: int, window: int, stride: int, padding: str) -> tuple[int, int]:
    """Output size and padding in front, as TensorFlow defines them."""
    if padding == "VALID":
        return (size - window) // stride + 1, 0
    out = -(-size // stride)
    return out, max((out - 1) * stride + window - size, 0) // 2
