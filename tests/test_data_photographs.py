"""The sets of photographs in their published layout, which the tests write themselves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import io

from tf_odl.data import load
from tf_odl.data.images import read_images, resized
from tf_odl.errors import UserError

RNG = np.random.default_rng(0)


def shade(label: int, sample: int = 0) -> tuple[int, int, int]:
    """A colour that tells the class and the sample."""
    return 20 * label + 10, 5 * sample + 5, 200


def write_jpg(path: Path, label: int, sample: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40 + sample, 30), shade(label, sample)).save(path, quality=95)


def colours(x: np.ndarray) -> list[tuple[int, int]]:
    """(class, sample) of every image, by the colour of its middle."""
    middle = x[:, x.shape[1] // 2, x.shape[2] // 2] * 255
    assert np.allclose(middle[:, 2], 200, atol=4), "red, green, blue"
    return [(round((r - 10) / 20), round((g - 5) / 5)) for r, g, _ in middle.tolist()]


def assert_labels(data, train: set[tuple[int, int]], test: set[tuple[int, int]]) -> None:
    """Every image is in its part and has its class."""
    for x, y, expected in ((data.x_train, data.y_train, train), (data.x_test, data.y_test, test)):
        found = colours(x)
        assert sorted(found) == sorted(expected) and [label for label, _ in found] == y.tolist()


def write_flowers(root: Path) -> None:
    # Images 1 .. 8; 1 and 5 to train, 2 and 6 to validate, the others to test.
    labels = [1, 1, 1, 1, 3, 3, 3, 3]
    for i, label in enumerate(labels):
        write_jpg(root / "jpg" / f"image_{i + 1:05d}.jpg", label - 1, i % 4)
    io.savemat(root / "imagelabels.mat", {"labels": np.array([labels], np.uint8)})
    split = {"trnid": [[1, 5]], "valid": [[2, 6]], "tstid": [[3, 4, 7, 8]]}
    io.savemat(root / "setid.mat", {k: np.array(v, np.uint16) for k, v in split.items()})


def write_food(root: Path) -> None:
    names = ["apple_pie", "baklava", "ceviche"]
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for label, name in enumerate(names):
        for i in range(4):
            write_jpg(root / "images" / name / f"{1000 + i}.jpg", label, i)
            lists["train" if i < 3 else "test"].append(f"{name}/{1000 + i}")
    (root / "meta").mkdir()
    (root / "meta" / "classes.txt").write_text("\n".join(names) + "\n")
    for part, lines in lists.items():
        (root / "meta" / f"{part}.txt").write_text("\n".join(lines) + "\n")


def write_pets(root: Path) -> None:
    (root / "annotations").mkdir(parents=True)
    header = "#Image CLASS-ID SPECIES BREED ID\n"
    lists = {"trainval": header, "test": ""}
    for label, name in enumerate(["Abyssinian", "american_bulldog"]):
        for i in range(3):
            write_jpg(root / "images" / f"{name}_{i}.jpg", label, i)
            lists["trainval" if i else "test"] += f"{name}_{i} {label + 1} {label + 1} 1\n"
    for part, text in lists.items():
        (root / "annotations" / f"{part}.txt").write_text(text)


def write_birds(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    names = ["001.Black_footed_Albatross", "002.Laysan_Albatross"]
    images = [(label, i) for label in range(2) for i in range(3)]
    for label, i in images:
        write_jpg(root / "images" / names[label] / f"bird_{i}.jpg", label, i)
    tables = {
        "images.txt": [f"{names[label]}/bird_{i}.jpg" for label, i in images],
        "image_class_labels.txt": [label + 1 for label, _ in images],
        "train_test_split.txt": [int(i > 0) for _, i in images],
        "classes.txt": names,
    }
    for name, column in tables.items():
        lines = [f"{i} {value}\n" for i, value in enumerate(column, start=1)]
        (root / name).write_text("".join(lines))


def write_coco(root: Path, year: str = "2014") -> None:
    """Images of 40 x 30 = 1200 pixels: a person has to cover 6 of them."""
    for part, areas in (("train", [6.0, 5.9, None]), ("val", [700.0, None, 6.1])):
        images, annotations = [], []
        for i, area in enumerate(areas):
            person = area is not None and area >= 6
            write_jpg(root / f"{part}{year}" / f"{i}.jpg", int(person), i)
            images.append({"id": 70 + i, "width": 40, "height": 30, "file_name": f"{i}.jpg"})
            annotations.append({"image_id": 70 + i, "category_id": 18, "area": 900.0})
            if area is not None:
                annotations.append({"image_id": 70 + i, "category_id": 1, "area": area})
        content = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
        }
        path = root / "annotations" / f"instances_{part}{year}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


@pytest.mark.parametrize("folder", [".", "flowers-102"])
def test_flowers(tmp_path, folder):
    write_flowers(tmp_path / folder)
    data = load("flowers102", data_dir=tmp_path)
    assert data.x_train.shape == (4, 96, 96, 3) and data.classes == 102
    assert_labels(data, {(0, 0), (2, 0), (0, 1), (2, 1)}, {(0, 2), (0, 3), (2, 2), (2, 3)})


@pytest.mark.parametrize("folder", [".", "food-101"])
def test_food(tmp_path, folder):
    write_food(tmp_path / folder)
    data = load("food101", data_dir=tmp_path, size=24)
    assert data.x_train.shape == (9, 24, 24, 3)
    assert data.class_names == ("apple_pie", "baklava", "ceviche")
    assert_labels(data, {(c, i) for c in range(3) for i in range(3)}, {(c, 3) for c in range(3)})
    assert data.y_train.tolist() != sorted(data.y_train), "the files are sorted, the samples not"
    assert np.array_equal(load("food101", data_dir=tmp_path, size=24).x_train, data.x_train)


@pytest.mark.parametrize("folder", [".", "oxford-iiit-pet"])
def test_pets(tmp_path, folder):
    write_pets(tmp_path / folder)
    data = load("pets", data_dir=tmp_path, size=32)
    assert data.class_names == ("Abyssinian", "american_bulldog")
    assert_labels(data, {(c, i) for c in range(2) for i in (1, 2)}, {(0, 0), (1, 0)})


@pytest.mark.parametrize("folder", [".", "CUB_200_2011"])
def test_birds(tmp_path, folder):
    write_birds(tmp_path / folder)
    data = load("cub200", data_dir=tmp_path, size=32)
    assert data.class_names == ("001.Black_footed_Albatross", "002.Laysan_Albatross")
    assert_labels(data, {(c, i) for c in range(2) for i in (1, 2)}, {(0, 0), (1, 0)})


@pytest.mark.parametrize(("folder", "year"), [(".", "2014"), ("coco", "2017")])
def test_persons_in_coco(tmp_path, folder, year):
    write_coco(tmp_path / folder, year)
    data = load("vww", data_dir=tmp_path, size=32)
    assert data.class_names == ("non_person", "person")
    assert_labels(data, {(1, 0), (0, 1), (0, 2)}, {(1, 0), (0, 1), (1, 2)})


def test_persons_in_two_folders(tmp_path):
    for label, name in enumerate(("non_person", "person")):
        for i in range(5):
            write_jpg(tmp_path / "vw_coco2014_96" / name / f"{i}.jpg", label, i)
    data = load("vww", data_dir=tmp_path)
    assert np.bincount(data.y_train).tolist() == [4, 4] and sorted(data.y_test) == [0, 1]
    both = colours(data.x_train) + colours(data.x_test)
    assert sorted(both) == [(c, i) for c in range(2) for i in range(5)]
    assert [c for c, _ in both] == [*data.y_train, *data.y_test]


SETS = [
    ("flowers102", write_flowers, "image_00003.jpg", "jpg, imagelabels.mat", "vgg/data/flowers"),
    ("food101", write_food, "1002.jpg", "images and meta", "food-101"),
    ("pets", write_pets, "american_bulldog_1.jpg", "images and annotations", "vgg/data/pets"),
    ("cub200", write_birds, "bird_1.jpg", "train_test_split.txt", "cub_200_2011"),
    ("vww", write_coco, "1.jpg", "instances_train2014.json", "cocodataset.org"),
]


@pytest.mark.parametrize(("name", "write", "image", "files", "source"), SETS)
def test_images_that_are_missing_or_damaged_are_named(tmp_path, name, write, image, files, source):
    with pytest.raises(UserError, match=rf"does not hold {name}: put .*{files}.*{source}"):
        load(name, data_dir=tmp_path)
    with pytest.raises(UserError, match=rf"{name} needs --data-dir.*{files}.*{source}"):
        load(name)
    write(tmp_path)
    path = next(tmp_path.rglob(image))
    whole = path.read_bytes()
    for damage in (whole[: len(whole) // 2], b"", b"no image"):
        path.write_bytes(damage)
        with pytest.raises(UserError, match=f"{image} cannot be read"):
            load(name, data_dir=tmp_path)
    path.unlink()
    with pytest.raises(UserError, match=f"{image} is missing"):
        load(name, data_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "write", "file", "content", "message"),
    [
        ("flowers102", write_flowers, "setid.mat", b"no file", "setid.mat cannot be read"),
        ("flowers102", write_flowers, "imagelabels.mat", None, "imagelabels.mat is missing"),
        ("food101", write_food, "meta/train.txt", b"pizza/7\n", "'pizza/7' names no class"),
        ("food101", write_food, "meta/classes.txt", b"\n", "classes.txt is empty"),
        ("food101", write_food, "meta/test.txt", None, "test.txt is missing"),
        ("pets", write_pets, "annotations/test.txt", b"a_1 x\n", "line 'a_1 x' should be NAME NUM"),
        ("pets", write_pets, "annotations/test.txt", b"a_1 9\n", "classes are not 1 to 3"),
        ("pets", write_pets, "annotations/test.txt", b"\xff\xfe\x00", "cannot be read"),
        ("cub200", write_birds, "images.txt", b"1\n", "images.txt: line '1' should be NUMBER NAME"),
        ("cub200", write_birds, "train_test_split.txt", b"1 0\n", "does not list the images"),
        ("cub200", write_birds, "classes.txt", b"1 a\n", "does not have the classes"),
        ("vww", write_coco, "annotations/instances_val2014.json", None, "val2014.json is missing"),
        ("vww", write_coco, "annotations/instances_val2014.json", b"{", "no annotation file"),
        ("vww", write_coco, "annotations/instances_val2014.json", b"[1]", "no annotation file"),
        ("vww", write_coco, "annotations/instances_val2014.json", b"{}", "no annotation file"),
    ],
)
def test_lists_nobody_can_use(tmp_path, name, write, file, content, message):
    write(tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load(name, data_dir=tmp_path)


def test_flowers_whose_lists_disagree(tmp_path):
    write_flowers(tmp_path)
    io.savemat(tmp_path / "setid.mat", {"trnid": [[1]], "valid": [[2]], "tstid": [[9]]})
    with pytest.raises(UserError, match=r"setid\.mat: images must be 1 to 8"):
        load("flowers102", data_dir=tmp_path)
    io.savemat(tmp_path / "imagelabels.mat", {"labels": [[103]]})
    with pytest.raises(UserError, match=r"imagelabels\.mat: labels must be 1 to 102"):
        load("flowers102", data_dir=tmp_path)
    io.savemat(tmp_path / "setid.mat", {"trnid": [[1]]})
    with pytest.raises(UserError, match=r"setid\.mat lacks the numbers 'valid'"):
        load("flowers102", data_dir=tmp_path)


def test_the_middle_square_is_scaled(tmp_path):
    pixels = np.zeros((30, 90, 3), np.uint8)
    pixels[:, :30, 0] = pixels[:, 30:60, 1] = pixels[:, 60:, 2] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    Image.fromarray(pixels.transpose(1, 0, 2)).save(tmp_path / "tall.png")
    Image.fromarray(np.full((20, 20), 77, np.uint8)).save(tmp_path / "grey.png")
    paths = [tmp_path / f"{name}.png" for name in ("wide", "tall", "grey")]
    found = read_images(paths, 10)
    assert found.dtype == np.uint8 and found.shape == (3, 10, 10, 3)
    for image in found[:2]:
        # The filter reaches a little over the edge.
        assert (image[1:-1, 1:-1] == [0, 255, 0]).all(), "only the green middle is left"
    assert (found[2] == 77).all(), "grey becomes RGB"


def test_arrays_in_another_size():
    x = RNG.integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    assert resized(x, 8) is x
    half = resized(x, 4)
    assert half.shape == (3, 4, 4, 1)
    # Reducing by two with a triangle of four pixels: weights 1, 3, 3, 1 of 8 in both directions.
    weights = np.array([1, 3, 3, 1]) / 8
    expected = weights @ x[1, 1:5, 1:5, 0] @ weights
    assert abs(half[1, 1, 1, 0] - expected) <= 1


def test_a_folder_of_images_of_any_size(tmp_path):
    for label, name in enumerate("ab"):
        for i in range(5):
            write_jpg(tmp_path / name / f"{i}.jpg", label, i)
    with pytest.raises(UserError, match="all must agree"):
        load(str(tmp_path))
    data = load(str(tmp_path), size=16)
    assert data.x_train.shape == (8, 16, 16, 3)
    assert [label for label, _ in colours(data.x_train)] == data.y_train.tolist()
