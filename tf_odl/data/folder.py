"""A folder with one sub-folder, or one .csv file, per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tf_odl.data.clips import speakers_of, words_of
from tf_odl.data.dataset import Dataset, checked, split_groups, split_rows
from tf_odl.data.recordings import load_recordings
from tf_odl.errors import UserError
from tf_odl.task import CLASSIFICATION, CLASSIFYING, Task

IMAGES = (".png", ".jpg", ".jpeg", ".bmp")
KINDS = {**dict.fromkeys((*IMAGES, ".npy"), "samples"), ".csv": "recordings", ".wav": "clips"}

_Files = list[tuple[Path, int]]


def load_folder(path: Path, size: int | None = None, task: Task = CLASSIFICATION) -> Dataset:
    """Files of one kind: images or .npy arrays of one size, .csv recordings, or .wav clips.

    `train/` and `test/`, or one set, split 80 : 20. Classes are numbered in the order of their
    names. Images are 0..1, grey if all are grey; see `load_recordings` and `words_of` for others.

    Args:
        size: scale the middle square of every image to that many pixels.
        task: what the model asks for.

    Raises:
        UserError: no classes, a file that cannot be read or has another size than the others.
    """
    whole = (path / "train").is_dir() and (path / "test").is_dir()
    roots = [path / "train", path / "test"] if whole else [path]
    classes = _classes(roots[0], task)
    names = tuple(classes)
    parts = [_files(roots[0], classes, names)]
    if whole:
        tested = _classes(roots[1], Task(loss=None))
        unknown = sorted(set(tested) - set(names))
        if unknown:
            raise UserError(f"{roots[1] / unknown[0]}: there is no such class in train")
        parts.append(_files(roots[1], tested, names))
    kinds = sorted({file.suffix.lower() for part in parts for file, _ in part})
    if len({KINDS[suffix] for suffix in kinds}) > 1:
        raise UserError(f"{path} holds {' and '.join(kinds)} files: they must be of one kind")
    kind = KINDS[kinds[0]]
    if size is not None and kind != "samples":
        raise UserError(f"{path} holds {kinds[0]} files: leave --data-size out")
    if kind == "recordings":
        return load_recordings(path, parts, names, task)
    files = [file for part in parts for file in part]
    paths, y = [file for file, _ in files], np.array([label for _, label in files])
    groups = None
    if kind == "clips":
        x, groups = words_of(paths), speakers_of(paths)
    else:
        x = _read(files, size)
    if whole:
        count = len(parts[0])
        train, test = np.random.default_rng(0).permutation(count), np.arange(count, len(y))
    elif groups is not None and len(np.unique(groups)) > 1:
        train, test = split_groups(y, groups)
    else:
        train, test = split_rows(y)
    return checked(
        path.name,
        (x[train], y[train]),
        (x[test], y[test]),
        source=str(path),
        class_names=names,
        groups=None if groups is None else (groups[train], groups[test]),
        group_kind=None if groups is None else "speaker",
        one_class=task.loss not in CLASSIFYING,
    )


def holds_sound(path: Path) -> bool:
    """Whether the classes of a folder are .wav files."""
    return any(file.suffix.lower() == ".wav" for file in path.rglob("*") if file.name[0] != ".")


def _classes(folder: Path, task: Task) -> dict[str, list[Path]]:
    """The files of every class: those of a sub-folder, or a .csv file of that name."""
    visible = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    single = [p for p in visible if p.is_file() and p.suffix.lower() == ".csv"]
    if single:
        found = {p.stem: [p] for p in single}
    else:
        found = {
            p.name: sorted(f for f in p.iterdir() if not f.name.startswith("."))
            for p in visible
            if p.is_dir()
        }
    if len(found) < (2 if task.loss in CLASSIFYING else 1):
        what = ".csv files" if single else "sub-folders"
        raise UserError(f"{folder} needs at least two {what}, one per class, it has {len(found)}")
    return dict(sorted(found.items()))


def _files(folder: Path, classes: dict[str, list[Path]], names: tuple[str, ...]) -> _Files:
    """(file, class) of every sample."""
    result = []
    for name, inside in classes.items():
        found = [p for p in inside if p.suffix.lower() in KINDS]
        if not found:
            raise UserError(f"{folder / name} holds no sample ({', '.join(KINDS)})")
        result += [(p, names.index(name)) for p in found]
    return result


def _read(files: _Files, size: int | None) -> np.ndarray:
    samples = [_sample(path, size) for path, _ in files]
    if any(s.shape[-1] == 3 for s in samples if s.dtype == np.uint8):
        samples = [
            np.repeat(s, 3, axis=-1) if s.dtype == np.uint8 and s.shape[-1] == 1 else s
            for s in samples
        ]
    for sample, (path, _) in zip(samples, files, strict=True):
        if sample.shape != samples[0].shape or sample.dtype != samples[0].dtype:
            raise UserError(
                f"{path} has shape {sample.shape} and type {sample.dtype}, "
                f"{files[0][0]} has {samples[0].shape} and {samples[0].dtype}: all must agree"
            )
    return np.stack(samples)


def _sample(path: Path, size: int | None) -> np.ndarray:
    """An image as uint8 [H, W, 1 or 3], or the array of an .npy file."""
    from PIL import Image

    from tf_odl.data.images import UNREADABLE, square

    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, allow_pickle=False)
        with Image.open(path) as image:
            grey = image.mode in ("1", "L")
            whole = image.convert("L" if grey else "RGB")
            pixels = np.asarray(square(whole, size) if size else whole)
    except UNREADABLE as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    return pixels[..., None] if grey else pixels
