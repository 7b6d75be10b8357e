"""Clips of sound from .wav files."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from tf_odl.errors import UserError


def read_wav(path: Path, rate: int) -> np.ndarray:
    """int16 [samples] of a file with one channel of 16 bits at `rate` Hz.

    Raises:
        UserError: the file is missing or damaged, or has another format.
    """
    try:
        with wave.open(str(path), "rb") as file:
            found = file.getnchannels(), 8 * file.getsampwidth(), file.getframerate()
            samples = file.getnframes()
            data = file.readframes(samples)
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (OSError, EOFError, wave.Error) as error:
        raise UserError(f"{path} cannot be read: {error or 'it ends too early'}") from error
    if found != (1, 16, rate):
        raise UserError(
            f"{path} has {found[0]} channels of {found[1]} bits at {found[2]} Hz: "
            f"it must have one of 16 bits at {rate} Hz "
            f"(ffmpeg -i IN -ac 1 -ar {rate} -sample_fmt s16 OUT makes it so)"
        )
    if len(data) != 2 * samples:
        raise UserError(f"{path} announces {samples:,} samples and holds {len(data) // 2:,}")
    return np.frombuffer(data, "<i2").astype(np.int16)


def of_length(clip: np.ndarray, samples: int) -> np.ndarray:
    """`clip` cut at the end or continued with silence."""
    return np.pad(clip[:samples], (0, max(0, samples - len(clip))))
