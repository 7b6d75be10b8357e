"""An int8 .tflite file from anywhere, in the form that exports have.

The numbers stay those of the file: there is no calibrated headroom or margin. What changes is the
form: float or uint8 at the ends of the model is cut off, layers and tensors get short names, and a
fully connected layer with a scale per row gets a single one (see `single_scale`).
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from tf_odl.converters.flatbuffer import DTYPES, FlatModel, schema
from tf_odl.converters.layers import WEIGHTED_OPS
from tf_odl.converters.quantize import TFLM_OPS
from tf_odl.converters.relu6 import replace_relu6
from tf_odl.converters.rescale import bias_steps, has_bias, rename, set_bias_scale
from tf_odl.errors import UserError

# Beside those that exports of Keras models contain.
_KNOWN_OPS = TFLM_OPS | {"SPLIT", "UNPACK"}
_CASTS = ("QUANTIZE", "DEQUANTIZE")
# The most dimensions that TensorFlow Lite Micro's kernels take.
_MOST_DIMENSIONS = {"STRIDED_SLICE": 4, "TRANSPOSE": 5}
_SOFTMAX_BITS = 26  # kScaledDiffIntegerBits: a finer scale than 2^-26 stops the kernel
# Parts of the names that TensorFlow gives to the tensors of a layer, not the layer.
_PARTS = re.compile(
    r"(model|functional|sequential|batch_normalization|activation|re_lu)(_\d+)*"
    r"|batchnorm|convolution|(resource|depthwise)\d*"
)


def adapt(data: bytes) -> tuple[bytes, dict[str, int]]:
    """A .tflite file as a plain int8 model.

    Returns:
        The model, whose weighted layers are named by their output tensors, and the neurons of
        each of them in the order of the ops.

    Raises:
        UserError: no .tflite file, no int8 model, or an op without an int8 kernel in TFLM.
    """
    flat = _read(data)
    _cut_casts(flat)
    _fix_shapes(flat)
    replace_relu6(flat)
    _check_form(flat)
    flat.drop_unused_tensors()
    for op in flat.operators:
        if flat.op_name(op) in WEIGHTED_OPS and has_bias(op):
            quantization = flat.tensors[int(op.inputs[2])].quantization
            if quantization is not None:
                # Old converters copied that of the kernel, which TensorFlow Lite refuses today.
                quantization.quantizedDimension = 0
        if flat.op_name(op) == "FULLY_CONNECTED":
            single_scale(flat, op)
    sites = _name_layers(flat)
    rename(flat, sites)
    neurons = {site: flat.shape(int(op.outputs[0]))[-1] for site, op in sites}
    return flat.pack(), neurons


def _read(data: bytes) -> FlatModel:
    if data[4:8] != b"TFL3":
        raise UserError("this is not a .tflite model: the file identifier TFL3 is missing")
    try:
        flat = FlatModel(data)
        graphs, inputs, outputs = len(flat.root.subgraphs), len(flat.inputs), len(flat.outputs)
        for op in flat.operators:
            flat.op_name(op)
    except Exception as error:  # the generated code checks nothing, so anything can happen
        raise UserError(f"the .tflite file is damaged ({error})") from error
    if graphs != 1:
        raise UserError(f"the model has {graphs} subgraphs (control flow); only one works")
    for what, count in (("inputs", inputs), ("outputs", outputs)):
        if count != 1:
            raise UserError(f"the model has {count} {what}; models with one input and output work")
    if not flat.operators:
        raise UserError("the model has no ops")
    return flat


def _cut_casts(flat: FlatModel) -> None:
    """Start behind a QUANTIZE of the input and end before a DEQUANTIZE or QUANTIZE of the output.

    Programs that feed the model do that step anyway; on a board int8 is what counts.
    """
    codes = schema().TensorType
    readers = flat.consumers(flat.inputs[0])
    if (
        len(readers) == 1
        and flat.op_name(readers[0]) == "QUANTIZE"
        and flat.tensors[flat.inputs[0]].type != codes.INT8
    ):
        flat.graph.inputs = np.asarray([readers[0].outputs[0]], np.int32)
        flat.operators.remove(readers[0])
    producer = flat.producer(flat.outputs[0])
    if (
        producer is not None
        and flat.op_name(producer) in _CASTS
        and flat.tensors[flat.outputs[0]].type != codes.INT8
    ):
        flat.graph.outputs = np.asarray([producer.inputs[0]], np.int32)
        flat.operators.remove(producer)


def _fix_shapes(flat: FlatModel) -> None:
    """RESHAPE to a known shape in place of what changes only the shape of an int8 tensor.

    A dynamic batch becomes 1. What the file computes from it has no reader then, and goes.
    """
    for tensor in flat.tensors:
        tensor.shapeSignature = None
    for position, op in enumerate(flat.operators):
        x, y = int(op.inputs[0]), int(op.outputs[0])
        if flat.op_name(op) == "RESHAPE":
            _fix_rows(flat, x, y)
        shape = flat.shape(y)
        known = len(op.inputs) > 1 and flat.is_constant(int(op.inputs[1]))
        if (
            flat.op_name(op) not in ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
            or (flat.op_name(op) == "RESHAPE" and known)
            or flat.tensors[x].type != schema().TensorType.INT8
            or math.prod(shape) != math.prod(flat.shape(x))
        ):
            continue
        to = flat.add_tensor("", (len(shape),), np.int32, values=np.asarray(shape))
        flat.operators[position] = flat.builtin_op("RESHAPE", [x, to], [y], version=1)
    for op in reversed(list(flat.operators)):
        if not any(flat.consumers(int(i)) or int(i) in flat.outputs for i in op.outputs):
            flat.operators.remove(op)


def _fix_rows(flat: FlatModel, x: int, y: int) -> None:
    """How many vectors a Dense layer reads: the file does not say it of a dynamic batch."""
    size = math.prod(flat.shape(x))
    readers = flat.consumers(y)
    if math.prod(flat.shape(y)) == size or {flat.op_name(r) for r in readers} != {
        "FULLY_CONNECTED"
    }:
        return
    for reader in readers:
        out_c, in_c = flat.shape(int(reader.inputs[1]))
        flat.tensors[y].shape = np.asarray([size // in_c, in_c], np.int32)
        flat.tensors[int(reader.outputs[0])].shape = np.asarray([size // in_c, out_c], np.int32)


def _check_form(flat: FlatModel) -> None:
    # First what is between casts: of a layer that has no int8 form they only are the border.
    casts = [flat.op_name(op) in _CASTS for op in flat.operators]
    for position in sorted(range(len(casts)), key=casts.__getitem__):
        op = flat.operators[position]
        kind = flat.op_name(op)
        name = _short(flat, int(op.outputs[0]))
        where = f"op {kind} ({f'tensor {name!r}' if name else f'number {position}'})"
        if kind == "RELU6":
            raise UserError(
                f"{where}: TensorFlow Lite Micro computes a RELU6 of its own wrongly; "
                "let the converter fuse it into the layer before it"
            )
        if kind == "SHAPE":
            raise UserError(
                f"{where} stops the export: the model computes shapes while it runs; "
                "convert it with a batch size of 1"
            )
        # Before its tensors: an int8 LSTM has a state of 16 bits, which is not what stops it.
        if kind not in _KNOWN_OPS and kind not in _CASTS:
            raise UserError(
                f"{where} stops the export: TensorFlow Lite and TensorFlow Lite Micro have no "
                "common int8 kernel for it. Replace the layer it comes from and convert again"
            )
        for tensor in (int(i) for i in (*op.inputs, *op.outputs) if i >= 0):
            _check_tensor(flat, tensor, where)
        if kind in WEIGHTED_OPS:
            _check_weights(flat, op, where)
        _check_limits(flat, op, where)
    for tensor in (flat.inputs[0], flat.outputs[0]):
        if flat.dtype(tensor) != np.int8:
            raise UserError(f"the model's {flat.name(tensor)!r} is not int8")
        if flat.shape(tensor)[:1] != (1,):
            raise UserError(
                f"the model's {flat.name(tensor)!r} has the shape {list(flat.shape(tensor))}; "
                "convert it with a batch size of 1"
            )


def _check_tensor(flat: FlatModel, tensor: int, where: str) -> None:
    if DTYPES.get(flat.tensors[tensor].type) not in (np.int8, np.int32):
        names = {v: k for k, v in vars(schema().TensorType).items() if isinstance(v, int)}
        kind = names.get(flat.tensors[tensor].type, "unknown").lower()
        raise UserError(
            f"{where} works on {kind} ({_short(flat, tensor)!r}): the model is not fully quantized "
            "to int8. Convert it with TFLITE_BUILTINS_INT8 and a representative data set, and "
            "replace layers that stay as they are"
        )


def _check_weights(flat: FlatModel, op: Any, where: str) -> None:
    for tensor in (int(i) for i in (*op.inputs[:2], *op.outputs)):
        if len(flat.scales(tensor)) == 0:
            raise UserError(f"{where}: {flat.name(tensor)!r} has no quantization")
    zero_points = flat.tensors[int(op.inputs[1])].quantization.zeroPoint
    if zero_points is not None and np.any(zero_points):
        raise UserError(f"{where}: its weights are asymmetric; convert the model again")


def _check_limits(flat: FlatModel, op: Any, where: str) -> None:
    """What TensorFlow Lite Micro's kernels refuse, or are stopped by, when a board starts."""
    kind = flat.op_name(op)
    dimensions = max(len(flat.shape(int(i))) for i in (op.inputs[0], op.outputs[0]))
    most = _MOST_DIMENSIONS.get(kind, dimensions)
    if dimensions > most:
        raise UserError(
            f"{where} has tensors of {dimensions} dimensions, TensorFlow Lite Micro takes at most "
            f"{most}. Reshape before it and convert again"
        )
    if kind == "SOFTMAX":
        step = float(flat.scales(int(op.inputs[0]))[0]) * float(op.builtinOptions.beta)
        if step * 2**_SOFTMAX_BITS <= 1:
            raise UserError(
                f"{where} reads numbers that were all the same when the model was calibrated "
                f"(scale {step:.2g}). Train the model first, and calibrate it with real samples"
            )


def single_scale(flat: FlatModel, op: Any) -> None:
    """Requantize the weights and the bias of a fully connected op to its widest scale.

    Converters from 2024 on give each row a scale. The TensorFlow Lite Micro of the Arduino
    libraries takes the first for all rows and computes nonsense without a word.
    """
    kernel = int(op.inputs[1])
    scales = flat.scales(kernel).astype(np.float64)
    codes = flat.constant(kernel)
    if len(scales) == 1 or codes is None:
        return
    old_steps = bias_steps(flat, op)
    flat.set_constant(kernel, np.round(codes * (scales / scales.max())[:, np.newaxis]))
    quantization = flat.tensors[kernel].quantization
    quantization.scale = np.asarray([scales.max()], np.float32)
    quantization.zeroPoint = np.zeros(1, np.int64)
    quantization.quantizedDimension = 0
    if has_bias(op):
        bias = int(op.inputs[2])
        values = flat.constant(bias)
        steps = bias_steps(flat, op)
        if values is not None:
            flat.set_constant(bias, np.round(values * (old_steps / steps)))
        set_bias_scale(flat, bias, steps)


def _name_layers(flat: FlatModel) -> list[tuple[str, Any]]:
    """A name for every weighted op: that of the Keras layer where the tensors still tell it."""
    sites: list[tuple[str, Any]] = []
    taken: set[str] = set()
    for position, op in enumerate(flat.operators):
        kind = flat.op_name(op)
        if kind not in WEIGHTED_OPS:
            continue
        name = _layer_name(flat.name(int(op.inputs[1]))) or _layer_name(
            flat.name(int(op.outputs[0]))
        )
        if name is None or name in taken:
            name = f"{kind.lower()}_{position}"
        taken.add(name)
        sites.append((name, op))
    return sites


def _layer_name(tensor: str) -> str | None:
    """`dense_1` of `functional_1/dense_1/MatMul;...`: the first part that looks like a layer.

    A tensor that several layers were merged into has all their names, its own first.
    """
    for name in tensor.split(";"):
        parts = [p for p in name.split("/")[:-1] if re.fullmatch(r"[a-z][a-z0-9_]*", p)]
        layers = [p for p in parts if not _PARTS.fullmatch(p)]
        if layers:
            return layers[-1]
    return None


def _short(flat: FlatModel, tensor: int) -> str:
    return flat.name(tensor).split(";")[0]
