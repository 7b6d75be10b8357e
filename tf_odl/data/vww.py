"""Visual Wake Words: is there a person in the picture?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tf_odl.data.archives import folders, missing
from tf_odl.data.dataset import Dataset, split
from tf_odl.data.images import labelled_images
from tf_odl.errors import UserError

SOURCE = (
    "Visual Wake Words, A. Chowdhery et al., arXiv:1906.05721, from COCO, https://cocodataset.org"
)
CLASSES = ("non_person", "person")
YEARS = ("2014", "2017")
SMALLEST = 0.005  # share of the image that a person has to cover
FOLDERS = ("vww", "coco", "vw_coco2014_96")

Images = list[tuple[Path, int]]


def load_vww(data_dir: Path | None, size: int) -> Dataset:
    """float32 [N, size, size, 3] in 0..1, two classes.

    From COCO: an image shows a person if one annotation `person` covers at least 0.5 % of it;
    COCO's training part for training, its validation part for test. From a folder per class: 80 %
    of each class for training.

    Args:
        data_dir: holds COCO's `annotations/instances_train2014.json`, `instances_val2014.json`
            and the folders `train2014` and `val2014`, the same of 2017, or the folders `person`
            and `non_person`.
        size: edge of the images.

    Raises:
        UserError: a file is missing or damaged.
    """
    for folder in folders(data_dir, *FOLDERS):
        for year in YEARS:
            if (folder / "annotations" / f"instances_train{year}.json").is_file():
                train, test = (_coco(folder, f"{part}{year}") for part in ("train", "val"))
                return _dataset(folder, train, test, size)
        if all((folder / name).is_dir() for name in CLASSES):
            return _dataset(folder, *_two_folders(folder), size)
    wanted = "annotations/instances_train2014.json and train2014, the same of val2014, of COCO"
    raise missing("vww", wanted, SOURCE, data_dir)


def _dataset(folder: Path, train: Images, test: Images, size: int) -> Dataset:
    source = f"{SOURCE} ({folder})"
    return labelled_images("vww", train, test, size, source=source, class_names=CLASSES)


def _coco(folder: Path, part: str) -> Images:
    path = folder / "annotations" / f"instances_{part}.json"
    try:
        found = json.loads(path.read_bytes())
        return _labelled(found, folder / part)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: it is part of COCO, https://cocodataset.org") from None
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise UserError(f"{path} is no annotation file of COCO: {error!r}") from error


def _labelled(found: dict[str, Any], folder: Path) -> Images:
    """The published rule, applied to COCO's images, annotations and categories."""
    person = {c["name"]: c["id"] for c in found["categories"]}["person"]
    areas = {image["id"]: image["width"] * image["height"] for image in found["images"]}
    persons = {
        a["image_id"]
        for a in found["annotations"]
        if a["category_id"] == person and a["area"] / areas[a["image_id"]] >= SMALLEST
    }
    return [(folder / image["file_name"], int(image["id"] in persons)) for image in found["images"]]


def _two_folders(folder: Path) -> tuple[Images, Images]:
    images = [(path, label) for label, name in enumerate(CLASSES) for path in _jpegs(folder / name)]
    (train, _), (test, _) = split(np.arange(len(images)), np.array([label for _, label in images]))
    return [images[i] for i in train], [images[i] for i in test]


def _jpegs(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
