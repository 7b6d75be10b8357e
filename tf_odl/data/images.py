"""Image files as arrays, and images of another size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tf_odl.data.dataset import Dataset, checked
from tf_odl.errors import UserError

# What PIL raises for a damaged file.
UNREADABLE = (OSError, ValueError, EOFError, SyntaxError, Image.DecompressionBombError)


def square(image: Image.Image, size: int) -> Image.Image:
    """The middle square of an image, scaled bilinearly to `size` pixels."""
    return ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)


def read_images(paths: Sequence[Path], size: int) -> np.ndarray:
    """The middle square of every image, scaled; grey and palette images become RGB.

    Returns:
        uint8 [N, size, size, 3]: as long as they are bytes, large sets fit into memory.

    Raises:
        UserError: names the file that is missing or damaged.
    """
    result = np.empty((len(paths), size, size, 3), np.uint8)

    def read(i: int) -> None:
        try:
            with Image.open(paths[i]) as image:
                image.draft("RGB", (size, size))  # JPEG: decode no more than needed
                result[i] = square(image.convert("RGB"), size)
        except FileNotFoundError:
            raise UserError(f"{paths[i]} is missing") from None
        except UNREADABLE as error:
            raise UserError(f"{paths[i]} cannot be read: {error}") from error

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # PIL decodes without Python's lock
        list(pool.map(read, range(len(paths))))
    return result


def resized(x: np.ndarray, size: int) -> np.ndarray:
    """uint8 [N, H, W, 1 or 3] -> [N, size, size, same]; unchanged if it has that size already."""
    if x.shape[1:3] == (size, size):
        return x
    result = np.empty((len(x), size, size, x.shape[3]), np.uint8)
    for i, pixels in enumerate(x):
        image = square(Image.fromarray(pixels.squeeze()), size)
        result[i] = np.asarray(image).reshape(size, size, -1)
    return result


def labelled_images(
    name: str,
    train: list[tuple[Path, int]],
    test: list[tuple[Path, int]],
    size: int,
    *,
    source: str,
    class_names: tuple[str, ...],
) -> Dataset:
    """A data set of image files with their classes; the training files are mixed.

    Memory: 15 size^2 bytes per image while it is made, 12 size^2 after that.
    """
    order = np.random.default_rng(0).permutation(len(train))
    parts = []
    for files in ([train[i] for i in order], test):
        pixels = read_images([path for path, _ in files], size)
        parts.append((pixels, np.array([label for _, label in files], np.int64)))
    return checked(name, parts[0], parts[1], source=source, class_names=class_names)
