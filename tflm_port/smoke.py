"""The smallest training graph: it shows whether the installed wheel runs the training ops."""

import struct

import flatbuffers
import numpy as np
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tf_odl.contract import ABI_VERSION, REPORT_FLOATS, STATE_WORDS

LOGITS = np.array([[20, 0, 4]], np.int8)
LABEL = 2
SCALE = 0.05
RNG_SEED = 12345


def expected_loss() -> float:
    """Cross entropy of LOGITS and LABEL."""
    scores = LOGITS[0].astype(np.float64) * SCALE
    return float(np.log(np.exp(scores).sum()) - scores[LABEL])


def model() -> bytes:
    """A .tflite file: int8 [1, 3] -> RELU, with TFODL_SEED and TFODL_SOFTMAX_XENT around it."""
    buffers = [schema.BufferT()]
    tensors = []

    def tensor(name: str, shape: list[int], kind: int, variable: bool = False) -> int:
        made = schema.TensorT()
        made.name = name.encode()
        made.shape = np.array(shape, np.int32)
        made.type = kind
        made.buffer = 0
        made.isVariable = variable
        if kind == schema.TensorType.INT8:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = np.array([SCALE], np.float32)
            made.quantization.zeroPoint = np.array([0], np.int64)
        tensors.append(made)
        return len(tensors) - 1

    kinds = schema.TensorType
    image = tensor("x", [1, 3], kinds.INT8)
    label = tensor("tfodl/label", [1], kinds.INT32)
    state = tensor("tfodl/state", [STATE_WORDS], kinds.INT32, variable=True)
    logits = tensor("logits", [1, 3], kinds.INT8)
    error = tensor("error", [3], kinds.FLOAT32)
    report = tensor("tfodl/report", [REPORT_FLOATS], kinds.FLOAT32)

    codes = []

    def operator(code: int, custom: bytes, ins: list[int], outs: list[int], options: bytes) -> int:
        made = schema.OperatorCodeT()
        made.builtinCode = code
        made.deprecatedBuiltinCode = code
        made.customCode = custom or None
        made.version = 1
        codes.append(made)
        op = schema.OperatorT()
        op.opcodeIndex = len(codes) - 1
        op.inputs = np.array(ins, np.int32)
        op.outputs = np.array(outs, np.int32)
        op.customOptions = np.frombuffer(options, np.uint8) if options else None
        operators.append(op)
        return op.opcodeIndex

    operators: list[schema.OperatorT] = []
    ops = schema.BuiltinOperator
    seed = struct.pack("<IIIfII", ABI_VERSION, 7, RNG_SEED, 0.5, 0, 0)
    xent = struct.pack("<IfIffff", ABI_VERSION, SCALE, 0, 0.0, 0.0, 0.0, 0.0)
    xent += np.exp(SCALE * np.arange(-255, 1)).astype("<f4").tobytes()
    operator(ops.CUSTOM, b"TFODL_SEED", [state], [], seed)
    operator(ops.RELU, b"", [image], [logits], b"")
    operator(ops.CUSTOM, b"TFODL_SOFTMAX_XENT", [logits, label, state], [error, report], xent)

    graph = schema.SubGraphT()
    graph.tensors = tensors
    graph.operators = operators
    graph.inputs = np.array([image, label], np.int32)
    graph.outputs = np.array([logits, report], np.int32)
    made = schema.ModelT()
    made.version = 3
    made.operatorCodes = codes
    made.subgraphs = [graph]
    made.buffers = buffers
    builder = flatbuffers.Builder(2048)
    builder.Finish(made.Pack(builder), b"TFL3")
    return bytes(builder.Output())
