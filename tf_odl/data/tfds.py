"""Data sets from tensorflow-datasets, if it is installed: it downloads what is not there."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from tf_odl.data.archives import MissingFiles
from tf_odl.data.dataset import Dataset, checked
from tf_odl.data.images import square
from tf_odl.errors import reason_of

# Our name: theirs, the splits that are our training part, the one that is our test part. Speech
# Commands is another task there, of twelve classes, and does not name the speakers.
SETS = {
    "mnist": ("mnist", "train", "test"),
    "cifar10": ("cifar10", "train", "test"),
    "cifar100": ("cifar100", "train", "test"),
    "flowers102": ("oxford_flowers102", "train+validation", "test"),
    "food101": ("food101", "train", "validation"),
    "pets": ("oxford_iiit_pet", "train", "test"),
    "cub200": ("caltech_birds2011", "train", "test"),
}


def load_instead(name: str, size: int | None, lacking: MissingFiles) -> Dataset:
    """The data set `name`, whose files are not there, in the shape its loader would give it.

    Args:
        name: of our data set.
        size: edge of the images; None leaves them as they are.
        lacking: what is raised if tensorflow-datasets cannot help either.

    Raises:
        MissingFiles: it does not have the set, is not installed, or could not fetch it.
    """
    if name not in SETS:
        raise lacking
    try:
        import tensorflow_datasets
    except ImportError:
        raise MissingFiles(
            f"{lacking}; or let tensorflow-datasets fetch it: pip install 'tf-odl[datasets]'"
        ) from None
    theirs, train, test = SETS[name]
    try:
        builder = tensorflow_datasets.builder(theirs)
        builder.download_and_prepare()
        parts = [_read(tensorflow_datasets, builder, part, size) for part in (train, test)]
        names = tuple(builder.info.features["label"].names)
    except Exception as error:  # no network, a moved archive, a changed checksum, a full disk
        raise MissingFiles(
            f"{lacking}; tensorflow-datasets could not fetch it: {reason_of(error)}"
        ) from error
    source = f"tensorflow-datasets {builder.info.full_name}"
    return checked(name, parts[0], parts[1], source=source, class_names=names)


def _read(tfds: Any, builder: Any, part: str, size: int | None) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, H, W, 1 or 3] and labels, always in the same order."""
    images, labels = [], []
    for example in tfds.as_numpy(builder.as_dataset(split=part, shuffle_files=False)):
        image = example["image"]
        if size and image.shape[:2] != (size, size):
            image = np.asarray(square(Image.fromarray(image), size))
        images.append(image)
        labels.append(int(example["label"]))
    return np.stack(images), np.array(labels)
