"""Arabic speech commands: words of one second by 30 speakers, in the format of Speech Commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tf_odl.data.archives import find
from tf_odl.data.audio import SPEECH
from tf_odl.data.dataset import Dataset, checked
from tf_odl.data.npz import read_npz
from tf_odl.errors import UserError

SOURCE = (
    "Arabic Speech Commands, A. Ghandoura, F. Hjabo, O. Al Dakkak, "
    "https://github.com/abdulkaderghandoura/arabic-speech-commands-dataset"
)
FOLDERS = ("arabic-speech", "arabic_speech_commands")
NPZ = "asc_8w_5rounds.npz"


def load_arabic_speech(data_dir: Path | None) -> Dataset:
    """float32 [N, 49, 13], MFCC; 8 words, 960 samples for training and 240 for test.

    The set's own split by speakers: 24 for training, validation included, 6 others for test.

    Args:
        data_dir: holds `asc_8w_5rounds.npz`: audio int16 [N, 16000], label, words, speaker and
            split ("train", "val" or "test").

    Raises:
        UserError: the file is missing or damaged.
    """
    folder = find("arabic-speech", data_dir, FOLDERS, NPZ, files=NPZ, source=SOURCE)
    path = folder / NPZ
    arrays = read_npz(path, "audio", "label", "speaker", "split", "words")
    audio = arrays["audio"]
    if audio.dtype != np.int16 or audio.ndim != 2 or audio.shape[1] < SPEECH.window:
        raise UserError(
            f"{path}: audio must be int16 [N, samples] with {SPEECH.window} samples or more, "
            f"got {audio.dtype} {audio.shape}"
        )
    for key in ("label", "speaker", "split"):
        if arrays[key].shape != audio.shape[:1]:
            raise UserError(f"{path} has {len(audio)} samples, but {key} {arrays[key].shape}")
    x, label, speaker = SPEECH(audio), arrays["label"], arrays["speaker"]
    train, test = np.isin(arrays["split"], ["train", "val"]), arrays["split"] == "test"
    return checked(
        "arabic-speech",
        (x[train], label[train]),
        (x[test], label[test]),
        source=f"{SOURCE} ({path})",
        class_names=tuple(map(str, arrays["words"])),
        groups=(speaker[train], speaker[test]),
        group_kind="speaker",
    )
