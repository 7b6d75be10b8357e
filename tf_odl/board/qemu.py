"""A sketch on QEMU's Cortex-M4: a board on a pseudo-terminal, with a file as its flash."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_odl.errors import UserError

PROGRAM = "qemu-system-arm"
_FLASH = "16M"  # the machine's PSRAM, which the sketch uses as its storage
_START_SECONDS = 20.0
_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Running:
    """A QEMU that runs a sketch; it goes on when this program ends."""

    pid: int
    port: str

    def stop(self) -> None:
        """End it, as pulling the plug does; what was saved is in its flash file."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:
            _wait_until(lambda: not _exists(self.pid), _STOP_SECONDS)


def find_qemu() -> Path | None:
    """qemu-system-arm, None without it."""
    found = shutil.which(PROGRAM)
    return Path(found) if found else None


def start(elf: Path, flash: Path) -> Running:
    """Start a sketch.

    Args:
        elf: the program, compiled for tfodl:qemu:mps2.
        flash: the file that keeps what the sketch saves; created if it is not there.

    Raises:
        UserError: QEMU is missing or does not start.
    """
    program = find_qemu()
    if program is None:
        raise UserError(f"{PROGRAM} is missing: apt install qemu-system-arm")
    storage = f"memory-backend-file,id=storage,size={_FLASH},mem-path={_escaped(flash)},share=on"
    with tempfile.TemporaryDirectory(prefix="tf-odl-") as folder:
        control, log = Path(folder) / "qmp", Path(folder) / "log"
        command = [str(program), "-M", "mps2-an386,memory-backend=storage", "-object", storage]
        command += ["-display", "none", "-monitor", "none", "-chardev", "pty,id=uart"]
        command += ["-serial", "chardev:uart", "-kernel", str(elf)]
        command += ["-S", "-qmp", f"unix:{control},server=on,wait=off"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for this program
            )
        try:
            with _Control(control, process) as qmp:
                port = next(
                    device["filename"].removeprefix("pty:")
                    for device in qmp.execute("query-chardev")
                    if device["label"] == "uart"
                )
                _set_raw(port)
                qmp.execute("cont")
        except _Ended as error:
            process.kill()
            process.wait()
            lines = log.read_text(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else str(error)
            raise UserError(f"QEMU does not start: {reason}") from error
    return Running(process.pid, port)


class _Ended(Exception):
    """QEMU does not answer."""


class _Control:
    """QEMU's control socket (QMP)."""

    def __init__(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_START_SECONDS)

        def connected() -> bool:
            if process.poll() is not None:
                raise _Ended(f"it ended with code {process.returncode}")
            try:
                self._socket.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            return True

        if not _wait_until(connected, _START_SECONDS):
            raise _Ended("it does not open its control socket")
        self._file = self._socket.makefile("rw", encoding="utf-8")

    def __enter__(self) -> _Control:
        self._read()  # the greeting
        self.execute("qmp_capabilities")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def execute(self, command: str) -> Any:
        """What a command returns."""
        try:
            self._file.write(json.dumps({"execute": command}) + "\n")
            self._file.flush()
        except OSError as error:
            raise _Ended(str(error)) from error
        while True:
            answer = self._read()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise _Ended(f"{command}: {answer['error'].get('desc')}")

    def _read(self) -> dict[str, Any]:
        try:
            line = self._file.readline()
        except OSError as error:
            raise _Ended(str(error)) from error
        if not line:
            raise _Ended("it closed its control socket")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _set_raw(port: str) -> None:
    """Before the sketch prints: a terminal in its usual mode would send everything back to it."""
    import tty

    descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY)
    try:
        tty.setraw(descriptor)
    finally:
        os.close(descriptor)


def _escaped(path: Path) -> str:
    return str(path.resolve()).replace(",", ",,")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _wait_until(condition: Any, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
