"""Reading, editing and writing .tflite files with one subgraph."""

from __future__ import annotations

import copy
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from tensorflow.lite.python import schema_py_generated as schema_types

DTYPES = {0: np.float32, 2: np.int32, 7: np.int16, 9: np.int8}  # schema.TensorType
_DTYPES = {code: np.dtype(known) for code, known in DTYPES.items()}
_ALIGNMENT = 16  # force_align of Buffer.data in the schema


@cache
def schema() -> Any:
    """The generated classes of the .tflite schema; imports TensorFlow."""
    from tensorflow.lite.python import schema_py_generated

    return schema_py_generated


@cache
def _builtin_names() -> dict[int, str]:
    operators = vars(schema().BuiltinOperator)
    return {code: name for name, code in operators.items() if isinstance(code, int)}


class FlatModel:
    """A .tflite model as objects.

    `tensors` and `operators` are the live lists of the main subgraph: editing them edits the model.
    """

    def __init__(self, data: bytes) -> None:
        self.root: schema_types.ModelT = schema().ModelT.InitFromPackedBuf(data, 0)
        self._custom_codes: dict[str, int] = {}

    def copy(self) -> FlatModel:
        """A model to edit, far faster than by its file.

        Tensors and ops are copies. What they refer to is shared: quantization, builtin options and
        the contents of buffers are replaced by who edits, never changed.
        """
        twin = copy.copy(self)
        twin._custom_codes = dict(self._custom_codes)
        twin.root = copy.copy(self.root)
        twin.root.operatorCodes = list(self.root.operatorCodes)
        twin.root.buffers = list(self.root.buffers)
        graph = copy.copy(self.graph)
        graph.tensors = [copy.copy(tensor) for tensor in graph.tensors]
        graph.operators = [copy.copy(op) for op in graph.operators]
        twin.root.subgraphs = [graph]
        return twin

    @property
    def graph(self) -> Any:
        return self.root.subgraphs[0]

    @property
    def tensors(self) -> list[Any]:
        return self.graph.tensors

    @property
    def operators(self) -> list[Any]:
        return self.graph.operators

    @property
    def inputs(self) -> list[int]:
        return [int(i) for i in self.graph.inputs]

    @property
    def outputs(self) -> list[int]:
        return [int(i) for i in self.graph.outputs]

    def op_name(self, op: Any) -> str:
        """`CONV_2D`, or the code of a custom op."""
        code = self.root.operatorCodes[op.opcodeIndex]
        if code.customCode:
            return code.customCode.decode()
        return _builtin_names()[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def name(self, tensor: int) -> str:
        """As text, empty without one."""
        raw = self.tensors[tensor].name
        return raw.decode() if isinstance(raw, bytes) else raw or ""

    def shape(self, tensor: int) -> tuple[int, ...]:
        """With the batch."""
        return tuple(np.asarray(self.tensors[tensor].shape).tolist())

    def dtype(self, tensor: int) -> np.dtype[Any]:
        return _DTYPES[self.tensors[tensor].type]

    def find(self, name: str) -> int | None:
        """Index of the tensor with this name."""
        return next((i for i in range(len(self.tensors)) if self.name(i) == name), None)

    def is_constant(self, tensor: int) -> bool:
        """Whether the file has values of a tensor."""
        data = self.root.buffers[self.tensors[tensor].buffer].data
        return data is not None and len(data) > 0

    def constant(self, tensor: int) -> np.ndarray | None:
        """The values of a constant in its shape and dtype, None for an activation or a variable."""
        if not self.is_constant(tensor):
            return None
        data = self.root.buffers[self.tensors[tensor].buffer].data
        return np.asarray(data, np.uint8).view(self.dtype(tensor)).reshape(self.shape(tensor))

    def set_constant(self, tensor: int, values: np.ndarray) -> None:
        """Replace the values of a constant, without touching other users of its buffer.

        Args:
            values: as many as it has; they get its shape and dtype.
        """
        values = np.ascontiguousarray(values, self.dtype(tensor)).reshape(self.shape(tensor))
        self.tensors[tensor].buffer = self._add_buffer(values)

    def _add_buffer(self, values: np.ndarray) -> int:
        buffer = schema().BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.root.buffers.append(buffer)
        return len(self.root.buffers) - 1

    def scales(self, tensor: int) -> np.ndarray:
        """float32 [1], or [channels] when quantized per channel; empty without quantization."""
        quantization = self.tensors[tensor].quantization
        if quantization is None or quantization.scale is None:
            return np.zeros(0, np.float32)
        return np.asarray(quantization.scale, np.float32)

    def scale_axis(self, tensor: int) -> int:
        """The axis along which there is more than one scale."""
        return int(self.tensors[tensor].quantization.quantizedDimension)

    def zero_point(self, tensor: int) -> int:
        """The code of 0; of weights, of all channels."""
        return int(self.tensors[tensor].quantization.zeroPoint[0])

    def consumers(self, tensor: int) -> list[Any]:
        """The ops that read it, in their order."""
        # Lists: looking for a number in a small array takes ten times as long.
        return [op for op in self.operators if tensor in op.inputs.tolist()]

    def producer(self, tensor: int) -> Any | None:
        """The first op that writes it, None for an input, a constant or a variable."""
        return next((op for op in self.operators if tensor in op.outputs.tolist()), None)

    def add_tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: type[np.generic],
        *,
        values: np.ndarray | None = None,
        quantization: Any = None,
        is_variable: bool = False,
    ) -> int:
        """Append a tensor and return its index; without values it has no buffer."""
        tensor = schema().TensorT()
        tensor.name = name
        tensor.shape = np.asarray(shape, np.int32)
        tensor.type = next(code for code, known in DTYPES.items() if known is dtype)
        tensor.buffer = 0 if values is None else self._add_buffer(values.astype(dtype))
        tensor.quantization = quantization
        tensor.isVariable = is_variable
        tensor.hasRank = False
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    @staticmethod
    def no_quantization() -> Any:
        """Scale 1, zero point 0. TFLM reads the zero point of every int8 variable to clear it, and
        on a board an absent one is a crash."""
        quantization = schema().QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = [1.0], [0]
        return quantization

    def keep_one_zero_point(self, tensor: int) -> None:
        """All scales of weights stay, of their zero points, all 0, a single one.

        Scales are what learned values are brought back by; nobody looks for a zero point of each
        channel, and TensorFlow Lite Micro, too, takes a single one where it wants one.
        """
        quantization = copy.copy(self.tensors[tensor].quantization)
        quantization.zeroPoint = np.zeros(1, np.int64)
        self.tensors[tensor].quantization = quantization

    def drop_unused_tensors(self) -> None:
        """Remove tensors that no op and no end of the model mentions; the others are renumbered."""
        mentioned = {*self.inputs, *self.outputs}
        for op in self.operators:
            mentioned |= {int(i) for i in (*op.inputs, *op.outputs)}
        kept = sorted(mentioned - {-1})
        position = {-1: -1} | {old: new for new, old in enumerate(kept)}

        def renumbered(indices: Any) -> np.ndarray:
            return np.asarray([position[int(i)] for i in indices], np.int32)

        self.graph.tensors = [self.tensors[i] for i in kept]
        self.graph.inputs = renumbered(self.graph.inputs)
        self.graph.outputs = renumbered(self.graph.outputs)
        for op in self.operators:
            op.inputs, op.outputs = renumbered(op.inputs), renumbered(op.outputs)

    def builtin_op(self, name: str, inputs: list[int], outputs: list[int], version: int) -> Any:
        """A builtin op without options, not yet in the list of operators."""
        code = schema().OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema().BuiltinOperator, name)
        code.version = version
        known = [(c.builtinCode, c.version) for c in self.root.operatorCodes]
        if (code.builtinCode, version) not in known:
            self.root.operatorCodes.append(code)
            known.append((code.builtinCode, version))
        op = schema().OperatorT()
        op.opcodeIndex = known.index((code.builtinCode, version))
        op.inputs = np.asarray(inputs, np.int32)
        op.outputs = np.asarray(outputs, np.int32)
        return op

    def custom_op(self, code: str, inputs: list[int], outputs: list[int], options: bytes) -> Any:
        """A custom op, not yet in the list of operators."""
        op = schema().OperatorT()
        op.opcodeIndex = self._custom_code(code)
        op.inputs = np.asarray(inputs, np.int32)
        op.outputs = np.asarray(outputs, np.int32)
        op.customOptions = np.frombuffer(options, np.uint8)
        return op

    def _custom_code(self, name: str) -> int:
        if name not in self._custom_codes:
            code = schema().OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = schema().BuiltinOperator.CUSTOM
            code.customCode = name.encode()
            self.root.operatorCodes.append(code)
            self._custom_codes[name] = len(self.root.operatorCodes) - 1
        return self._custom_codes[name]

    def pack(self) -> bytes:
        """The file. Signatures, metadata and unused buffers are dropped: they cost flash."""
        import flatbuffers

        self.root.signatureDefs = None
        self.root.metadata = None
        self.root.metadataBuffer = None
        self._drop_unused_buffers()
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(self.root.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _drop_unused_buffers(self) -> None:
        buffers = self.root.buffers
        used = sorted({0} | {t.buffer for t in self.tensors if buffers[t.buffer].data is not None})
        position = {old: new for new, old in enumerate(used)}
        for tensor in self.tensors:
            tensor.buffer = position.get(tensor.buffer, 0)
        self.root.buffers = [_AlignedBuffer(buffers[i].data) for i in used]


class Packed(NamedTuple):
    """A model as objects that nobody edits any more, and as the file."""

    flat: FlatModel
    data: bytes


def packed(flat: FlatModel) -> Packed:
    """With its file."""
    return Packed(flat, flat.pack())


def parsed(data: bytes) -> Packed:
    """With its objects."""
    return Packed(FlatModel(data), data)


class _AlignedBuffer:
    """A buffer that keeps the schema's alignment, which the generated Python code loses."""

    def __init__(self, data: np.ndarray | None) -> None:
        self.data = data

    def Pack(self, builder: Any) -> int:
        vector = None
        if self.data is not None and len(self.data):
            raw = np.asarray(self.data, np.uint8).tobytes()
            builder.StartVector(1, len(raw), _ALIGNMENT)
            builder.head -= len(raw)
            builder.Bytes[builder.head : builder.head + len(raw)] = raw
            vector = builder.EndVector()
        schema().BufferStart(builder)
        if vector is not None:
            schema().BufferAddData(builder, vector)
        return int(schema().BufferEnd(builder))
