"""HAPT: smartphone activities of 30 subjects, the six that UCI HAR has too.

Windows of 128 samples at 50 Hz, half overlapping; the test subjects are 9 others than the 21 of
training. The transitions between postures (labels 7 to 12) are left out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tf_odl.data.archives import find, folders, missing
from tf_odl.data.dataset import Dataset, checked
from tf_odl.data.npz import read_npz
from tf_odl.data.text import read_column, read_table
from tf_odl.errors import UserError

SOURCE = (
    "Smartphone-Based Recognition of Human Activities and Postural Transitions, "
    "https://archive.ics.uci.edu/dataset/341"
)
ACTIVITIES = ("walking", "upstairs", "downstairs", "sitting", "standing", "laying")
FEATURES_NPZ, WINDOWS_NPZ = "hapt_features_561_recomputed.npz", "hapt_windows_9x128.npz"
FOLDERS = ("hapt", "HAPT Data Set", "hapt_har30")
CHANNELS = 9  # body acceleration (g), angular velocity (rad/s), total acceleration (g): x, y, z


def load_hapt(data_dir: Path | None) -> Dataset:
    """float32 [N, 561], the features of the publication; 7415 samples for training, 2996 for test.

    Args:
        data_dir: holds `Train/X_train.txt`, `y_train.txt`, `subject_id_train.txt` and the same
            for `Test`, as published, or `hapt_features_561_recomputed.npz`.

    Raises:
        UserError: a file is missing or damaged.
    """
    for folder in folders(data_dir, *FOLDERS):
        if (folder / FEATURES_NPZ).is_file():
            return _from_npz("hapt", folder / FEATURES_NPZ)
        if (folder / "Train").is_dir():
            return _from_text(folder)
    raise missing("hapt", f"Train/X_train.txt and the others, or {FEATURES_NPZ}", SOURCE, data_dir)


def load_hapt_raw(data_dir: Path | None) -> Dataset:
    """float32 [N, 128, 9], windows of the signals in g and rad/s; the samples of `load_hapt`.

    Channels: body acceleration x, y, z; angular velocity x, y, z; total acceleration x, y, z.

    Args:
        data_dir: holds `hapt_windows_9x128.npz`.

    Raises:
        UserError: the file is missing or damaged.
    """
    folder = find("hapt-raw", data_dir, FOLDERS, WINDOWS_NPZ, files=WINDOWS_NPZ, source=SOURCE)
    return _from_npz("hapt-raw", folder / WINDOWS_NPZ)


def _from_npz(name: str, path: Path) -> Dataset:
    """x [N, 561] or [N, 9, 128], label 1 .. 12, subject, split ("train" or "test") per sample."""
    arrays = read_npz(path, "x", "label", "subject", "split")
    x, label, subject, part = (arrays[key] for key in ("x", "label", "subject", "split"))
    for key in ("label", "subject", "split"):
        if arrays[key].shape != x.shape[:1]:
            raise UserError(f"{path} has {len(x)} samples, but {key} {arrays[key].shape}")
    if x.ndim == 3:
        if x.shape[1] != CHANNELS:
            raise UserError(f"{path}: windows must be [N, {CHANNELS}, steps], got {x.shape}")
        x = x.transpose(0, 2, 1)
    rows = [np.flatnonzero((part == p) & _six(label)) for p in ("train", "test")]
    return _dataset(name, [(x[r], label[r], subject[r]) for r in rows], str(path))


def _from_text(folder: Path) -> Dataset:
    parts = []
    for part in ("Train", "Test"):
        low = part.lower()
        x = read_table(folder / part / f"X_{low}.txt")
        label = read_column(folder / part / f"y_{low}.txt", len(x))
        subject = read_column(folder / part / f"subject_id_{low}.txt", len(x))
        rows = np.flatnonzero(_six(label))
        parts.append((x[rows], label[rows], subject[rows]))
    return _dataset("hapt", parts, str(folder))


def _six(label: np.ndarray) -> np.ndarray:
    return (label >= 1) & (label <= len(ACTIVITIES))


def _dataset(
    name: str, parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]], found: str
) -> Dataset:
    (x_train, label_train, of_train), (x_test, label_test, of_test) = parts
    return checked(
        name,
        (x_train, label_train.astype(np.int64) - 1),
        (x_test, label_test.astype(np.int64) - 1),
        source=f"{SOURCE} ({found})",
        class_names=ACTIVITIES,
        groups=(of_train, of_test),
        group_kind="subject",
    )
