"""The C++ under AddressSanitizer and UndefinedBehaviorSanitizer, and under strict compilers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tf_odl.tflm_port import host

DRIVER = Path(__file__).parent / "cpp" / "sanitize.cpp"
STRICT = ["-std=c++14", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fno-exceptions", "-fno-rtti"]
# The compiler flags of the Arduino core for the Nano 33 BLE that concern code generation.
NANO33 = [
    "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=softfp", "-mfpu=fpv4-sp-d16", "-Os",
    "-ffunction-sections", "-fdata-sections", "-fno-threadsafe-statics",
]  # fmt: skip
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
KERNELS = sorted(p for p in host.SOURCES.rglob("*.cpp") if p.parent.name != "ops")
OPS = sorted((host.SOURCES / "tfodl" / "ops").glob("*.cpp"))


def compile_to(output: Path, compiler: str, *arguments: object) -> subprocess.CompletedProcess:
    command = [compiler, f"-I{host.SOURCES}", *map(str, arguments), "-o", str(output)]
    return subprocess.run(command, capture_output=True, text=True)


def test_random_and_damaged_options_do_no_harm(tmp_path):
    """24,000 cases; each kind of op sees options that are right and options that are not."""
    (tmp_path / "empty.cpp").write_text("int main() { return 0; }\n")
    if compile_to(tmp_path / "empty", "g++", *SANITIZERS, tmp_path / "empty.cpp").returncode != 0:
        pytest.skip("this compiler has no sanitizers")
    program = tmp_path / "sanitize"
    built = compile_to(program, "g++", *STRICT, "-O1", "-g", *SANITIZERS, DRIVER, *KERNELS)
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([str(program)], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-3000:]
    counts = [[int(n) for n in line.split()] for line in ran.stdout.splitlines()]
    assert len(counts) == 6
    for which, accepted, refused in counts:
        assert accepted > 800 and refused > 800, f"kind {which}: {accepted} and {refused}"


@pytest.mark.parametrize("source", KERNELS + OPS, ids=lambda p: p.name)
@pytest.mark.parametrize("compiler", ["g++", "clang++", "arm-none-eabi-g++"])
def test_strict_compilers_have_no_complaint(tmp_path, compiler, source):
    """The ops are compiled against the bridge's mirror of TFLM where its headers are not there."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    is_arm = compiler.startswith("arm")
    if is_arm and source in OPS:
        pytest.skip("the mirror describes TFLM for a 64-bit PC")
    flags = NANO33 if is_arm else ["-O2", "-DTFODL_HOST_BRIDGE=1"]
    result = compile_to(tmp_path / "object.o", compiler, *STRICT, *flags, "-c", source)
    assert result.returncode == 0, result.stderr


def test_the_library_asks_for_nothing_a_board_lacks():
    """No Arduino.h, no heap, no exceptions, no standard containers in what is compiled there."""
    forbidden = ("Arduino.h", "new ", "malloc", "throw", "std::vector", "std::string", "<iostream>")
    for path in [p for p in host.SOURCES.rglob("*") if p.suffix in (".h", ".cpp")]:
        code = "\n".join(line.split("//")[0] for line in path.read_text().splitlines())
        for word in forbidden:
            assert word not in code, f"{path.name}: {word}"


def test_arduino_library_layout():
    root = host.FOLDER
    properties = dict(
        line.split("=", 1) for line in (root / "library.properties").read_text().splitlines()
    )
    needed = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category",
              "url", "architectures", "includes"}  # fmt: skip
    assert needed <= set(properties) and properties["includes"] == "TfOdl.h"
    assert (root / "src" / "TfOdl.h").is_file()
    keywords = [line for line in (root / "keywords.txt").read_text().splitlines() if line.strip()]
    assert all(line.startswith("#") or "\t" in line for line in keywords)
