"""Files that are either whole or not there."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tf_odl.errors import UserError, reason_of


def read_bytes(path: Path) -> bytes:
    """What is in a file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {reason_of(error)}") from error


def write_file(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it into place.

    The temporary name keeps the suffix: some writers choose the format by it.
    """
    handle, name = tempfile.mkstemp(prefix=".partial-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, whole or not at all."""

    def write(temporary: Path) -> None:
        temporary.write_text(json.dumps(value, indent=2) + "\n")

    write_file(path, write)


def make_folder(path: Path) -> None:
    """A folder and those around it, as far as they are not there yet.

    Raises:
        UserError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot create {path}: {reason_of(error)}") from error


@contextmanager
def new_folder(path: Path, *, replaces: str | None = None) -> Iterator[Path]:
    """A temporary folder that becomes `path` when the block ends without an exception.

    Args:
        replaces: name of a file by which to know an earlier result that may be replaced.

    Raises:
        UserError: `path` exists and is not an empty folder, or cannot be created.
    """
    path = Path(path)
    replacing = replaces is not None and (path / replaces).is_file()
    if path.exists() and not replacing and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} exists and is not empty: choose another folder or remove it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise UserError(f"cannot create {path}: {reason_of(error)}") from error
    try:
        yield temporary
        temporary.chmod(0o755)
        if replacing:
            path.replace(temporary.with_suffix(".old"))
        elif path.exists():
            path.rmdir()
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if path.exists():
            shutil.rmtree(temporary.with_suffix(".old"), ignore_errors=True)
