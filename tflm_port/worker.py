"""The process in which TensorFlow Lite Micro runs.

TFLM trusts its model: a broken file, or a wheel with another memory layout, is a segmentation
fault. So it runs here, and `interpreter.py` talks to it over pipes: pickled (command, arguments) on
standard input, pickled (kind, value) on what was standard output. The kind is "result", "progress",
"refused" (a message for the user) or "failed" (a step that TFLM gave up).
"""

import ctypes
import os
import pickle
import re
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from tf_odl.contract import REPORT_FLOATS, Flags
from tf_odl.errors import UserError
from tf_odl.tflm_port import host, smoke
from tf_odl.tflm_port.description import Description
from tf_odl.tflm_port.state import Counts, State

PROGRESS_SECONDS = 0.1
REFERENCE_LABEL = -2
_FLAGS = 4  # where they lie in a layer's options
LAYER_OPS = (
    b"TFODL_FULLY_CONNECTED_BWD",
    b"TFODL_CONV_2D_BWD",
    b"TFODL_DEPTHWISE_CONV_2D_BWD",
)
_TOTAL = re.compile(r"Arena allocation total (\d+) bytes")

Progress = Callable[[int], None]


class StepError(Exception):
    """TFLM returned an error from a step."""


class Runtime:
    """The wheel's interpreter module, bound to the training ops."""

    def __init__(self) -> None:
        from tflite_micro.python.tflite_micro import _runtime, runtime

        self._module = runtime
        self._library = host.load()
        self._handle = ctypes.CDLL(_runtime.__file__)
        if not self._library.tfodl_bind_runtime(self._handle._handle):
            raise UserError(self.last_error())

    def last_error(self) -> str:
        return self._library.tfodl_last_error().decode()

    def interpreter(self, model: bytes, arena_bytes: int) -> "Interpreter":
        try:
            parsed = self._module.convert_bytearray_to_object(model)
        except Exception as error:  # the generated code checks nothing, so anything can happen
            raise UserError(f"the file is damaged ({error})") from error
        try:
            raw = self._module.Interpreter.from_bytes(
                model, custom_op_registerers=[host.REGISTERER], arena_size=arena_bytes
            )
        except (RuntimeError, ValueError) as error:
            reason = self.last_error() or f"{error} (arena: {arena_bytes} bytes)"
            raise UserError(reason) from error
        return Interpreter(raw, parsed, self._library)


#: Of the schema's TensorType, what variables are.
_ELEMENTS: dict[int, Any] = {0: ctypes.c_float, 2: ctypes.c_int32, 9: ctypes.c_int8}


class Interpreter:
    """One model. Training graphs are recognised by their TFODL_SEED."""

    def __init__(self, raw: Any, model: Any, library: ctypes.CDLL) -> None:
        self._raw = raw
        self._library = library
        graph = model.subgraphs[0]
        codes = [_code(model.operatorCodes[op.opcodeIndex]) for op in graph.operators]
        self.trains = b"TFODL_SEED" in codes
        self.is_logistic = b"TFODL_LOGISTIC_XENT" in codes
        # The shape of the third input, where the wanted outputs are given.
        self.target_shape: tuple[int, ...] | None = None
        if len(graph.inputs) > 2:
            target = graph.tensors[graph.inputs[2]]
            self.target_shape = tuple(int(extent) for extent in target.shape)
        self.has_classes = b"TFODL_SQUARED_ERROR" not in codes
        self._seed_shapes: list[tuple[int, ...]] = []  # state, variables, their seeds
        self._variable_types: list[int] = []
        if self.trains:
            seed = graph.operators[codes.index(b"TFODL_SEED")]
            self._seed_shapes = [
                tuple(int(extent) for extent in graph.tensors[index].shape) for index in seed.inputs
            ]
            self._variable_types = [graph.tensors[i].type for i in seed.inputs[1:]]
        self.masked = _masked_layers(graph, codes)
        self.in_shape = self._details(raw.get_input_details(0), "input")
        self.out_shape = self._details(raw.get_output_details(0), "output")
        self._publish()

    def description(self) -> "Description":
        classes = None
        if self.has_classes:
            classes = 2 if self.is_logistic else int(np.prod(self.out_shape))
        return Description(
            self.in_shape, self.out_shape, self.trains, classes, self.target_shape, self.masked
        )

    @staticmethod
    def _details(details: dict[str, Any], what: str) -> tuple[int, ...]:
        if details["dtype"] is not np.int8:
            raise UserError(f"the model's {what} is not int8; export a fully quantized model")
        return tuple(int(extent) for extent in details["shape"])

    def _publish(self) -> None:
        """Invoke once without a label, so that the variables are seeded and their places known."""
        if self.trains:
            self._step(np.zeros(self.in_shape, np.int8), -1)
            self._observe()

    def _observe(self) -> None:
        """Run the reference samples that are wanted, as a sketch has to."""
        while (address := self._library.tfodl_session_reference()) is not None:
            size = int(np.prod(self.in_shape))
            sample = np.ctypeslib.as_array((ctypes.c_int8 * size).from_address(address))
            self._step(sample.reshape(self.in_shape), REFERENCE_LABEL)

    def _step(self, sample: np.ndarray, label: int, target: np.ndarray | None = None) -> None:
        self._raw.set_input(sample, 0)
        if self.trains:
            self._raw.set_input(np.array([label], np.int32), 1)
        if target is not None:
            self._raw.set_input(target, 2)
        try:
            self._raw.invoke()
        except RuntimeError as error:
            raise StepError(self._library.tfodl_last_error().decode() or str(error)) from error

    def run(
        self,
        samples: np.ndarray,
        labels: np.ndarray,
        targets: np.ndarray | None,
        progress: Progress,
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Step through the samples in order.

        Returns outputs int8 [N, ...], reports float32 [N, 6] and the mean seconds per step.
        """
        count = len(samples)
        outputs = np.empty((count, *self.out_shape[1:]), np.int8)
        reports = np.zeros((count, REPORT_FLOATS), np.float32)
        start = last = time.perf_counter()
        for i in range(count):
            target = None if targets is None else targets[i : i + 1]
            self._step(samples[i : i + 1], int(labels[i]), target)
            outputs[i] = self._raw.get_output(0)[0]
            if self.trains:
                reports[i] = self._raw.get_output(1)
                self._observe()
            now = time.perf_counter()
            if now - last > PROGRESS_SECONDS:
                progress(i + 1)
                last = now
        return outputs, reports, (time.perf_counter() - start) / max(count, 1)

    def _state_view(self) -> np.ndarray:
        (words,) = self._seed_shapes[0]
        address = self._library.tfodl_session_state()
        return np.ctypeslib.as_array((ctypes.c_float * words).from_address(address))

    def state(self) -> State:
        return State.from_bytes(self._state_view().tobytes())

    def counts(self) -> Counts:
        return Counts(*self._library.tfodl_session_counts()[:2])

    def set_learning_rate(self, value: float) -> None:
        self._state_view()[2] = value

    def _variable_views(self) -> list[np.ndarray]:
        views = []
        for index in range(self._library.tfodl_session_variable_count()):
            size = self._library.tfodl_session_variable_bytes(index)
            address = self._library.tfodl_session_variable_data(index)
            shape = self._seed_shapes[1 + index]
            element = _ELEMENTS[self._variable_types[index]]
            count = size // ctypes.sizeof(element)
            data = np.ctypeslib.as_array((element * count).from_address(address))
            views.append(data.reshape(shape))
        return views

    def variables(self) -> list[np.ndarray]:
        return [view.copy() for view in self._variable_views()]

    def set_variables(self, values: list[np.ndarray]) -> None:
        for view, value in zip(self._variable_views(), values, strict=True):
            view[...] = value

    def _mask_view(self, layer: int) -> tuple[np.ndarray, int]:
        """The bytes of a mask, and how many of their bits count."""
        neurons = self._library.tfodl_session_mask_neurons(layer)
        address = self._library.tfodl_session_mask_bits(layer)
        size = -(-neurons // 8)
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address)), neurons

    def masks(self) -> list[np.ndarray]:
        found = []
        for layer in range(len(self.masked)):
            view, neurons = self._mask_view(layer)
            found.append(np.unpackbits(view, bitorder="little")[:neurons].astype(bool))
        return found

    def set_mask(self, layer: int, mask: np.ndarray) -> None:
        self._mask_view(layer)[0][...] = np.packbits(mask, bitorder="little")

    def reset(self) -> None:
        self._raw.reset()
        self._publish()

    def arena_used_bytes(self) -> int:
        """The total that TFLM's recording allocator prints."""
        with tempfile.TemporaryFile() as capture:
            sys.stderr.flush()
            saved = os.dup(2)
            os.dup2(capture.fileno(), 2)
            try:
                self._raw.print_allocations()
            finally:
                os.dup2(saved, 2)
                os.close(saved)
            capture.seek(0)
            text = capture.read().decode(errors="replace")
        found = _TOTAL.search(text)
        if found is None:
            raise UserError("this tflite-micro wheel does not print its arena use as expected")
        return int(found.group(1))


def _code(operator_code: Any) -> bytes:
    """The name of a custom op, without the type of its errors."""
    return (operator_code.customCode or b"").removesuffix(b"_BF16")


def _masked_layers(graph: Any, codes: list[bytes]) -> tuple[str, ...]:
    """The layers whose mask is a variable, named by their outputs, lowest first."""
    names = []
    for op, code in zip(graph.operators, codes, strict=True):
        if code in LAYER_OPS and op.customOptions[_FLAGS] & Flags.VARIABLE_MASK:
            name = graph.tensors[op.inputs[3]].name
            names.append(name.decode() if isinstance(name, bytes) else name)
    return tuple(reversed(names))


def check(runtime: Runtime) -> None:
    """Run the smoke model.

    Raises:
        UserError: the wheel does not run the training ops as it should.
    """
    interpreter = runtime.interpreter(smoke.model(), 1 << 16)
    labels = np.array([smoke.LABEL])
    _, reports, _ = interpreter.run(smoke.LOGITS, labels, None, lambda _: None)
    state = interpreter.state()
    loss_error = abs(float(reports[0, 0]) - smoke.expected_loss())
    if loss_error > 1e-5 or state.trained != 1 or state.rng != smoke.RNG_SEED:
        raise UserError("the smoke test gave a wrong result")


def main() -> None:
    """Serve one interpreter until standard input closes."""
    requests: BinaryIO = sys.stdin.buffer
    replies: BinaryIO = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not break the protocol

    def reply(kind: str, value: object) -> None:
        pickle.dump((kind, value), replies)
        replies.flush()

    served: Any = None
    while True:
        try:
            command, arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            if command == "check":
                served = Runtime()
                check(served)
                reply("result", None)
            elif command == "load":
                served = served.interpreter(*arguments)
                reply("result", served.description())
            elif command == "run":
                reply("result", served.run(*arguments, lambda done: reply("progress", done)))
            else:
                reply("result", getattr(served, command)(*arguments))
        except UserError as error:
            reply("refused", str(error))
        except StepError as error:
            reply("failed", str(error))


if __name__ == "__main__":
    main()
