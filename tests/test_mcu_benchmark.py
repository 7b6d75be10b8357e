"""Instruction counts on a Cortex-M4: the committed figures hold, and the check would notice."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parents[1] / "benchmarks" / "mcu"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mcu_benchmark", HERE / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


run = load()
COMMITTED: dict[str, Any] = json.loads(run.RESULTS.read_text())


def test_nothing_costs_more_than_committed() -> None:
    if run.missing_tools():
        pytest.skip(f"needs {' '.join(run.missing_tools())}")
    if run.compiler_version() != COMMITTED["compiler"]:
        pytest.skip(f"the figures are of {COMMITTED['compiler']}")
    results = run.measure(with_ram=False)
    assert run.regressions(results, COMMITTED) == []
    assert results["counts"].keys() == COMMITTED["counts"].keys()
    for name in run.AIFES:
        losses = [results["counts"][f"{name}.loss_{when}"] for when in ("before", "after")]
        assert losses[1] < 0.5 * losses[0], f"{name} does not learn"


def test_the_bounds_that_users_rely_on_hold() -> None:
    """Many regressions of less than 3 % would add up."""
    counts = COMMITTED["counts"]
    assert all(size <= 20 * 1024 for size in COMMITTED["flash"].values())
    for name, (_, step_of_aifes) in run.AIFES.items():
        forward = counts[f"{name}.forward"]
        macs = counts[f"{name}.forward_macs"] + counts[f"{name}.backward_macs"]
        dense = forward + counts[f"{name}.all_errors_backward"]
        assert dense <= 6 * macs
        assert dense <= 0.08 * step_of_aifes
        assert forward + counts[f"{name}.tinyprop_10_every_layer_backward"] <= 0.35 * dense
        assert forward + counts[f"{name}.skipped_backward"] <= 1.01 * counts[f"{name}.inference"]


def test_the_page_shows_the_committed_figures() -> None:
    page = run.PAGE.read_text()
    assert run.fill_page(page, COMMITTED) == page


@pytest.mark.parametrize("name", ["W1.inference", "W4.dense_backward", "bfloat16"])
@pytest.mark.parametrize(("growth", "refused"), [(0.96, False), (1.02, False), (1.04, True)])
def test_more_than_three_percent_is_a_regression(name: str, growth: float, refused: bool) -> None:
    now = {**COMMITTED, "counts": dict(COMMITTED["counts"]), "flash": dict(COMMITTED["flash"])}
    target = now["counts"] if name in now["counts"] else now["flash"]
    target[name] = int(target[name] * growth)
    found = run.regressions(now, COMMITTED)
    assert bool(found) == refused
    assert all(name in line for line in found)


def test_a_figure_that_is_gone_is_a_regression() -> None:
    counts = dict(COMMITTED["counts"])
    del counts["W2.tinyprop_10_backward"]
    found = run.regressions({**COMMITTED, "counts": counts}, COMMITTED)
    assert found == ["W2.tinyprop_10_backward is not measured any more"]


def test_sizes_and_losses_are_no_costs() -> None:
    counts = {name: value * 2 for name, value in COMMITTED["counts"].items()}
    found = run.regressions({**COMMITTED, "counts": counts}, COMMITTED)
    assert found and not [line for line in found if "_macs" in line or "loss" in line]


def test_missing_tools_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run.shutil, "which", lambda tool: None)
    monkeypatch.setattr(sys, "argv", ["run.py"])
    assert run.main() == 2
    message = capsys.readouterr().err
    assert "apt install" in message and "qemu-system-arm" in message
    assert "gcc-arm-none-eabi" in message
