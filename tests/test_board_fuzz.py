"""Random and mutated frames at the link, under ASan and UBSan: tests/cpp/fuzz_link.cpp."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from cpp.toolchain import BOARD, DRIVERS, HOST_COMPILER, KERNELS, build, compile_all

pytestmark = pytest.mark.skipif(HOST_COMPILER is None, reason="no C++ compiler")

SANITIZED = ["-std=c++14", "-O1", "-g1", "-fsanitize=address,undefined"]
SANITIZED.append("-fno-sanitize-recover=all")
REQUESTS = 11


def fuzz(program: Path, seed: int, frames: int) -> None:
    done = subprocess.run(
        [program, str(seed), str(frames)],
        capture_output=True,
        text=True,
        timeout=60 + frames / 1000,
        env=os.environ | {"ASAN_OPTIONS": "detect_leaks=0"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.search(r"(\d+) frames, (\d+) answered, (\d+) of them errors, (\d+) no", done.stdout)
    assert counts is not None
    total, answered, errors, refused = map(int, counts.groups())
    assert total == frames == answered + refused
    assert min(answered - errors, errors, refused) > frames // 10, "too little of one kind"
    executed = re.findall(r"type \d+: (\d+) done", done.stdout)
    assert len(executed) == REQUESTS and all(int(count) > frames // 1000 for count in executed)


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With sanitizers, where the compiler has them."""
    assert HOST_COMPILER is not None
    folder = tmp_path_factory.mktemp("fuzz")
    probe = folder / "probe.cpp"
    probe.write_text("int main() { return 0; }\n")
    works = compile_all(HOST_COMPILER, [*SANITIZED, probe, "-o", folder / "probe"]).returncode == 0
    flags = SANITIZED if works else ["-std=c++14", "-O1"]
    sources = [DRIVERS / "fuzz_link.cpp", *KERNELS, *BOARD]
    build(HOST_COMPILER, [*flags, *sources, "-o", folder / "fuzz"])
    return folder / "fuzz"


def test_invalid_frames_change_nothing(fuzzer: Path) -> None:
    fuzz(fuzzer, seed=1, frames=30_000)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3, 4, 5])
def test_a_million_frames(fuzzer: Path, seed: int) -> None:
    fuzz(fuzzer, seed, frames=250_000)
