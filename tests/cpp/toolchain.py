"""Compilers for the tests of the C++ library, and programs in QEMU."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

DRIVERS = Path(__file__).resolve().parent
PORT = DRIVERS.parents[1] / "tflm_port"
SOURCE = PORT / "src"

HOST_COMPILER = shutil.which(os.environ.get("CXX", "g++"))
CLANG = shutil.which("clang++")
ARM_COMPILER = shutil.which("arm-none-eabi-g++")
LX106_COMPILER = shutil.which("xtensa-lx106-elf-g++")

#: Whatever the library is compiled for.
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wvla", "-fno-exceptions", "-fno-rtti"]
# The Arduino core of the Nano 33 BLE, cxxflags.txt; its compiler is told gnu++14.
CORTEX_M4 = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=softfp", "-mfpu=fpv4-sp-d16"]
NANO_33_BLE = [*CORTEX_M4, "-Os", "-ffunction-sections", "-fdata-sections"]
NANO_33_BLE += ["-fomit-frame-pointer", "-funsigned-char"]
#: No function of the library may take more stack on a board, or an amount known at run time only.
SMALL_STACK = ["-Wstack-usage=512"]
# The Xtensa core of an ESP8266, without floating point and with the call0 ABI; an ESP32 has neither
# a compiler nor a machine in Debian.
LX106 = ["-Os", "-ffunction-sections", "-fdata-sections", "-mlongcalls", "-mtext-section-literals"]

#: The library without the glue to TensorFlow Lite Micro.
KERNELS = sorted(SOURCE.glob("tfodl/*.cpp")) + sorted(SOURCE.glob("tfodl/kernels/*.cpp"))
#: Storage, link and device; with the kernels, all of a board that has no TensorFlow Lite Micro.
BOARD = sorted(
    path for part in ("board", "link", "storage") for path in SOURCE.glob(f"tfodl/{part}/*.cpp")
)
OPS = sorted(SOURCE.glob("tfodl/ops/*.cpp"))
#: Stand-ins for the headers of TensorFlow Lite Micro, as they were and as they are.
TFLM = {
    year: [f"-I{DRIVERS / f'tflm_{year}'}", f"-I{DRIVERS / 'tflm_both'}"] for year in (2024, 2026)
}
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


def sanitizing_compiler(folder: Path, flags: Sequence[str]) -> str:
    """The host's compiler, if programs made with these flags link and run; else skips."""
    if HOST_COMPILER is None:
        pytest.skip("no C++ compiler")
    source, program = folder / "probe.cpp", folder / "probe"
    source.write_text("int main() { return 0; }\n")
    built = compile_all(HOST_COMPILER, [*flags, source, "-o", program])
    # The leak check needs ptrace, which containers often forbid.
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    if built.returncode != 0 or subprocess.run([program], env=environment).returncode != 0:
        pytest.skip("the C++ compiler has no working sanitizer runtime (libasan, libubsan)")
    return HOST_COMPILER


def build_board(folder: Path, *flags: str) -> Path:
    """tests/cpp/board.cpp: a board as a program that speaks docs/protocol.md on its pipes."""
    assert HOST_COMPILER is not None
    program = folder / "board"
    build(
        HOST_COMPILER,
        ["-std=c++14", "-O1", *flags, DRIVERS / "board.cpp", *KERNELS, *BOARD, "-o", program],
    )
    return program


def run_on_cortex_m4(folder: Path, sources: Sequence[Path], flags: Sequence[str | Path]) -> str:
    """What a program prints in QEMU, with the memory that a sketch has on a Nano 33 BLE."""
    qemu = shutil.which("qemu-system-arm")
    if ARM_COMPILER is None or qemu is None:
        pytest.skip("apt install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm")
    start, program = folder / "startup.o", folder / "program.elf"
    build(ARM_COMPILER, [*CORTEX_M4, "-x", "c", "-c", DRIVERS / "qemu/startup.c", "-o", start])
    link: list[str | Path] = ["-nostartfiles", "-T", DRIVERS / "qemu/mps2.ld", "-Wl,--gc-sections"]
    link += ["--specs=nano.specs", "--specs=rdimon.specs"]
    language = ["-std=gnu++14", "-fno-exceptions", "-fno-rtti"]
    made = compile_all(
        ARM_COMPILER, [*NANO_33_BLE, *language, *flags, *link, start, *sources, "-o", program]
    )
    if re.search(r"nano\.specs|cannot find -l|fatal error: vector", made.stderr):
        pytest.skip("apt install libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib")
    assert made.returncode == 0, made.stderr
    machine = ["-M", "mps2-an386", "-semihosting-config", "enable=on,target=native"]
    return _run_in_qemu(qemu, machine, program)


def run_on_lx106(folder: Path, sources: Sequence[Path], flags: Sequence[str | Path]) -> str:
    """What a program prints in QEMU on the Xtensa core of an ESP8266."""
    qemu = shutil.which("qemu-system-xtensa")
    if LX106_COMPILER is None or qemu is None or not has_picolibc():
        pytest.skip("apt install gcc-xtensa-lx106 picolibc-xtensa-lx106-elf qemu-system-misc")
    runtime, start, program = folder / "runtime.o", folder / "start.o", folder / "program.elf"
    system = DRIVERS / "lx106"
    # It is most of the program's time: the compiler's own arithmetic may not call itself.
    as_c = ["-x", "c", "-O2", "-fno-builtin"]
    build(LX106_COMPILER, [*LX106, *as_c, "-c", system / "runtime.c", "-o", runtime])
    build(LX106_COMPILER, ["-x", "assembler-with-cpp", "-c", system / "start.S", "-o", start])
    link: list[str | Path] = ["-nostdlib", "-T", system / "lx106.ld", "-Wl,--gc-sections"]
    link += ["-Wl,--no-warn-rwx-segments", "-Wl,--defsym=vfprintf=__i_vfprintf"]
    link += ["-Wl,--start-group", "-lgcc", "-lc", "-Wl,--end-group"]
    language = ["-std=gnu++14", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"]
    build(
        LX106_COMPILER,
        [*LX106, *language, *flags, f"-I{system}", *sources, runtime, start, *link, "-o", program],
    )
    return _run_in_qemu(qemu, ["-M", "sim", "-cpu", "lx106", "-semihosting"], program)


def has_picolibc() -> bool:
    """Debian's compiler for the lx106 comes without a C library."""
    if LX106_COMPILER is None:
        return False
    done = subprocess.run(
        [LX106_COMPILER, "-print-file-name=libc.a"], capture_output=True, text=True
    )
    return Path(done.stdout.strip()).is_absolute()


def _run_in_qemu(qemu: str, machine: list[str], program: Path) -> str:
    quiet = ["-nographic", "-monitor", "none", "-serial", "none"]
    done = subprocess.run(
        [qemu, *machine, *quiet, "-kernel", program],
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
