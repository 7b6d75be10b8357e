"""The parts that only an Arduino core compiles, against stand-ins for its headers."""

import re
import subprocess
from pathlib import Path

import pytest
from cpp.toolchain import BOARD, DRIVERS, HOST_COMPILER, KERNELS, OPS, PORT, TFLM, build

pytestmark = pytest.mark.skipif(HOST_COMPILER is None, reason="no C++ compiler")

CORE = DRIVERS / "arduino_stand_in"
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-fno-exceptions", "-fno-rtti"]
ARDUINO = ["-std=c++14", *STRICT, "-DARDUINO=10819", f"-I{CORE}"]
BOARDS = ["ARDUINO_ARDUINO_NANO33BLE", "ARDUINO_ARCH_ESP32", "ARDUINO_QEMU_MPS2", "ARDUINO_OTHER"]
EXAMPLES = PORT / "examples"


@pytest.mark.parametrize("board", BOARDS[:2])
def test_the_storage_of_a_board_survives_cuts_between_its_calls(board: str, tmp_path: Path) -> None:
    """tests/cpp/back_ends.cpp, with flash pages and files that behave as the core's do."""
    assert HOST_COMPILER is not None
    program = tmp_path / "back_ends"
    sources = [DRIVERS / "back_ends.cpp", *KERNELS, *BOARD]
    build(HOST_COMPILER, [*ARDUINO, "-O1", f"-D{board}", *sources, "-o", program])
    done = subprocess.run([program], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ saves got through", done.stdout)


@pytest.mark.parametrize("board", BOARDS)
def test_the_sketch_without_tflm_compiles(board: str, tmp_path: Path) -> None:
    """As a board's core compiles it: the sketch after Arduino.h, and the whole library."""
    assert HOST_COMPILER is not None
    sketch = (EXAMPLES / "LinearLearner" / "LinearLearner.ino").read_text()
    (tmp_path / "sketch.cpp").write_text("#include <Arduino.h>\n" + sketch)
    sources = [tmp_path / "sketch.cpp", *OPS]
    build(HOST_COMPILER, [*ARDUINO, f"-D{board}", "-fsyntax-only", *sources])


@pytest.mark.parametrize("board", BOARDS)
def test_the_sketch_with_tflm_compiles(board: str, tmp_path: Path) -> None:
    """Against a stand-in for Chirale_TensorFLowLite."""
    assert HOST_COMPILER is not None
    sketch = (EXAMPLES / "Teach" / "Teach.ino").read_text()
    (tmp_path / "sketch.cpp").write_text("#include <Arduino.h>\n" + sketch)
    (tmp_path / "Chirale_TensorFlowLite.h").write_text("")
    flags = [*ARDUINO, *TFLM[2024], f"-I{tmp_path}", f"-I{EXAMPLES / 'Teach'}"]
    build(HOST_COMPILER, [*flags, f"-D{board}", "-fsyntax-only", tmp_path / "sketch.cpp"])


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.iterdir()))
def test_an_example_is_one_that_arduino_takes(example: str) -> None:
    """arduino-lint: the sketch has the name of its folder; a profile per board."""
    folder = EXAMPLES / example
    assert (folder / f"{example}.ino").is_file()
    profiles = (folder / "sketch.yaml").read_text()
    for fqbn in ("arduino:mbed_nano:nano33ble", "esp32:esp32:esp32", "tfodl:qemu:mps2"):
        assert f"fqbn: {fqbn}\n" in profiles
    library = folder / re.findall(r"- dir: (.*)", profiles)[0]
    assert (library / "library.properties").samefile(PORT / "library.properties")


def test_the_library_can_be_handed_on() -> None:
    """arduino-lint LD001, LD002, LD004."""
    assert (PORT / "README.md").is_file() and any(EXAMPLES.iterdir())
    assert (PORT / "LICENSE").read_text() == (PORT.parent / "LICENSE").read_text()
