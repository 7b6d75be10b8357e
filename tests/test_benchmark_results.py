"""Results of a grid against figures computed by hand, from run records written by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tf_odl.benchmark.folder import Folder
from tf_odl.benchmark.grid import Grid, load_grid
from tf_odl.benchmark.results import Group
from tf_odl.benchmark.work import DONE, FAILED, MISSING, Outcome

SAMPLES, FORWARD, BACKWARD = 10, 100, 200  # MACs per sample of full training

GRID = """
title: By hand
seeds: 3
defaults: {epochs: 4, model: mlp5}
data: [digits]
method:
  full:
  full, 2 epochs: {method: full, epochs: 50%}
  tinypropv2:
  velocity: {budget: 20%}
published:
  - {method: full, accuracy: {digits: [96.5, 0.3]}}
  - {method: tinypropv2, accuracy: {digits: 91}}
"""


def write_run(
    folder: Path,
    settings: dict,
    accuracy: float,
    effort: float = 1.0,
    forward_share: float = 1.0,
    selection: int = 0,
) -> None:
    """A complete run with the figures `tf-odl finetune` would record for them."""
    epochs = settings["epochs"]
    all_samples = SAMPLES * epochs
    rows = [{"epoch": i + 1, "effort": effort, "val_accuracy": accuracy} for i in range(epochs)]
    folder.mkdir(parents=True)
    record = {
        "status": "complete",
        "settings": settings,
        "data": {"train": [SAMPLES, 8, 8, 1]},
        "model": {"forward_macs": FORWARD, "full_backward_macs": BACKWARD},
        "epochs": rows,
        "masks": {"a": {"neurons": 128, "updated": 100}, "b": {"neurons": 10, "updated": 7}},
        "result": {
            "accuracy_before": 0.1,
            "accuracy": accuracy,
            "effort": effort,
            "effort_nonzero": effort / 2,
            "effort_total": None,
            "skipped": 0.25,
            "forward_macs": forward_share * all_samples * FORWARD,
            "backward_macs": effort * all_samples * BACKWARD,
            "selection_macs": selection,
            "seconds": 1.0,
        },
    }
    (folder / "run.json").write_text(json.dumps(record))


ACCURACY = {  # by method and seed
    "full": (0.96, 0.97, 0.98),
    "full, 2 epochs": (0.90, 0.94, 0.92),
    "tinypropv2": (0.90, 0.93, 0.90),
    "velocity": (0.5, 0.5, 0.5),
}
EFFORT = {"tinypropv2": 0.05, "velocity": 0.4}


@pytest.fixture
def made(tmp_path) -> tuple[Folder, Grid, list[Group]]:
    """All runs of GRID but one, which failed."""
    path = tmp_path / "grid.yaml"
    path.write_text(GRID)
    grid = load_grid(str(path))
    folder = Folder(tmp_path / "out")
    folder.begin(grid, "tf-odl benchmark grid.yaml")
    outcomes = {}
    for cell in grid.cells:
        method = cell.labels["method"]
        if method == "velocity" and cell.seed == 2:
            outcomes[cell.run.name] = Outcome(FAILED, "it went wrong")
            continue
        outcomes[cell.run.name] = Outcome(DONE)
        write_run(
            folder.cells / cell.run.name,
            cell.run.settings.to_dict(),
            ACCURACY[method][cell.seed],
            EFFORT.get(method, 1.0),
            forward_share=0.5 if method == "tinypropv2" else 1.0,
            selection=240 if method == "velocity" else 0,
        )
    return folder, grid, folder.finish(grid, outcomes, "tf-odl benchmark grid.yaml")


def by_method(groups: list[Group]) -> dict[str, Group]:
    return {group.labels["method"]: group for group in groups}


def test_mean_and_deviation_are_over_the_seeds(made):
    groups = by_method(made[2])
    accuracy = groups["full"].measures["accuracy"]
    assert accuracy.mean == pytest.approx(0.97)
    assert accuracy.deviation == pytest.approx(0.01)  # (n - 1): sqrt((1 + 0 + 1) / 2) %
    accuracy = groups["tinypropv2"].measures["accuracy"]
    assert accuracy.mean == pytest.approx(0.91)
    assert accuracy.deviation == pytest.approx(0.03**0.5 / 10)  # sqrt((1 + 4 + 1) / 2) %
    assert groups["velocity"].seeds == 2


def test_costs_are_shares_of_full_training_for_the_nominal_epochs(made):
    groups = by_method(made[2])
    full, fewer, v2, velocity = (g.measures for g in groups.values())
    assert (full["effort"].mean, full["effort_total"].mean) == (1, 1)
    # Half of the epochs is half of everything.
    assert (fewer["effort"].mean, fewer["effort_total"].mean) == (0.5, 0.5)
    # 4 epochs x 10 samples x (0.5 x 100 forward + 0.05 x 200 backward) of 4 x 10 x 300
    assert v2["effort"].mean == pytest.approx(0.05)
    assert v2["effort_nonzero"].mean == pytest.approx(0.025)
    assert v2["effort_total"].mean == pytest.approx(0.2)
    # 4 x 10 x (100 + 80) + 240 for selecting, of 12000
    assert velocity["effort_total"].mean == pytest.approx(7440 / 12000)


def test_the_page_shows_them_beside_what_was_published(made):
    text = (made[0].path / "results.md").read_text()
    header = next(line for line in text.splitlines() if line.startswith("| method"))
    cells = {}
    for line in text.splitlines():
        values = [value.strip() for value in line.strip("|").split("|")]
        if len(values) > 5:
            cells[values[0]] = dict(
                zip([h.strip() for h in header.strip("|").split("|")], values, strict=True)
            )
    full, v2 = cells["full"], cells["tinypropv2"]
    assert full["accuracy"] == "97.00 ± 1.00" and full["published"] == "96.50 ± 0.30"
    assert full["difference"] == "+0.50" and full["epochs"] == "4" and full["seeds"] == "3"
    assert (v2["accuracy"], v2["published"], v2["difference"]) == ("91.00 ± 1.73", "91.00", "+0.00")
    assert (v2["backward %"], v2["non-zero %"], v2["all MACs %"]) == ("5.00", "2.50", "20.0")
    assert cells["full, 2 epochs"]["epochs"] == "2" and cells["velocity"]["difference"] == ""
    assert cells["velocity"]["budget"] == "20%" and cells["velocity"]["seeds"] == "2"
    assert "it went wrong" in text and "tf-odl benchmark grid.yaml" in text
    assert "tensorflow 2." in text


def test_a_line_per_cell_in_the_order_of_the_grid_and_no_time_in_it(made):
    folder, grid, _ = made
    lines = list(csv.DictReader((folder.path / "results.csv").open()))
    assert [line["cell"] for line in lines] == [cell.run.name for cell in grid.cells]
    first, last = lines[0], lines[-1]
    assert (first["method"], first["seed"], first["status"]) == ("full", "0", "done")
    assert (first["neurons"], first["neurons_updated"]) == ("138", "107")
    assert float(first["accuracy"]) == 0.96 and first["setting_epochs"] == "4"
    assert (last["status"], last["accuracy"]) == ("failed", "")
    assert not {"seconds", "setting_data_dir"} & set(first)
    assert (folder.path / "timings.csv").read_text().count("\n") == len(lines)  # 1 failed, 1 header


def test_persons_are_averaged_within_a_seed_first(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text(
        "data: {hapt: {model: mlp5, epochs: 1, over: {person: [1, 2]}}}\nmethod: [full]\nseeds: 2"
    )
    grid = load_grid(str(path))
    folder = Folder(tmp_path / "out")
    folder.begin(grid, "")
    values = {(0, 1): 0.8, (0, 2): 0.9, (1, 1): 0.7, (1, 2): 0.9}
    for cell in grid.cells:
        accuracy = values[cell.seed, cell.repeat["person"]]
        write_run(folder.cells / cell.run.name, cell.run.settings.to_dict(), accuracy)
    (group,) = folder.finish(grid, {c.run.name: Outcome(DONE) for c in grid.cells}, "")
    accuracy = group.measures["accuracy"]
    # The seeds' means are 0.85 and 0.80.
    assert accuracy.mean == pytest.approx(0.825)
    assert accuracy.deviation == pytest.approx(0.05 / 2**0.5)
    assert group.seeds == 2


def test_missing_data_are_named_with_the_loaders_message(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text("data: {mnist: {model: mlp5}}\nmethod: [full]\nseeds: 2")
    grid = load_grid(str(path))
    folder = Folder(tmp_path / "out")
    folder.begin(grid, "")
    outcomes = {c.run.name: Outcome(MISSING, "mnist needs its archives") for c in grid.cells}
    assert folder.finish(grid, outcomes, "") == []
    text = (folder.path / "results.md").read_text()
    assert "- mnist: mnist needs its archives" in text
    assert not list(folder.path.glob("*.png"))


def test_plots_are_those_the_grid_has_data_for(made, tmp_path):
    names = {p.name for p in made[0].path.glob("*.png")}
    assert names == {"accuracy-effort.png", "accuracy-total.png", "effort-per-epoch.png"}
    assert all(f"({name})" in (made[0].path / "results.md").read_text() for name in names)
    path = tmp_path / "budgets.yaml"
    path.write_text(
        "data: {digits: {model: mlp5, epochs: 1}}\nmethod: [full, random]\nbudget: [10%, 20%]"
    )
    grid = load_grid(str(path))
    folder = Folder(tmp_path / "budgets")
    folder.begin(grid, "")
    for cell in grid.cells:
        write_run(folder.cells / cell.run.name, cell.run.settings.to_dict(), 0.9)
    folder.finish(grid, {c.run.name: Outcome(DONE) for c in grid.cells}, "")
    names = {p.name for p in folder.path.glob("*.png")}
    assert names == {"accuracy-effort.png", "accuracy-total.png", "budgets.png"}
