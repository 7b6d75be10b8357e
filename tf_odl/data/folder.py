"""A folder with one sub-folder per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tf_odl.data.dataset import Dataset, checked, split
from tf_odl.errors import UserError

IMAGES = (".png", ".jpg", ".jpeg", ".bmp")
SUFFIXES = (*IMAGES, ".npy")


def load_folder(path: Path, size: int | None = None) -> Dataset:
    """Images or .npy arrays, all of one size; `train/` and `test/` or one set, split 80 : 20.

    Classes are numbered in the order of their names. Images are 0..1, grey if all are grey.

    Args:
        size: scale the middle square of every image to that many pixels.

    Raises:
        UserError: no classes, a file that cannot be read or has another size than the others.
    """
    if (path / "train").is_dir() and (path / "test").is_dir():
        names = _classes(path / "train")
        unknown = sorted(set(_classes(path / "test")) - set(names))
        if unknown:
            raise UserError(f"{path / 'test' / unknown[0]}: there is no such class in train")
        files = [_files(path / part, names) for part in ("train", "test")]
        x, y = _read(files[0] + files[1], size)
        count = len(files[0])
        order = np.random.default_rng(0).permutation(count)
        train, test = (x[:count][order], y[:count][order]), (x[count:], y[count:])
    else:
        names = _classes(path)
        train, test = split(*_read(_files(path, names), size))
    return checked(path.name, train, test, source=str(path), class_names=names)


def _classes(folder: Path) -> tuple[str, ...]:
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if len(names) < 2:
        raise UserError(
            f"{folder} needs at least two sub-folders, one per class, it has {len(names)}"
        )
    return tuple(names)


def _files(folder: Path, names: tuple[str, ...]) -> list[tuple[Path, int]]:
    """(file, class) of every sample."""
    result = []
    for label, name in enumerate(names):
        found = sorted(p for p in folder.glob(f"{name}/*") if p.suffix.lower() in SUFFIXES)
        if not found:
            raise UserError(f"{folder / name} holds no sample ({', '.join(SUFFIXES)})")
        result += [(p, label) for p in found]
    return result


def _read(files: list[tuple[Path, int]], size: int | None) -> tuple[np.ndarray, np.ndarray]:
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
    return np.stack(samples), np.array([label for _, label in files])


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
