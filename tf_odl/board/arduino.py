"""Arduino's own tools: arduino-cli, and for boards in QEMU also arduino-builder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_odl.errors import UserError, reason_of

PROGRAM_VARIABLE = "TF_ODL_ARDUINO_CLI"
INSTALLATION = "https://arduino.github.io/arduino-cli/latest/installation/"
QEMU_PACKAGES = (
    "gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib arduino-builder "
    "qemu-system-arm"
)
_BUILDER_DATA = Path("/usr/share/arduino-builder")
_ERROR = re.compile(
    r"^.*(?:error:|undefined reference|will not fit|overflowed by).*$", re.MULTILINE
)
_USED = re.compile(r" uses? (\d+) bytes.*?Maximum is (\d+) bytes", re.DOTALL)


@dataclass(frozen=True)
class Project:
    """A sketch with what it needs, as `converters.sketch` writes it.

    `folder` is a sketchbook that holds `sketch`, `libraries/TfOdl` and, for QEMU, `hardware`.
    """

    folder: Path
    sketch: str
    fqbn: str
    profile: str
    platform: str
    platform_version: str | None  # None: the platform is in `folder`
    platform_index: str | None
    libraries: tuple[tuple[str, str], ...]  # (name, version) of others it includes

    @property
    def path(self) -> Path:
        """The folder of the sketch."""
        return self.folder / self.sketch

    @property
    def is_local(self) -> bool:
        """Whether its platform comes with it."""
        return self.platform_version is None


@dataclass(frozen=True)
class Build:
    """A compiled sketch; sizes in bytes, `ram_bytes` without stack and heap."""

    folder: Path
    flash_bytes: int
    flash_limit: int
    ram_bytes: int
    ram_limit: int
    compiler: str  # which tool

    @property
    def elf(self) -> Path:
        """The program with its symbols.

        Raises:
            UserError: the build left none.
        """
        found = sorted(self.folder.glob("*.elf"))
        if not found:
            raise UserError(f"{self.folder} has no .elf file")
        return found[0]


def find_cli() -> Path | None:
    """arduino-cli: what TF_ODL_ARDUINO_CLI names, else that of the PATH; None without any."""
    named = os.environ.get(PROGRAM_VARIABLE)
    found = shutil.which(named or "arduino-cli")
    if named and found is None:
        raise UserError(f"{PROGRAM_VARIABLE} is {named}, which is no program")
    return None if found is None else Path(found)


def find_builder() -> Path | None:
    """Debian's arduino-builder, None without it."""
    found = shutil.which("arduino-builder")
    return Path(found) if found and _BUILDER_DATA.is_dir() else None


def compile_sketch(project: Project, out: Path, *, pinned: bool = False) -> Build:
    """Compile with arduino-cli, or where that is missing and the platform is here, arduino-builder.

    Args:
        out: the folder for the program and for what makes the next build faster.
        pinned: build by the profile of sketch.yaml: arduino-cli fetches the platform and the
            libraries it names, whatever is installed.

    Raises:
        UserError: a tool, a core or a library is missing, with the command that installs it; or
            the sketch does not compile or fit.
    """
    cli, builder = find_cli(), find_builder()
    if cli is not None:
        return ArduinoCli(cli).compile(project, out, pinned=pinned)
    if project.is_local and builder is not None and not pinned:
        return _build(builder, project, out)
    also = f", or here: apt install {QEMU_PACKAGES}" if project.is_local else ""
    raise UserError(f"arduino-cli is missing: see {INSTALLATION}{also}")


class ArduinoCli:
    """arduino-cli, spoken to in JSON."""

    def __init__(self, program: Path) -> None:
        self.program = program

    def version(self) -> str:
        """Its version."""
        return str(self._json("version").get("VersionString", "unknown"))

    def platforms(self) -> dict[str, str]:
        """Installed cores: id -> version."""
        listed = self._json("core", "list").get("platforms") or []
        return {p["id"]: p.get("installed_version", "") for p in listed}

    def libraries(self) -> dict[str, str]:
        """Installed libraries: name -> version."""
        listed = self._json("lib", "list").get("installed_libraries") or []
        return {e["library"]["name"]: e["library"].get("version", "") for e in listed}

    def boards(self) -> list[tuple[str, tuple[str, ...]]]:
        """Ports with what may be on them: (address, FQBNs)."""
        listed = self._json("board", "list").get("detected_ports") or []
        return [
            (
                entry["port"]["address"],
                tuple(b["fqbn"] for b in entry.get("matching_boards") or [] if b.get("fqbn")),
            )
            for entry in listed
            if "address" in entry.get("port", {})
        ]

    def missing(self, project: Project) -> list[str]:
        """The commands that install what the sketch needs and is not there."""
        commands = []
        if not project.is_local and project.platform not in self.platforms():
            index = f" --additional-urls {project.platform_index}" if project.platform_index else ""
            version = f"{project.platform}@{project.platform_version}"
            commands.append(f"arduino-cli core install {version}{index}")
        installed = self.libraries()
        for name, version in project.libraries:
            if name not in installed:
                commands.append(f'arduino-cli lib install "{name}@{version}"')
        return commands

    def compile(self, project: Project, out: Path, *, pinned: bool = False) -> Build:
        """See `compile_sketch`."""
        if project.is_local:
            if pinned:
                raise UserError("--pinned is for boards: what QEMU needs comes with the export")
            check_arm_compiler()
        commands = [] if pinned else self.missing(project)
        if commands:
            raise UserError(
                f"missing for this sketch; install with: {' && '.join(commands)} "
                "(or let arduino-cli fetch all of it: --pinned)"
            )
        arguments = ["compile", "--build-path", str(_prepared(out).resolve())]
        environment = {}
        if pinned:
            arguments += ["--profile", project.profile]
        else:
            library = project.folder / "libraries" / "TfOdl"
            arguments += ["--fqbn", project.fqbn, "--library", str(library.resolve())]
        if project.is_local:
            environment = _local_environment(project, out)
            arguments += ["--libraries", str(self.user_folder() / "libraries")]
        done = self._run(*arguments, str(project.path.resolve()), environment=environment)
        answer = _answer(done)
        _log(out, f"{answer.get('compiler_out', '')}\n{answer.get('compiler_err', '')}")
        if not answer.get("success"):
            raise UserError(_failure(answer, done, out))
        sizes = {
            entry["name"]: (int(entry["size"]), int(entry["max_size"]))
            for entry in answer["builder_result"].get("executable_sections_size") or []
        }
        flash, ram = sizes.get("text", (0, 0)), sizes.get("data", (0, 0))
        return Build(out, *flash, *ram, f"arduino-cli {self.version()}")

    def upload(self, project: Project, build: Build, port: str) -> str:
        """Upload a compiled sketch; returns the port where the board is afterwards.

        Raises:
            UserError: the upload failed.
        """
        done = self._run(
            *("upload", "--port", port, "--fqbn", project.fqbn),
            *("--input-dir", str(build.folder.resolve()), str(project.path.resolve())),
        )
        answer = _answer(done)
        if done.returncode != 0:
            raise UserError(f"the upload to {port} failed: {_reason(answer, done)}")
        updated = answer.get("updated_upload_port") or {}
        return str(updated.get("address") or port)

    def user_folder(self) -> Path:
        """The user's sketchbook, with `libraries`."""
        answer = self._json("config", "get", "directories.user")
        return Path(answer) if isinstance(answer, str) else Path.home() / "Arduino"

    def _json(self, *arguments: str) -> Any:
        done = self._run(*arguments)
        if done.returncode != 0:
            reason = _reason(_answer(done), done)
            raise UserError(f"arduino-cli {arguments[0]} failed: {reason}")
        return _answer(done)

    def _run(
        self, *arguments: str, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return _run(
            [str(self.program), *arguments, "--json"], {**os.environ, **(environment or {})}
        )


def check_arm_compiler() -> None:
    """Raises UserError unless the compiler of the boards in QEMU is there."""
    if shutil.which("arm-none-eabi-g++") is None:
        raise UserError(f"the compiler for Cortex-M is missing: apt install {QEMU_PACKAGES}")


def _build(builder: Path, project: Project, out: Path) -> Build:
    """Compile with arduino-builder, which takes a platform from any folder."""
    check_arm_compiler()
    user = Path(os.environ.get("ARDUINO_DIRECTORIES_USER", Path.home() / "Arduino"))
    libraries = [project.folder / "libraries", user / "libraries"]
    for name, version in project.libraries:
        if not (user / "libraries" / name).is_dir():
            raise UserError(
                f"the library {name} is missing: put version {version} into {user / 'libraries'}"
            )
    command: list[str] = [str(builder), "-compile", "-fqbn", project.fqbn, "-tools", "/usr/bin"]
    command += ["-hardware", str(_BUILDER_DATA), "-hardware", str(project.folder / "hardware")]
    for folder in libraries:
        if folder.is_dir():
            command += ["-libraries", str(folder)]
    command += ["-build-path", str(_prepared(out).resolve())]
    done = _run([*command, str(project.path / f"{project.sketch}.ino")], dict(os.environ))
    printed = done.stdout + done.stderr
    _log(out, printed)
    if done.returncode != 0:
        raise UserError(_failure({"compiler_err": printed}, done, out))
    sizes = [(int(used), int(limit)) for used, limit in _USED.findall(printed)]
    if len(sizes) != 2:
        raise UserError(f"arduino-builder did not say how large the sketch is: see {_log_of(out)}")
    return Build(out, *sizes[0], *sizes[1], "arduino-builder")


def _local_environment(project: Project, out: Path) -> dict[str, str]:
    """For arduino-cli: the platform of the project, and no index to fetch."""
    data = out.resolve() / "arduino-data"
    data.mkdir(exist_ok=True)
    (data / "package_index.json").write_text('{"packages": []}')
    (data / "library_index.json").write_text('{"libraries": []}')
    return {
        "ARDUINO_DIRECTORIES_USER": str(project.folder.resolve()),
        "ARDUINO_DIRECTORIES_DATA": str(data),
        "ARDUINO_BOARD_MANAGER_ADDITIONAL_URLS": "",
        "ARDUINO_UPDATER_ENABLE_NOTIFICATION": "false",
    }


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", env=environment, check=False
        )
    except OSError as error:
        raise UserError(f"{command[0]} cannot be run: {reason_of(error)}") from error


def _prepared(folder: Path) -> Path:
    """The build folder without an earlier program; the compiler's files save minutes next time."""
    folder.mkdir(parents=True, exist_ok=True)
    for program in folder.glob("*.elf"):
        program.unlink()
    return folder


def _answer(done: subprocess.CompletedProcess[str]) -> Any:
    try:
        return json.loads(done.stdout)
    except ValueError:
        return {}


def _reason(answer: Any, done: subprocess.CompletedProcess[str]) -> str:
    said = answer.get("error") if isinstance(answer, dict) else None
    last = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").split(
        "\n"
    )
    return str(said or last[-1])


def _failure(answer: dict[str, Any], done: subprocess.CompletedProcess[str], out: Path) -> str:
    found = _ERROR.search(answer.get("compiler_err") or "")
    reason = found.group(0).strip() if found else _reason(answer, done)
    return f"the sketch does not compile: {reason} (all messages: {_log_of(out)})"


def _log(out: Path, text: str) -> None:
    _log_of(out).write_text(text.strip() + "\n")


def _log_of(out: Path) -> Path:
    return out / "compile.log"
