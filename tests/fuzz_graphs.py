"""Fuzzes the training ops with libFuzzer: `make fuzz`, or `python tests/fuzz_graphs.py SECONDS`.

The seeds are exported graphs; what reaches new code stays in build/fuzz/corpus for the next run. A
crash ends it, and its input is written to build/fuzz.
"""

import os
import subprocess
import sys
from pathlib import Path

from cpp.toolchain import CLANG, DRIVERS, KERNELS, OPS, build, compile_all
from training_graphs import write_seeds

FOLDER = Path(__file__).resolve().parents[1] / "build" / "fuzz"
SANITIZERS = "address,undefined,float-cast-overflow"
FLAGS = ["-std=c++14", "-g1", "-O1", "-fno-sanitize-recover=all", "-DTFODL_HOST_BRIDGE=1"]
SOURCES = [DRIVERS / "fuzz_graph.cpp", DRIVERS / "graph_runner.cpp", *KERNELS, *OPS]
LARGEST = 4096  # bytes of an input


def missing(folder: Path) -> str | None:
    """What it takes to fuzz here, None when all is there."""
    if CLANG is None:
        return "apt install clang"
    source = folder / "probe.cpp"
    target = 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, decltype(sizeof 0))'
    source.write_text(target + " { return 0; }\n")
    options = [f"-fsanitize=fuzzer,{SANITIZERS}", source, "-o", folder / "probe"]
    if compile_all(CLANG, options).returncode != 0:
        return "clang has no libFuzzer: apt install libclang-rt-dev"
    return None


def build_fuzzer(program: Path) -> None:
    """The libFuzzer target, with the sanitizers."""
    assert CLANG is not None
    build(CLANG, [*FLAGS, f"-fsanitize=fuzzer,{SANITIZERS}", *SOURCES, "-o", program])


def fuzz(program: Path, corpus: Path, seeds: Path, *options: str) -> int:
    """Run the target from a corpus that grows; its exit code, 0 when nothing was found."""
    corpus.mkdir(parents=True, exist_ok=True)
    # The leak check needs ptrace, which containers often forbid.
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    # The peak memory of a process counts from before it became this program.
    limits = ("-rss_limit_mb=0", "-malloc_limit_mb=2048")
    command = [program, f"-max_len={LARGEST}", *limits, *options, corpus, seeds]
    return subprocess.run(command, cwd=corpus.parent, env=environment).returncode


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    needed = missing(FOLDER)
    if needed is not None:
        print(f"needed first: {needed}", file=sys.stderr)
        return 1
    build_fuzzer(FOLDER / "fuzz_graph")
    write_seeds(FOLDER / "seeds")
    seconds = f"-max_total_time={int(sys.argv[1])}"
    return fuzz(FOLDER / "fuzz_graph", FOLDER / "corpus", FOLDER / "seeds", seconds)


if __name__ == "__main__":
    sys.exit(main())
