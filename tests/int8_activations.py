"""Every activation of an int8 model in TensorFlow Lite Micro.

It runs in a process of its own: a model that TFLM cannot run may end it.
"""

import pickle
import subprocess
import sys

import numpy as np

ARENA_BYTES = 256 << 20


def activations(model: bytes, sample: np.ndarray) -> dict[int, np.ndarray]:
    """Every tensor of a plain model after one inference of a sample with batch 1."""
    done = subprocess.run(
        [sys.executable, __file__], input=pickle.dumps((model, sample)), capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return pickle.loads(done.stdout)


def _serve() -> None:
    # tflite-runtime can preserve tensors too, but its ADD overwrites its first input even then.
    from tflite_micro.python.tflite_micro import runtime

    model, sample = pickle.load(sys.stdin.buffer)
    interpreter = runtime.Interpreter.from_bytes(
        model,
        intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors,  # sic
        arena_size=ARENA_BYTES,
    )
    interpreter.set_input(sample, 0)
    interpreter.invoke()
    found = {}
    for index in range(len(runtime.convert_bytearray_to_object(model).subgraphs[0].tensors)):
        found[index] = interpreter.GetTensor(index, 0)["tensor_data"]
    sys.stdout.buffer.write(pickle.dumps(found))


if __name__ == "__main__":
    _serve()
