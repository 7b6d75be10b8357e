"""Compilers for the tests of the C++ library."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

DRIVERS = Path(__file__).resolve().parent
PORT = DRIVERS.parents[1] / "tflm_port"
SOURCE = PORT / "src"

HOST_COMPILER = shutil.which(os.environ.get("CXX", "g++"))
ARM_COMPILER = shutil.which("arm-none-eabi-g++")

#: The library without the glue to TensorFlow Lite Micro.
KERNELS = sorted(SOURCE.glob("tfodl/*.cpp")) + sorted(SOURCE.glob("tfodl/kernels/*.cpp"))
#: Storage, link and device; with the kernels, all of a board that has no TensorFlow Lite Micro.
BOARD = sorted(
    path for part in ("board", "link", "storage") for path in SOURCE.glob(f"tfodl/{part}/*.cpp")
)
OPS = sorted(SOURCE.glob("tfodl/ops/*.cpp"))
ALL_FILES = sorted(path for path in SOURCE.rglob("*") if path.is_file())


def compile_all(
    compiler: str, arguments: Sequence[str | Path], timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a compiler; what it prints is in the result."""
    return subprocess.run(
        [compiler, f"-I{SOURCE}", f"-I{DRIVERS}", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def build(compiler: str, arguments: Sequence[str | Path]) -> None:
    """Run a compiler that has to succeed without a word."""
    done = compile_all(compiler, arguments)
    assert done.returncode == 0 and not done.stderr, done.stderr


def build_board(folder: Path, *flags: str) -> Path:
    """tests/cpp/board.cpp: a board as a program that speaks docs/protocol.md on its pipes."""
    assert HOST_COMPILER is not None
    program = folder / "board"
    build(
        HOST_COMPILER,
        ["-std=c++14", "-O1", *flags, DRIVERS / "board.cpp", *KERNELS, *BOARD, "-o", program],
    )
    return program
