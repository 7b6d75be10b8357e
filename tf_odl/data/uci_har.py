"""UCI HAR: smartphone activities of 30 subjects, as published.

Windows of 128 samples at 50 Hz, half overlapping; the test subjects are 9 others than the 21 of
training.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tf_odl.data.archives import find
from tf_odl.data.dataset import Dataset, checked
from tf_odl.data.hapt import ACTIVITIES
from tf_odl.data.text import read_column, read_table
from tf_odl.errors import UserError

SOURCE = "Human Activity Recognition Using Smartphones, https://archive.ics.uci.edu/dataset/240"
FOLDERS = ("uci-har", "UCI HAR Dataset")
PARTS = ("train", "test")
SIGNALS = tuple(
    f"{signal}_{axis}" for signal in ("body_acc", "body_gyro", "total_acc") for axis in "xyz"
)


def load_uci_har(data_dir: Path | None) -> Dataset:
    """float32 [N, 561], the features of the publication; 7352 samples for training, 2947 for test.

    Args:
        data_dir: holds `train/X_train.txt`, `y_train.txt`, `subject_train.txt` and the same for
            `test`, as published.

    Raises:
        UserError: a file is missing or damaged.
    """
    files = "train/X_train.txt and the others"
    folder = find("uci-har", data_dir, FOLDERS, "train", files=files, source=SOURCE)
    return _load("uci-har", folder, [read_table(_file(folder, p, f"X_{p}")) for p in PARTS])


def load_uci_har_raw(data_dir: Path | None) -> Dataset:
    """float32 [N, 128, 9], windows of the signals in g and rad/s; the samples of `load_uci_har`.

    Channels: body acceleration x, y, z; angular velocity x, y, z; total acceleration x, y, z.

    Args:
        data_dir: holds `train/Inertial Signals/body_acc_x_train.txt` and so on, as published.

    Raises:
        UserError: a file is missing or damaged.
    """
    files = "train/Inertial Signals/body_acc_x_train.txt and the others"
    folder = find("uci-har-raw", data_dir, FOLDERS, "train", files=files, source=SOURCE)
    return _load("uci-har-raw", folder, [_windows(folder, part) for part in PARTS])


def _file(folder: Path, part: str, name: str) -> Path:
    return folder / part / f"{name}.txt"


def _windows(folder: Path, part: str) -> np.ndarray:
    files = [_file(folder, part, f"Inertial Signals/{s}_{part}") for s in SIGNALS]
    signals = [read_table(path) for path in files]
    for signal, path in zip(signals, files, strict=True):
        if signal.shape != signals[0].shape:
            raise UserError(
                f"{path} has {signal.shape[0]} windows of {signal.shape[1]} samples, "
                f"{files[0].name} has {signals[0].shape[0]} of {signals[0].shape[1]}: get it again"
            )
    return np.stack(signals, axis=-1)


def _load(name: str, folder: Path, samples: list[np.ndarray]) -> Dataset:
    labels, subjects = (
        [
            read_column(_file(folder, part, f"{kind}_{part}"), len(x))
            for part, x in zip(PARTS, samples, strict=True)
        ]
        for kind in ("y", "subject")
    )
    return checked(
        name,
        (samples[0], labels[0] - 1),
        (samples[1], labels[1] - 1),
        source=f"{SOURCE} ({folder})",
        class_names=ACTIVITIES,
        groups=(subjects[0], subjects[1]),
        group_kind="subject",
    )
