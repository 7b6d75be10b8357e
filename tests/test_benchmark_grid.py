"""Grids: which cells a file declares, which names they get, and every way to write it wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tf_odl.benchmark.cell import difference
from tf_odl.benchmark.grid import builtin_grids, load_grid
from tf_odl.cli import main
from tf_odl.errors import UserError

GRID = """
seeds: 2
defaults: {batch_size: 8, learning_rate: 0.04, epochs: 12}
data:
  digits: {model: mlp5}
  turned:
    {data: digits, model: cnn5, shift: "rotate:40", epochs: 20, seeds: [5], pretrain: {epochs: 3}}
method:
  full:
  full, fewer epochs: {method: full, epochs: 25%}
  velocity: {learning_rate: 0.1}
budget: [10%, 5000]
include:
  - {data: digits, method: tinypropv2, label: v2 x random, selector: random, budget: 30%}
published:
  - {method: velocity, budget: 5000, accuracy: {digits: [95.5, 0.2], turned: 90}}
"""


def grid_of(tmp_path: Path, text: str, **options):
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    return load_grid(str(path), **options)


def described(grid) -> list[tuple]:
    return [(*cell.labels.values(), cell.seed, cell.run.settings.epochs) for cell in grid.cells]


def test_axes_multiply_and_budgets_go_to_methods_that_take_one(tmp_path):
    assert described(grid_of(tmp_path, GRID)) == [
        ("digits", "mlp5", "full", None, 0, 12),
        ("digits", "mlp5", "full", None, 1, 12),
        ("digits", "mlp5", "full, fewer epochs", None, 0, 3),
        ("digits", "mlp5", "full, fewer epochs", None, 1, 3),
        ("digits", "mlp5", "velocity", "10%", 0, 12),
        ("digits", "mlp5", "velocity", "10%", 1, 12),
        ("digits", "mlp5", "velocity", "5000", 0, 12),
        ("digits", "mlp5", "velocity", "5000", 1, 12),
        ("digits", "mlp5", "v2 x random", "30%", 0, 12),
        ("digits", "mlp5", "v2 x random", "30%", 1, 12),
        ("turned", "cnn5", "full", None, 5, 20),
        ("turned", "cnn5", "full, fewer epochs", None, 5, 5),
        ("turned", "cnn5", "velocity", "10%", 5, 20),
        ("turned", "cnn5", "velocity", "5000", 5, 20),
    ]


def test_later_settings_win_and_the_nominal_epochs_are_those_of_the_data(tmp_path):
    cells = {tuple(c.labels.values()): c for c in grid_of(tmp_path, GRID).cells}
    assert cells["digits", "mlp5", "full", None].run.settings.learning_rate == 0.04
    assert cells["digits", "mlp5", "velocity", "10%"].run.settings.learning_rate == 0.1
    fewer = cells["turned", "cnn5", "full, fewer epochs", None]
    assert (fewer.nominal_epochs, fewer.run.settings.epochs) == (20, 5)
    assert fewer.run.settings.shift == "rotate:40" and fewer.run.settings.data == "digits"
    both = cells["digits", "mlp5", "v2 x random", "30%"].run.settings.build_method()
    assert (both.selector.name, both.skip.name) == ("random", "tinypropv2")


def test_pretraining_is_shared_by_the_methods_of_a_seed(tmp_path):
    cells = [c for c in grid_of(tmp_path, GRID).cells if c.labels["data"] == "turned"]
    assert len({c.run.pretrain.name for c in cells}) == 1
    settings = cells[0].run.pretrain.settings
    assert (settings.method, settings.epochs, settings.shift, settings.seed) == ("full", 3, None, 5)
    assert (settings.data, settings.model, settings.batch_size) == ("digits", "cnn5", 8)


def test_persons_are_repetitions_within_a_seed(tmp_path):
    text = "data: {hapt-raw: {model: mlp5, over: {person: [2, 4, 9]}}}\nmethod: [full]\nseeds: 2"
    cells = grid_of(tmp_path, text).cells
    assert [(c.seed, c.repeat["person"], c.run.settings.person) for c in cells] == [
        (0, 2, 2), (0, 4, 4), (0, 9, 9), (1, 2, 2), (1, 4, 4), (1, 9, 9)
    ]  # fmt: skip


def test_published_values_find_their_rows(tmp_path):
    grid = grid_of(tmp_path, GRID)
    (digits, turned) = grid.published
    assert (digits.accuracy, digits.deviation) == (95.5, 0.2)
    assert (turned.accuracy, turned.deviation) == (90, None)
    found = [c.labels for c in grid.cells if digits.matches(c.labels)]
    assert {tuple(labels.values()) for labels in found} == {("digits", "mlp5", "velocity", "5000")}


def test_names_say_what_a_run_is_and_follow_its_settings_alone(tmp_path):
    grid = grid_of(tmp_path, GRID)
    name = grid.cells[4].run.name
    assert name.startswith("digits-mlp5-velocity-10-12ep-s0-")
    # Other labels, another order, another place of the data: the same runs.
    other = GRID.replace("full, fewer epochs", "short").replace("[10%, 5000]", "[5000, 10%]")
    moved = grid_of(tmp_path, other, data_dir=tmp_path)
    assert {c.run.name for c in moved.cells} == {c.run.name for c in grid.cells}
    # One more epoch of pretraining: other runs where it matters, and only there.
    longer = grid_of(tmp_path, GRID.replace("pretrain: {epochs: 3}", "pretrain: {epochs: 4}"))
    for one, two in zip(grid.cells, longer.cells, strict=True):
        assert (one.run.name == two.run.name) == (one.labels["data"] == "digits")


def test_a_recorded_run_with_other_settings_is_noticed(tmp_path):
    settings = grid_of(tmp_path, GRID).cells[0].run.settings
    recorded = settings.to_dict() | {"data_dir": "/elsewhere"}
    assert difference(settings, {"settings": recorded}) is None
    del recorded["person"]  # by a version that did not know persons
    assert difference(settings, {"settings": recorded}) is None
    other = difference(settings, {"settings": recorded | {"batch_size": 32}})
    assert "batch_size = 32, not 8" in other


def test_a_recorded_run_of_a_method_with_other_defaults_is_noticed(tmp_path):
    grid = "data: {a: {data: digits, model: mlp5}}\nmethod: [tinypropv2]"
    settings = grid_of(tmp_path, grid).cells[0].run.settings
    method = settings.build_method().to_dict()
    assert difference(settings, {"settings": settings.to_dict(), "method": method}) is None
    method["sparsifier"]["s_max"] = 0.75
    found = difference(settings, {"settings": settings.to_dict(), "method": method})
    assert found == "sparsifier s_max = 0.75, not 1.0"
    del method["sparsifier"]["s_max"]  # by a version that did not know the setting
    assert difference(settings, {"settings": settings.to_dict(), "method": method}) is None


def test_quick_and_seeds_shrink_a_grid(tmp_path):
    grid = grid_of(tmp_path, GRID, quick=True, seeds=1)
    assert {c.seed for c in grid.cells} == {0}
    settings = [c.run.settings for c in grid.cells]
    assert {s.epochs for s in settings} == {1, 2} and {s.samples for s in settings} == {500}
    assert {c.run.pretrain.settings.epochs for c in grid.cells if c.run.pretrain} == {2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: [digits", "no YAML"),
        ("- 1", "mapping"),
        ("method: [full]", "data is missing"),
        ("data: [digits]", "method is missing"),
        ("data: [digits]\nmethod: [full]", "model is missing"),
        ("data: {digits: {modle: mlp5}}\nmethod: [full]", "'modle'"),
        ("wonder: 1\ndata: [digits]\nmethod: [full]", "'wonder'"),
        ("data: {digits: {model: mlp5}}\nmethod: [wonder]", "'wonder'"),
        ("data: {digits: {model: mlp5}}\nmethod: {full: {selector: wonder}}", "'wonder'"),
        ("data: {digits: {model: mlp5}}\nmethod: {full: {learning_rate: fast}}", "learning_rate"),
        ("data: {digits: {model: mlp5}}\nmethod: {full: {epochs: 1.5}}", "epochs"),
        ("data: {digits: {model: mlp5}}\nmethod: {full: {epochs: half%}}", "half%"),
        ("data: {digits: {model: mlp5}}\nmethod: {full: {epochs: 0}}", "epochs"),
        ("data: {digits: {model: mlp5}}\nmethod: {full: {set: {wonder: 1}}}", "'wonder'"),
        ("data: {digits: {model: mlp5}}\nmethod: [velocity]\nbudget: [tiny]", "tiny"),
        ("data: {digits: {model: mlp5, seeds: -1}}\nmethod: [full]", "seeds"),
        ("data: {digits: {model: mlp5, seeds: [1, 1]}}\nmethod: [full]", "seeds"),
        ("data: {digits: {model: mlp5, over: {seed: [1]}}}\nmethod: [full]", "'seed'"),
        ("data: {digits: {model: mlp5, pretrain: {seed: 3}}}\nmethod: [full]", "'seed'"),
        ("data: {digits: {model: mlp5}}\ninclude: [{data: mnist, method: full}]", "'mnist'"),
        ("data: {digits: {model: mlp5}}\ninclude: [{epochs: 3}]", "method is missing"),
        (
            "data: {digits: {model: mlp5}}\nmethod: [full]\ninclude: [{method: full, epochs: 3}]",
            "label",
        ),
        (
            "data: {digits: {model: mlp5}}\nmethod: [full]\n"
            "published: [{method: full, accuracy: {mnist: 96}}]",
            "'mnist'",
        ),
        (
            "data: {digits: {model: mlp5}}\nmethod: [full]\n"
            "published: [{method: full, accuracy: {digits: good}}]",
            "good",
        ),
    ],
)
def test_mistakes_are_answered_in_one_line_and_leave_nothing(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text(text)
    result = CliRunner().invoke(main, ["benchmark", "bad.yaml"])
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: bad.yaml") and result.stderr.count("\n") == 1
    assert message in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["wonder"], "'wonder'"),
        (["missing.yaml"], "missing.yaml"),
        (["grid.yaml", "--jobs", "0"], "--jobs"),
        (["grid.yaml", "--seeds", "0"], "--seeds"),
        (["grid.yaml", "--out", "used"], "used holds no benchmark"),
        (["grid.yaml", "--out", "grid.yaml"], "grid.yaml is no folder"),
    ],
)
def test_wrong_options_are_answered_in_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.yaml").write_text(GRID)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "precious").write_text("mine")
    result = CliRunner().invoke(main, ["benchmark", *arguments])
    assert result.exit_code == 2 and result.stderr.count("\n") == 1, result.output
    assert message in result.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["grid.yaml", "precious", "used"]


def test_grids_of_unknown_encoding_are_refused(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_bytes(b"title: \xff\xfe")
    with pytest.raises(UserError, match="cannot be read"):
        load_grid(str(path))


@pytest.mark.parametrize("name", sorted(builtin_grids()))
def test_built_in_grids_can_be_read(name):
    for quick in (False, True):
        grid = load_grid(name, quick=quick)
        assert grid.title and grid.about and grid.cells
        labels = [cell.labels for cell in grid.cells]
        assert all(any(p.matches(each) for each in labels) for p in grid.published)
