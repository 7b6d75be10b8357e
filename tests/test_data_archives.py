"""CIFAR and UCI HAR in their published formats, which the tests write themselves."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tf_odl.data import load
from tf_odl.data.unpickle import unpickle
from tf_odl.errors import UserError

REAL_CIFAR = Path(__file__).parents[2] / "shared" / "data" / "cifar10"
RNG = np.random.default_rng(0)
NAMES = tuple(f"thing{i}" for i in range(10))
TEN = RNG.integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)  # four per batch
TEN_LABELS = np.arange(24) % 10
HUNDRED_LABELS = np.array([7, 99, 0, 42])


def planes(images: np.ndarray) -> np.ndarray:
    """Rows of the red, the green and the blue plane, as the archives have them."""
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def write_cifar10_python(folder: Path) -> None:
    folder.mkdir()
    batches = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for i, name in enumerate(batches):
        rows = slice(4 * i, 4 * i + 4)
        batch = {b"data": planes(TEN[rows]), b"labels": TEN_LABELS[rows].tolist()}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    meta = {b"label_names": [n.encode() for n in NAMES]}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))


def write_cifar10_binary(folder: Path) -> None:
    folder.mkdir()
    batches = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    for i, name in enumerate(batches):
        rows = slice(4 * i, 4 * i + 4)
        table = np.column_stack([TEN_LABELS[rows].astype(np.uint8), planes(TEN[rows])])
        (folder / name).write_bytes(table.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")


def write_cifar100_python(folder: Path) -> None:
    folder.mkdir()
    for name, rows in (("train", slice(0, 3)), ("test", slice(3, 4))):
        batch = {
            b"data": planes(TEN[rows]),
            b"fine_labels": HUNDRED_LABELS[rows].tolist(),
            b"coarse_labels": [1] * len(HUNDRED_LABELS[rows]),
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    meta = {b"fine_label_names": [b"fine%d" % i for i in range(100)], b"coarse_label_names": [b"x"]}
    (folder / "meta").write_bytes(pickle.dumps(meta, protocol=2))


def write_cifar100_binary(folder: Path) -> None:
    folder.mkdir()
    for name, rows in (("train.bin", slice(0, 3)), ("test.bin", slice(3, 4))):
        fine = HUNDRED_LABELS[rows].astype(np.uint8)
        table = np.column_stack([np.full(len(fine), 19, np.uint8), fine, planes(TEN[rows])])
        (folder / name).write_bytes(table.tobytes())
    (folder / "fine_label_names.txt").write_text("\n".join(f"fine{i}" for i in range(100)))


def pack(folder: Path, archive: str) -> Path:
    path = folder.with_name(archive)
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, folder.name)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    return path


TEN_FORMS = [
    ("cifar-10-batches-py", "cifar-10-python.tar.gz", write_cifar10_python),
    ("cifar-10-batches-bin", "cifar-10-binary.tar.gz", write_cifar10_binary),
]
HUNDRED_FORMS = [
    ("cifar-100-python", "cifar-100-python.tar.gz", write_cifar100_python),
    ("cifar-100-binary", "cifar-100-binary.tar.gz", write_cifar100_binary),
]


@pytest.mark.parametrize("how", ["unpacked", "the folder itself", "packed", "one folder up"])
@pytest.mark.parametrize(("folder", "archive", "write"), TEN_FORMS)
def test_cifar10_in_its_published_forms(tmp_path, folder, archive, write, how):
    place = tmp_path / "cifar10" if how == "one folder up" else tmp_path
    place.mkdir(exist_ok=True)
    write(place / folder)
    if how == "packed":
        pack(place / folder, archive)
    data = load("cifar10", data_dir=place / folder if how == "the folder itself" else tmp_path)
    assert data.class_names == NAMES and data.x_train.shape == (20, 32, 32, 3)
    assert data.x_train.flags.c_contiguous
    assert np.array_equal(np.round(data.x_train * 255), TEN[:20].astype(np.float32))
    assert np.array_equal(np.round(data.x_test * 255), TEN[20:].astype(np.float32))
    assert np.array_equal(data.y_train, TEN_LABELS[:20])
    assert np.array_equal(data.y_test, TEN_LABELS[20:])


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(("folder", "archive", "write"), HUNDRED_FORMS)
def test_cifar100_has_the_fine_labels(tmp_path, folder, archive, write, packed):
    write(tmp_path / folder)
    if packed:
        pack(tmp_path / folder, archive)
    data = load("cifar100", data_dir=tmp_path)
    assert data.classes == 100 and data.class_names[42] == "fine42"
    assert data.y_train.tolist() == [7, 99, 0] and data.y_test.tolist() == [42]
    assert np.array_equal(np.round(data.x_test[0] * 255), TEN[3].astype(np.float32))


class Exploit:
    def __reduce__(self):
        return os.system, ("touch exploited",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickles_that_name_anything_but_arrays_are_refused(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    write_cifar10_python(tmp_path / "cifar-10-batches-py")
    batch = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    batch.write_bytes(pickle.dumps({b"data": Exploit()}, protocol=protocol))
    with pytest.raises(UserError, match=r"data_batch_3 cannot be read: it names posix.system"):
        load("cifar10", data_dir=tmp_path)
    assert not (tmp_path / "exploited").exists()
    for tampered in (b"cbuiltins\neval\n.", b"cnumpy\nload\n.", b"cnumpy.testing\nrundocs\n."):
        with pytest.raises(UserError, match="no data set needs"):
            unpickle(tampered, "it")


def test_a_batch_as_python_2_pickled_it():
    """Opcode by opcode: texts are byte strings there, and so are the bytes of an array."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x00\x0c\x00\x00"
        + planes(TEN[:1]).tobytes()
        + b"tb"
    )
    found = unpickle(b"\x80\x02}(U\x06labels]K\x07aU\x04data" + array + b"u.", "it")
    assert found[b"labels"] == [7] and np.array_equal(found[b"data"], planes(TEN[:1]))


def test_arrays_survive_every_pickle_protocol():
    for protocol in range(5):
        whole = {"a": [1, 2.5, None, True, b"x", (3,)], "b": np.arange(6, dtype=np.uint8)}
        found = unpickle(pickle.dumps(whole, protocol=protocol), "it")
        assert found["a"] == whole["a"] and np.array_equal(found["b"], whole["b"])


def test_damaged_or_missing_batches_are_named(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    write_cifar10_python(folder)
    batch = folder / "data_batch_2"
    whole = batch.read_bytes()
    short = {b"data": planes(TEN[:3]), b"labels": [1, 2]}
    for damage, message in (
        (whole[:-40], "data_batch_2 cannot be read"),
        (b"", "data_batch_2 cannot be read"),
        (pickle.dumps([1, 2]), "data_batch_2 is no batch"),
        (pickle.dumps({b"labels": [1]}), "data_batch_2 is no batch.*data"),
        (pickle.dumps(short), r"data_batch_2 is no batch of CIFAR: 2 labels, .*\(3, 3072\)"),
    ):
        batch.write_bytes(damage)
        with pytest.raises(UserError, match=message):
            load("cifar10", data_dir=tmp_path)
    batch.unlink()
    with pytest.raises(UserError, match=r"data_batch_2 is missing.*cs\.toronto\.edu"):
        load("cifar10", data_dir=tmp_path)


def test_damaged_binary_batches_and_archives_are_named(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    write_cifar10_binary(folder)
    batch = folder / "test_batch.bin"
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"test_batch\.bin has 12,291 bytes, no multiple of 3073"):
        load("cifar10", data_dir=tmp_path)
    batch.unlink()
    archive = pack(folder, "cifar-10-binary.tar.gz")
    with pytest.raises(UserError, match=r"binary\.tar\.gz does not hold .*/test_batch\.bin"):
        load("cifar10", data_dir=tmp_path)
    whole = archive.read_bytes()
    for damage in (whole[: len(whole) // 2], b"no archive"):
        archive.write_bytes(damage)
        with pytest.raises(UserError, match=r"cifar-10-binary\.tar\.gz cannot be read"):
            load("cifar10", data_dir=tmp_path)


def test_archives_that_lead_elsewhere_are_only_read(tmp_path):
    """A link or a path with .. in the archive is never followed nor written."""
    with tarfile.open(tmp_path / "cifar-100-python.tar.gz", "w:gz") as tar:
        link = tarfile.TarInfo("cifar-100-python/train")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        up = tarfile.TarInfo("../escaped")
        up.size = 3
        tar.addfile(up, io.BytesIO(b"bad"))
    with pytest.raises(UserError, match="does not hold cifar-100-python/train"):
        load("cifar100", data_dir=tmp_path)
    assert not (tmp_path.parent / "escaped").exists()


def test_cifar_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"cifar10 needs --data-dir.*cifar-10-python\.tar\.gz"):
        load("cifar10")
    with pytest.raises(UserError, match=r"does not hold cifar100: put cifar-100-python\.tar\.gz"):
        load("cifar100", data_dir=tmp_path)


def test_cifar10_from_npz_and_in_another_size(tmp_path):
    arrays = {"x_train": TEN[:20], "y_train": TEN_LABELS[:20], "classes": np.array(NAMES)}
    arrays |= {"x_test": TEN[20:], "y_test": TEN_LABELS[20:]}
    np.savez(tmp_path / "cifar10_part.npz", **arrays)
    data = load("cifar10", data_dir=tmp_path)
    assert np.array_equal(np.round(data.x_train * 255), TEN[:20].astype(np.float32))
    assert data.class_names == NAMES
    large = load("cifar10", data_dir=tmp_path, size=48)
    assert large.x_train.shape == (20, 48, 48, 3) and large.x_test.shape == (4, 48, 48, 3)
    bigger = Image.fromarray(TEN[3]).resize((48, 48), Image.Resampling.BILINEAR)
    assert np.abs(large.x_train[3] * 255 - np.asarray(bigger)).max() <= 1
    np.savez(tmp_path / "cifar10_part.npz", **(arrays | {"x_test": TEN[20:, :30]}))
    with pytest.raises(
        UserError, match=r"cifar10_part\.npz: x_test must be uint8 \[N, 32, 32, 3\]"
    ):
        load("cifar10", data_dir=tmp_path)
    for size in (0, 4097, 10**20):
        with pytest.raises(UserError, match=f"--data-size must be 1 to 4096, got {size}$"):
            load("cifar10", data_dir=tmp_path, size=size)
    with pytest.raises(UserError, match="digits have a size of their own"):
        load("digits", size=16)


@pytest.mark.skipif(not REAL_CIFAR.is_dir(), reason="the CIFAR-10 subset is not there")
def test_the_cifar10_subset():
    data = load("cifar10", data_dir=REAL_CIFAR)
    assert data.x_train.shape == (12000, 32, 32, 3) and data.x_test.shape == (3000, 32, 32, 3)
    assert np.bincount(data.y_train).tolist() == [1200] * 10
    assert np.bincount(data.y_test).tolist() == [300] * 10
    assert data.class_names[:3] == ("airplane", "automobile", "bird")
    published = [0.4914, 0.4822, 0.4465]  # means of the whole training set
    assert np.abs(data.x_train.mean(axis=(0, 1, 2)) - published).max() < 0.005


def write_uci_har(folder: Path) -> dict[str, np.ndarray]:
    """Two training subjects, one test subject, a window per activity each."""
    written = {}
    for part, subjects in (("train", (1, 3)), ("test", (2,))):
        signals = folder / part / "Inertial Signals"
        signals.mkdir(parents=True)
        rows = 6 * len(subjects)
        written[part] = RNG.normal(size=(rows, 561))
        np.savetxt(folder / part / f"X_{part}.txt", written[part], fmt="%16.7e", delimiter=" ")
        y = np.tile([5, 4, 6, 1, 3, 2], len(subjects))
        np.savetxt(folder / part / f"y_{part}.txt", y, fmt="%d")
        np.savetxt(folder / part / f"subject_{part}.txt", np.repeat(subjects, 6), fmt="%d")
        for i, signal in enumerate(("body_acc", "body_gyro", "total_acc")):
            for j, axis in enumerate("xyz"):
                x = RNG.normal(10 * (3 * i + j), 1, (rows, 128))
                written[f"{signal}_{axis}_{part}"] = x
                np.savetxt(signals / f"{signal}_{axis}_{part}.txt", x, fmt="%16.7e")
    return written


@pytest.mark.parametrize("folder", [".", "UCI HAR Dataset"])
def test_uci_har_features_and_windows(tmp_path, folder):
    written = write_uci_har(tmp_path / folder)
    data, raw = (load(n, data_dir=tmp_path) for n in ("uci-har", "uci-har-raw"))
    assert data.x_train.shape == (12, 561) and raw.x_train.shape == (12, 128, 9)
    for d in (data, raw):
        assert d.y_test.tolist() == [4, 3, 5, 0, 2, 1] and d.group_kind == "subject"
        assert set(d.groups_train) == {1, 3} and d.groups_test.tolist() == [2] * 6
        assert d.class_names[3] == "sitting"
    assert np.allclose(data.x_test * data.deviation + data.mean, written["test"], atol=1e-5)
    windows = raw.x_test * raw.deviation + raw.mean
    assert np.allclose(windows[4, :, 5], written["body_gyro_z_test"][4], atol=1e-4)
    assert np.allclose(windows[1, :, 6], written["total_acc_x_test"][1], atol=1e-4)
    assert np.allclose(raw.mean, np.arange(0, 90, 10), atol=0.2), "channels are in order"


def test_uci_har_files_nobody_can_use(tmp_path):
    with pytest.raises(UserError, match=r"does not hold uci-har: put train/X_train\.txt.*uci\.edu"):
        load("uci-har", data_dir=tmp_path)
    write_uci_har(tmp_path)
    signal = tmp_path / "test" / "Inertial Signals" / "body_gyro_y_test.txt"
    np.savetxt(signal, np.zeros((6, 127)))
    with pytest.raises(UserError, match=r"body_gyro_y_test\.txt has 6 windows of 127 samples"):
        load("uci-har-raw", data_dir=tmp_path)
    signal.write_text("1 2 3\n1 2\n")
    with pytest.raises(UserError, match=r"body_gyro_y_test\.txt cannot be read"):
        load("uci-har-raw", data_dir=tmp_path)
    signal.unlink()
    with pytest.raises(UserError, match=r"body_gyro_y_test\.txt is missing"):
        load("uci-har-raw", data_dir=tmp_path)
    (tmp_path / "train" / "subject_train.txt").write_text("1\n" * 11)
    with pytest.raises(UserError, match=r"subject_train\.txt must hold 12 lines"):
        load("uci-har", data_dir=tmp_path)
