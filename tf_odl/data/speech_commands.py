"""Speech Commands: spoken words of one second, by thousands of speakers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tf_odl.data.archives import find
from tf_odl.data.clips import SPEAKER, words_of
from tf_odl.data.dataset import Dataset, checked
from tf_odl.data.text import read_lines
from tf_odl.errors import UserError

SOURCE = (
    "Speech Commands, P. Warden, arXiv:1804.03209, "
    "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
)
FOLDERS = (
    "speech-commands",
    "speech_commands",
    "speech_commands_v0.01",
    "speech_commands_v0.02",
    "SpeechCommands",
)
LISTS = ("testing_list.txt", "validation_list.txt")


@dataclass(frozen=True, order=True)
class _Clip:
    word: str
    speaker: str
    number: int
    path: Path


def load_speech_commands(data_dir: Path | None, words: tuple[str, ...] = ()) -> Dataset:
    """float32 [N, 49, 13], MFCC of the words; validation is part of training.

    The published split, which keeps speakers apart. Speakers are numbered 1, 2, .. in the order
    of the hashes in the names of all files, whatever words are chosen.

    Args:
        data_dir: the unpacked archive: a folder of .wav files per word, testing_list.txt and
            validation_list.txt.
        words: the classes, in this order; all words of the folder, in the order of the alphabet,
            if there are none.

    Raises:
        UserError: a file or word is missing, or a file is damaged.
    """
    files = f"the unpacked archive with {' and '.join(LISTS)}"
    folder = find("speech-commands", data_dir, FOLDERS, LISTS[0], files=files, source=SOURCE)
    tested, _ = (set(read_lines(folder / name)) for name in LISTS)  # both: else it is not whole
    found = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] not in "._")
    words = tuple(dict.fromkeys(words)) or tuple(found)
    if unknown := [word for word in words if word not in found]:
        raise UserError(f"{folder} has no word {', '.join(unknown)}: it has {', '.join(found)}")
    clips = [clip for word in found for clip in _clips(folder / word)]
    numbers = {s: i for i, s in enumerate(sorted({c.speaker for c in clips}), start=1)}
    parts = []
    for testing in (False, True):
        chosen = [
            c for c in clips if c.word in words and testing == (f"{c.word}/{c.path.name}" in tested)
        ]
        parts.append(
            (
                words_of([c.path for c in chosen]),
                np.array([words.index(c.word) for c in chosen], np.int64),
                np.array([numbers[c.speaker] for c in chosen], np.int64),
            )
        )
    (x_train, y_train, of_train), (x_test, y_test, of_test) = parts
    return checked(
        "speech-commands",
        (x_train, y_train),
        (x_test, y_test),
        source=f"{SOURCE} ({folder})",
        class_names=words,
        groups=(of_train, of_test),
        group_kind="speaker",
    )


def _clips(folder: Path) -> list[_Clip]:
    """The clips of a word in recorded order, speaker by speaker."""
    clips = []
    for path in folder.glob("*.wav"):
        name = SPEAKER.fullmatch(path.name)
        if not name:
            raise UserError(f"{path}: the name does not say the speaker, HASH_nohash_NUMBER.wav")
        clips.append(_Clip(folder.name, name[1], int(name[2]), path))
    if not clips:
        raise UserError(f"{folder} holds no .wav file")
    return sorted(clips)
