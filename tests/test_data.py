"""Data in the formats people have it in, and every way it can be wrong."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tf_odl.data import load
from tf_odl.data.dataset import checked, split
from tf_odl.data.shift import parse_shift
from tf_odl.errors import UserError
from tf_odl.task import Loss, Task

REAL_MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist"
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (30, 6, 5), dtype=np.uint8)
LABELS = (np.arange(30) % 3).astype(np.uint8)


def idx(array: np.ndarray) -> bytes:
    """The IDX format as its authors describe it."""
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + bytes(array)
    )


@pytest.fixture
def mnist_dir(tmp_path) -> Path:
    for part, rows in (("train", slice(0, 20)), ("t10k", slice(20, 30))):
        for kind, array in (("images-idx3", IMAGES[rows]), ("labels-idx1", LABELS[rows])):
            (tmp_path / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(idx(array)))
    return tmp_path


def save(path: Path, **arrays: np.ndarray) -> str:
    np.savez(path / "some.npz", **arrays)
    return str(path / "some.npz")


def test_digits_are_all_of_scikit_learns_in_equal_shares():
    from sklearn.datasets import load_digits

    data, original = load("digits"), load_digits()
    assert data.x_train.shape == (1438, 8, 8, 1) and data.x_train.dtype == np.float32
    assert data.x_train.min() == 0 and data.x_train.max() == 1 and data.classes == 10
    together = np.concatenate([data.x_train, data.x_test])[..., 0] * 16
    assert sorted(map(bytes, together)) == sorted(map(bytes, original.images.astype(np.float32)))
    for digit in range(10):
        train, test = ((y == digit).sum() for y in (data.y_train, data.y_test))
        assert abs(test / (train + test) - 0.2) < 0.01


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_read_from_idx_files(mnist_dir, packed):
    if not packed:
        for path in list(mnist_dir.glob("*.gz")):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
    data = load("mnist", data_dir=mnist_dir)
    assert np.array_equal(data.x_train[..., 0] * 255, IMAGES[:20].astype(np.float32))
    assert np.array_equal(data.y_test, LABELS[20:]) and data.x_test.shape == (10, 6, 5, 1)


@pytest.mark.skipif(not REAL_MNIST.is_dir(), reason="the MNIST archives are not there")
def test_the_real_mnist():
    data = load("mnist", data_dir=REAL_MNIST)
    assert data.x_train.shape == (60000, 28, 28, 1) and data.x_test.shape == (10000, 28, 28, 1)
    assert data.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert abs(data.x_train.mean() - 0.1307) < 1e-4  # the published mean


def test_damaged_or_missing_idx_files_are_named(mnist_dir):
    labels = mnist_dir / "train-labels-idx1-ubyte.gz"
    whole = labels.read_bytes()
    for damage, message in (
        (whole[:-9], "cannot be read"),
        (gzip.compress(idx(LABELS[:20])[:-3]), "announces 20 values and holds 17"),
        (gzip.compress(idx(IMAGES)), "no IDX file with 1 dimension"),
        (gzip.compress(idx(LABELS[:19])), "20 samples and 19 labels"),
    ):
        labels.write_bytes(damage)
        with pytest.raises(UserError, match=message):
            load("mnist", data_dir=mnist_dir)
    labels.unlink()
    with pytest.raises(UserError, match=r"train-labels-idx1-ubyte\.gz is missing.*LeCun"):
        load("mnist", data_dir=mnist_dir)
    with pytest.raises(UserError, match="--data-dir"):
        load("mnist")


def test_npz_with_a_split_and_without(tmp_path):
    x = RNG.normal(size=(30, 7))
    data = load(
        save(tmp_path, x_train=x[:20], y_train=LABELS[:20], x_test=x[20:], y_test=LABELS[20:])
    )
    assert np.array_equal(data.x_train, x[:20].astype(np.float32)) and data.classes == 3
    data = load(save(tmp_path, x=x, y=LABELS[:, None].astype(float)))
    assert data.x_train.shape == (24, 7) and np.bincount(data.y_test).tolist() == [2, 2, 2]
    rows = np.concatenate([data.x_train, data.x_test])
    labels = np.concatenate([data.y_train, data.y_test])
    order = [int(np.flatnonzero((x.astype(np.float32) == row).all(axis=1))[0]) for row in rows]
    assert sorted(order) == list(range(30)) and np.array_equal(LABELS[order], labels)


def test_grey_uint8_images_get_a_channel_and_the_range_0_to_1(tmp_path):
    data = load(save(tmp_path, x=IMAGES, y=LABELS))
    assert data.x_train.shape == (24, 6, 5, 1)
    assert data.x_train.max() <= 1 and data.x_train.max() > 0.9


X = np.zeros((30, 4), np.float32)
WITH_NAN = X.copy()
WITH_NAN[17, 2] = np.nan


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (WITH_NAN, LABELS, r"sample 17 holds NaN"),
        (X, LABELS - 1.0, r"label -1 of sample 0"),
        (X, LABELS + 0.5, "whole numbers"),
        (X, LABELS[:29], "30 samples and 29 labels"),
        (X, np.eye(3)[LABELS], "argmax"),
        (X, np.zeros(30, int), "two classes"),
        (X, np.array([["a"], ["b"], ["c"]] * 10), "whole numbers"),
        (X, np.array(["a"] * 30), "at least two classes"),
        (np.array(["a"] * 30)[:, None], LABELS, "numbers, got dtype"),
        (np.zeros(30), LABELS, r"\[N, ...\]"),
        (np.zeros((0, 4)), np.zeros(0, int), "not empty"),
    ],
)
def test_arrays_nobody_can_train_on_are_refused(tmp_path, x, y, message):
    with pytest.raises(UserError, match=message):
        load(save(tmp_path, x=x, y=y))


def test_labels_may_be_names_or_truth_values(tmp_path):
    names = np.array(["owl", "cat", "dog"] * 10)
    data = load(save(tmp_path, x_train=X, y_train=names, x_test=X[:4], y_test=names[:4]))
    assert data.class_names == ("cat", "dog", "owl") and data.classes == 3
    assert list(data.y_train[:3]) == [2, 0, 1] and list(data.y_test) == [2, 0, 1, 2]
    data = load(save(tmp_path, x=X, y=names))
    counts = np.bincount(data.y_train) + np.bincount(data.y_test)
    assert data.class_names == ("cat", "dog", "owl") and list(counts) == [10, 10, 10]
    data = load(save(tmp_path, x=X, y=LABELS == 1))
    assert data.classes == 2 and data.y_train.sum() + data.y_test.sum() == 10


def test_without_labels_anything_may_be_one(tmp_path):
    for more in ({}, {"y_train": X, "y_test": X}):
        path = save(tmp_path, x_train=X, x_test=X[:5], **more)
        data = load(path, task=Task(Loss.RECONSTRUCTION))
        assert len(data.x_train) == 30 and len(data.x_test) == 5 and not data.y_train.any()
    with pytest.raises(UserError, match="y_train"):
        load(save(tmp_path, x_train=X, x_test=X[:5]))
    assert len(load(save(tmp_path, x=X), task=Task(Loss.RECONSTRUCTION)).x_train) == 24


def test_test_labels_and_shapes_must_agree_with_training(tmp_path):
    y = LABELS.astype(int)
    with pytest.raises(UserError, match=r"test label 7 of sample 4 .*0 to 2"):
        load(save(tmp_path, x_train=X, y_train=y, x_test=X[:5], y_test=np.array([0, 1, 2, 0, 7])))
    with pytest.raises(UserError, match=r"\(4,\).*\(3,\)"):
        load(save(tmp_path, x_train=X, y_train=y, x_test=X[:, :3], y_test=y))


def test_files_that_are_no_npz(tmp_path):
    path = tmp_path / "some.npz"
    with pytest.raises(UserError, match="does not exist"):
        load(str(path))
    for content in (b"", b"hello", b"PK\x03\x04 damaged"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="no readable"):
            load(str(path))
    whole = save(tmp_path, x=IMAGES, y=LABELS)
    path.write_bytes(Path(whole).read_bytes()[:-200])
    with pytest.raises(UserError, match="no readable"):
        load(str(path))
    with pytest.raises(UserError, match="holds a, b: it needs"):
        load(save(tmp_path, a=X, b=LABELS))
    with pytest.raises(UserError, match="no data 'wonder'"):
        load("wonder")


def make_folder(root: Path, per_class: int = 5, mode: str = "L") -> None:
    for name in ("dog", "cat"):
        (root / name).mkdir(parents=True)
        for i in range(per_class):
            shape = (6, 5) if mode == "L" else (6, 5, 3)
            pixels = np.full(shape, 10 * i + (name == "dog"), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_a_folder_of_classes(tmp_path, mode, channels):
    make_folder(tmp_path, mode=mode)
    data = load(str(tmp_path))
    assert data.class_names == ("cat", "dog") and data.x_train.shape == (8, 6, 5, channels)
    values = np.round(data.x_train[:, 0, 0, 0] * 255).astype(int)
    assert np.array_equal(values % 10, data.y_train), "a sample lost its label"


def test_a_folder_with_train_and_test(tmp_path):
    make_folder(tmp_path / "train", 4)
    make_folder(tmp_path / "test", 2)
    data = load(str(tmp_path))
    assert (len(data.x_train), len(data.x_test)) == (8, 4)
    (tmp_path / "test" / "cow").mkdir()
    with pytest.raises(UserError, match="cow"):
        load(str(tmp_path))


def test_npy_files_in_a_folder(tmp_path):
    for i, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        for j in range(5):
            np.save(tmp_path / name / f"{j}.npy", np.full((9, 2), i, np.float32))
    data = load(str(tmp_path))
    assert data.x_train.shape == (8, 9, 2)
    assert np.array_equal(data.x_train[:, 0, 0], data.y_train)


def test_folders_nobody_can_train_on(tmp_path):
    with pytest.raises(UserError, match="two sub-folders"):
        load(str(tmp_path))
    make_folder(tmp_path)
    other = tmp_path / "dog" / "other.png"
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(other)
    with pytest.raises(UserError, match=r"other\.png has shape \(3, 3, 1\)"):
        load(str(tmp_path))
    other.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"other\.png cannot be read"):
        load(str(tmp_path))
    other.unlink()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty holds no sample"):
        load(str(tmp_path))


LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from tf_odl.data import load
from tf_odl.errors import UserError
load("digits")  # whatever is imported late
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + 200 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    load(sys.argv[1], size=4096)
except UserError as error:
    print(error)
"""


def test_images_that_do_not_fit_into_memory(tmp_path):
    """In a process that may take 200 MB more than it has, 16 MB for each of 20 images are a lot."""
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for i in range(10):
            Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / label / f"{i}.png")
    done = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY, str(tmp_path)], capture_output=True, text=True
    )
    assert done.stdout.strip() == (
        f"{tmp_path} does not fit into memory: choose a smaller --data-size"
    ), done.stderr


def test_a_class_with_one_sample_cannot_be_split():
    with pytest.raises(UserError, match="class 2 has a single sample"):
        split(X[:5], np.array([0, 0, 1, 1, 2]))


def test_rotation_translation_and_noise():
    x = RNG.random((3, 7, 7, 2), dtype=np.float32)
    quarter = parse_shift("rotate:90")(x)
    assert np.allclose(quarter, np.rot90(x, axes=(1, 2)), atol=1e-5), "counter-clockwise"
    moved = parse_shift("translate:2,-1")(x)
    assert np.allclose(moved[:, :-1, 2:], x[:, 1:, :-2], atol=1e-6)
    assert np.abs(moved[:, :, :2]).max() == 0 and np.abs(moved[:, -1]).max() == 0
    noisy = parse_shift("noise:0.1")(np.full((50, 40), 0.5, np.float32) + np.eye(50, 40) * 5)
    assert noisy.dtype == np.float32 and noisy.min() >= 0.5
    both = parse_shift("rotate:90+translate:2,-1")(x)
    assert np.allclose(both, parse_shift("translate:2,-1")(quarter))


def test_a_shift_is_stated_and_always_the_same():
    one, other = (load("digits", shift="noise:0.2") for _ in range(2))
    assert one.shift == "noise:0.2" and np.array_equal(one.x_train, other.x_train)
    assert not np.array_equal(one.x_train, load("digits").x_train)


@pytest.mark.parametrize(
    "text", ["spin:3", "rotate", "rotate:x", "rotate:1,2", "translate:3", "noise:nan", "noise:-1"]
)
def test_shifts_that_cannot_be_read(text):
    with pytest.raises(UserError, match=text.split(":")[0]):
        parse_shift(text)


def test_time_series_cannot_be_rotated():
    with pytest.raises(UserError, match=r"\(7, 2\)"):
        parse_shift("rotate:10")(np.zeros((3, 7, 2), np.float32))


def test_class_names_say_how_many_classes_there_are():
    part = (X[:4], np.array([0, 1, 0, 1]))
    assert checked("a", part, part, source="", class_names=("x", "y", "z")).classes == 3
