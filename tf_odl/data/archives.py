"""Where the files of a data set are, and what to say when they are not there."""

from __future__ import annotations

from pathlib import Path

from tf_odl.errors import UserError


class MissingFiles(UserError):
    """The files of a data set are not there; it may still be had from elsewhere."""


def folders(data_dir: Path | None, *names: str) -> list[Path]:
    """The folders in which a data set may lie: `data_dir` and its sub-folders `names`."""
    if data_dir is None:
        return []
    return [data_dir, *(data_dir / name for name in names if (data_dir / name).is_dir())]


def find(
    name: str,
    data_dir: Path | None,
    names: tuple[str, ...],
    marker: str,
    *,
    files: str,
    source: str,
) -> Path:
    """The folder that holds `marker`: `data_dir` or one of its sub-folders `names`.

    Raises:
        MissingFiles: see `missing`.
    """
    for folder in folders(data_dir, *names):
        if (folder / marker).exists():
            return folder
    raise missing(name, files, source, data_dir)


def missing(name: str, files: str, source: str, data_dir: Path | None) -> MissingFiles:
    """The error for data that are not there: what belongs where, and who publishes it."""
    if data_dir is None:
        return MissingFiles(
            f"{name} needs --data-dir, the folder that holds {files}; from {source}"
        )
    if not data_dir.is_dir():
        return MissingFiles(f"--data-dir {data_dir} is no folder: it should hold {files}")
    return MissingFiles(f"{data_dir} does not hold {name}: put {files} there; from {source}")
