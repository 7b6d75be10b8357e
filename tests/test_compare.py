"""`tf-odl compare`: in what runs differ and what each of them reached."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

from tf_odl.cli import main

RESULT = {
    "accuracy_before": 0.125,
    "effort_nonzero": 0.5,
    "effort_total": 0.625,
    "skipped": 0.25,
    "seconds": 12.5,
}


def write_run(folder: Path, accuracy: float, effort: float, **settings: object) -> Path:
    """A run of two epochs with figures that a table shows as they are."""
    rows = [
        {
            "epoch": epoch,
            "val_accuracy": accuracy,
            "effort": effort,
            "forward_macs": 1000.0,
            "backward_macs": 2000.0 * effort,
            "selection_macs": 0,
        }
        for epoch in (1, 2)
    ]
    record = {
        "status": "complete",
        "settings": {"data_dir": str(folder), "batch_size": 8, "seed": 0, **settings},
        "epochs": rows,
        "result": {**RESULT, "accuracy": accuracy, "effort": effort},
    }
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def runs(tmp_path) -> list[Path]:
    return [
        write_run(tmp_path / "a" / "run", 0.95, 1.0, method="full", model="/x/y/z/model.keras"),
        write_run(tmp_path / "b" / "run", 0.96, 0.0625, method="tinypropv2", model="mlp5"),
    ]


def compare(*arguments: object):
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def test_a_table_of_what_differs_and_what_came_out(runs):
    result = compare(*runs)
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines() if line.strip()]
    assert ["A", "a/run"] in lines and ["B", "b/run"] in lines
    assert ["method", "full", "tinypropv2"] in lines
    assert ["model", "z/model.keras", "mlp5"] in lines
    assert ["accuracy", "before", "12.50%", "12.50%"] in lines
    assert ["accuracy", "after", "95.00%", "96.00%"] in lines
    assert ["backward", "MACs", "100.00%", "6.25%"] in lines
    assert ["time", "12.5", "s", "12.5", "s"] in lines
    assert not {"batch_size", "data_dir", "seed"} & {line[0] for line in lines}


def test_a_plot_shows_what_all_runs_are_tested_by(runs, tmp_path, monkeypatch):
    """Regressions have no accuracy; with a classifier they have nothing in common."""
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: drawn.append(self))
    for name, error in (("first", 0.5), ("second", 0.25)):
        folder = write_run(tmp_path / name, 0.0, 0.5, seed=error)
        record = json.loads((folder / "run.json").read_text())
        for row in record["epochs"]:
            row |= {"val_rmse": error, "val_r2": 0.5}
            del row["val_accuracy"]
        record["result"] = {**RESULT, "rmse_before": 2.0, "rmse": error}
        (folder / "run.json").write_text(json.dumps(record))
    regressions = [tmp_path / "first", tmp_path / "second"]
    compare(*regressions, "--plot", tmp_path / "compared.png")
    by_epoch = drawn[0].axes[0]
    assert "root mean squared error" in by_epoch.get_ylabel()
    assert [list(line.get_ydata()) for line in by_epoch.lines] == [[2, 0.5, 0.5], [2, 0.25, 0.25]]
    mixed = compare(*regressions, runs[0], "--plot", tmp_path / "mixed.png")
    assert mixed.exit_code == 2 and "different things" in mixed.stderr


def test_json_has_the_same_and_a_plot_is_drawn_on_request(runs, tmp_path):
    result = compare(*runs, "--json", "--plot", tmp_path / "compared.png")
    first, second = json.loads(result.stdout)
    assert first == {
        "run": "a/run",
        "model": "z/model.keras",
        "method": "full",
        "accuracy": 0.95,
        "effort": 1.0,
        **RESULT,
    }
    assert (second["method"], second["effort"]) == ("tinypropv2", 0.0625)
    assert (tmp_path / "compared.png").read_bytes().startswith(b"\x89PNG")


def test_every_figure_of_a_regression_is_shown_beside_a_classifier(runs, tmp_path):
    figures = {"rmse_before": 2.0, "rmse": 0.25, "mae_before": 1.5, "mae": 0.125, "r2": 0.75}
    other = write_run(tmp_path / "regression", 0.0, 1.0)
    record = json.loads((other / "run.json").read_text())
    costs = {key: value for key, value in record["result"].items() if "accuracy" not in key}
    record["result"] = {**costs, **figures}
    (other / "run.json").write_text(json.dumps(record))
    result = compare(runs[0], other)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "accuracy after 95.00%" in lines and "mean absolute error after 0.125" in lines
    assert "root mean squared error before 2" in lines and "R2 after 0.75" in lines
    assert figures.items() <= json.loads(compare(runs[0], other, "--json").stdout)[1].items()


def test_epochs_in_which_runs_differ_are_shown_once(tmp_path):
    runs = [write_run(tmp_path / str(n), 0.9, 1.0, epochs=n) for n in (2, 3)]
    lines = [line.split() for line in compare(*runs).stdout.splitlines()]
    assert [line for line in lines if line[:1] == ["epochs"]] == [["epochs", "2", "3"]]


def test_a_run_alone_differs_in_nothing(runs):
    (only,) = json.loads(compare(runs[0], "--json").stdout)
    assert only == {"run": "run", "accuracy": 0.95, "effort": 1.0, **RESULT}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "RUN_DIRS"),
        (["nothing"], "nothing holds no run"),
        (["running"], "running is not complete"),
        (["run", "--plot", "plot.txt"], "plot.txt"),
        (["run", "--plot", "missing/plot.png"], "missing/plot.png"),
    ],
)
def test_mistakes_are_answered_in_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run", 0.9, 1.0)
    write_run(tmp_path / "running", 0.9, 1.0)
    path = tmp_path / "running" / "run.json"
    path.write_text(path.read_text().replace("complete", "running"))
    result = compare(*arguments)
    assert result.exit_code == 2 and result.stderr.count("\n") == 1, result.output
    assert message in result.stderr and not list(tmp_path.rglob("plot*"))
