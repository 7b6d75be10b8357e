"""The whole sketch with TensorFlow Lite Micro on a Cortex-M4 in QEMU.

Chirale_TensorFLowLite is used where it is installed: in the folder that TFODL_ARDUINO_LIBRARIES
names, or in ~/Arduino/libraries. Compiling it takes minutes.
"""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from board_client import HEADER_BYTES
from cpp.toolchain import PORT
from qemu_board import QemuBoard, build_sketch, missing_tools

from tf_odl.converters.reference import quantize_input as to_int8
from tf_odl.data import load
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

LIBRARIES = Path(os.environ.get("TFODL_ARDUINO_LIBRARIES", Path.home() / "Arduino" / "libraries"))
TEACH = PORT / "examples" / "Teach"
SAMPLES = 60

needs_wheel = pytest.mark.skipif(available() is not None, reason=str(available()))


def example_graph() -> bytes:
    """The training graph in the header of the example."""
    text = (TEACH / "model_data.h").read_text()
    body = text[text.index("{", text.index("model_train_tflite[]")) : text.index("};")]
    return bytes(int(byte, 16) for byte in re.findall(r"0x(\w\w)", body))


@needs_wheel
def test_the_model_of_the_example_learns() -> None:
    """When the format of training graphs changes: benchmarks/mcu/export_teach.py."""
    graph, data = example_graph(), load("digits")
    x_test = to_int8(graph, data.x_test)
    with TrainingInterpreter(graph) as board:
        outputs = board.infer(x_test)
        assert np.mean(outputs.argmax(axis=1) == data.y_test) > 0.9
        board.train(to_int8(graph, data.x_train[:SAMPLES]), data.y_train[:SAMPLES])
        assert board.state().samples == SAMPLES and board.state().trained > 0
        assert not np.array_equal(board.infer(x_test), outputs)


@pytest.fixture(scope="module")
def sketch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing_tools():
        pytest.skip(missing_tools())
    if not list(LIBRARIES.glob("*/src/Chirale_TensorFlowLite.h")):
        pytest.skip(f"Chirale_TensorFLowLite is not in {LIBRARIES}")
    folder = os.environ.get("TFODL_BUILD_FOLDER")  # keep it: the next build takes seconds
    build = Path(folder) if folder else tmp_path_factory.mktemp("teach")
    return build_sketch(TEACH / "Teach.ino", build, LIBRARIES, timeout=3600)[0]


@pytest.mark.slow
@needs_wheel
def test_the_board_learns_what_the_simulation_learns(sketch: Path, tmp_path: Path) -> None:
    """The same samples: the same weights, bit for bit; and they survive a power cut."""
    graph, data = example_graph(), load("digits", shift="rotate:30")
    x, y = to_int8(graph, data.x_train[:SAMPLES]), data.y_train[:SAMPLES]
    with TrainingInterpreter(graph) as simulation:
        simulation.train(x, y)
        expected = b"".join(np.ascontiguousarray(v).tobytes() for v in simulation.variables())
    board = QemuBoard(sketch, tmp_path / "flash")
    client = board.client
    hello = client.hello()
    assert (hello["classes"], hello["input_bytes"], hello["input_type"]) == (10, 64, 9)
    steps = []
    for sample, label in zip(x, y, strict=True):
        steps.append(client.learn(sample.tobytes(), int(label)))
    stats = client.stats()
    assert stats["samples"] == SAMPLES
    assert stats["trained"] == sum(step["trained"] for step in steps)
    image = client.read()
    assert image.endswith(expected)
    assert client.save() == 1
    board.kill()
    with QemuBoard(sketch, tmp_path / "flash") as client:
        assert client.hello()["flags"] == 3
        assert client.read() == image
        client.exchange(0x0A, b"\0")
        assert client.stats()["samples"] == 0
        assert client.read()[HEADER_BYTES:] != image[HEADER_BYTES:]
