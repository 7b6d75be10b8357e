"""Caltech-UCSD Birds 200 (2011): photographs of 200 species, about 60 each."""

from __future__ import annotations

from pathlib import Path

from tf_odl.data.archives import find
from tf_odl.data.dataset import Dataset
from tf_odl.data.images import labelled_images
from tf_odl.data.text import read_fields
from tf_odl.errors import UserError

SOURCE = (
    "Caltech-UCSD Birds-200-2011, C. Wah, S. Branson, P. Welinder, P. Perona, S. Belongie, "
    "https://www.vision.caltech.edu/datasets/cub_200_2011/"
)
FOLDERS = ("cub200", "CUB_200_2011")
LISTS = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")


def load_cub200(data_dir: Path | None, size: int) -> Dataset:
    """float32 [N, size, size, 3] in 0..1; 5994 samples for training, 5794 for test.

    Args:
        data_dir: holds images.txt, image_class_labels.txt, train_test_split.txt, classes.txt and
            the folder `images`.
        size: edge of the images.

    Raises:
        UserError: a file is missing or damaged.
    """
    files = f"{', '.join(LISTS)} and the folder images"
    folder = find("cub200", data_dir, FOLDERS, LISTS[0], files=files, source=SOURCE)
    paths, labels, training, classes = (
        dict(read_fields(folder / name, types))
        for name, types in zip(LISTS, [(int, str), (int, int), (int, int), (int, str)], strict=True)
    )
    for name, table in ((LISTS[1], labels), (LISTS[2], training)):
        if table.keys() != paths.keys():
            raise UserError(f"{folder / name} does not list the images of {LISTS[0]}")
    if sorted(classes) != list(range(1, len(classes) + 1)) or set(labels.values()) - set(classes):
        raise UserError(f"{folder / LISTS[1]} does not have the classes of {LISTS[3]}")
    train, test = (
        [
            (folder / "images" / path, labels[number] - 1)
            for number, path in paths.items()
            if bool(training[number]) == part
        ]
        for part in (True, False)
    )
    return labelled_images(
        "cub200",
        train,
        test,
        size,
        source=f"{SOURCE} ({folder})",
        class_names=tuple(classes[i] for i in sorted(classes)),
    )
