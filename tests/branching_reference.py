"""The numpy reference of the training graph for models that branch.

ADD, RELU, QUANTIZE, PAD and CONCATENATION with TFLite's integer arithmetic, and the ops through
which their errors go, written from docs/training-graph.md.
"""

from typing import Any

import numpy as np
from training_reference import Reference, blocked

from tf_odl.converters.flatbuffer import schema
from tf_odl.converters.options import AddOptions, CropOptions

f32 = np.float32
BOXES = ("PAD", "PADV2")


def fixed_point(values: np.ndarray, factor: float, divisor: int = 1) -> np.ndarray:
    """TFLite's MultiplyByQuantizedMultiplier in exact integers, with its two roundings.

    A mean hands its divisor to the multiplier, scaled by the power of two below it.
    """
    mantissa, shift = np.frexp(factor)
    multiplier = round(float(mantissa) * 2**31)
    if multiplier == 2**31:
        multiplier, shift = multiplier // 2, shift + 1
    spare = divisor.bit_length() - 1
    multiplier, shift = (multiplier << spare) // divisor, int(shift) - spare
    left, right = max(shift, 0), max(-shift, 0)
    result = []
    for value in values.ravel().tolist():
        product = (value << left) * multiplier
        product += 1 << 30 if product >= 0 else 1 - (1 << 30)
        high = abs(product) >> 31
        high = high if product >= 0 else -high
        remainder = high & ((1 << right) - 1)
        threshold = ((1 << right) - 1 >> 1) + (high < 0)
        result.append((high >> right) + (remainder > threshold))
    return np.array(result, np.int64).reshape(values.shape)


class BranchingReference(Reference):
    """A training graph whose ops may be joined by sums, paddings and concatenations."""

    def _forward(self, op: Any, name: str) -> np.ndarray:
        if name == "ADD":
            return self._add(op)
        if name in ("RELU", "QUANTIZE"):
            return self._rescaled(op, name)
        if name in BOXES:
            x = self.data[int(op.inputs[0])]
            zero = self.flat.zero_point(int(op.outputs[0]))
            return np.pad(x, self.data[int(op.inputs[1])].tolist(), constant_values=zero)
        if name == "CONCATENATION":
            inputs = [self.data[int(i)] for i in op.inputs]
            return np.concatenate(inputs, axis=op.builtinOptions.axis)
        if name == "MEAN":
            return self._mean(op)
        return super()._forward(op, name)

    def _scale(self, tensor: int) -> float:
        return float(self.flat.scales(tensor)[0])

    def _add(self, op: Any) -> np.ndarray:
        flat = self.flat
        first, second = (int(i) for i in op.inputs)
        y = int(op.outputs[0])
        widest = 2 * max(self._scale(first), self._scale(second))
        total = np.zeros(flat.shape(y), np.int64)
        for tensor in (first, second):
            centered = self.data[tensor].astype(np.int64) - flat.zero_point(tensor)
            total = total + fixed_point(centered << 20, self._scale(tensor) / widest)
        result = fixed_point(total, widest / (2**20 * self._scale(y))) + flat.zero_point(y)
        low, high = -128, 127
        kinds = schema().ActivationFunctionType
        fused = op.builtinOptions.fusedActivationFunction
        if fused in (kinds.RELU, kinds.RELU6):
            low = max(low, flat.zero_point(y))
        if fused == kinds.RELU6:
            high = min(high, flat.zero_point(y) + round(6 / self._scale(y)))
        return np.clip(result, low, high).astype(np.int8)

    def _rescaled(self, op: Any, name: str) -> np.ndarray:
        flat, x, y = self.flat, int(op.inputs[0]), int(op.outputs[0])
        centered = self.data[x].astype(np.int64) - flat.zero_point(x)
        result = fixed_point(centered, self._scale(x) / self._scale(y)) + flat.zero_point(y)
        low = flat.zero_point(y) if name == "RELU" else -128
        return np.clip(result, low, 127).astype(np.int8)

    def _mean(self, op: Any) -> np.ndarray:
        """Over height and width."""
        flat, x, y = self.flat, int(op.inputs[0]), int(op.outputs[0])
        values = self.data[x].astype(np.int64) - flat.zero_point(x)
        count = values.shape[1] * values.shape[2]
        mean = fixed_point(values.sum(axis=(1, 2)), self._scale(x) / self._scale(y), count)
        result = mean + flat.zero_point(y)
        return np.clip(result, -128, 127).astype(np.int8).reshape(flat.shape(y))

    def _pool(self, op: Any, name: str) -> None:
        if name == "TFODL_ADD_BWD":
            self._add_backward(op)
        elif name == "TFODL_ADD_ERRORS":
            total, other = self.data[int(op.inputs[0])], self.data[int(op.inputs[2])]
            both = total + other.reshape(total.shape)
            self.data[int(op.inputs[0])] = self._rounded(int(op.inputs[0]), both)
        elif name == "TFODL_CROP_BWD":
            o = CropOptions.unpack(self._blob(op))
            error = self.data[int(op.inputs[0])].reshape(o.out_h, o.out_w, o.out_c)
            rows, columns = slice(o.top, o.top + o.in_h), slice(o.left, o.left + o.in_w)
            channels = slice(o.first_c, o.first_c + o.in_c)
            self.data[int(op.outputs[0])] = error[rows, columns, channels].copy()
        else:
            super()._pool(op, name)

    def _add_backward(self, op: Any) -> None:
        o = AddOptions.unpack(self._blob(op))
        error = self.data[int(op.inputs[0])].ravel().copy()
        error[blocked(self.data[int(op.inputs[2])].ravel(), error, o)] = 0
        assert error.size == o.count
        self.data[int(op.inputs[0])] = error
        for copy in op.outputs:
            self.data[int(copy)] = error.copy()
