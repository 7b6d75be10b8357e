"""From a sketch to a board that has learned: Arduino's tools, QEMU, and the commands."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from board_client import blobs
from click.testing import CliRunner
from cpp.toolchain import PORT
from fake_board import FakeBoard, on_pty

from tf_odl import deployment
from tf_odl.board import arduino, qemu
from tf_odl.board.arduino import ArduinoCli, Build, Project
from tf_odl.cli import main
from tf_odl.errors import UserError

FEATURES, CLASSES = 561, 6  # of HAPT, and of the example LinearLearner


def run(*arguments: object):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def linear_project(folder: Path) -> Project:
    """The example LinearLearner as a project for QEMU, laid out as an export's."""
    sketch = folder / "LinearLearner"
    sketch.mkdir(parents=True)
    shutil.copy(PORT / "examples/LinearLearner/LinearLearner.ino", sketch)
    shutil.copytree(PORT / "src", folder / "libraries/TfOdl/src")
    shutil.copy(PORT / "library.properties", folder / "libraries/TfOdl")
    shutil.copytree(PORT / "boards/hardware", folder / "hardware")
    return Project(
        folder=folder,
        sketch="LinearLearner",
        fqbn="tfodl:qemu:mps2",
        profile="qemu",
        platform="tfodl:qemu",
        platform_version=None,
        platform_index=None,
        libraries=(),
    )


def nano_project(folder: Path) -> Project:
    (folder / "Sketch").mkdir(parents=True, exist_ok=True)
    return Project(
        folder=folder,
        sketch="Sketch",
        fqbn="arduino:mbed_nano:nano33ble",
        profile="nano33",
        platform="arduino:mbed_nano",
        platform_version="4.6.0",
        platform_index=None,
        libraries=(("Chirale_TensorFLowLite", "2.0.0"),),
    )


# -- arduino-cli, played by a script that answers what the real one prints


ANSWERS = {
    "version": {"VersionString": "1.5.1"},
    "core list": {"platforms": [{"id": "arduino:mbed_nano", "installed_version": "4.6.0"}]},
    "lib list": {
        "installed_libraries": [{"library": {"name": "Chirale_TensorFLowLite", "version": "2.0.0"}}]
    },
    "board list": {
        "detected_ports": [
            {"port": {"address": "/dev/ttyS0", "protocol": "serial"}},
            {
                "matching_boards": [{"name": "Nano", "fqbn": "arduino:mbed_nano:nano33ble"}],
                "port": {"address": "/dev/ttyACM0", "protocol": "serial"},
            },
        ]
    },
    "compile": {
        "compiler_out": "",
        "compiler_err": "",
        "success": True,
        "builder_result": {
            "executable_sections_size": [
                {"name": "text", "size": 250_000, "max_size": 983_040},
                {"name": "data", "size": 60_000, "max_size": 262_144},
            ]
        },
    },
    "upload": {"stdout": "", "stderr": "", "updated_upload_port": {"address": "/dev/ttyACM1"}},
}


@pytest.fixture
def fake_cli(tmp_path, monkeypatch):
    """A function that installs the script with answers of its own; returns its list of calls."""

    def install(**changes: object) -> Path:
        answers = {**ANSWERS, **{k.replace("_", " "): v for k, v in changes.items()}}
        (tmp_path / "answers.json").write_text(json.dumps(answers))
        program = tmp_path / "arduino-cli"
        program.write_text(
            f"#!{sys.executable}\n"
            "import json, pathlib, sys\n"
            f"folder = pathlib.Path({str(tmp_path)!r})\n"
            "with (folder / 'calls').open('a') as calls:\n"
            "    calls.write(json.dumps(sys.argv[1:]) + '\\n')\n"
            "answers = json.loads((folder / 'answers.json').read_text())\n"
            "assert sys.argv[-1] == '--json'\n"
            "answer = answers.get(' '.join(sys.argv[1:3])) or answers[sys.argv[1]]\n"
            "print(json.dumps(answer))\n"
            "sys.exit(1 if 'error' in answer else 0)\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv(arduino.PROGRAM_VARIABLE, str(program))
        return tmp_path / "calls"

    return install


def calls_of(path: Path, command: str) -> list[str]:
    (call,) = (c for c in map(json.loads, path.read_text().splitlines()) if c[0] == command)
    return call


def test_compiling_for_a_board(fake_cli, tmp_path):
    calls = fake_cli()
    project = nano_project(tmp_path / "arduino")
    build = arduino.compile_sketch(project, tmp_path / "build")
    assert (build.flash_bytes, build.flash_limit) == (250_000, 983_040)
    assert (build.ram_bytes, build.ram_limit) == (60_000, 262_144)
    assert build.compiler == "arduino-cli 1.5.1"
    call = calls_of(calls, "compile")
    assert call[call.index("--fqbn") + 1] == "arduino:mbed_nano:nano33ble"
    assert call[call.index("--library") + 1].endswith("arduino/libraries/TfOdl")
    assert "--profile" not in call


def test_pinned_builds_by_the_profile(fake_cli, tmp_path):
    calls = fake_cli(core_list={"platforms": []}, lib_list={})
    arduino.compile_sketch(nano_project(tmp_path / "a"), tmp_path / "build", pinned=True)
    call = calls_of(calls, "compile")
    assert call[call.index("--profile") + 1] == "nano33" and "--library" not in call


def test_what_is_missing_comes_with_its_command(fake_cli, tmp_path):
    fake_cli(core_list={"platforms": []}, lib_list={"installed_libraries": []})
    with pytest.raises(UserError) as error:
        arduino.compile_sketch(nano_project(tmp_path / "a"), tmp_path / "build")
    message = str(error.value)
    assert "arduino-cli core install arduino:mbed_nano@4.6.0 && " in message
    assert 'arduino-cli lib install "Chirale_TensorFLowLite@2.0.0"' in message


def test_the_index_of_a_core_that_arduino_does_not_list(fake_cli, tmp_path):
    fake_cli(core_list={"platforms": []})
    project = nano_project(tmp_path / "a")
    project = Project(**{**vars(project), "platform_index": "https://example.org/index.json"})
    commands = ArduinoCli(arduino.find_cli()).missing(project)
    assert commands == [
        "arduino-cli core install arduino:mbed_nano@4.6.0 "
        "--additional-urls https://example.org/index.json"
    ]


def test_a_compiler_error_is_shown_and_kept(fake_cli, tmp_path):
    error = "Sketch.ino:3:1: error: 'x' was not declared"
    fake_cli(compile={"success": False, "compiler_err": f"note\n{error}\nmore", "error": "failed"})
    with pytest.raises(UserError, match="was not declared") as raised:
        arduino.compile_sketch(nano_project(tmp_path / "a"), tmp_path / "build")
    assert "compile.log" in str(raised.value)
    assert error in (tmp_path / "build/compile.log").read_text()


def test_upload_follows_the_port(fake_cli, tmp_path):
    fake_cli()
    cli = ArduinoCli(arduino.find_cli())
    build = Build(tmp_path, 1, 2, 3, 4, "")
    assert cli.upload(nano_project(tmp_path), build, "/dev/ttyACM0") == "/dev/ttyACM1"
    fake_cli(upload={"error": "no device found on ttyACM0"})
    with pytest.raises(UserError, match="no device found"):
        cli.upload(nano_project(tmp_path), build, "/dev/ttyACM0")
    fake_cli(upload={"stdout": "", "stderr": ""})
    assert cli.upload(nano_project(tmp_path), build, "/dev/ttyACM0") == "/dev/ttyACM0"


def test_the_port_of_the_board(fake_cli):
    fake_cli()
    cli = ArduinoCli(arduino.find_cli())
    assert deployment.find_port(cli, "arduino:mbed_nano:nano33ble") == "/dev/ttyACM0"
    two = ANSWERS["board list"]["detected_ports"][1:] * 2
    fake_cli(board_list={"detected_ports": two})
    with pytest.raises(UserError, match="several boards"):
        deployment.find_port(cli, "arduino:mbed_nano:nano33ble")


def fake_export(folder: Path, model_id: int) -> Path:
    """As much of an export for a Nano as `deploy` looks at."""
    library = folder / "arduino/libraries/TfOdl"
    library.mkdir(parents=True)
    (library / "library.properties").write_text("name=TfOdl\nversion=0.1.0\n")
    (folder / "arduino/digits").mkdir()
    record = {
        "target": "nano33",
        "sketch": "arduino/digits",
        "state_image": {"model_id": model_id},
        "provenance": {},
    }
    (folder / "export.json").write_text(json.dumps(record))
    plan = {
        "flash": {"total_bytes": 256_912},
        "training": {"arena_bytes": 12_572},
        "target": {"name": "nano33", "arena_bytes": 196_608},
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder


def test_deploy_verifies_what_answers(fake_cli, tmp_path):
    board = FakeBoard(10, 2, model_id=77)
    with on_pty(board) as port:
        fake_cli(upload={"updated_upload_port": {"address": port}})
        right = fake_export(tmp_path / "right", 77)
        result = run("deploy", right, "--port", "/dev/ttyACM0")
        assert result.exit_code == 0, result.output
        assert f"fake at {port} runs this model, as exported" in result.stdout
        assert "256,912" in result.stdout and "250,000" in result.stdout
        assert deployment.deployed_port(right) == port
        # The commands after it find the board.
        assert run("pull", "--out", tmp_path / "l", right).stderr.count("--port") == 0
        wrong = run("deploy", fake_export(tmp_path / "wrong", 78), "--port", port)
        assert wrong.exit_code == 2 and "model 0000004d instead of 0000004e" in wrong.stderr
        assert deployment.deployed_port(tmp_path / "wrong") is None
        old = fake_export(tmp_path / "old", 77)
        (old / "arduino/libraries/TfOdl/library.properties").write_text("version=0.2.0\n")
        result = run("deploy", old, "--port", port)
        assert result.exit_code == 2 and "the export has TfOdl 0.2.0" in result.stderr


def test_without_arduino_cli(monkeypatch, tmp_path):
    monkeypatch.delenv(arduino.PROGRAM_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    export = fake_export(tmp_path / "export", 1)
    for command in (["compile"], ["deploy", "--port", "/dev/null"]):
        result = run(*command, export)
        assert result.exit_code == 2 and arduino.INSTALLATION in result.stderr
    with pytest.raises(UserError, match="apt install"):
        qemu.start(tmp_path / "sketch.elf", tmp_path / "flash")
    monkeypatch.setenv(arduino.PROGRAM_VARIABLE, str(tmp_path / "none"))
    assert "is no program" in run("compile", export).stderr


def test_an_export_of_an_older_version(tmp_path):
    (tmp_path / "export.json").write_text("{}")
    (tmp_path / "plan.json").write_text("{}")
    assert "make the export again" in run("compile", tmp_path).stderr
    assert (
        "no export"
        in run("deploy", tmp_path / "none").stderr + run("teach", tmp_path / "none").stderr
    )


# -- the real tools


def tool_missing() -> str:
    """Why the real tools cannot be used, empty if they can."""
    has_compiler = shutil.which("arm-none-eabi-g++") is not None
    engine = arduino.find_cli() or arduino.find_builder()
    if has_compiler and engine and qemu.find_qemu():
        return ""
    return f"needs arduino-cli, or Debian's {arduino.QEMU_PACKAGES}"


needs_tools = pytest.mark.skipif(bool(tool_missing()), reason=tool_missing())


@pytest.fixture(scope="module", params=["arduino-cli", "arduino-builder"])
def linear(request, tmp_path_factory) -> Build:
    """The example LinearLearner, compiled by each of Arduino's tools that is here."""
    found = {"arduino-cli": arduino.find_cli, "arduino-builder": arduino.find_builder}
    if found[request.param]() is None:
        pytest.skip(f"no {request.param} (arduino-cli: PATH or {arduino.PROGRAM_VARIABLE})")
    folder = tmp_path_factory.mktemp("linear")
    project = linear_project(folder / "arduino")
    if request.param == "arduino-builder":
        return arduino._build(arduino.find_builder(), project, folder / "build")
    return arduino.compile_sketch(project, folder / "build")


@needs_tools
def test_a_sketch_for_qemu_is_compiled(linear):
    assert 10_000 < linear.flash_bytes < 24_000 and linear.flash_limit == 983_040
    assert 4_000 < linear.ram_bytes < 8_000 and linear.ram_limit == 261_632
    assert linear.elf.read_bytes()[:4] == b"\x7fELF"


@needs_tools
def test_a_board_learns_keeps_it_and_hands_it_out(linear, tmp_path):
    """Features as HAPT's: 561 from -1 to 1, six classes. From chance to nearly all of them right.

    QEMU is killed after the save; what starts from its flash file knows what was learned.
    """
    x, labels = blobs(140, FEATURES, CLASSES)
    values = (x / np.float32(127)).astype(np.float32)
    np.savez(
        tmp_path / "data.npz",
        x_train=values[:80],
        y_train=labels[:80],
        x_test=values[80:],
        y_test=labels[80:],
    )
    data, flash = ("--data", tmp_path / "data.npz", "--test", 1), tmp_path / "flash"
    running = qemu.start(linear.elf, flash)
    try:
        port = ("--port", running.port)
        result = run("teach", *port, *data, "--out", tmp_path / "teach", "--json")
        assert result.exit_code == 0, result.output
        taught = json.loads(result.stdout)
        assert run("pull", *port, "--out", tmp_path / "learned").exit_code == 0
    finally:
        running.stop()
    # All weights are zero: class 0, whatever the sample.
    assert taught["accuracy_before"] == pytest.approx((labels[80:] == 0).mean())
    assert taught["accuracy_before"] < 0.4 and taught["accuracy_after"] > 0.9
    assert taught["account"]["confirmed"] == 80 and taught["account"]["lost"] == 0
    assert taught["board"] == "qemu" and taught["saved_sequence"] == 1

    running = qemu.start(linear.elf, flash)
    try:
        port = ("--port", running.port)
        result = run("pull", *port, "--out", tmp_path / "again", "--json")
        assert json.loads(result.stdout)["samples"] == 80
        result = run("teach", *port, *data, "--samples", 1, "--out", tmp_path / "teach", "--json")
        assert json.loads(result.stdout)["accuracy_before"] == taught["accuracy_after"]
    finally:
        running.stop()
    images = [(tmp_path / name / "state.image").read_bytes() for name in ("learned", "again")]
    assert images[0] == images[1]
    # The pulled arrays, computed here, make of the test samples what the board made of them.
    weights = np.load(tmp_path / "learned/weights.npz")
    logits = x[80:].astype(np.int64) @ weights["weights"].T + weights["bias"]
    mine = (logits.argmax(1) == labels[80:]).mean()
    assert mine == pytest.approx(taught["accuracy_after"], abs=0.04)  # int8 logits may tie


@needs_tools
def test_qemu_that_does_not_start(tmp_path):
    (tmp_path / "no.elf").write_text("no program")
    with pytest.raises(UserError, match="QEMU does not start"):
        qemu.start(tmp_path / "none.elf", tmp_path / "flash")
    with pytest.raises(UserError, match="QEMU does not start"):
        qemu.start(tmp_path / "no.elf", tmp_path / "no-folder" / "flash")


def libraries() -> Path:
    return Path(os.environ.get("ARDUINO_DIRECTORIES_USER", Path.home() / "Arduino")) / "libraries"


@pytest.mark.slow
@needs_tools
@pytest.mark.skipif(
    not (libraries() / "Chirale_TensorFLowLite").is_dir(),
    reason='needs: arduino-cli lib install "Chirale_TensorFLowLite@2.0.0"',
)
def test_the_demonstration_on_qemu(tmp_path):
    """export, deploy, teach, pull: the board's model is what Keras and tflite get."""
    from tf_odl.converters import reference
    from tf_odl.data import load
    from tf_odl.models.digits_cnn import pretrain_digits

    pretrain_digits(0).save(tmp_path / "digits.keras")
    export = tmp_path / "export"
    source = [tmp_path / "digits.keras", "--data", "digits", "--out", export]
    assert run("export", *source, "--target", "qemu").exit_code == 0
    try:
        result = run("deploy", export, "--json")
        assert result.exit_code == 0, result.output
        deployed = json.loads(result.stdout)
        assert deployed["hello"]["board"] == "qemu" and deployed["hello"]["input_bytes"] == 64
        result = run("teach", export, "--shift", "rotate:50", "--test", 1, "--json")
        taught = json.loads(result.stdout)
        result = run("pull", export, "--out", tmp_path / "learned", "--json")
        assert result.exit_code == 0, result.output
    finally:
        run("deploy", export, "--stop")
    assert taught["accuracy_after"] > taught["accuracy_before"] + 0.2
    data = load("digits", shift="rotate:50")
    model = (tmp_path / "learned/learned.tflite").read_bytes()
    outputs = reference.infer(model, reference.quantize_input(model, data.x_test))
    assert (outputs.argmax(1) == data.y_test).mean() == pytest.approx(taught["accuracy_after"])
