"""The int8 reference: TFLite's plain C++ kernels, bit-identical to TensorFlow Lite Micro.

They run in a process of their own: tflite-runtime crashes in one that has loaded TensorFlow. Other
runtimes and kernels of TFLite, which may differ in the last bit, run there on request.
"""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from importlib.util import find_spec

import numpy as np

from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.errors import UserError

CHUNK = 32


@dataclass(frozen=True)
class Runtime:
    """A package with an Interpreter, and whether it runs the reference kernels."""

    package: str
    reference_kernels: bool


# tflite-runtime ended with Python 3.11; its successor has the same interface.
TFLITE_RUNTIME, LITERT = "tflite_runtime", "ai_edge_litert"


def default_runtime() -> Runtime:
    """The reference kernels of tflite-runtime, where it does not exist of ai-edge-litert."""
    return Runtime(TFLITE_RUNTIME if find_spec(TFLITE_RUNTIME) else LITERT, True)


def infer(
    model: bytes,
    samples: np.ndarray,
    progress: Callable[[int, int], None] | None = None,
    runtime: Runtime | None = None,
) -> np.ndarray:
    """Outputs int8 [N, classes] of an int8 .tflite model for samples int8 [N, ...].

    `progress` is called with (done, total) after every few samples; `runtime` None is the default.

    Raises:
        UserError: the model cannot be run.
    """
    flat = FlatModel(model)
    runs = _run(model, samples, flat.outputs[:1], progress, runtime or default_runtime())
    chunks = [outputs[0] for outputs in runs]
    return np.concatenate([np.zeros((0, *flat.shape(flat.outputs[0])[1:]), np.int8), *chunks])


def watch(
    model: bytes,
    samples: np.ndarray,
    tensors: Sequence[int],
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[list[np.ndarray]]:
    """The values of activations for samples int8 [N, ...], a few samples at a time.

    Yields:
        For each tensor of `tensors` an array [samples of this chunk, *shape without the batch].

    Raises:
        UserError: the model cannot be run.
    """
    flat = FlatModel(model)
    # The memory of an output is used for nothing else. Indices stay as they are.
    flat.graph.outputs = np.asarray(tensors, np.int32)
    return _run(flat.pack(), samples, tensors, progress, default_runtime())


def _run(
    model: bytes,
    samples: np.ndarray,
    tensors: Sequence[int],
    progress: Callable[[int, int], None] | None,
    runtime: Runtime,
) -> Iterator[list[np.ndarray]]:
    if len(samples) == 0:
        return
    command = [sys.executable, "-m", "tf_odl.converters.reference"]
    done = 0
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stderr is not None
        try:
            pickle.dump((model, samples, list(tensors), astuple(runtime)), process.stdin)
            process.stdin.close()
            while done < len(samples):
                values = pickle.load(process.stdout)
                done += len(values[0])
                if progress is not None:
                    progress(done, len(samples))
                yield values
        except (EOFError, BrokenPipeError) as error:
            lines = process.stderr.read().decode(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else f"exit code {process.wait()}"
            raise UserError(f"the int8 model cannot be run on this computer: {reason}") from error


def input_quantization(model: bytes) -> tuple[float, int]:
    """Scale and zero point of an int8 model's input."""
    flat = FlatModel(model)
    return float(flat.scales(flat.inputs[0])[0]), flat.zero_point(flat.inputs[0])


def quantize_input(model: bytes, x: np.ndarray) -> np.ndarray:
    """The codes of real samples for a model: halves to even, saturated at -128 and 127.

    Args:
        model: int8.
        x: float [N, *input].

    Returns:
        int8 of the same shape.
    """
    scale, zero_point = input_quantization(model)
    codes = np.round(np.asarray(x, np.float32) / np.float32(scale)) + zero_point
    return np.clip(codes, -128, 127).astype(np.int8)


def real_outputs(model: bytes, codes: np.ndarray) -> np.ndarray:
    """What an int8 model's output codes [N, ..] stand for, float64."""
    flat = FlatModel(model)
    output = flat.outputs[0]
    return flat.scales(output)[0] * (codes.astype(np.float64) - flat.zero_point(output))


def _serve() -> None:
    """Read a model, samples and tensors from stdin, write their values chunk by chunk to stdout."""
    model, samples, tensors, (package, reference_kernels) = pickle.load(sys.stdin.buffer)
    module = importlib.import_module(f"{package}.interpreter")
    resolvers = module.OpResolverType
    interpreter = module.Interpreter(
        model_content=model,
        experimental_op_resolver_type=(
            resolvers.BUILTIN_REF if reference_kernels else resolvers.AUTO
        ),
    )
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]

    def run(sample: np.ndarray) -> list[np.ndarray]:
        interpreter.set_tensor(source, sample[None])
        interpreter.invoke()
        return [interpreter.get_tensor(tensor)[0] for tensor in tensors]

    for start in range(0, len(samples), CHUNK):
        values = zip(*(run(sample) for sample in samples[start : start + CHUNK]), strict=True)
        pickle.dump([np.asarray(v) for v in values], sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _serve()
