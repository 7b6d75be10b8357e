"""A slow numpy version of the training graph, written from docs/training-graph.md.

It takes the same .tflite file and repeats every float32 operation in the same order, so weights,
biases, the generator and the counters have to come out bit for bit.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from backward_reference import Generator, backward, fraction
from bfloat16 import as_bfloat16
from reselection_reference import Reselecting

from tf_odl.contract import Flags
from tf_odl.converters.flatbuffer import FlatModel, schema
from tf_odl.converters.options import (
    AccumulateOptions,
    FloatHeadOptions,
    LayerOptions,
    LossOptions,
    PoolOptions,
    RateOptions,
    ReselectOptions,
    ScheduleCode,
    SeedOptions,
    SkipRuleCode,
    SparsifierCode,
    SumRule,
    XentOptions,
)
from tf_odl.tflm_port.state import State

f32 = np.float32
FLOAT_HEAD_BWD = "TFODL_FLOAT_HEAD_BWD"
LAYER_OPS = (
    "TFODL_FULLY_CONNECTED_BWD",
    "TFODL_CONV_2D_BWD",
    "TFODL_DEPTHWISE_CONV_2D_BWD",
)


def magnitude_sum(values: np.ndarray) -> np.float32:
    total = f32(0)
    for value in values.ravel():
        total += abs(value)
    return total


def exponential(x: np.float32) -> np.float32:
    """e^x for x <= 0 with the library's polynomial."""
    if not x > f32(-87):
        return f32(0)
    n = int(np.rint(x * f32(1.44269504)))
    r = (x - f32(n) * f32(0.693359375)) + f32(n) * f32(2.12194440e-4)
    p = f32(1) / f32(5040)
    for divisor in (720, 120, 24, 6, 2, 1, 1):
        p = p * r + f32(1) / f32(divisor)
    return p * f32(2.0**n)


def logarithm(x: np.float32) -> np.float32:
    """ln x for x >= 1 with the library's series."""
    mantissa, exponent = np.frexp(x)
    m, n = f32(mantissa * 2), int(exponent) - 1
    if m > f32(1.41421356):
        m, n = m * f32(0.5), n + 1
    t = (m - f32(1)) / (m + f32(1))
    s = t * t
    p = f32(1) / f32(9)
    for divisor in (7, 5, 3, 1):
        p = p * s + f32(1) / f32(divisor)
    return (f32(2) * t * p + f32(n) * f32(-2.12194440e-4)) + f32(n) * f32(0.693359375)


def logarithm_of_little(x: np.float32) -> np.float32:
    """ln(1 + x) for 0 <= x < 1/8 with the library's shorter series."""
    t = x / (x + f32(2))
    s = t * t
    return (t + t) * ((s * (f32(1) / f32(5)) + f32(1) / f32(3)) * s + f32(1))


def cosine_of_pi(x: np.float32) -> np.float32:
    """cos(pi x) with the library's series."""
    y = (f32(0.5) - x) * f32(3.14159265)
    s = y * y
    p = f32(-1) / f32(39916800)
    for divisor in (362880, -5040, 120, -6, 1):
        p = p * s + f32(1) / f32(divisor)
    return p * y


def rescale(total: np.ndarray, factor: float) -> np.ndarray:
    """TFLite's int32 * fixed-point multiplication, with its two roundings."""
    mantissa, shift = np.frexp(factor)
    multiplier = round(float(mantissa) * 2**31)
    left, right = max(int(shift), 0), max(-int(shift), 0)
    product = total.astype(np.int64) * 2**left * multiplier
    nudge = np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.trunc((product + nudge) / 2**31).astype(np.int64)
    threshold = ((1 << right) - 1 >> 1) + (high < 0)
    return (high >> right) + ((high & (1 << right) - 1) > threshold)


def windows(o: Any, y: int, x: int, height: int, width: int) -> list[tuple[int, int, int, int]]:
    """(ky, kx, input row, input column) of the window elements inside the input, in scan order."""
    rows = [(k, y * o.stride_h - o.pad_top + k) for k in range(height)]
    columns = [(k, x * o.stride_w - o.pad_left + k) for k in range(width)]
    return [
        (ky, kx, row, column)
        for ky, row in rows
        for kx, column in columns
        if 0 <= row < o.in_h and 0 <= column < o.in_w
    ]


def blocked(y: np.ndarray, delta: np.ndarray, o: LayerOptions | PoolOptions) -> np.ndarray:
    """Where the activation or the end of int8 lets no error pass."""
    stuck = ((y == 127) & (delta < 0)) | ((y == -128) & (delta > 0))
    return (y <= o.act_min) | (y >= o.act_max) | stuck


class Reference:
    """A training graph and its variables."""

    def __init__(self, model: bytes) -> None:
        self.flat = FlatModel(model)
        flat = self.flat
        self.data: dict[int, np.ndarray] = {}
        for index, tensor in enumerate(flat.tensors):
            buffer = flat.root.buffers[tensor.buffer].data
            if buffer is not None and len(buffer):
                values = np.asarray(buffer, np.uint8).tobytes()
                self.data[index] = np.frombuffer(values, flat.dtype(index)).copy()
                self.data[index].shape = flat.shape(index)
        seed_op = flat.operators[0]
        self.seed = SeedOptions.unpack(self._blob(seed_op))
        n = self.seed.n_variables
        self.variables = [int(i) for i in seed_op.inputs[1 : 1 + n]]
        for variable, seed in zip(self.variables, seed_op.inputs[1 + n :], strict=True):
            zeros = np.zeros(flat.shape(variable), flat.dtype(variable))
            first = self.data[int(seed)] if seed >= 0 else zeros
            self.data[variable] = first.astype(flat.dtype(variable))
        self.generator = Generator(self.seed.rng_seed)
        self.learning_rate = f32(self.seed.learning_rate)
        self.counts = dict.fromkeys(
            ("samples", "trained", "skipped", "saturated", "macs", "macs_nonzero"), 0
        )
        self.alpha_max = f32(0)
        self.rate_factor = f32(1)
        weighted = (*LAYER_OPS, FLOAT_HEAD_BWD)
        layers = sum(self._op_name(op) in weighted for op in flat.operators)
        self.y_max = [f32(0)] * layers
        self.active = False
        self.reselecting: Reselecting | None = None
        if flat.op_name(flat.operators[-1]) == "TFODL_RESELECT":
            options = ReselectOptions.unpack(self._blob(flat.operators[-1]))
            self.reselecting = Reselecting(options)

    def _op_name(self, op: Any) -> str:
        """Without the type of its errors."""
        return self.flat.op_name(op).removesuffix("_BF16")

    def _rounded(self, tensor: int, values: np.ndarray) -> np.ndarray:
        """What is left of errors when they are stored. They stay float32 here."""
        return as_bfloat16(values) if self.flat.dtype(tensor) == np.int16 else values

    @staticmethod
    def _blob(op: Any) -> bytes:
        return np.asarray(op.customOptions, np.uint8).tobytes()

    def values(self) -> list[np.ndarray]:
        return [self.data[variable] for variable in self.variables]

    def assert_state(self, state: State) -> None:
        """The state words of the real graph are the same."""
        assert state.sentinel == self.seed.sentinel
        assert state.rng == self.generator.state
        assert state.active == self.active
        assert state.samples == self.counts["samples"]
        assert state.trained == self.counts["trained"]
        assert state.skipped == self.counts["skipped"]
        assert state.saturated == self.counts["saturated"]
        assert state.backward_macs == self.counts["macs"]
        assert state.backward_macs_nonzero == self.counts["macs_nonzero"]
        assert state.alpha_max == self.alpha_max
        assert state.rate_factor == self.rate_factor
        assert list(state.y_max) == self.y_max
        reselections = 0 if self.reselecting is None else self.reselecting.reselections
        assert state.reselections == reselections

    def step(self, sample: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
        """Output and report for one sample."""
        flat = self.flat
        self.data[flat.inputs[0]] = sample.reshape(flat.shape(flat.inputs[0]))
        report = np.array([-1, 0, 0, 0, -1, 0], f32)
        for op in flat.operators[1:]:
            name = self._op_name(op)
            if not name.startswith("TFODL"):
                self.data[int(op.outputs[0])] = self._forward(op, name)
            elif name == "TFODL_FLOAT_HEAD":
                self.data[int(op.outputs[0])] = self._float_head(op)
            elif name == FLOAT_HEAD_BWD:
                if self.active:
                    self._float_head_backward(op)
            elif name == "TFODL_SOFTMAX_XENT":
                report = self._cross_entropy(op, label)
            elif name == "TFODL_ACCUMULATE":
                if self.active:
                    self._apply_sums(op)
            elif name == "TFODL_RESELECT":
                self._reselect(op, label)
            elif self.active and name == "TFODL_RATE":
                self._rate(RateOptions.unpack(self._blob(op)), report[3])
            elif self.active and name in LAYER_OPS:
                self._layer(op, name)
            elif self.active:
                self._pool(op, name)
        return self.data[flat.outputs[0]], report

    def masks(self) -> list[np.ndarray]:
        """Of every layer whose mask is a variable, lowest first, bool [neurons]."""
        bits = self.data[self.variables[-1]].view(np.uint8)
        found, start = [], 0
        for neurons in self.seed.masks:
            size = -(-neurons // 8)
            mask = np.unpackbits(bits[start : start + size], bitorder="little")[:neurons]
            found.append(mask.astype(bool))
            start += size
        return found

    def set_masks(self, masks: list[np.ndarray]) -> None:
        packed = [np.packbits(mask, bitorder="little") for mask in masks]
        self.data[self.variables[-1]] = np.concatenate(packed).view(np.int8)

    def wanted_reference(self) -> np.ndarray | None:
        """The sample that the next step should be on, with the label -2."""
        wanted = None if self.reselecting is None else self.reselecting.wanted()
        if wanted is None:
            return None
        return self.data[int(self.flat.operators[-1].inputs[5])][wanted]

    def observe(self) -> None:
        """Run all reference samples that are wanted."""
        while (sample := self.wanted_reference()) is not None:
            self.step(sample, -2)

    def _reselect(self, op: Any, label: int) -> None:
        assert self.reselecting is not None
        outputs = [self.data[int(i)] for i in op.inputs[6:]]
        chosen = self.reselecting.step(label, self.counts["samples"], outputs, self.generator)
        if chosen is not None:
            self.set_masks(chosen)

    def _forward(self, op: Any, name: str) -> np.ndarray:
        flat = self.flat
        source, target = int(op.inputs[0]), int(op.outputs[0])
        x, shape = self.data[source], flat.shape(target)
        if name == "RESHAPE":
            return x.reshape(shape)
        options = op.builtinOptions
        scale, zero_point = float(flat.scales(target)[0]), flat.zero_point(target)
        low, high = -128, 127
        kinds = schema().ActivationFunctionType
        if options.fusedActivationFunction in (kinds.RELU, kinds.RELU6):
            low = max(low, zero_point)
        if options.fusedActivationFunction == kinds.RELU6:
            high = min(high, zero_point + round(6 / scale))
        if name == "FULLY_CONNECTED":
            weights = self.data[int(op.inputs[1])].astype(np.int64)
            total = weights @ (x.reshape(-1).astype(np.int64) - flat.zero_point(source))
            total = total + self.data[int(op.inputs[2])]
            product = f32(flat.scales(source)[0]) * f32(flat.scales(int(op.inputs[1]))[0])
            result = rescale(total, float(product) / scale)
            return np.clip(result + zero_point, low, high).astype(np.int8).reshape(shape)

        geometry = self._geometry(op, name)
        result = np.zeros(shape, np.int64)
        if name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            weights = self.data[int(op.inputs[1])].astype(np.int64)
            centered = x[0].astype(np.int64) - flat.zero_point(source)
            size = weights.shape[1:3]
        else:
            size = (options.filterHeight, options.filterWidth)
        for y in range(shape[1]):
            for column in range(shape[2]):
                taps = windows(geometry, y, column, *size)
                if name == "CONV_2D":
                    for ky, kx, i, j in taps:
                        result[0, y, column] += weights[:, ky, kx] @ centered[i, j]
                elif name == "DEPTHWISE_CONV_2D":
                    repeat = shape[3] // centered.shape[2]
                    for ky, kx, i, j in taps:
                        result[0, y, column] += weights[0, ky, kx] * centered[i, j].repeat(repeat)
                else:
                    window = np.array([x[0, i, j] for _, _, i, j in taps], np.int64)
                    if name == "MAX_POOL_2D":
                        result[0, y, column] = window.max(0)
                    else:
                        total, count = window.sum(0), len(window)
                        rounded = total + np.where(total > 0, count // 2, -(count // 2))
                        result[0, y, column] = np.trunc(rounded / count)
        if name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            scales = np.broadcast_to(flat.scales(int(op.inputs[1])), shape[3]).astype(float)
            result = result + self.data[int(op.inputs[2])]
            for channel in range(shape[3]):
                factor = float(flat.scales(source)[0]) * scales[channel] / scale
                result[..., channel] = rescale(result[..., channel], factor) + zero_point
        return np.clip(result, low, high).astype(np.int8)

    def _geometry(self, op: Any, name: str) -> Any:
        from tf_odl.converters.geometry import sliding_window

        if name.endswith("POOL_2D"):
            options = op.builtinOptions
            return sliding_window(self.flat, op, options.filterHeight, options.filterWidth)
        return sliding_window(self.flat, op, *self.flat.shape(int(op.inputs[1]))[1:3])

    def _cross_entropy(self, op: Any, label: int) -> np.ndarray:
        self.active = False
        o = XentOptions.unpack(self._blob(op))
        logits = self.data[int(op.inputs[0])].ravel().astype(np.int32)
        best = int(logits.argmax())
        entries = np.frombuffer(self._blob(op)[-1024:], "<f4")[logits + (255 - logits[best])]
        others = f32(0)
        for i, entry in enumerate(entries):
            others += entry if i != best else f32(0)
        probability = f32(1) / (f32(1) + others)
        if label < 0:
            return np.array([-1, 0, 0, 0, best, probability], f32)
        error = entries * probability
        if label == best:
            wrong = others * probability
            loss = logarithm_of_little(others) if others < 0.125 else logarithm(f32(1) + others)
        else:
            wrong = (f32(1) + (others - entries[label])) * probability
            distance = f32(o.logits_scale) * f32(logits[best] - logits[label])
            loss = logarithm(f32(1) + others) + distance
        error[label] = -wrong
        alpha = f32(2) * wrong
        decision = self._decide(o, alpha)
        self.data[int(op.outputs[0])] = self._rounded(int(op.outputs[0]), error)
        return np.array([loss, decision, self.active, alpha, best, probability], f32)

    def _decide(self, o: XentOptions | LossOptions, alpha: np.float32) -> np.float32:
        """Whether a labelled sample trains, by the magnitude of its error. Returns D."""
        self.counts["samples"] += 1
        self.alpha_max = max(self.alpha_max, alpha)
        share = f32(0)
        if self.alpha_max > 0:
            share = alpha * (f32(o.d_max) - f32(o.d_min)) / self.alpha_max
        decision = (f32(o.d_min) + share) * f32(o.beta)
        self.active = o.skip_rule == SkipRuleCode.NEVER or bool(decision > f32(o.threshold))
        self.counts["trained" if self.active else "skipped"] += 1
        return decision

    def _float_head(self, op: Any) -> np.ndarray:
        o = FloatHeadOptions.unpack(self._blob(op))
        x, weights, bias = (self.data[int(i)] for i in op.inputs)
        centered = (x.reshape(-1).astype(np.int32) - o.x_zero_point).astype(f32)
        shape = self.flat.shape(int(op.outputs[0]))
        outputs = []
        for neuron, row in enumerate(weights):
            total = bias[neuron]
            for weight, value in zip(row, centered, strict=True):
                total = total + weight * value
            factor = f32(o.factors[0 if o.n_factors == 1 else neuron])
            outputs.append(np.floor(total * factor + f32(o.y_zero_point) + f32(0.5)))
        return np.clip(outputs, -128, 127).astype(np.int8).reshape(shape)

    def _float_head_backward(self, op: Any) -> None:
        o = LayerOptions.unpack(self._blob(op))
        delta = self._error(op, (1, 1, o.out_c))
        y = self.data[int(op.inputs[3])].reshape(delta.shape)
        delta[blocked(y, delta, o)] = 0
        kept = self._sparsify(o, delta)
        may_update = np.ones(o.out_c, bool) if o.mask is None else np.array(o.mask)
        propagates = bool(o.flags & Flags.PROPAGATE)
        working = kept & may_update
        non_zero = delta != 0
        self.counts["macs"] += (int(kept.sum()) * propagates + int(working.sum())) * o.in_c
        both = int(non_zero.sum()) * propagates + int((working & non_zero).sum())
        self.counts["macs_nonzero"] += both * o.in_c
        x, weights, bias = (self.data[int(op.inputs[i])] for i in (2, 4, 5))
        centered = (x.reshape(-1).astype(np.int32) - o.x_zero_point).astype(f32)
        rate, x_scale = self.learning_rate * self.rate_factor, f32(o.x_scale)
        error_x = np.zeros(o.in_c, f32)
        for neuron, error in enumerate(delta.ravel()):
            if error == 0:
                continue
            scale = f32(o.scales[0 if o.n_scales == 1 else neuron])
            error_x += error * scale * weights[neuron]
            if may_update[neuron]:
                factor = np.clip(rate * x_scale / scale * error, f32(-127), f32(127))
                weights[neuron] -= factor * centered
                step = rate / (x_scale * scale) * error
                bias[neuron] -= np.clip(step, f32(-(2.0**40)), f32(2.0**40))
        if propagates:
            self.data[int(op.outputs[0])] = error_x

    def _apply_sums(self, op: Any) -> None:
        """The weights after so many samples, from the sums of their gradients."""
        o = AccumulateOptions.unpack(self._blob(op))
        tensors = [None if i < 0 else self.data[int(i)] for i in op.inputs[1:]]
        count = tensors[0]
        count[0] += 1
        if count[0] < o.samples:
            return
        count[0] = 0
        for position, layer in enumerate(o.layers):
            weights, sums, bias, bias_sums = tensors[1 + 4 * position : 5 + 4 * position]
            mask = np.ones(layer.neurons, bool) if layer.mask is None else np.array(layer.mask)
            for row, neuron in enumerate(np.flatnonzero(mask)):
                if weights is not None:
                    target = weights.reshape(layer.neurons, layer.fan_in)[neuron]
                    high, low = (s.reshape(-1, layer.fan_in)[row] for s in sums.reshape(2, -1))
                    self._apply_row(target, high, low, o.rule == SumRule.KEEP_REST)
                if bias is not None:
                    moved = int(bias[neuron]) + int(bias_sums[row])
                    bias[neuron] = min(max(moved, -(2**31)), 2**31 - 1)
                    bias_sums[row] = 0

    def _apply_row(
        self, weights: np.ndarray, high: np.ndarray, low: np.ndarray, keeps: bool
    ) -> None:
        """Sums are 256 high + low, in units of 2^-8."""
        sums = 256 * high.astype(np.int64) + low
        steps = np.zeros(len(sums), np.int64)
        if keeps:
            steps = np.floor(sums / 256 + 0.5).astype(np.int64)
            sums -= 256 * steps
        else:
            for first in range(0, len(sums), 8):
                group = sums[first : first + 8]
                if not group.any():
                    continue
                draw = self.generator.draw()
                for lane, value in enumerate(group):
                    step = (-256 * int(value) + fraction(draw, lane)) >> 16
                    steps[first + lane] = -min(max(step, -128), 127)
            sums[:] = 0
        moved = weights + steps
        self.counts["saturated"] += int((np.abs(moved) > 127).sum())
        weights[:] = np.clip(moved, -127, 127)
        high[:] = (sums + 128) // 256
        low[:] = (sums + 128) % 256 - 128

    def _rate(self, o: RateOptions, alpha: np.float32) -> None:
        n = self.counts["samples"] - 1
        factor = f32(1)
        if o.schedule == ScheduleCode.STEP:
            base = f32(o.factor)
            for bit in bin(n // o.samples)[:1:-1]:
                if bit == "1":
                    factor = factor * base
                base = base * base
        elif o.schedule == ScheduleCode.COSINE:
            factor = f32(o.factor)
            if n < o.samples:
                cosine = cosine_of_pi(f32(n) / f32(o.samples))
                factor = factor + (f32(1) - factor) * (f32(0.5) + f32(0.5) * cosine)
        if n < o.warm_up:
            factor = factor * (f32(n + 1) / f32(o.warm_up))
        if o.clip > 0 and alpha > f32(o.clip):
            factor = factor * (f32(o.clip) / alpha)
        self.rate_factor = factor

    def _error(self, op: Any, shape: tuple[int, ...]) -> np.ndarray:
        """The op's error, with the mask of the activation; RESHAPE hands it on."""
        return self.data[int(op.inputs[0])].reshape(shape).copy()

    def _layer(self, op: Any, name: str) -> None:
        o = LayerOptions.unpack(self._blob(op))
        depthwise = name.startswith("TFODL_DEPTHWISE")
        fan_in = o.kernel_h * o.kernel_w * (1 if depthwise else o.in_c)
        delta = self._error(op, (o.out_h, o.out_w, o.out_c))
        if op.inputs[3] >= 0:
            y = self.data[int(op.inputs[3])].reshape(delta.shape)
            delta[blocked(y, delta, o)] = 0
        kept = self._sparsify(o, delta)

        propagates = bool(o.flags & Flags.PROPAGATE)
        updates = bool(o.flags & Flags.UPDATE_WEIGHTS)
        may_update = np.ones(o.out_c, bool) if o.mask is None else np.array(o.mask)
        if o.mask_offset is not None:
            bits = self.data[int(op.inputs[7])].view(np.uint8)[o.mask_offset :]
            may_update = np.unpackbits(bits, bitorder="little")[: o.out_c].astype(bool)
            o = replace(
                o,
                flags=o.flags & ~Flags.VARIABLE_MASK | Flags.MASKED,
                mask=tuple(may_update.tolist()),
                mask_offset=None,
            )
        working = kept & may_update & updates
        nominal = int(kept.sum()) * propagates + int(working.sum())
        non_zero = int((delta != 0).sum()) * propagates + int((working & (delta != 0)).sum())
        self.counts["macs"] += nominal * fan_in
        self.counts["macs_nonzero"] += non_zero * fan_in

        def tensor(position: int) -> np.ndarray | None:
            index = int(op.inputs[position])
            return self.data[index] if index >= 0 else None

        x = tensor(2)
        sums = bool(o.flags & Flags.ACCUMULATE)
        result = backward(
            o,
            delta,
            None if x is None else x.reshape(o.in_h, o.in_w, o.in_c),
            tensor(4),
            tensor(5),
            self.learning_rate * self.rate_factor,
            self.generator,
            residual=None if sums else tensor(6),
            sums=tensor(6) if sums else None,
            dense=name.startswith("TFODL_FULLY_CONNECTED"),
            depthwise=depthwise,
        )
        self.counts["saturated"] += result.saturated
        if propagates:
            below = int(op.outputs[0])
            self.data[below] = self._rounded(below, result.error_x)

    def _sparsify(self, o: LayerOptions, delta: np.ndarray) -> np.ndarray:
        """Zeroes entries of delta in place. Returns which entries count as kept."""
        fraction = f32(1)
        if o.sparsifier == SparsifierCode.MEPROP:
            fraction = f32(o.s_min)
        elif o.sparsifier == SparsifierCode.TINYPROP:
            y = magnitude_sum(delta)
            self.y_max[o.layer] = max(self.y_max[o.layer], y)
            share = f32(0)
            if self.y_max[o.layer] > 0:
                share = y * (f32(o.s_max) - f32(o.s_min)) / self.y_max[o.layer]
            fraction = (f32(o.s_min) + share) * f32(o.damping)
        k = int(np.clip(np.floor(float(fraction * f32(delta.size)) + 0.5), 1, delta.size))
        order = np.argsort(-np.abs(delta.ravel()), kind="stable")[:k]
        kept = np.zeros(delta.size, bool)
        kept[order] = True
        kept = kept.reshape(delta.shape)
        delta[~kept] = 0
        return kept

    def _pool(self, op: Any, name: str) -> None:
        o = PoolOptions.unpack(self._blob(op))
        delta = self._error(op, (o.out_h, o.out_w, o.in_c))
        if op.inputs[3] >= 0:
            y_values = self.data[int(op.inputs[3])].reshape(delta.shape)
            delta[blocked(y_values, delta, o)] = 0
        below = int(op.outputs[0])
        error_x = np.zeros((o.in_h, o.in_w, o.in_c), f32)
        for y in range(o.out_h):
            for column in range(o.out_w):
                taps = windows(o, y, column, o.filter_h, o.filter_w)
                for channel in range(o.in_c):
                    entry = delta[y, column, channel]
                    if name == "TFODL_MAX_POOL_2D_BWD":
                        x = self.data[int(op.inputs[2])].reshape(error_x.shape)
                        values = [x[i, j, channel] for _, _, i, j in taps]
                        _, _, i, j = taps[int(np.argmax(values))]
                        shares = [(i, j, entry)]
                    else:
                        shares = [(i, j, entry / f32(len(taps))) for _, _, i, j in taps]
                    for i, j, share in shares:
                        total = self._rounded(below, error_x[i, j, channel] + share)
                        error_x[i, j, channel] = total
        self.data[below] = error_x
