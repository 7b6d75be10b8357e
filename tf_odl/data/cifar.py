"""CIFAR-10 and CIFAR-100 from the published archives, packed or not."""

from __future__ import annotations

import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tf_odl.data.archives import folders, missing
from tf_odl.data.dataset import Dataset, checked
from tf_odl.data.images import resized
from tf_odl.data.npz import read_npz
from tf_odl.data.unpickle import unpickle
from tf_odl.errors import UserError, reason_of

SOURCE = (
    "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, "
    "https://www.cs.toronto.edu/~kriz/cifar.html"
)
PIXELS = 3 * 32 * 32
SIZE = 32
NPZ = "cifar10*.npz"

Part = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class _Archive:
    """One published form of a set: a folder of batches, the .tar.gz that holds it."""

    folder: str
    packed: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str  # the file of the class names
    label_key: bytes = b""  # of pickled batches
    names_key: bytes = b""
    label_bytes: int = 0  # before every image of binary batches; the last one is the class


CIFAR10 = (
    _Archive(
        "cifar-10-batches-py",
        "cifar-10-python.tar.gz",
        tuple(f"data_batch_{i}" for i in range(1, 6)),
        ("test_batch",),
        "batches.meta",
        label_key=b"labels",
        names_key=b"label_names",
    ),
    _Archive(
        "cifar-10-batches-bin",
        "cifar-10-binary.tar.gz",
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        ("test_batch.bin",),
        "batches.meta.txt",
        label_bytes=1,
    ),
)
CIFAR100 = (
    _Archive(
        "cifar-100-python",
        "cifar-100-python.tar.gz",
        ("train",),
        ("test",),
        "meta",
        label_key=b"fine_labels",
        names_key=b"fine_label_names",
    ),
    _Archive(
        "cifar-100-binary",
        "cifar-100-binary.tar.gz",
        ("train.bin",),
        ("test.bin",),
        "fine_label_names.txt",
        label_bytes=2,
    ),
)


def load_cifar10(data_dir: Path | None, size: int) -> Dataset:
    """float32 [N, size, size, 3] in 0..1; 50000 samples for training, 10000 for test.

    Args:
        data_dir: holds `cifar-10-python.tar.gz` or `cifar-10-binary.tar.gz`, the folder that is in
            one of them, or `cifar10*.npz` with x_train, y_train, x_test, y_test and classes.
        size: edge of the images; 32 as published.

    Raises:
        UserError: a file is missing or damaged.
    """
    places = folders(data_dir, "cifar10")
    found = _find(places, CIFAR10)
    if found:
        return _load("cifar10", *found, size)
    for folder in places:
        for path in sorted(folder.glob(NPZ)):
            return _from_npz(path, size)
    raise missing("cifar10", f"{CIFAR10[0].packed}, or what is in it", SOURCE, data_dir)


def load_cifar100(data_dir: Path | None, size: int) -> Dataset:
    """float32 [N, size, size, 3] in 0..1; 50000 samples for training, 10000 for test.

    The 100 fine labels, not the 20 coarse ones.

    Args:
        data_dir: holds `cifar-100-python.tar.gz` or `cifar-100-binary.tar.gz`, or the folder that
            is in one of them.
        size: edge of the images; 32 as published.

    Raises:
        UserError: a file is missing or damaged.
    """
    found = _find(folders(data_dir, "cifar100"), CIFAR100)
    if found:
        return _load("cifar100", *found, size)
    raise missing("cifar100", f"{CIFAR100[0].packed}, or what is in it", SOURCE, data_dir)


def _find(places: list[Path], forms: tuple[_Archive, ...]) -> tuple[_Archive, Path] | None:
    """The first form that is there, and where: its folder or its .tar.gz."""
    for place in places:
        for form in forms:
            if place.name == form.folder and (place / form.names).is_file():
                return form, place
            for path in (place / form.folder, place / form.packed):
                if path.exists():
                    return form, path
    return None


def _load(name: str, form: _Archive, path: Path, size: int) -> Dataset:
    wanted = (*form.train, *form.test, form.names)
    files = _unpacked(path, wanted) if path.is_dir() else _packed(path, form.folder, wanted)
    train, test = (
        _join([_batch(files[n], form, f"{path}: {n}") for n in names], size)
        for names in (form.train, form.test)
    )
    names = _class_names(files[form.names], form, f"{path}: {form.names}")
    return checked(name, train, test, source=f"{SOURCE} ({path})", class_names=names)


def _unpacked(folder: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    try:
        return {name: (folder / name).read_bytes() for name in names}
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing: it is part of {SOURCE}") from None
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {reason_of(error)}") from error


def _packed(path: Path, folder: str, names: tuple[str, ...]) -> dict[str, bytes]:
    """The files in a .tar.gz, read without unpacking it anywhere."""
    wanted = {f"{folder}/{name}": name for name in names}
    files = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                name = wanted.get(member.name.removeprefix("./"))
                if file and name:
                    files[name] = file.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}; get it again") from error
    for member_name, name in wanted.items():
        if name not in files:
            raise UserError(f"{path} does not hold {member_name}: get it again from {SOURCE}")
    return files


def _batch(data: bytes, form: _Archive, what: str) -> Part:
    """Rows of 3072 bytes, the red, green and blue planes of an image, and their labels."""
    if form.label_bytes:
        row = form.label_bytes + PIXELS
        if not data or len(data) % row:
            raise UserError(f"{what} has {len(data):,} bytes, no multiple of {row}: get it again")
        table = np.frombuffer(data, np.uint8).reshape(-1, row)
        return table[:, form.label_bytes :], table[:, form.label_bytes - 1].astype(np.int64)
    batch = unpickle(data, what)
    try:
        pixels, labels = np.asarray(batch[b"data"]), np.asarray(batch[form.label_key])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{what} is no batch of CIFAR: it lacks {error}") from error
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), PIXELS):
        raise UserError(
            f"{what} is no batch of CIFAR: {len(labels)} labels, data {pixels.dtype} {pixels.shape}"
        )
    return pixels, labels


def _join(batches: list[Part], size: int) -> Part:
    pixels = np.concatenate([b[0] for b in batches]).reshape(-1, 3, SIZE, SIZE)
    return resized(pixels.transpose(0, 2, 3, 1), size), np.concatenate([b[1] for b in batches])


def _class_names(data: bytes, form: _Archive, what: str) -> tuple[str, ...]:
    if form.label_bytes:
        return tuple(data.decode(errors="replace").split())
    meta = unpickle(data, what)
    try:
        return tuple(name.decode() for name in meta[form.names_key])
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise UserError(f"{what} holds no names of classes: {error}") from error


def _from_npz(path: Path, size: int) -> Dataset:
    arrays = read_npz(path, "x_train", "y_train", "x_test", "y_test", "classes")
    for key in ("x_train", "x_test"):
        if arrays[key].dtype != np.uint8 or arrays[key].shape[1:] != (SIZE, SIZE, 3):
            raise UserError(
                f"{path}: {key} must be uint8 [N, {SIZE}, {SIZE}, 3], "
                f"got {arrays[key].dtype} {arrays[key].shape}"
            )
    return checked(
        "cifar10",
        (resized(arrays["x_train"], size), arrays["y_train"]),
        (resized(arrays["x_test"], size), arrays["y_test"]),
        source=f"{SOURCE} ({path})",
        class_names=tuple(map(str, arrays["classes"])),
    )
