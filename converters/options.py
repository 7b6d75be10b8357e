"""The custom options of the training ops, byte for byte (docs/training-graph.md).

All fields are little-endian words of 4 bytes in the order of the dataclass, so field i lies at
offset 4 * i; `layout()` is the table the C++ structures are compared with. LayerOptions is
followed by its weight scales (float32) and, when MASKED, by the bits of its mask; XentOptions by
its table; FloatHeadOptions by its factors; SeedOptions, ReselectOptions and AccumulateOptions by
what there is of each layer; ConvOptions and FullyConnectedOptions by multipliers (int32) and then
shifts (int8).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from functools import cache
from typing import Any, ClassVar, TypeVar

import numpy as np

from tf_odl.contract import ABI_VERSION, Flags

_FORMATS = {"u32": "I", "i32": "i", "f32": "f"}
_T = TypeVar("_T", bound="_Options")
_A = TypeVar("_A", bound="_ArrayOptions")
_S = TypeVar("_S", bound="_ScaledOptions")


class SparsifierCode(IntEnum):
    """LayerOptions.sparsifier"""

    DENSE = 0
    MEPROP = 1
    TINYPROP = 2


class SelectionRule(IntEnum):
    """ReselectOptions.rule"""

    RANDOM = 0
    VELOCITY = 1


class SkipRuleCode(IntEnum):
    """XentOptions.skip_rule"""

    NEVER = 0
    TINYPROPV2 = 1


class SumRule(IntEnum):
    """AccumulateOptions.rule"""

    ROUND_AT_RANDOM = 0
    KEEP_REST = 1


class ScheduleCode(IntEnum):
    """RateOptions.schedule"""

    CONSTANT = 0
    STEP = 1
    COSINE = 2


def _word(kind: str) -> int | float:
    """A dataclass field that is packed as "u32", "i32" or "f32"."""
    value: int | float = field(metadata={"word": kind})
    return value


def _u32() -> int:
    return _word("u32")  # type: ignore[return-value]


def _i32() -> int:
    return _word("i32")  # type: ignore[return-value]


def _f32() -> float:
    return _word("f32")


class _Options:
    """Packing of the fixed part; `abi_version` comes first and is no field of the dataclass."""

    @classmethod
    @cache
    def layout(cls) -> list[tuple[str, int, str]]:
        """(name, offset in bytes, "u32", "i32" or "f32") of every field."""
        words = [("abi_version", "u32")]
        own = fields(cls)  # type: ignore[arg-type]
        words += [(f.name, f.metadata["word"]) for f in own if "word" in f.metadata]
        return [(name, 4 * i, kind) for i, (name, kind) in enumerate(words)]

    @classmethod
    def size(cls) -> int:
        """Bytes of the fixed part."""
        return 4 * len(cls.layout())

    @classmethod
    def _format(cls) -> str:
        return "<" + "".join(_FORMATS[kind] for _, _, kind in cls.layout())

    def pack(self) -> bytes:
        """The bytes of the options."""
        words = [getattr(self, name) for name, _, _ in self.layout()[1:]]
        return struct.pack(self._format(), ABI_VERSION, *words)

    @classmethod
    def _unpack_words(cls, data: bytes) -> tuple[int | float, ...]:
        if len(data) < cls.size():
            raise ValueError(f"{cls.__name__}: {len(data)} bytes, {cls.size()} are needed")
        version, *words = struct.unpack_from(cls._format(), data)
        if version != ABI_VERSION:
            raise ValueError(f"{cls.__name__}: version {version}, {ABI_VERSION} is known")
        return tuple(words)

    @classmethod
    def unpack(cls: type[_T], data: bytes) -> _T:
        """The options in `data`.

        Raises:
            ValueError: another version or another length.
        """
        words = cls._unpack_words(data)
        if len(data) != cls.size():
            raise ValueError(f"{cls.__name__}: {len(data)} bytes, expected {cls.size()}")
        return cls(*words)


class _ArrayOptions(_Options):
    """Numbers follow the fixed part, as many as the field `n_` + their name says."""

    _array: ClassVar[str]
    _number: ClassVar[str]  # of struct, 4 bytes

    def pack(self) -> bytes:
        """The bytes of the options."""
        values, count = getattr(self, self._array), getattr(self, f"n_{self._array}")
        if len(values) != count:
            raise ValueError(f"{len(values)} {self._array}, not {count}")
        return super().pack() + struct.pack(f"<{count}{self._number}", *values)

    @classmethod
    def unpack(cls: type[_A], data: bytes) -> _A:
        """The options in `data`.

        Raises:
            ValueError: another version or another length.
        """
        fixed = cls(*cls._unpack_words(data))
        count = getattr(fixed, f"n_{cls._array}")
        if len(data) != cls.size() + 4 * count:
            raise ValueError(f"{cls.__name__}: {len(data)} bytes do not fit its fields")
        values = struct.unpack_from(f"<{count}{cls._number}", data, cls.size())
        return replace(fixed, **{cls._array: values})  # type: ignore[type-var]


@dataclass(frozen=True)
class SeedOptions(_ArrayOptions):
    """TFODL_SEED; `masks` has the neurons of each layer whose mask is a variable."""

    sentinel: int = _u32()
    rng_seed: int = _u32()
    learning_rate: float = _f32()
    n_variables: int = _u32()
    n_masks: int = _u32()
    masks: tuple[int, ...] = ()

    _array, _number = "masks", "I"


@dataclass(frozen=True)
class XentOptions(_Options):
    """TFODL_SOFTMAX_XENT; a table that `logits_scale` determines follows the fields."""

    logits_scale: float = _f32()
    skip_rule: int = _u32()
    d_min: float = _f32()
    d_max: float = _f32()
    beta: float = _f32()
    threshold: float = _f32()

    def exponentials(self) -> np.ndarray:
        """e^(logits_scale (q - 127)) of the codes q = -128 .. 127, float32 [256].

        What is below the normal numbers of float32 is 0, as not every board has those.
        """
        codes = np.arange(-128, 128)
        table = np.exp(float(np.float32(self.logits_scale)) * (codes - 127)).astype("<f4")
        table[table < np.finfo(np.float32).tiny] = 0
        return table

    def pack(self) -> bytes:
        """The bytes of the options."""
        return super().pack() + self.exponentials().tobytes()

    @classmethod
    def unpack(cls, data: bytes) -> XentOptions:
        """The options in `data`.

        Raises:
            ValueError: another version or another length.
        """
        words: tuple[Any, ...] = cls._unpack_words(data)
        if len(data) != cls.size() + 256 * 4:
            raise ValueError(f"XentOptions: {len(data)} bytes, expected {cls.size() + 256 * 4}")
        return cls(*words)


@dataclass(frozen=True)
class LossOptions(_Options):
    """TFODL_LOGISTIC_XENT and TFODL_SQUARED_ERROR; the target's are those of an int8 target."""

    scale: float = _f32()
    zero_point: int = _i32()
    target_scale: float = _f32()
    target_zero_point: int = _i32()
    skip_rule: int = _u32()
    d_min: float = _f32()
    d_max: float = _f32()
    beta: float = _f32()
    threshold: float = _f32()


@dataclass(frozen=True)
class RateOptions(_Options):
    """TFODL_RATE"""

    schedule: int = _u32()
    samples: int = _u32()
    warm_up: int = _u32()
    factor: float = _f32()
    clip: float = _f32()


class _ScaledOptions(_Options):
    """Options with scales behind them, each multiplier / 2^(31 + shift), multiplier >= 2^30."""

    _count: ClassVar[str]  # the field that says how many
    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]

    def pack(self) -> bytes:
        """The bytes of the options."""
        n = getattr(self, self._count)
        multipliers, shifts = self.multipliers, self.shifts
        if not len(multipliers) == len(shifts) == n:
            raise ValueError(f"multipliers or shifts are not those of {n} scales")
        return super().pack() + struct.pack(f"<{n}i{n}b", *multipliers, *shifts)

    @classmethod
    def unpack(cls: type[_S], data: bytes) -> _S:
        """The options in `data`.

        Raises:
            ValueError: another version or another length.
        """
        fixed = cls(*cls._unpack_words(data))
        n = getattr(fixed, cls._count)
        if len(data) != cls.size() + 5 * n:
            raise ValueError(f"{cls.__name__}: {len(data)} bytes do not fit its fields")
        arrays = struct.unpack_from(f"<{n}i{n}b", data, cls.size())
        return replace(fixed, multipliers=arrays[:n], shifts=arrays[n:])  # type: ignore[type-var]


@dataclass(frozen=True)
class ConvOptions(_ScaledOptions):
    """TFODL_CONV_2D and TFODL_DEPTHWISE_CONV_2D

    One scale per output channel.
    """

    _count = "out_c"

    in_h: int = _u32()
    in_w: int = _u32()
    in_c: int = _u32()
    out_h: int = _u32()
    out_w: int = _u32()
    out_c: int = _u32()
    kernel_h: int = _u32()
    kernel_w: int = _u32()
    stride_h: int = _u32()
    stride_w: int = _u32()
    pad_top: int = _u32()
    pad_left: int = _u32()
    y_c: int = _u32()
    first_c: int = _u32()
    x_zero_point: int = _i32()
    y_zero_point: int = _i32()
    act_min: int = _i32()
    act_max: int = _i32()
    multipliers: tuple[int, ...] = ()
    shifts: tuple[int, ...] = ()


@dataclass(frozen=True)
class FullyConnectedOptions(_ScaledOptions):
    """TFODL_FULLY_CONNECTED; `n_scales` is 1 or out_c."""

    _count = "n_scales"

    rows: int = _u32()
    in_c: int = _u32()
    out_c: int = _u32()
    x_zero_point: int = _i32()
    y_zero_point: int = _i32()
    act_min: int = _i32()
    act_max: int = _i32()
    n_scales: int = _u32()
    multipliers: tuple[int, ...] = ()
    shifts: tuple[int, ...] = ()


@dataclass(frozen=True)
class PoolOptions(_Options):
    """TFODL_MAX_POOL_2D_BWD and TFODL_AVERAGE_POOL_2D_BWD"""

    in_h: int = _u32()
    in_w: int = _u32()
    in_c: int = _u32()
    out_h: int = _u32()
    out_w: int = _u32()
    filter_h: int = _u32()
    filter_w: int = _u32()
    stride_h: int = _u32()
    stride_w: int = _u32()
    pad_top: int = _u32()
    pad_left: int = _u32()
    act_min: int = _i32()
    act_max: int = _i32()


@dataclass(frozen=True)
class AddOptions(_Options):
    """TFODL_ADD_BWD; `count` elements."""

    count: int = _u32()
    act_min: int = _i32()
    act_max: int = _i32()


@dataclass(frozen=True)
class CropOptions(_Options):
    """TFODL_CROP_BWD: a box of [in_h, in_w, in_c] in a map of [out_h, out_w, out_c]."""

    in_h: int = _u32()
    in_w: int = _u32()
    in_c: int = _u32()
    out_h: int = _u32()
    out_w: int = _u32()
    out_c: int = _u32()
    top: int = _u32()
    left: int = _u32()
    first_c: int = _u32()


@dataclass(frozen=True)
class VersionOptions(_Options):
    """TFODL_ADD_ERRORS, TFODL_LOAD_WEIGHTS and TFODL_STORE_WEIGHTS: nothing but the version."""


@dataclass(frozen=True)
class ReselectOptions(_Options):
    """TFODL_RESELECT; `layers` has (neurons, parameters of each, zero point of the output)."""

    rule: int = _u32()
    interval: int = _u32()
    budget: int = _u32()
    n_references: int = _u32()
    mu: float = _f32()
    n_layers: int = _u32()
    layers: tuple[tuple[int, int, int], ...] = ()

    def pack(self) -> bytes:
        """The bytes of the options."""
        if len(self.layers) != self.n_layers:
            raise ValueError(f"{len(self.layers)} layers, not {self.n_layers}")
        return super().pack() + b"".join(struct.pack("<IIi", *layer) for layer in self.layers)

    @classmethod
    def unpack(cls, data: bytes) -> ReselectOptions:
        """The options in `data`.

        Raises:
            ValueError: another version or another length.
        """
        words: tuple[Any, ...] = cls._unpack_words(data)
        fixed = cls(*words)
        if len(data) != cls.size() + 12 * fixed.n_layers:
            raise ValueError(f"ReselectOptions: {len(data)} bytes do not fit its fields")
        return replace(fixed, layers=tuple(struct.iter_unpack("<IIi", data[cls.size() :])))


@dataclass(frozen=True)
class FloatHeadOptions(_ArrayOptions):
    """TFODL_FLOAT_HEAD; `factors` are x_scale * weight scale / y_scale, one or one per output."""

    x_zero_point: int = _i32()
    y_zero_point: int = _i32()
    n_factors: int = _u32()
    factors: tuple[float, ...] = ()

    _array, _number = "factors", "f"


@dataclass(frozen=True)
class SummedLayer:
    """A layer of TFODL_ACCUMULATE: its neurons, the weights of each, and which have sums."""

    neurons: int
    fan_in: int
    mask: tuple[bool, ...] | None = None

    def pack(self) -> bytes:
        """The bytes of the layer; a mask takes whole words."""
        head = struct.pack("<3I", self.neurons, self.fan_in, self.mask is not None)
        if self.mask is None:
            return head
        bits = np.packbits(np.asarray(self.mask, bool), bitorder="little").tobytes()
        return head + bits + bytes(-len(bits) % 4)

    @classmethod
    def unpack(cls, data: bytes) -> tuple[SummedLayer, bytes]:
        """The first layer in `data`, and what follows it."""
        neurons, fan_in, masked = struct.unpack_from("<3I", data)
        data = data[12:]
        if not masked:
            return cls(neurons, fan_in), data
        size = -(-neurons // 32) * 4
        if len(data) < size:
            raise struct.error("the mask is cut off")
        bits = np.unpackbits(np.frombuffer(data[:size], np.uint8), bitorder="little")
        return cls(neurons, fan_in, tuple(bool(b) for b in bits[:neurons])), data[size:]


@dataclass(frozen=True)
class AccumulateOptions(_Options):
    """TFODL_ACCUMULATE"""

    samples: int = _u32()
    rule: int = _u32()
    n_layers: int = _u32()
    layers: tuple[SummedLayer, ...] = ()

    def pack(self) -> bytes:
        """The bytes of the options."""
        if len(self.layers) != self.n_layers:
            raise ValueError(f"{len(self.layers)} layers, not {self.n_layers}")
        return super().pack() + b"".join(layer.pack() for layer in self.layers)

    @classmethod
    def unpack(cls, data: bytes) -> AccumulateOptions:
        """The options in `data`.

        Raises:
            ValueError: another version or another length.
        """
        words: tuple[Any, ...] = cls._unpack_words(data)
        fixed, rest = cls(*words), data[cls.size() :]
        layers = []
        try:
            for _ in range(fixed.n_layers):
                layer, rest = SummedLayer.unpack(rest)
                layers.append(layer)
        except struct.error as error:
            raise ValueError("AccumulateOptions: too short for its layers") from error
        if rest:
            raise ValueError(f"AccumulateOptions: {len(data)} bytes do not fit its fields")
        return replace(fixed, layers=tuple(layers))


@dataclass(frozen=True)
class LayerOptions(_Options):
    """TFODL_FULLY_CONNECTED_BWD, TFODL_CONV_2D_BWD and TFODL_DEPTHWISE_CONV_2D_BWD

    `scales` holds one weight scale, or one per output channel; `mask` one bool per output channel,
    None when every neuron may update; `mask_offset` where the mask starts in the tensor of the
    masks, in bytes, None when it is not there.
    """

    flags: int = _u32()
    layer: int = _u32()
    in_h: int = _u32()
    in_w: int = _u32()
    in_c: int = _u32()
    out_h: int = _u32()
    out_w: int = _u32()
    out_c: int = _u32()
    kernel_h: int = _u32()
    kernel_w: int = _u32()
    stride_h: int = _u32()
    stride_w: int = _u32()
    pad_top: int = _u32()
    pad_left: int = _u32()
    x_scale: float = _f32()
    x_zero_point: int = _i32()
    act_min: int = _i32()
    act_max: int = _i32()
    sparsifier: int = _u32()
    s_min: float = _f32()
    s_max: float = _f32()
    damping: float = _f32()
    n_scales: int = _u32()
    scales: tuple[float, ...] = ()
    mask: tuple[bool, ...] | None = None
    mask_offset: int | None = None

    def pack(self) -> bytes:
        """The bytes of the options.

        Raises:
            ValueError: arrays that do not fit the fields.
        """
        if len(self.scales) != self.n_scales or self.n_scales not in (1, self.out_c):
            raise ValueError(f"{len(self.scales)} scales for {self.out_c} channels")
        if bool(self.flags & Flags.MASKED) != (self.mask is not None):
            raise ValueError("the MASKED flag and the mask disagree")
        if bool(self.flags & Flags.VARIABLE_MASK) != (self.mask_offset is not None):
            raise ValueError("the VARIABLE_MASK flag and the offset disagree")
        data = super().pack() + struct.pack(f"<{self.n_scales}f", *self.scales)
        if self.mask is not None:
            if len(self.mask) != self.out_c:
                raise ValueError(f"a mask of {len(self.mask)} for {self.out_c} channels")
            data += np.packbits(np.asarray(self.mask, bool), bitorder="little").tobytes()
        if self.mask_offset is not None:
            data += struct.pack("<I", self.mask_offset)
        return data

    @classmethod
    def unpack(cls, data: bytes) -> LayerOptions:
        """The options in `data`.

        Raises:
            ValueError: another version or another length.
        """
        words: tuple[Any, ...] = cls._unpack_words(data)
        fixed = cls(*words)
        masked = bool(fixed.flags & Flags.MASKED)
        end = cls.size() + 4 * fixed.n_scales
        varies = bool(fixed.flags & Flags.VARIABLE_MASK)
        behind = -(-fixed.out_c // 8) if masked else 4 if varies else 0
        if len(data) != end + behind:
            raise ValueError(f"LayerOptions: {len(data)} bytes do not fit its fields")
        scales = struct.unpack_from(f"<{fixed.n_scales}f", data, cls.size())
        mask = None
        if masked:
            bits = np.unpackbits(np.frombuffer(data[end:], np.uint8), bitorder="little")
            mask = tuple(bool(bit) for bit in bits[: fixed.out_c])
        offset = struct.unpack_from("<I", data, end)[0] if varies else None
        return replace(fixed, scales=scales, mask=mask, mask_offset=offset)
