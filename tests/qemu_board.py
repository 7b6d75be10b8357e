"""The QEMU board: sketches compiled by arduino-builder, run on a pty with a flash file."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tty
from pathlib import Path

from board_client import Client, receive
from cpp.toolchain import PORT

HARDWARE = PORT / "boards" / "hardware"
FQBN = "tfodl:qemu:mps2"
BUILDER_DATA = Path("/usr/share/arduino-builder")
PACKAGES = (
    "arduino-builder gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib"
)


def missing_tools() -> str:
    """What is needed and not installed, by the names of Debian's packages; empty if all is."""
    tools = ("arduino-builder", "arduino-ctags", "arm-none-eabi-g++", "qemu-system-arm")
    if all(shutil.which(tool) for tool in tools) and BUILDER_DATA.is_dir():
        return ""
    return f"needs Debian's {PACKAGES} qemu-system-arm"


def build_sketch(
    sketch: Path, folder: Path, libraries: Path | None = None, *, timeout: float = 300
) -> tuple[Path, dict[str, int]]:
    """(the .elf file, {"flash": bytes, "ram": bytes}) of a sketch; a warning fails.

    Args:
        sketch: the .ino file.
        folder: for what the compiler makes; kept between builds it makes them faster.
        libraries: an Arduino libraries folder to use beside this one.
    """
    own = folder / "libraries"
    own.mkdir(parents=True, exist_ok=True)
    if not (own / "TfOdl").exists():
        (own / "TfOdl").symlink_to(PORT)
    (folder / "build").mkdir(exist_ok=True)
    command = ["arduino-builder", "-compile", "-warnings", "all", "-hardware", BUILDER_DATA]
    command += ["-hardware", HARDWARE, "-tools", "/usr/bin", "-libraries", own]
    command += [] if libraries is None else ["-libraries", libraries]
    command += ["-fqbn", FQBN, "-build-path", folder / "build", sketch]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    ours = [line for line in printed.splitlines() if "warning:" in line and "tflm_port" in line]
    assert not ours, "\n".join(ours)
    used = [int(number) for number in re.findall(r" uses? (\d+) bytes", printed)]
    (elf,) = (folder / "build").glob("*.elf")
    return elf, dict(zip(("flash", "ram"), used, strict=True))


class QemuBoard:
    """QEMU on a pty. `flash` is the file of its storage; kill() is a power cut."""

    def __init__(self, elf: Path, flash: Path | None = None, *options: str) -> None:
        command = ["qemu-system-arm", "-display", "none", "-monitor", "none", "-S", "-qmp", "stdio"]
        command += ["-chardev", "pty,id=uart", "-serial", "chardev:uart", "-kernel", str(elf)]
        machine = "mps2-an386"
        if flash is not None:
            machine += ",memory-backend=storage"
            file = f"memory-backend-file,id=storage,size=16M,mem-path={flash},share=on"
            command += ["-object", file]
        self.process = subprocess.Popen(
            [*command, "-M", machine, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.path = self._pty()
        self.port = os.open(self.path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.port)
        # Only now: what nobody reads is lost.
        self._command("qmp_capabilities")
        self._command("cont")
        self.client = Client(self._send, lambda seconds: receive(self.port, seconds), timeout=20)

    def _pty(self) -> str:
        assert self.process.stdout is not None
        printed = ""
        for line in self.process.stdout:
            printed += line
            found = re.search(r"(/dev/pts/\d+)", line)
            if found is not None:
                return found.group(1)
        raise AssertionError(printed)

    def _command(self, name: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"execute": name}) + "\n")
        self.process.stdin.flush()

    def _send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.port, data) :]

    def processor_seconds(self) -> float:
        """That QEMU has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """As kill -9 does."""
        self.process.kill()
        self.process.wait()
        os.close(self.port)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def __enter__(self) -> Client:
        return self.client

    def __exit__(self, *_: object) -> None:
        self.kill()
