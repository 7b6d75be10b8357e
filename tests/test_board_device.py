"""What a sketch calls: tests/cpp/device.cpp."""

import subprocess
from pathlib import Path

import pytest
from cpp.toolchain import BOARD, DRIVERS, HOST_COMPILER, KERNELS, build


@pytest.mark.skipif(HOST_COMPILER is None, reason="no C++ compiler")
def test_a_sketch_steps_saves_and_tells_the_pc(tmp_path: Path) -> None:
    assert HOST_COMPILER is not None
    program = tmp_path / "device"
    sources = [DRIVERS / "device.cpp", *KERNELS, *BOARD]
    build(HOST_COMPILER, ["-std=c++14", "-O1", "-Wall", "-Wextra", *sources, "-o", program])
    done = subprocess.run([program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 4
