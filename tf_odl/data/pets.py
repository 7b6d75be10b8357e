"""Oxford-IIIT Pets: photographs of 37 breeds of cats and dogs, about 200 per breed."""

from __future__ import annotations

from pathlib import Path

from tf_odl.data.archives import find
from tf_odl.data.dataset import Dataset
from tf_odl.data.images import labelled_images
from tf_odl.data.text import read_fields
from tf_odl.errors import UserError

SOURCE = (
    "The Oxford-IIIT Pet Dataset, O. Parkhi, A. Vedaldi, A. Zisserman, C. V. Jawahar, "
    "https://www.robots.ox.ac.uk/~vgg/data/pets/"
)
FOLDERS = ("pets", "oxford-iiit-pet")


def load_pets(data_dir: Path | None, size: int) -> Dataset:
    """float32 [N, size, size, 3] in 0..1; 3680 samples for training, 3669 for test.

    Args:
        data_dir: holds `annotations/trainval.txt`, `annotations/test.txt` and `images/NAME.jpg`.
        size: edge of the images.

    Raises:
        UserError: a file is missing or damaged.
    """
    files = "the folders images and annotations"
    folder = find("pets", data_dir, FOLDERS, "annotations", files=files, source=SOURCE)
    breeds: dict[int, str] = {}
    parts = []
    for listing in ("trainval.txt", "test.txt"):
        rows = read_fields(folder / "annotations" / listing, (str, int))
        parts.append([(folder / "images" / f"{name}.jpg", number - 1) for name, number in rows])
        breeds |= {number: name.rpartition("_")[0] for name, number in rows}
    if sorted(breeds) != list(range(1, len(breeds) + 1)):
        raise UserError(f"{folder / 'annotations'}: the classes are not 1 to {len(breeds)}")
    return labelled_images(
        "pets",
        parts[0],
        parts[1],
        size,
        source=f"{SOURCE} ({folder})",
        class_names=tuple(breeds[number] for number in sorted(breeds)),
    )
