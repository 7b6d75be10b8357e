"""1000 training steps of exported graphs: the same bits on every processor.

Every kind of layer, loss, method and update rule, through Prepare and Invoke of the training ops;
activations are random numbers (cpp/graph_runner.h).
"""

import re
import subprocess
from pathlib import Path

import pytest
from cpp.toolchain import (
    DRIVERS,
    HOST_COMPILER,
    KERNELS,
    OPS,
    build,
    run_on_cortex_m4,
    run_on_lx106,
)
from training_graphs import LAYERS, LOSSES, METHODS, RULES, cpp_list, training_graphs

STEPS = 1000
SOURCES = [DRIVERS / "graph_steps.cpp", DRIVERS / "graph_runner.cpp", *KERNELS, *OPS]


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Where graph_list.h is."""
    folder = tmp_path_factory.mktemp("graphs")
    (folder / "graph_list.h").write_text(cpp_list(training_graphs()))
    return [f"-I{folder}", "-DTFODL_HOST_BRIDGE=1"]


def on_the_host(folder: Path, flags: list[str]) -> str:
    if HOST_COMPILER is None:
        pytest.skip("no C++ compiler")
    build(HOST_COMPILER, [*flags, *SOURCES, "-o", folder / "steps"])
    done = subprocess.run(folder / "steps", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def expected(flags: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    return on_the_host(tmp_path_factory.mktemp("host"), ["-std=c++14", "-O0", *flags])


def test_the_steps_train(expected: str) -> None:
    """Else equal bits would show nothing."""
    found = re.findall(
        r"(.*): hash (\w{8}), (\d+) trained, (\d+) skipped, (\d+) saturated\n", expected
    )
    assert len(found) == 3 * len(LAYERS) + 3 * len(LOSSES) + len(METHODS) + len(RULES)
    assert len({bits for _, bits, *_ in found}) == len(found)
    for name, _, trained, skipped, saturated in found:
        assert int(trained) + int(skipped) == STEPS and int(trained) > 50, name
        assert (int(skipped) > 100) == ("tinypropv2" in name), name
        assert int(saturated) > 100, name


def test_optimization_changes_no_bit(tmp_path: Path, flags: list[str], expected: str) -> None:
    assert on_the_host(tmp_path, ["-std=gnu++14", "-O3", *flags]) == expected


def test_a_cortex_m4_changes_no_bit(tmp_path: Path, flags: list[str], expected: str) -> None:
    assert run_on_cortex_m4(tmp_path, SOURCES, flags) == expected


def test_an_lx106_changes_no_bit(tmp_path: Path, flags: list[str], expected: str) -> None:
    assert run_on_lx106(tmp_path, SOURCES, flags) == expected
