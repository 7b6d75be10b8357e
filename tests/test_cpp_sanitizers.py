"""Random shapes and broken options through the C++ library, under ASan and UBSan."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from cpp.toolchain import DRIVERS, KERNELS, OPS, build, sanitizing_compiler

SANITIZERS = "address,undefined,float-cast-overflow"
FLAGS = ["-std=c++14", "-g1", "-O1", f"-fsanitize={SANITIZERS}"]
FLAGS.append("-fno-sanitize-recover=all")
CASES = 20_000


def run(program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    # The leak check needs ptrace, which containers often forbid.
    options = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    return subprocess.run(
        [program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | options,
    )


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> str:
    return sanitizing_compiler(tmp_path_factory.mktemp("probe"), FLAGS)


@pytest.fixture(scope="module")
def fuzz_kernels(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("fuzz") / "kernels"
    build(compiler, [*FLAGS, DRIVERS / "fuzz_kernels.cpp", *KERNELS, "-o", program])
    return program


@pytest.fixture(scope="module")
def fuzz_ops(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("fuzz") / "ops"
    sources = [DRIVERS / "fuzz_ops.cpp", *KERNELS, *OPS]
    build(compiler, [*FLAGS, "-DTFODL_HOST_BRIDGE=1", *sources, "-o", program])
    return program


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_the_parser_accepts_the_kernels_can_run(fuzz_kernels: Path, seed: int) -> None:
    done = run(fuzz_kernels, seed, CASES)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = [
        tuple(map(int, found))
        for found in re.findall(r"(\d+) accepted (\d+) refused (\d+) ran", done.stdout)
    ]
    assert len(counts) == 4
    for accepted, refused, _ in counts:
        assert accepted > CASES and refused > CASES // 5
    for accepted, _, ran in counts[:3]:
        assert ran > 0.9 * accepted


def test_nodes_that_do_not_fit_are_refused(fuzz_ops: Path) -> None:
    done = run(fuzz_ops, 1, CASES)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.findall(r"TFODL_\w+: (\d+) accepted (\d+) refused", done.stdout)
    assert len(counts) == 33
    for accepted, refused in counts:
        assert int(accepted) > CASES // 4 and int(refused) > CASES // 4


@pytest.mark.parametrize(
    ("fault", "finding"),
    [("overread", "heap-buffer-overflow"), ("overflow", "signed integer overflow")],
)
def test_the_sanitizers_find_a_fault(fuzz_kernels: Path, fault: str, finding: str) -> None:
    """Else the tests above would show nothing."""
    done = run(fuzz_kernels, fault)
    assert done.returncode != 0 and finding in done.stderr
