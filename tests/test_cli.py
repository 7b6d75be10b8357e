"""The command line: what can be chosen, JSON for machines, one line for mistakes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tf_odl.cli import main
from tf_odl.cli.output import print_table
from tf_odl.errors import reason_of
from tf_odl.methods.registry import METHODS
from tf_odl.tflm_port import interpreter

COMMANDS = [
    "finetune",
    "plan",
    "export",
    "simulate",
    "verify",
    "compile",
    "deploy",
    "teach",
    "pull",
    "push",
    "monitor",
    "demo",
    "benchmark",
    "compare",
    "methods",
    "datasets",
    "targets",
    "doctor",
]


def run(*arguments: str):
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("command", [[], *([c] for c in COMMANDS)])
def test_help_is_there_before_tensorflow_could_be(command):
    """Importing TensorFlow, NumPy or Matplotlib is what makes a command line slow."""
    code = (
        "import sys; from tf_odl.cli import main\n"
        f"try: main({[*command, '--help']!r}, prog_name='tf-odl')\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'matplotlib', 'sklearn', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.startswith("Usage: tf-odl")
    assert result.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "nothing.keras"], "nothing.keras does not exist"),
        (["plan", "nothing.keras", "--max-ms", "3"], "--max-ms needs --fit"),
        (["export", "nothing", "--target", "moon"], "unknown target 'moon'"),
        (["export", "nothing", "--fit", "--layers", "a"], "--fit chooses the layers"),
        (["simulate", "nothing", "--samples", "0"], "--samples must be at least 1"),
        (["verify", "nothing", "--samples", "0"], "--samples must be at least 1"),
        (["finetune", "--model", "mlp5"], "--model needs --data"),
        (["finetune", "--data", "digits"], "--data needs --model"),
        (["finetune", "--model", "no.keras", "--data", "digits"], "no.keras does not exist"),
        (["finetune", "--model", "mlp5", "--data", "no.csv"], "no.csv does not exist"),
        (["finetune", "--method", "wonder"], "unknown method 'wonder'"),
        (["finetune", "--lr", "-1"], "learning rate must be positive"),
    ],
)
def test_wrong_arguments_are_answered_before_tensorflow_could_be(arguments, message):
    code = (
        "import sys; from tf_odl.cli import main\n"
        f"try: main({arguments!r}, prog_name='tf-odl')\n"
        "except SystemExit as end: print(end.code, 'tensorflow' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert message in result.stderr and result.stdout.split() == ["2", "False"]


def test_every_command_is_listed_in_the_order_of_the_work_and_has_json():
    lines = run("--help").stdout.split("Commands:")[1].splitlines()
    assert [line.split()[0] for line in lines if line.strip()] == COMMANDS
    for name in COMMANDS:
        assert "--json" in run(name, "--help").stdout


def test_methods_lists_every_preset_and_part():
    listed = json.loads(run("methods", "--json").stdout)
    assert list(listed["methods"]) == list(METHODS)
    assert listed["skip"]["tinypropv2"]["settings"]["threshold"] == 0.1
    text = run("methods").stdout
    assert all(name in text for name in METHODS)


def test_datasets_and_targets():
    listed = json.loads(run("datasets", "--json").stdout)
    assert {"digits", "mnist", "cifar10", "hapt", "hapt-raw", "arabic-speech"} <= set(listed)
    assert "train-images-idx3-ubyte.gz" in listed["mnist"]["files"]
    assert "zenodo" in run("datasets", "dcase-slider").stdout
    assert run("datasets", "wonder").exit_code == 2
    boards = json.loads(run("targets", "--json").stdout)
    assert boards["nano33"]["fqbn"] == "arduino:mbed_nano:nano33ble"
    assert "esp32" in boards and "Nano 33 BLE" in run("targets").stdout
    assert "FILE.npz" in run("datasets").stdout


def test_doctor_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(interpreter, "available", lambda: "the wheel is on holiday")
    result = run("doctor", "--json")
    assert result.exit_code == 1
    checks = {c["what"]: c for c in json.loads(result.stdout)["checks"]}
    assert checks["training in TFLM"]["found"] is None
    assert "holiday" in checks["training in TFLM"]["remedy"]
    assert checks["keras"]["found"] and checks["keras"]["remedy"] is None
    assert "holiday" in run("doctor").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["finetune", "--epochs", "many"], "--epochs"),
        (["finetune", "--wonder"], "--wonder"),
        (["export"], "SOURCE"),
        (["wonder"], "wonder"),
        (["export", "there-is-none.keras", "--data", "digits"], "there-is-none.keras"),
        (["export", ".", "--target", "nano33"], "run.json"),
        (["export", "model.keras", "--target", "cray"], "nano33"),
        (["simulate", "."], "export.json"),
        (["simulate", ".", "--samples", "0"], "--samples"),
        (["simulate", ".", "--lr", "-1"], "--lr"),
        (["finetune", "--lr", "inf"], "learning rate must be positive and finite"),
        (["finetune", "--batch-size", "0"], "batch size must be at least 1"),
        (["finetune", "--epochs", "1e20"], "'1e20' is not a valid integer"),
        (["finetune", "--epochs", "100000000000000000000"], "epochs must be at most 2147483647"),
        (["finetune", "--batch-size", "2147483648"], "batch size must be at most 2147483647"),
        (["finetune", "--seed", "-1"], "seed must be 0 to"),
        (["finetune", "--seed", "4294967296"], "seed must be 0 to"),
        (["finetune", "--model", "mlp5", "--data", ""], "--data is empty"),
        (["compile", "nowhere"], "nowhere is no export"),
        (["deploy", "nowhere"], "nowhere is no export"),
        (["benchmark", "no.yaml"], "no.yaml cannot be read: No such file or directory"),
    ],
)
def test_mistakes_are_answered_in_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["plan", "export"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.onnx", "is of another kind: give the folder of a run, a .keras"),
        ("model.tflite", "this is not a .tflite model"),
        ("model.keras", "is no readable Keras model"),
    ],
)
def test_files_that_hold_no_model_are_refused_in_one_line(tmp_path, command, name, message):
    path = tmp_path / name
    path.write_bytes(b"anything" * 50)
    result = (
        run(command, str(path), "--data", "digits")
        if command == "export"
        else run(command, str(path))
    )
    assert result.exit_code == 2, result.output
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_record_of_something_else_is_no_export(tmp_path):
    (tmp_path / "export.json").write_text("{}")
    for command in ("simulate", "verify"):
        result = run(command, str(tmp_path))
        assert result.exit_code == 2 and "no record of an export" in result.stderr


def test_a_file_is_no_export(tmp_path):
    (tmp_path / "model.keras").write_text("")
    result = run("verify", str(tmp_path / "model.keras"))
    assert result.exit_code == 2 and "model.keras is no export" in result.stderr


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FileNotFoundError(2, "No such file or directory", "a.csv"), "No such file or directory"),
        (OSError("truncated"), "truncated"),
        (ValueError("\nfirst\nsecond"), "first"),
        (ValueError(), "ValueError"),
    ],
)
def test_the_reason_of_an_error_is_one_line(error, line):
    assert reason_of(error) == line


def test_tables_align_numbers_to_the_right(capsys):
    print_table(["what", "bytes"], [["a", "1"], ["b", "1,234"]], title="sizes")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("sizes")
    ends = [len(line.rstrip()) for line in lines if line.strip().startswith(("a ", "b "))]
    assert ends[0] == ends[1]
