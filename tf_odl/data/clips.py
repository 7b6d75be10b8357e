"""Clips of sound in .wav files, as the frames of the audio front end."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from tf_odl.data.audio import CHUNK, SECOND, SPEECH
from tf_odl.data.wav import of_length, read_wav

SPEAKER = re.compile(r"([0-9a-f]+)_nohash_(\d+)\.wav")


def words_of(paths: list[Path]) -> np.ndarray:
    """float32 [N, 49, 13], MFCC of files of about a second.

    Some at a time: the sound of all of them is large.
    """
    parts = [np.empty((0, SPEECH.frames(SECOND), SPEECH.coefficients), np.float32)]
    for start in range(0, len(paths), CHUNK):
        clips = [read_wav(p, SPEECH.rate) for p in paths[start : start + CHUNK]]
        parts.append(SPEECH(np.stack([of_length(clip, SECOND) for clip in clips])))
    return np.concatenate(parts)


def speakers_of(paths: list[Path]) -> np.ndarray | None:
    """int64 [N] from names as in Speech Commands, None where a name does not say."""
    found = [SPEAKER.fullmatch(path.name) for path in paths]
    if not all(found):
        return None
    return np.unique([m[1] for m in found if m], return_inverse=True)[1].astype(np.int64) + 1
