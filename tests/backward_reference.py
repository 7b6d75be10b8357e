"""What a weighted backward op computes from delta_z on: steps 4 and 5 of docs/training-graph.md.

Written from the contract in plain Python integers and float32, slow and obvious, so that weights,
biases, errors and the generator have to come out bit for bit.
"""

from dataclasses import dataclass, field
from math import floor

import numpy as np

from tf_odl.contract import Flags
from tf_odl.converters.options import LayerOptions

f32 = np.float32
INT32_MAX = 2**31 - 1


class Generator:
    """Marsaglia's xorshift32 (13, 17, 5)."""

    def __init__(self, state: int) -> None:
        self.state = state

    def draw(self) -> int:
        x = self.state
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self.state = x
        return x

    def uniform(self) -> np.float32:
        return f32((self.draw() >> 8) / 2**24)


def fraction(draw: int, lane: int) -> int:
    """r of one of the weights that share a draw."""
    if lane >= 4:
        draw ^= 0x80808080
    rotation = 8 * (lane % 4)
    return (draw >> rotation | draw << (32 - rotation)) & 0xFFFF


@dataclass
class Backward:
    """What a step has computed. Steps are by how much the float update would lower a value."""

    error_x: np.ndarray
    unit: np.float32  # E
    errors: np.ndarray  # e
    weight_steps: np.ndarray  # float64, t / 2^16
    bias_steps: np.ndarray  # v
    saturated: int = 0
    generator: Generator = field(default_factory=lambda: Generator(1))


def largest_error(o: LayerOptions, *, depthwise: bool) -> int:
    """L."""
    limit = 32767
    if o.flags & Flags.PROPAGATE:
        windows = -(-o.kernel_h // o.stride_h) * -(-o.kernel_w // o.stride_w)
        neurons = o.out_c // o.in_c if depthwise else o.out_c
        limit = min(limit, INT32_MAX // 127 // (neurons * windows))
    if o.flags & (Flags.UPDATE_WEIGHTS | Flags.UPDATE_BIAS):
        limit = min(limit, INT32_MAX // 255 // (o.out_h * o.out_w))
    return max(limit, 1)


def error_unit(largest: np.float32, limit: int) -> np.float32:
    """E: the smallest power of two from 2^-126 to 2^100 with largest <= limit * E, else 0."""
    units = (2.0**exponent for exponent in range(-126, 101))
    return f32(next((unit for unit in units if float(largest) <= limit * unit), 0))


def window_elements(o: LayerOptions, y: int, x: int) -> list[tuple[int, int, int, int]]:
    """(ky, kx, input row, input column) of the elements inside the input."""
    rows = [(k, y * o.stride_h - o.pad_top + k) for k in range(o.kernel_h)]
    columns = [(k, x * o.stride_w - o.pad_left + k) for k in range(o.kernel_w)]
    return [
        (ky, kx, i, j) for ky, i in rows for kx, j in columns if 0 <= i < o.in_h and 0 <= j < o.in_w
    ]


def multiplier(factor: np.float32) -> tuple[int, int]:
    """m and the shift of t = round(g * m / 2^shift)."""
    scaled = factor * f32(65536)
    if not scaled > 0:
        return 0, 32
    shift = next((s for s in range(32, 16, -1) if float(scaled) * 2.0**s < 2**31), 16)
    return int(min(float(scaled) * 2.0**shift, INT32_MAX)), shift


class _Step:
    """One step; the kernels below fill `result` and change weights and bias."""

    def __init__(
        self,
        o: LayerOptions,
        delta: np.ndarray,
        x: np.ndarray | None,
        weights: np.ndarray | None,
        bias: np.ndarray | None,
        learning_rate: np.float32,
        generator: Generator,
        residual: np.ndarray | None,
        sums: np.ndarray | None,
        *,
        dense: bool,
        depthwise: bool,
    ) -> None:
        self.o, self.delta, self.bias = o, delta, bias
        self.rate, self.generator = learning_rate, generator
        self.centered = None if x is None else x.astype(np.int64) - o.x_zero_point
        # [out_c, kernel_h, kernel_w, in_c or 1], a view of the weights.
        self.rows = None if weights is None else self._by_neuron(weights, depthwise)
        self.residuals = None if residual is None else self._by_neuron(residual, depthwise)
        self.targets = self.rows
        self.scales = np.broadcast_to(np.array(o.scales, f32), o.out_c)
        self.mask = np.ones(o.out_c, bool) if o.mask is None else np.array(o.mask)
        # Of neurons that may update, the row of their sums; of a depthwise layer of all neurons.
        self.places = np.arange(o.out_c)
        if o.flags & Flags.ACCUMULATE:
            if not depthwise:
                self.places = np.cumsum(self.mask) - 1
            if sums is not None:
                shape = (-1, *(self.rows.shape[1:] if self.rows is not None else ()))
                if depthwise:
                    self.targets, self.residuals = (self._by_neuron(s, True) for s in sums)
                else:
                    self.targets, self.residuals = (s.reshape(shape) for s in sums)
        limit = largest_error(o, depthwise=depthwise)
        # Channels that do not mix have errors without the scales of the weights.
        self.own_channels = depthwise and o.in_c == o.out_c
        scaled = delta if self.own_channels else delta * self.scales
        unit = error_unit(np.abs(scaled).max(), limit)
        errors = np.rint(scaled.astype(np.float64) / float(unit)).astype(np.int64)
        self.result = Backward(
            np.zeros((o.in_h, o.in_w, o.in_c), f32),
            unit,
            errors,
            np.zeros(0 if self.rows is None else self.rows.shape),
            np.zeros(o.out_c),
            generator=generator,
        )
        self.updates = bool(o.flags & Flags.UPDATE_WEIGHTS)
        self.depthwise = depthwise
        if o.flags & Flags.PROPAGATE:
            self.result.error_x = self._propagate()
        if dense:
            self._dense()
        elif depthwise:
            self._depthwise()
        else:
            self._convolution()

    def _by_neuron(self, values: np.ndarray, depthwise: bool) -> np.ndarray:
        o = self.o
        if depthwise:
            taps = values.reshape(o.kernel_h, o.kernel_w, o.out_c)
            return np.moveaxis(taps, 2, 0)[..., np.newaxis]
        return values.reshape(o.out_c, o.kernel_h, o.kernel_w, o.in_c)

    def _channels(self, neuron: int) -> slice:
        """Of the input, that a neuron reads."""
        if not self.depthwise:
            return slice(None)
        channel = neuron // (self.o.out_c // self.o.in_c)
        return slice(channel, channel + 1)

    def _propagate(self) -> np.ndarray:
        o = self.o
        sums = np.zeros((o.in_h, o.in_w, o.in_c), np.int64)
        for y, column, neuron in np.argwhere(self.result.errors):
            error = self.result.errors[y, column, neuron]
            for ky, kx, i, j in window_elements(o, y, column):
                row = self.rows[neuron, ky, kx].astype(np.int64)
                sums[i, j, self._channels(neuron)] += error * row
        assert np.abs(sums).max(initial=0) <= INT32_MAX
        factor = self.result.unit * self.scales if self.own_channels else self.result.unit
        return sums.astype(f32) * factor

    def _gradient(self, neuron: int) -> np.ndarray:
        """g, [kernel_h, kernel_w, channels]."""
        gradient = np.zeros(self.rows.shape[1:], np.int64)
        for y, column in np.argwhere(self.result.errors[..., neuron]):
            error = self.result.errors[y, column, neuron]
            for ky, kx, i, j in window_elements(self.o, y, column):
                gradient[ky, kx] += error * self.centered[i, j, self._channels(neuron)]
        assert np.abs(gradient).max(initial=0) <= INT32_MAX
        return gradient

    def _move(self, neuron: int, index: tuple[int, ...], t: int, r: int) -> None:
        step = min(max((t + r) >> 16, -128), 127)
        moved = int(self.targets[neuron][index]) - step
        self.result.saturated += abs(moved) > 127
        self.targets[neuron][index] = min(max(moved, -127), 127)

    def _move_exactly(self, neuron: int, index: tuple[int, ...], d: int) -> None:
        """By d / 2^8, of a weight with its residual, or of its sum."""
        neuron = self.places[neuron]
        whole = 256 * int(self.targets[neuron][index]) + int(self.residuals[neuron][index]) + 128
        whole -= min(max(d, -(2**15)), 2**15 - 1)
        bounded = min(max(whole, -127 * 256), 2**15 - 1)
        self.result.saturated += bounded != whole
        self.targets[neuron][index] = bounded // 256
        self.residuals[neuron][index] = bounded % 256 - 128

    def _move_row(self, neuron: int, steps: list[int]) -> None:
        draw = 0
        for position, index in enumerate(np.ndindex(self.rows.shape[1:])):
            if self.residuals is not None:
                self._move_exactly(neuron, index, (steps[position] + 128) >> 8)
                continue
            if position % 8 == 0:
                draw = self.generator.draw()
            self._move(neuron, index, steps[position], fraction(draw, position % 8))

    def _move_bias(self, neuron: int, step: np.float32) -> None:
        if not self.o.flags & Flags.UPDATE_BIAS:
            return
        self.result.bias_steps[neuron] = step
        if step == 0 or np.isnan(step):
            return
        bounded = np.clip(step, f32(-(2.0**33)), f32(2.0**33)) + self.generator.uniform()
        place = self.places[neuron]
        moved = int(self.bias[place]) - floor(bounded)
        self.bias[place] = min(max(moved, -(2**31)), INT32_MAX)

    def _dense(self) -> None:
        o = self.o
        for neuron in range(o.out_c):
            delta, scale = self.delta[0, 0, neuron], self.scales[neuron]
            if delta == 0 or not self.mask[neuron]:
                continue
            factor = self.rate * f32(o.x_scale) / scale * delta
            if self.updates and factor != 0 and not np.isnan(factor):
                self._move_outer(neuron, np.clip(factor, f32(-127), f32(127)))
            self._move_bias(neuron, self.rate / (f32(o.x_scale) * scale) * delta)

    def _move_outer(self, neuron: int, factor: np.float32) -> None:
        values = [int(value) for value in self.centered.ravel()]
        if self.residuals is not None:
            scaled = int(factor * f32(2**24))
            indices = np.ndindex(self.rows.shape[1:])
            steps = [(scaled * value + 2**15) >> 16 for value in values]
            for index, d in zip(indices, steps, strict=True):
                self._move_exactly(neuron, index, d)
            self.result.weight_steps[neuron].flat = np.array(steps) / 2**8
            return
        scaled = floor(factor * f32(65536) + self.generator.uniform())
        steps = [scaled * value for value in values]
        self.result.weight_steps[neuron].flat = np.array(steps) / 2**16
        if scaled != 0:
            self._move_row(neuron, steps)

    def _rate_of(self, neuron: int) -> np.float32:
        rate = self.rate * self.result.unit / self.scales[neuron]
        return rate if self.own_channels else rate / self.scales[neuron]

    def _steps(self, neuron: int) -> tuple[np.ndarray, int]:
        """t of the neuron's weights, and m."""
        m, shift = multiplier(self._rate_of(neuron) * f32(self.o.x_scale))
        rounded = [(int(g) * m + (1 << shift - 1)) >> shift for g in self._gradient(neuron).flat]
        steps = np.array(rounded, object).reshape(self.rows.shape[1:])
        self.result.weight_steps[neuron] = steps.astype(np.float64) / 2**16
        return steps, m

    def _convolution(self) -> None:
        for neuron in range(self.o.out_c):
            errors = self.result.errors[..., neuron]
            if not self.mask[neuron] or not errors.any():
                continue
            if self.updates:
                steps, m = self._steps(neuron)
                if m != 0:
                    self._move_row(neuron, list(steps.flat))
            rate = self._rate_of(neuron) / f32(self.o.x_scale)
            self._move_bias(neuron, rate * f32(errors.sum()))

    def _depthwise(self) -> None:
        o = self.o
        errors = self.result.errors
        for first in range(0, o.out_c, 4):
            block = range(first, min(first + 4, o.out_c))
            touched = [n for n in block if self.mask[n] and errors[..., n].any()]
            if not touched:
                continue
            if self.updates:
                steps = {n: self._steps(n)[0] for n in touched}
                for tap in np.ndindex(o.kernel_h, o.kernel_w):
                    draw = self.generator.draw() if self.residuals is None else 0
                    for neuron in touched:
                        t = steps[neuron][tap][0]
                        if self.residuals is not None:
                            self._move_exactly(neuron, (*tap, 0), (t + 128) >> 8)
                            continue
                        self._move(neuron, (*tap, 0), t, fraction(draw, neuron - first))
            for neuron in touched:
                rate = self._rate_of(neuron) / f32(o.x_scale)
                self._move_bias(neuron, rate * f32(errors[..., neuron].sum()))


def backward(
    o: LayerOptions,
    delta: np.ndarray,
    x: np.ndarray | None,
    weights: np.ndarray | None,
    bias: np.ndarray | None,
    learning_rate: np.float32,
    generator: Generator,
    *,
    residual: np.ndarray | None = None,
    sums: np.ndarray | None = None,
    dense: bool = False,
    depthwise: bool = False,
) -> Backward:
    """Update weights and bias in place.

    Args:
        o: the op's options.
        delta: delta_z, float32 [out_h, out_w, out_c], sparse already.
        x: int8 [in_h, in_w, in_c], None when no weight is updated.
        weights: int8 in TFLite's layout, bias: int32 [out_c]; None when they are not needed.
        learning_rate: float32.
        generator: of the random numbers, moved on.
        residual: int8 as the weights, of the update rule that has one.
        sums: int8 [2, ...], with ACCUMULATE; they change instead of the weights, and `bias` are
            the sums of the biases.
        dense, depthwise: the kind of the op; neither stands for CONV_2D.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _Step(
            o,
            delta,
            x,
            weights,
            bias,
            learning_rate,
            generator,
            residual,
            sums,
            dense=dense,
            depthwise=depthwise,
        ).result
