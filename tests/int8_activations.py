"""Every activation of an int8 model, by the reference kernels of TensorFlow Lite.

Those of tflite-runtime give the bits of TFLM; those in recent releases of TensorFlow round
otherwise. They run in a process of their own: tflite-runtime cannot share one with TensorFlow.
"""

import pickle
import subprocess
import sys

import numpy as np


def activations(model: bytes, sample: np.ndarray) -> dict[int, np.ndarray]:
    """Every tensor of a plain model after one inference of a sample with batch 1."""
    done = subprocess.run(
        [sys.executable, __file__], input=pickle.dumps((model, sample)), capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return pickle.loads(done.stdout)


def _serve() -> None:
    try:
        from tflite_runtime.interpreter import Interpreter, OpResolverType
    except ImportError:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

    model, sample = pickle.load(sys.stdin.buffer)
    interpreter = Interpreter(
        model_content=model,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], sample)
    interpreter.invoke()
    found = {}
    for details in interpreter.get_tensor_details():
        try:
            found[details["index"]] = interpreter.get_tensor(details["index"])
        except ValueError:  # the interpreter's own scratch memory
            continue
    sys.stdout.buffer.write(pickle.dumps(found))


if __name__ == "__main__":
    _serve()
