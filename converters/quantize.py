"""Full-integer int8 post-training quantization of a folded model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from tf_odl.converters.flatbuffer import DTYPES, FlatModel
from tf_odl.errors import UserError, reason_of
from tf_odl.quiet import quiet

if TYPE_CHECKING:
    import keras

Progress = Callable[[str, int, int], None]

# Ops with an int8 kernel in the TensorFlow Lite Micro of the Arduino libraries and of the wheel,
# which gives the same bits as tflite-runtime. Not among them: SUM (tflite-runtime's is wrong) and
# RELU6 as an op of its own (TFLM's takes the output's scale for the input's).
TFLM_OPS = frozenset(
    {
        "ABS",
        "ADD",
        "AVERAGE_POOL_2D",
        "CONCATENATION",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
        "GATHER",
        "HARD_SWISH",
        "LEAKY_RELU",
        "LOGISTIC",
        "MAXIMUM",
        "MAX_POOL_2D",
        "MEAN",
        "MINIMUM",
        "MIRROR_PAD",
        "MUL",
        "PACK",
        "PAD",
        "PADV2",
        "PRELU",
        "QUANTIZE",
        "REDUCE_MAX",
        "RELU",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "SOFTMAX",
        "SQUARED_DIFFERENCE",
        "STRIDED_SLICE",
        "SUB",
        "TANH",
        "TRANSPOSE",
        "TRANSPOSE_CONV",
    }
)


def quantize(
    model: keras.Model, calibration_x: np.ndarray, progress: Progress | None = None
) -> bytes:
    """An int8 .tflite model with batch size 1, int8 input and output.

    Convolution weights have a scale per output channel, Dense weights one scale: the TFLM of the
    Arduino libraries silently takes the first scale of a Dense layer for all its rows.

    Args:
        model: float32 model without batch normalization (see `fold`).
        calibration_x: real samples, float [N, *input]; they set the activation ranges.
        progress: called with ("calibrate", samples done, samples in all).

    Raises:
        UserError: the samples do not fit the model, or it has a layer without an int8 kernel.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    samples = check_samples(model, calibration_x, "calibration data")
    signature = [tf.TensorSpec((1, *samples.shape[1:]), tf.float32)]
    function = tf.function(lambda x: model(x, training=False), input_signature=signature)
    frozen = convert_variables_to_constants_v2(function.get_concrete_function())

    def feed() -> Iterator[list[np.ndarray]]:
        for i in range(len(samples)):
            yield [samples[i : i + 1]]
            if progress is not None:
                progress("calibrate", i + 1, len(samples))

    with quiet():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = feed
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    with quiet():
        try:
            data = converter.convert()
        except Exception as error:
            raise UserError(
                f"TensorFlow Lite cannot quantize the model to int8: {reason_of(error)}"
            ) from error
    _check_integer_only(FlatModel(data), model)
    return data


def check_samples(model: keras.Model, x: np.ndarray, what: str) -> np.ndarray:
    """The samples as float32 [N, *input].

    Raises:
        UserError: no samples, another shape than the model's input, or values that are not finite.
    """
    samples = np.asarray(x)
    shape = tuple(model.input_shape[1:])
    if samples.shape[1:] != shape or len(samples) == 0:
        raise UserError(
            f"{what}: the model reads samples of shape {list(shape)}, "
            f"got an array of shape {list(samples.shape)}"
        )
    samples = samples.astype(np.float32)
    if not np.isfinite(samples).all():
        raise UserError(f"{what}: some values are not finite numbers")
    return samples


def _check_integer_only(flat: FlatModel, model: keras.Model) -> None:
    for index, tensor in enumerate(flat.tensors):
        if DTYPES.get(tensor.type) not in (np.int8, np.int32):
            readers = [*flat.consumers(index), flat.producer(index)]
            ops = sorted({flat.op_name(op) for op in readers if op is not None})
            raise UserError(
                f"{_suspects(model)} has no int8 form: {', '.join(ops)} at tensor "
                f"{flat.name(index)!r} did not become integer. Replace the layer"
            )


def check_known_to_tflm(data: bytes, model: keras.Model) -> None:
    """Whether every op of an int8 .tflite model is one of TFLM_OPS.

    Raises:
        UserError: with the op and the layers of `model` it may come from.
    """
    flat = FlatModel(data)
    missing = sorted({flat.op_name(op) for op in flat.operators} - TFLM_OPS)
    if missing:
        raise UserError(
            f"{_suspects(model)} becomes {', '.join(missing)}, for which TensorFlow Lite and "
            "TensorFlow Lite Micro have no common int8 kernel. Replace the layer"
        )


def _suspects(model: keras.Model) -> str:
    """Layers that may lack an int8 kernel: TFLite forgets which layer an op comes from."""
    import keras

    layers = keras.layers
    known = (
        *(layers.InputLayer, layers.Dense, layers.Conv2D, layers.DepthwiseConv2D),
        *(layers.MaxPooling2D, layers.AveragePooling2D, layers.GlobalAveragePooling2D),
        *(layers.Flatten, layers.Reshape, layers.Add, layers.Concatenate, layers.ZeroPadding2D),
    )
    names = [
        f"{layer.name!r} ({type(layer).__name__})"
        for layer in model.operations
        if not isinstance(layer, known) and not _is_plain_relu(layer)
    ]
    return f"layer {' or '.join(names)}" if names else "the model"


def _is_plain_relu(layer: keras.Operation) -> bool:
    import keras

    return isinstance(layer, keras.layers.ReLU) and layer.max_value is None
