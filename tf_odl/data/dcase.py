"""DCASE 2020 Task 2, slide rails: which of the machines of one type runs?

The published task is to find anomalous sounds when only normal ones are known. As a
classification, the usual way to it is to tell the machines apart, by their normal sounds.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from tf_odl.data.archives import find
from tf_odl.data.audio import FrontEnd
from tf_odl.data.dataset import Dataset, checked
from tf_odl.data.wav import read_wav
from tf_odl.errors import UserError

SOURCE = (
    "DCASE 2020 Challenge Task 2, development dataset, slider, https://zenodo.org/records/3678171"
)
NAME = re.compile(r"(normal|anomaly)_id_(\d+)_\d+\.wav")
LOG_MEL = FrontEnd(rate=16000, window=1024, step=512, bands=40)
FRAMES = 32  # of a sample: 1.06 s


def load_dcase_slider(data_dir: Path | None) -> Dataset:
    """float32 [N, 32, 40], log-mel frames of about a second; a clip of 10 s gives 9 samples.

    Classes are the machines; normal clips of `train` for training, those of `test` for test.

    Args:
        data_dir: holds `slider/train/normal_id_00_00000000.wav` and so on, as published.

    Raises:
        UserError: a file is missing or damaged.
    """
    files = "the folder slider with train/normal_id_00_*.wav and test"
    folder = find("dcase-slider", data_dir, ("slider",), "train", files=files, source=SOURCE)
    train, test = (_normal(folder / part) for part in ("train", "test"))
    machines = sorted({machine for _, machine in train})
    if unknown := sorted({machine for _, machine in test} - set(machines)):
        raise UserError(f"{folder / 'test'} has machine {unknown[0]}, which is not in train")
    return checked(
        "dcase-slider",
        _samples(train, machines),
        _samples(test, machines),
        source=f"{SOURCE} ({folder})",
        class_names=tuple(f"id_{machine}" for machine in machines),
    )


def _normal(folder: Path) -> list[tuple[Path, str]]:
    """(file, machine) of the normal clips, sorted."""
    clips = []
    for path in sorted(folder.glob("*.wav")):
        name = NAME.fullmatch(path.name)
        if not name:
            raise UserError(f"{path}: the name must be normal_id_NN_*.wav or anomaly_id_NN_*.wav")
        if name[1] == "normal":
            clips.append((path, name[2]))
    if not clips:
        raise UserError(f"{folder} holds no normal_id_*.wav: get {SOURCE} again")
    return clips


def _samples(clips: list[tuple[Path, str]], machines: list[str]) -> tuple[np.ndarray, np.ndarray]:
    x, y = [], []
    for path, machine in clips:
        clip = read_wav(path, LOG_MEL.rate)
        count = LOG_MEL.frames(len(clip)) // FRAMES
        if count < 1:
            raise UserError(f"{path} is shorter than the {FRAMES} frames of a sample")
        frames = LOG_MEL(clip[None])[0, : count * FRAMES]
        x.append(frames.reshape(count, FRAMES, LOG_MEL.bands))
        y += [machines.index(machine)] * count
    return np.concatenate(x), np.array(y)
