"""Data sets whose files are not there come from tensorflow-datasets, if it is installed."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tf_odl.data import load
from tf_odl.data.tfds import SETS
from tf_odl.errors import UserError


class Builder:
    """What tensorflow-datasets gives for a set of images [20 + label, 30, 3]."""

    def __init__(self, name: str) -> None:
        self.prepared = False
        feature = SimpleNamespace(names=["daisy", "rose", "tulip"])
        self.info = SimpleNamespace(full_name=f"{name}/1.0.0", features={"label": feature})

    def download_and_prepare(self) -> None:
        self.prepared = True

    def as_dataset(self, split: str, shuffle_files: bool) -> list[dict[str, object]]:
        assert self.prepared and not shuffle_files
        labels = {"train+validation": [0, 1, 2, 1], "test": [2, 0]}[split]
        shades = (np.full((20 + i, 30, 3), 50 * i, np.uint8) for i in labels)
        return [{"image": x, "label": np.int64(i)} for x, i in zip(shades, labels, strict=True)]


def install(monkeypatch, builder) -> None:
    module = SimpleNamespace(builder=builder, as_numpy=lambda examples: examples)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)


def test_photographs_get_the_size_asked_for(monkeypatch, tmp_path):
    install(monkeypatch, Builder)
    data = load("flowers102", data_dir=tmp_path, size=12)
    assert data.x_train.shape == (4, 12, 12, 3) and data.x_test.shape == (2, 12, 12, 3)
    assert data.class_names == ("daisy", "rose", "tulip") and "oxford_flowers102" in data.source
    assert np.array_equal(np.round(data.x_train[:, 5, 5, 0] * 255 / 50), data.y_train)
    assert data.y_test.tolist() == [2, 0]


def test_files_that_are_there_come_first(monkeypatch, tmp_path):
    def builder(name: str) -> Builder:
        raise AssertionError("not to be asked")

    install(monkeypatch, builder)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"")
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz is missing"):
        load("mnist", data_dir=tmp_path)
    with pytest.raises(UserError, match="uci-har needs --data-dir"):
        load("uci-har")


def test_without_a_network_the_message_is_whole(monkeypatch, tmp_path):
    class Offline(Builder):
        def download_and_prepare(self) -> None:
            raise ConnectionError("Name or service not known\nmore of it")

    install(monkeypatch, Offline)
    with pytest.raises(UserError) as caught:
        load("cifar10", data_dir=tmp_path)
    message = str(caught.value)
    assert "put cifar-10-python.tar.gz" in message and "cs.toronto.edu" in message
    assert message.endswith("tensorflow-datasets could not fetch it: Name or service not known")


def test_not_installed_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)  # import fails
    with pytest.raises(UserError, match=r"pets needs --data-dir.*pip install 'tf-odl\[datasets\]'"):
        load("pets")
    with pytest.raises(UserError, match="dcase-slider needs --data-dir") as caught:
        load("dcase-slider")
    assert "pip" not in str(caught.value), "tensorflow-datasets does not have it"


@pytest.mark.downloads
@pytest.mark.parametrize("name", sorted(SETS))
def test_the_real_library_has_these_sets(name):
    """Invented images through the real library: names, splits and features are right."""
    tfds = pytest.importorskip("tensorflow_datasets")
    with tfds.testing.mock_data(num_examples=5):
        data = load(name)
    classes = {"mnist": 10, "cifar10": 10, "cifar100": 100, "flowers102": 102}
    classes |= {"food101": 101, "pets": 37, "cub200": 200}
    edge = {"mnist": 28, "cifar10": 32, "cifar100": 32}.get(name, 96)
    channels = 1 if name == "mnist" else 3
    assert data.x_train.shape[1:] == (edge, edge, channels) and data.classes == classes[name]
    assert len(data.x_test) == 5
