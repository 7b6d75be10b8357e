"""Gradients of an int8 model by TensorFlow's autodiff, sharing no code with the training graph.

The graph is written in plain tf ops on the dequantized weights. Every activation takes the value
that TFLite's int8 kernels computed, so autodiff differentiates at exactly that point; an element
that the activation cut off passes no gradient.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from int8_activations import activations

from tf_odl.converters.flatbuffer import FlatModel, schema

CUT_OFF = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "RELU", "QUANTIZE")


class Dequantized:
    """One sample's forward pass; `gradients` differentiates any function of the logits."""

    def __init__(self, model: bytes, sample: np.ndarray, logits: int) -> None:
        self.flat = FlatModel(model)
        self.codes = activations(model, sample)
        self.logits = logits
        self.values: dict[int, tf.Tensor] = {}
        self.parameters: dict[int, tf.Tensor] = {}

    def _real(self, tensor: int) -> np.ndarray:
        scales = self.flat.scales(tensor).astype(np.float64)
        codes = self.codes[tensor].astype(np.float64)
        quantization = self.flat.tensors[tensor].quantization
        if len(scales) > 1:
            shape = [1] * codes.ndim
            shape[quantization.quantizedDimension] = -1
            scales = scales.reshape(shape)
            return codes * scales
        return (codes - self.flat.zero_point(tensor)) * scales

    def _parameter(self, tensor: int) -> tf.Tensor:
        if tensor not in self.parameters:
            self.parameters[tensor] = tf.constant(self._real(tensor))
        return self.parameters[tensor]

    def gradients(self, loss: Any, names: list[str]) -> list[np.ndarray]:
        """d loss(real logits) / d tensor for tensors by name, float64 in the tensors' shapes."""
        flat = self.flat
        tensors = [flat.find(name) for name in names]
        with tf.GradientTape() as tape:
            for tensor in tensors:
                tape.watch(self._parameter(tensor))
            for op in flat.operators:
                y = int(op.outputs[0])
                self.values[y] = self._pinned(op, self._activated(op, self._apply(op)))
            value = loss(self.values[self.logits])
        found = tape.gradient(value, [self.parameters[t] for t in tensors])
        return [g.numpy() for g in found]

    def _pinned(self, op: Any, value: tf.Tensor) -> tf.Tensor:
        """The value of the int8 kernel with the gradient of `value`.

        At the end of int8 only a gradient that pulls the value back has an effect on the loss. A
        value that is handed on, or is the mean of others, has not been cut off.
        """
        tensor = int(op.outputs[0])
        real, codes = tf.constant(self._real(tensor)), self.codes[tensor]
        may_stick = self.flat.op_name(op) in CUT_OFF

        @tf.custom_gradient
        def pin(_: tf.Tensor) -> tuple[tf.Tensor, Any]:
            def backward(gradient: tf.Tensor) -> tf.Tensor:
                stuck = ((codes == 127) & (gradient < 0)) | ((codes == -128) & (gradient > 0))
                stuck &= may_stick
                return tf.where(stuck, tf.zeros_like(gradient), gradient)

            return real, backward

        return pin(value)

    def _value(self, tensor: int) -> tf.Tensor:
        if tensor not in self.values:
            self.values[tensor] = tf.constant(self._real(tensor))
        return self.values[tensor]

    def _activated(self, op: Any, value: tf.Tensor) -> tf.Tensor:
        kinds = schema().ActivationFunctionType
        fused = getattr(op.builtinOptions, "fusedActivationFunction", kinds.NONE)
        if fused == kinds.NONE:
            return value
        y = int(op.outputs[0])
        # Where the int8 value lies strictly inside the activation's range.
        real = self._real(y)
        step = float(self.flat.scales(y)[0]) / 2
        passes = real > step
        if fused == kinds.RELU6:
            passes &= real < 6 - step
        return value * passes

    def _apply(self, op: Any) -> tf.Tensor:
        flat, kind, options = self.flat, self.flat.op_name(op), op.builtinOptions
        inputs = [int(i) for i in op.inputs]
        shape = flat.shape(int(op.outputs[0]))
        x = self._value(inputs[0])
        if kind == "RESHAPE":
            return tf.reshape(x, shape)
        if kind == "ADD":
            return x + self._value(inputs[1])
        if kind == "RELU":
            return x * (self._real(int(op.outputs[0])) > 0)
        if kind in ("SOFTMAX", "LOGISTIC", "QUANTIZE"):
            return x
        if kind in ("PAD", "PADV2"):
            return tf.pad(x, self.codes[inputs[1]])
        if kind == "CONCATENATION":
            return tf.concat([self._value(i) for i in inputs], options.axis)
        if kind == "MEAN":
            return tf.reshape(tf.reduce_mean(x, self.codes[inputs[1]].ravel().tolist()), shape)
        if kind == "REDUCE_MAX":
            return tf.reshape(self._first_largest(x, inputs[0], self.codes[inputs[1]]), shape)
        if kind in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
            pooling = "MAX" if kind == "MAX_POOL_2D" else "AVG"
            return tf.nn.pool(
                x,
                (options.filterHeight, options.filterWidth),
                pooling,
                (options.strideH, options.strideW),
                self._padding(options),
            )
        weights = self._parameter(inputs[1])
        if kind == "FULLY_CONNECTED":
            flat_x = tf.reshape(x, (-1, weights.shape[1]))
            value = tf.linalg.matmul(flat_x, weights, transpose_b=True)
        else:
            strides = [1, options.strideH, options.strideW, 1]
            if kind == "CONV_2D":
                kernel = tf.transpose(weights, (1, 2, 3, 0))
                value = tf.nn.conv2d(x, kernel, strides, self._padding(options))
            else:
                assert kind == "DEPTHWISE_CONV_2D", f"the gradients do not know {kind}"
                in_c = x.shape[-1]
                kernel = tf.reshape(weights, (*weights.shape[1:3], in_c, -1))
                # tf.nn wants equal strides; a position left out is the same.
                assert strides[1] == strides[2]
                value = tf.nn.depthwise_conv2d(x, kernel, strides, self._padding(options))
        if len(inputs) > 2 and inputs[2] >= 0:
            value = value + self._parameter(inputs[2])
        return tf.reshape(value, shape)

    def _first_largest(self, x: tf.Tensor, tensor: int, axes: np.ndarray) -> tf.Tensor:
        """The first largest along the axes, which follow each other; tf shares among equal ones."""
        shape = x.shape.as_list()
        first, end = min(axes.ravel() % len(shape)), max(axes.ravel() % len(shape)) + 1
        outer, inner = int(np.prod(shape[:first])), int(np.prod(shape[end:]))
        winners = self.codes[tensor].reshape(outer, -1, inner).argmax(1)
        columns = tf.reshape(x, (outer, -1, inner))
        return tf.reduce_sum(
            columns * tf.one_hot(winners, columns.shape[1], axis=1, dtype=x.dtype), 1
        )

    @staticmethod
    def _padding(options: Any) -> str:
        return "SAME" if options.padding == schema().Padding.SAME else "VALID"
