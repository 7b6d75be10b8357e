"""Damaged training graphs through Prepare and Invoke of every op, under ASan and UBSan.

`make fuzz` does the same for ten minutes.
"""

import os
import random
import subprocess
from pathlib import Path

import pytest
from cpp.toolchain import DRIVERS, build, sanitizing_compiler
from fuzz_graphs import FLAGS, LARGEST, SANITIZERS, SOURCES, build_fuzzer, fuzz, missing
from training_graphs import write_seeds

RUNS = 5_000
DAMAGED = 60  # copies of each seed


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeds")
    write_seeds(folder)
    assert all(path.stat().st_size < LARGEST for path in folder.iterdir())
    return folder


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The target without libFuzzer, which GCC does not have."""
    folder = tmp_path_factory.mktemp("replay")
    program = folder / "replay"
    flags = [*FLAGS, f"-fsanitize={SANITIZERS}"]
    compiler = sanitizing_compiler(folder, flags)
    build(compiler, [*flags, DRIVERS / "replay.cpp", *SOURCES, "-o", program])
    return program


def run(program: Path, files: list[Path], fault: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    environment.pop("TFODL_FAULT", None)
    if fault:
        environment["TFODL_FAULT"] = fault
    return subprocess.run(
        [program, *files], capture_output=True, text=True, timeout=120, env=environment
    )


def damaged(data: bytes, numbers: random.Random) -> bytes:
    """Some bytes behind the random seed changed, left out or repeated."""
    copy = bytearray(data)
    for _ in range(numbers.randint(1, 4)):
        place = numbers.randrange(4, len(copy))
        kind = numbers.randrange(6)
        if kind == 0:
            del copy[place : place + numbers.randint(1, 8)]
        elif kind == 1:
            copy[place:place] = copy[place : place + numbers.randint(1, 8)]
        else:
            copy[place] = numbers.choice((0, 1, 2, 127, 128, 255, numbers.randrange(256)))
        if len(copy) < 8:
            return data
    return bytes(copy)


def test_graphs_and_damaged_copies_of_them(replay: Path, seeds: Path, tmp_path: Path) -> None:
    numbers = random.Random(1)
    files = sorted(seeds.iterdir())
    for seed in list(files):
        for copy in range(DAMAGED):
            path = tmp_path / f"{seed.name}-{copy}"
            path.write_bytes(damaged(seed.read_bytes(), numbers))
            files.append(path)
    done = run(replay, files)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("fault", "finding"),
    [
        ("heap", "the heap is used after set-up"),
        ("overread", "out of bounds"),
        ("unaligned", "misaligned"),
    ],
)
def test_the_replay_finds_a_fault(replay: Path, seeds: Path, fault: str, finding: str) -> None:
    """Else the test above would show nothing."""
    done = run(replay, [seeds / "graph00"], fault)
    assert done.returncode != 0 and finding in done.stderr


def test_a_short_run_of_the_fuzzer(seeds: Path, tmp_path: Path) -> None:
    needed = missing(tmp_path)
    if needed is not None:
        pytest.skip(needed)
    program = tmp_path / "fuzz_graph"
    build_fuzzer(program)
    assert fuzz(program, tmp_path / "corpus", seeds, f"-runs={RUNS}", "-seed=1") == 0
    assert len(list((tmp_path / "corpus").iterdir())) > 50, "damage reached nothing new"
