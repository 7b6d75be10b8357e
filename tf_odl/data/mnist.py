"""MNIST from its original IDX files, packed or not."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from tf_odl.data.archives import folders, missing
from tf_odl.data.dataset import Dataset, checked
from tf_odl.errors import UserError

SOURCE = "the MNIST database of handwritten digits, Y. LeCun, C. Cortes and C. Burges"
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
UNSIGNED_BYTE = 0x08


def load_mnist(data_dir: Path | None) -> Dataset:
    """float32 [N, 28, 28, 1] in 0..1; 60000 samples for training, 10000 for test.

    Args:
        data_dir: the folder that holds the four files, or that has a folder `mnist` with them.

    Raises:
        UserError: a file is missing or damaged.
    """
    places = folders(data_dir, "mnist")
    if not any(path.is_file() for name in FILES for path in _paths(name, places)):
        raise missing("mnist", f"{FILES[0]}.gz and the other three", SOURCE, data_dir)
    images, labels, test_images, test_labels = (
        read_idx(_find(name, places), dimensions=3 if "images" in name else 1) for name in FILES
    )
    return checked(
        "mnist",
        (images, labels),
        (test_images, test_labels),
        source=SOURCE,
        class_names=tuple("0123456789"),
    )


def _paths(name: str, places: list[Path]) -> list[Path]:
    """Where a file may be, packed or not."""
    return [folder / (name + suffix) for folder in places for suffix in (".gz", "")]


def _find(name: str, places: list[Path]) -> Path:
    for path in _paths(name, places):
        if path.is_file():
            return path
    raise UserError(f"{_paths(name, places)[0]} is missing: it is part of {SOURCE}")


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The uint8 array of an IDX file: magic 0, 0, type, dimensions; sizes int32 big endian; data.

    Raises:
        UserError: not such a file, or not whole.
    """
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}; get it again") from error
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes([0, 0, UNSIGNED_BYTE, dimensions]):
        raise UserError(f"{path} is no IDX file with {dimensions} dimensions of unsigned bytes")
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    if len(data) - header != math.prod(shape):
        raise UserError(
            f"{path} announces {math.prod(shape):,} values and holds {len(data) - header:,}: "
            "get it again"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
