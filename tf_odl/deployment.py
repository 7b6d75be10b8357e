"""From an export folder to a program, and to a board that runs it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tf_odl.board import arduino, qemu
from tf_odl.board.arduino import ArduinoCli, Build, Project
from tf_odl.board.client import Board
from tf_odl.board.connection import Connection
from tf_odl.board.messages import Hello
from tf_odl.board.serial_port import SerialLine, only_port, wait_for_port
from tf_odl.converters.sketch import (
    PROJECT,
    TFLM_LIBRARY,
    TFLM_VERSION,
    sketch_name,
    write_project,
)
from tf_odl.converters.targets import Target, get_target
from tf_odl.errors import UserError
from tf_odl.files import new_folder, write_json
from tf_odl.simulation import read_export, read_model

BUILD = "build"
DEPLOYED = "deployed.json"
FLASH = "flash.img"
_PORT_SECONDS = 15.0  # a Nano 33 BLE leaves its bootloader in about 2
_QEMU = "qemu"
_COMPLETE = "README.md"  # a whole project has it

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Deployed:
    """A board that runs the model of an export."""

    port: str
    hello: Hello
    build: Build
    pid: int | None  # of QEMU

    def to_dict(self) -> dict[str, Any]:
        """For deployed.json and people's programs."""
        build = asdict(self.build) | {"folder": str(self.build.folder)}
        return {"port": self.port, "pid": self.pid, "hello": asdict(self.hello), "build": build}


def read_plan(export_dir: Path) -> dict[str, Any]:
    """The contents of plan.json.

    Raises:
        UserError: the folder is no export, or the file cannot be read.
    """
    path = export_dir / "plan.json"
    try:
        plan: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        read_export(export_dir)  # no export at all: say that instead
        raise UserError(f"{path} cannot be read: {error}") from error
    return plan


def project_of(export_dir: Path) -> Project:
    """The Arduino project in an export.

    Raises:
        UserError: the folder is no export, or of an older version.
    """
    record = read_export(export_dir)
    sketch = record.get("sketch")
    if sketch is None or not (export_dir / sketch).is_dir():
        raise UserError(f"{export_dir} has no Arduino project: tf-odl export it again")
    return _project(export_dir / PROJECT, Path(sketch).name, get_target(record["target"]))


def project_for_qemu(export_dir: Path) -> Project:
    """The project of an export for QEMU; of one for another board, a second project beside it.

    Raises:
        UserError: the folder is no export.
    """
    record, target = read_export(export_dir), get_target(_QEMU)
    if record["target"] == _QEMU:
        return project_of(export_dir)
    folder = export_dir / _QEMU / PROJECT
    if not (folder / _COMPLETE).is_file():
        with new_folder(folder, replaces=_COMPLETE) as temporary:
            write_project(
                temporary,
                record=record,
                training=read_model(export_dir, "model_train.tflite"),
                target=target,
                arena_bytes=read_plan(export_dir)["training"]["arena_bytes"],
            )
    return _project(folder, sketch_name(record["model"]), target)


def compile_export(export_dir: Path, *, pinned: bool = False) -> Build:
    """Compile the sketch of an export into its folder `build`; see `arduino.compile_sketch`."""
    return arduino.compile_sketch(project_of(export_dir), export_dir / BUILD, pinned=pinned)


def deploy(export_dir: Path, port: str | None, *, pinned: bool, tell: Tell) -> Deployed:
    """Compile, upload (or start QEMU), say hello and check that it is this model that answers.

    Args:
        port: of the board; by default where arduino-cli sees one of this kind, or the only one.
        pinned: see `arduino.compile_sketch`.
        tell: called with what happens next.

    Raises:
        UserError: any of it fails.
    """
    project = project_of(export_dir)
    in_qemu = project.is_local
    if in_qemu and port is not None:
        raise UserError("a board in QEMU makes its own port: leave --port out")
    if not in_qemu and port is None:
        cli = arduino.find_cli()
        port = only_port() if cli is None else find_port(ArduinoCli(cli), project.fqbn)
    tell("compiling")
    build = arduino.compile_sketch(project, export_dir / BUILD, pinned=pinned)
    pid = None
    if in_qemu:
        stop(export_dir)
        tell("starting QEMU")
        running = qemu.start(build.elf, export_dir / FLASH)
        port, pid = running.port, running.pid
        # Known before anything else can go wrong, so that it can be stopped.
        write_json(export_dir / DEPLOYED, {"port": port, "pid": pid})
    else:
        assert port is not None
        program = arduino.find_cli()
        if program is None:
            raise UserError(f"uploading needs arduino-cli: see {arduino.INSTALLATION}")
        tell(f"uploading to {port}")
        port = ArduinoCli(program).upload(project, build, port)
        tell(f"waiting for {port}")
        port = wait_for_port(port, _PORT_SECONDS)
    tell("saying hello")
    deployed = Deployed(port, _checked_hello(export_dir, port), build, pid)
    write_json(export_dir / DEPLOYED, deployed.to_dict())
    return deployed


@contextmanager
def in_qemu(export_dir: Path, tell: Tell) -> Iterator[Board]:
    """An export for any board, compiled for QEMU and running there with an empty flash.

    Raises:
        UserError: it does not compile, or QEMU does not start.
    """
    project = project_for_qemu(export_dir)
    tell("compiling")
    build = arduino.compile_sketch(project, project.folder.parent / BUILD)
    with TemporaryDirectory(prefix="tf-odl-") as folder:
        tell("starting QEMU")
        running = qemu.start(build.elf, Path(folder) / FLASH)
        try:
            with SerialLine(running.port) as line:
                yield Board(Connection(line))
        finally:
            running.stop()


def find_port(cli: ArduinoCli, fqbn: str) -> str:
    """The port of the one board of this kind; an ESP32 does not say what it is.

    Raises:
        UserError: there is none, or more than one.
    """
    matching = [address for address, kinds in cli.boards() if fqbn in kinds]
    if len(matching) > 1:
        raise UserError(f"several boards of this kind: name one with --port: {', '.join(matching)}")
    return matching[0] if matching else only_port()


def deployed_port(export_dir: Path) -> str | None:
    """Where an export was deployed to last, None if that is not there any more."""
    try:
        record = json.loads((export_dir / DEPLOYED).read_text())
        port = str(record["port"])
    except (OSError, ValueError, KeyError):
        return None
    if record.get("pid") is not None and not _runs_sketch_of(record["pid"], export_dir):
        return None
    return port if Path(port).exists() else None


def stop(export_dir: Path) -> bool:
    """End the QEMU that runs the sketch of an export; whether there was one."""
    try:
        record = json.loads((export_dir / DEPLOYED).read_text())
        running = qemu.Running(int(record["pid"]), str(record["port"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if not _runs_sketch_of(running.pid, export_dir):
        return False
    running.stop()
    return True


def _runs_sketch_of(pid: int, export_dir: Path) -> bool:
    """Whether this process is the QEMU of this export: numbers of processes are used again."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return os.fsencode(str((export_dir / FLASH).resolve())) in command


def _checked_hello(export_dir: Path, port: str) -> Hello:
    """Raises UserError if the board runs another model or another version of the library."""
    with SerialLine(port) as line:
        hello = Board(Connection(line)).hello
    wanted = read_export(export_dir)["state_image"]["model_id"]
    if hello.model_id != wanted:
        raise UserError(
            f"the board runs model {hello.model_id:08x} instead of {wanted:08x}: "
            "did the upload reach another board?"
        )
    version = _library_version(export_dir / PROJECT / "libraries" / "TfOdl")
    if hello.firmware != f"TfOdl {version}":
        raise UserError(f"the board runs {hello.firmware}, the export has TfOdl {version}")
    return hello


def _library_version(library: Path) -> str:
    for line in (library / "library.properties").read_text().splitlines():
        if line.startswith("version="):
            return line.removeprefix("version=").strip()
    raise UserError(f"{library / 'library.properties'} has no version")


def _project(folder: Path, sketch: str, target: Target) -> Project:
    return Project(
        folder=folder,
        sketch=sketch,
        fqbn=target.fqbn,
        profile=target.name,
        platform=target.platform,
        platform_version=target.platform_version,
        platform_index=target.platform_index,
        libraries=((TFLM_LIBRARY, TFLM_VERSION),),
    )
