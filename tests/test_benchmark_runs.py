"""Grids as they run: killed, in parallel, on Ray, with cells that fail or lack data."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tf_odl.benchmark import work
from tf_odl.benchmark.local import LocalWorkers
from tf_odl.benchmark.work import DONE, FAILED, Job, Outcome
from tf_odl.trainer.settings import Settings

# 4 methods, 2 more with 2 budgets each: 8 cells per seed.
GRID = """
seeds: {seeds}
defaults: {{model: mlp5, epochs: 2, samples: 200, batch_size: 8, learning_rate: 0.04}}
data: [digits]
method: [full, head, tinyprop, tinypropv2, velocity, random]
budget: [10%, 40%]
"""
CELLS_PER_SEED = 8


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tf_odl", "benchmark", *map(str, arguments)]


def run(*arguments: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=300, **options
    )


def results(out: Path) -> str:
    return (out / "results.csv").read_text()


@pytest.fixture(scope="module", params=[1, pytest.param(3, marks=pytest.mark.slow)])
def grid(request, tmp_path_factory) -> Path:
    """A grid of 8 cells, and one of 24."""
    path = tmp_path_factory.mktemp("grid") / "grid.yaml"
    path.write_text(GRID.format(seeds=request.param))
    return path


@pytest.fixture(scope="module")
def undisturbed(grid) -> Path:
    """The grid, made by one worker from beginning to end."""
    out = grid.parent / "undisturbed"
    result = run(grid, "--jobs", 1, "--out", out)
    assert result.returncode == 0, result.stderr
    return out


def finished(out: Path) -> int:
    records = (json.loads(path.read_text()) for path in out.glob("cells/*/run.json"))
    return sum(record["status"] == "complete" for record in records)


def children(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [child for each in map(int, text.split()) for child in (each, *children(each))]


def alive(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2]
    except FileNotFoundError:
        return False


def test_a_grid_killed_half_way_finishes_with_the_same_results(grid, undisturbed, tmp_path):
    """And two workers get the numbers of one."""
    out = tmp_path / "killed"
    cells = results(undisturbed).count(",done,")
    assert cells in (CELLS_PER_SEED, 3 * CELLS_PER_SEED)
    master = subprocess.Popen(
        command(grid, "--jobs", 2, "--out", out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 120
    while finished(out) < cells // 2 and time.monotonic() < deadline:
        assert master.poll() is None, master.stderr.read()
        time.sleep(0.02)
    workers = children(master.pid)
    os.kill(master.pid, signal.SIGKILL)
    master.wait()
    before = finished(out)
    assert cells // 2 <= before < cells and not (out / "results.csv").exists()
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert workers and not any(map(alive, workers)), "workers outlive their master"

    made = {p: p.stat().st_mtime_ns for p in out.glob("cells/*/model.keras")}
    result = run(grid, "--jobs", 2, "--out", out)
    assert result.returncode == 0, result.stderr
    assert results(out) == results(undisturbed)
    assert all(p.stat().st_mtime_ns == t for p, t in made.items()), "a finished cell was repeated"


def test_ctrl_c_says_how_to_continue(grid, undisturbed, tmp_path):
    out = tmp_path / "interrupted"
    master = subprocess.Popen(
        command(grid, "--jobs", 1, "--out", out),
        stderr=subprocess.PIPE,
        text=True,
        # Who runs the tests in the background ignores Ctrl-C, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 120
    while finished(out) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    workers = children(master.pid)
    master.send_signal(signal.SIGINT)
    errors = master.communicate(timeout=60)[1]
    assert master.returncode == 130
    assert "the same command continues" in errors and "Traceback" not in errors
    assert "not done" in results(out)
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(alive, workers))
    first = results(out).splitlines()[1]
    assert first == results(undisturbed).splitlines()[1]


def test_a_second_benchmark_keeps_out_of_the_folder(grid, tmp_path):
    out = tmp_path / "out"
    first = subprocess.Popen(command(grid, "--jobs", 1, "--out", out), stderr=subprocess.DEVNULL)
    try:
        while not list(out.glob("cells/*")):
            time.sleep(0.02)
        second = run(grid, "--out", out)
    finally:
        first.terminate()
        first.wait()
    assert second.returncode == 2 and "another benchmark is at work" in second.stderr


@pytest.mark.slow
def test_ray_gets_the_same_results(grid, undisturbed, tmp_path):
    ray = pytest.importorskip("ray")
    out = tmp_path / "ray"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        address = ray.get_runtime_context().gcs_address
        result = run(grid, "--ray", address, "--out", out)
    finally:
        ray.shutdown()
    assert result.returncode == 0, result.stderr
    assert results(out) == results(undisturbed)


def test_a_cluster_that_is_not_there_is_an_error_in_one_line(grid, tmp_path):
    pytest.importorskip("ray")
    result = run(grid, "--ray", "127.0.0.1:1", "--out", tmp_path / "out")
    assert result.returncode == 2, result.stderr
    assert "no Ray cluster at '127.0.0.1:1'" in result.stderr.splitlines()[-1]


def test_failures_and_missing_data_are_set_aside_and_tried_again(tmp_path):
    """Cells that diverge, a starting model that cannot be made, and data that are not there."""
    grid = tmp_path / "grid.yaml"
    text = """
    defaults: {model: mlp5, epochs: 1, samples: 100, learning_rate: 0.04, batch_size: 8}
    data:
      digits:
      mnist:
      turned: {data: digits, shift: "rotate:20", pretrain: {learning_rate: 1.0e+30}}
    method: {full: , too fast: {method: full, learning_rate: 1.0e+30}}
    """
    grid.write_text(text)
    out = tmp_path / "out"
    result = run(grid, "--jobs", 1, "--out", out, "--json")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    printed = json.loads(result.stdout)
    assert [row["method"] for row in printed["rows"]] == ["full"]
    statuses = [cell["status"] for cell in printed["cells"].values()]
    assert (statuses.count("done"), statuses.count("failed"), statuses.count("missing")) == (
        1,
        3,  # too fast, which is the starting model of two others
        2,
    )
    errors = {path.name: path.read_text() for path in (out / "errors").iterdir()}
    assert len(errors) == 3
    diverged = next(text for text in errors.values() if "Traceback" in text)
    assert "the loss is not finite" in diverged
    assert sum("its starting model failed" in text for text in errors.values()) == 2
    page = (out / "results.md").read_text()
    assert "## Failed" in page and "train-images-idx3-ubyte" in page

    # Without the mistake: what was good is kept, the rest is made.
    grid.write_text(text.replace("1.0e+30", "0.03"))
    assert run(grid, "--jobs", 1, "--out", out).returncode == 0
    assert results(out).count(",done,") == 4 and results(out).count(",missing,") == 2


def test_a_regression_fails_before_it_trains(tmp_path):
    """Tables hold accuracies."""
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    np.savez(tmp_path / "some.npz", x=x, y=x.sum(1))
    settings = Settings(model="mlp5", data=str(tmp_path / "some.npz"), epochs=1)
    outcome = work.make(Job("one", str(tmp_path / "one"), settings.to_dict()))
    assert outcome.status == FAILED and "tf-odl compare" in outcome.message
    assert not (tmp_path / "one" / "checkpoints").exists()


def test_a_grid_without_any_data_is_an_error(tmp_path):
    grid = tmp_path / "grid.yaml"
    grid.write_text("data: {mnist: {model: mlp5}}\nmethod: [full]")
    result = run(grid, "--jobs", 1, "--out", tmp_path / "out")
    assert result.returncode == 2
    assert "error: none of the grid's data sets is there" in result.stderr


def test_a_worker_that_dies_takes_only_its_own_run_along(tmp_path):
    settings = Settings(model="mlp5", data="digits", method="full", epochs=50, batch_size=1)
    long = Job("long", str(tmp_path / "long"), settings.to_dict())
    short = Settings(model="mlp5", data="digits", method="full", epochs=1, samples=50)
    workers = LocalWorkers(1, tmp_path / "log")
    try:
        workers.submit(long)
        while not (tmp_path / "long" / "run.json").exists():
            assert not workers.finished(0.1)
        (process,) = _workers_of(os.getpid())
        os.kill(process, signal.SIGKILL)
        assert _wait(workers) == ("long", FAILED)
        workers.submit(Job("short", str(tmp_path / "short"), short.to_dict()))
        assert _wait(workers) == ("short", DONE)
    finally:
        workers.stop()


def _command_line(process: int) -> str:
    return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def _wait(workers: LocalWorkers) -> tuple[str, str]:
    deadline = time.monotonic() + 60
    done: list[tuple[Job, Outcome]] = []
    while not done and time.monotonic() < deadline:
        done = workers.finished(1)
    ((job, outcome),) = done
    return job.name, outcome.status


def test_cells_can_be_compared(undisturbed):
    full, head = (next(undisturbed.glob(f"cells/digits-mlp5-{m}-*")) for m in ("full", "head"))
    compared = subprocess.run(
        [sys.executable, "-m", "tf_odl", "compare", full, head, "--json"],
        capture_output=True,
        check=True,
    )
    first, second = json.loads(compared.stdout)
    assert (first["run"], first["method"], first["effort"]) == (full.name, "full", 1)
    assert second["method"] == "head" and second["effort"] < 0.1


def test_a_worker_is_replaced_before_it_grows_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(work, "RUNS_PER_PROCESS", 2)
    settings = Settings(model="mlp5", data="digits", method="full", epochs=1, samples=50)
    workers = LocalWorkers(1, tmp_path / "log")
    processes = []
    try:
        for name in "abc":
            workers.submit(Job(name, str(tmp_path / name), settings.to_dict()))
            (process,) = _workers_of(os.getpid())
            processes.append(process)
            assert _wait(workers) == (name, DONE)
            deadline = time.monotonic() + 30
            while len(processes) == 2 and alive(process) and time.monotonic() < deadline:
                time.sleep(0.02)
    finally:
        workers.stop()
    assert processes[0] == processes[1] != processes[2] and not alive(processes[1])


def _workers_of(process: int) -> list[int]:
    return [p for p in children(process) if "spawn_main" in _command_line(p)]
