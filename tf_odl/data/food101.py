"""Food-101: photographs of meals, 1000 per class; labels of the training part are noisy."""

from __future__ import annotations

from pathlib import Path

from tf_odl.data.archives import find
from tf_odl.data.dataset import Dataset
from tf_odl.data.images import labelled_images
from tf_odl.data.text import read_lines
from tf_odl.errors import UserError

SOURCE = (
    "Food-101, L. Bossard, M. Guillaumin, L. Van Gool, "
    "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/"
)
FOLDERS = ("food101", "food-101")


def load_food101(data_dir: Path | None, size: int) -> Dataset:
    """float32 [N, size, size, 3] in 0..1; 75750 samples for training, 25250 for test.

    Args:
        data_dir: holds `meta/classes.txt`, `train.txt`, `test.txt` and `images/CLASS/NUMBER.jpg`.
        size: edge of the images.

    Raises:
        UserError: a file is missing or damaged.
    """
    files = "the folders images and meta"
    folder = find("food101", data_dir, FOLDERS, "meta", files=files, source=SOURCE)
    names = read_lines(folder / "meta" / "classes.txt")
    train, test = (_part(folder, f"{part}.txt", names) for part in ("train", "test"))
    return labelled_images(
        "food101",
        train,
        test,
        size,
        source=f"{SOURCE} ({folder})",
        class_names=tuple(names),
    )


def _part(folder: Path, listing: str, names: list[str]) -> list[tuple[Path, int]]:
    """The images of a list of CLASS/NUMBER."""
    labels = {name: i for i, name in enumerate(names)}
    images = []
    for line in read_lines(folder / "meta" / listing):
        name = line.partition("/")[0]
        if name not in labels:
            raise UserError(f"{folder / 'meta' / listing}: line {line!r} names no class")
        images.append((folder / "images" / f"{line}.jpg", labels[name]))
    return images
