"""Oxford Flowers 102: photographs of flowers, 40 to 258 per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tf_odl.data.archives import find
from tf_odl.data.dataset import Dataset
from tf_odl.data.images import labelled_images
from tf_odl.errors import UserError

SOURCE = (
    "102 Category Flower Dataset, M.-E. Nilsback and A. Zisserman, "
    "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
)
FOLDERS = ("flowers102", "flowers-102")
CLASSES = 102
LABELS, SPLIT = "imagelabels.mat", "setid.mat"


def load_flowers102(data_dir: Path | None, size: int) -> Dataset:
    """float32 [N, size, size, 3] in 0..1; 2040 samples for training, 6149 for test.

    The published split; its validation part joins training.

    Args:
        data_dir: holds `jpg/image_00001.jpg` and so on, imagelabels.mat and setid.mat.
        size: edge of the images.

    Raises:
        UserError: a file is missing or damaged.
    """
    files = f"the folder jpg, {LABELS} and {SPLIT}"
    folder = find("flowers102", data_dir, FOLDERS, "jpg", files=files, source=SOURCE)
    labels = _numbers(folder / LABELS, "labels")
    training, valid, test = (_numbers(folder / SPLIT, key) for key in ("trnid", "valid", "tstid"))
    if labels.min() < 1 or labels.max() > CLASSES:
        raise UserError(f"{folder / LABELS}: labels must be 1 to {CLASSES}")
    rows = np.concatenate([training, valid, test])
    if rows.min() < 1 or rows.max() > len(labels):
        raise UserError(f"{folder / SPLIT}: images must be 1 to {len(labels)}")
    parts = [
        [(folder / "jpg" / f"image_{i:05d}.jpg", int(labels[i - 1]) - 1) for i in images]
        for images in (np.concatenate([training, valid]), test)
    ]
    return labelled_images(
        "flowers102",
        parts[0],
        parts[1],
        size,
        source=f"{SOURCE} ({folder})",
        class_names=tuple(str(i + 1) for i in range(CLASSES)),
    )


def _numbers(path: Path, key: str) -> np.ndarray:
    """The whole numbers of that name in a .mat file, int64 [N]."""
    from scipy import io

    if not path.is_file():
        raise UserError(f"{path} is missing: it is part of {SOURCE}")
    try:
        found = io.loadmat(path, variable_names=[key])
    except Exception as error:  # a damaged file can raise almost anything
        raise UserError(f"{path} cannot be read: {error}") from error
    if key not in found or found[key].dtype.kind not in "uif" or not found[key].size:
        raise UserError(f"{path} lacks the numbers {key!r}: get it again from {SOURCE}")
    return found[key].ravel().astype(np.int64)
