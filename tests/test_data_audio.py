"""The audio front end against its formula, and the sets of .wav files."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from tf_odl.data import load
from tf_odl.data.audio import SPEECH, FrontEnd
from tf_odl.data.wav import read_wav
from tf_odl.errors import UserError

RNG = np.random.default_rng(0)
RATE = 16000


def write_wav(path: Path, clip: np.ndarray, rate: int = RATE, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(clip).astype("<i2").tobytes())


def tone(frequency: float, seconds: float = 1.0, amplitude: float = 8000) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(round(frequency)).normal(0, 50, len(time))
    return (amplitude * np.sin(2 * np.pi * frequency * time) + noise).astype(np.int16)


def by_hand(clip: np.ndarray, window: int, step: int, size: int, bands: int, cepstral: int):
    """The documented formula, sum by sum."""

    def mel(f):
        return 2595 * np.log10(1 + f / 700)

    corners = [700 * (10 ** (m / 2595) - 1) for m in np.linspace(mel(20), mel(RATE / 2), bands + 2)]
    n = np.arange(window)
    hann = np.sin(np.pi * n / window) ** 2
    rows = []
    for start in range(0, len(clip) - window + 1, step):
        x = clip[start : start + window] / 32768 * hann
        power = [
            abs(np.sum(x * np.exp(-2j * np.pi * k * n / size))) ** 2 for k in range(size // 2 + 1)
        ]
        log_mel = []
        for left, middle, right in zip(corners, corners[1:], corners[2:], strict=False):
            total = 0.0
            for k, p in enumerate(power):
                f = k * RATE / size
                if left < f <= middle:
                    total += p * (f - left) / (middle - left)
                elif middle < f < right:
                    total += p * (right - f) / (right - middle)
            log_mel.append(np.log(total + 1e-3))
        band = np.arange(bands)
        rows.append(
            [
                np.sqrt((2 if c else 1) / bands)
                * np.sum(log_mel * np.cos(np.pi * c * (band + 0.5) / bands))
                for c in range(cepstral)
            ]
            if cepstral
            else log_mel
        )
    return np.array(rows)


@pytest.mark.parametrize("cepstral", [13, 0])
def test_frames_are_what_the_formula_says(cepstral):
    clips = RNG.integers(-20000, 20000, (2, 480 + 3 * 320 + 100)).astype(np.int16)
    found = FrontEnd(RATE, 480, 320, 40, cepstral)(clips)
    assert found.dtype == np.float32 and found.shape == (2, 4, cepstral or 40)
    for clip, frames in zip(clips, found, strict=True):
        assert np.allclose(frames, by_hand(clip, 480, 320, 512, 40, cepstral), atol=1e-3)


def test_a_tone_is_heard_in_its_band_and_silence_is_finite():
    front_end = FrontEnd(RATE, 480, 320, 40)
    low, high, silence = front_end(np.stack([tone(300), tone(5000), np.zeros(RATE, np.int16)]))
    # mel(300) = 402, mel(5000) = 2364 of 40 bands between 32 and 2840, 68.5 apart: numbers 4, 33.
    assert np.abs(low.argmax(1) - 4).max() <= 1 and np.abs(high.argmax(1) - 33).max() <= 1
    assert np.allclose(silence, np.log(1e-3))
    assert SPEECH(np.zeros((1, RATE), np.int16)).shape == (1, 49, 13)


def test_many_clips_are_the_same_as_few():
    clips = RNG.integers(-9000, 9000, (130, 800)).astype(np.int16)
    front_end = FrontEnd(RATE, 480, 320, 20, 5)
    one_by_one = np.concatenate([front_end(clip[None]) for clip in clips])
    assert np.allclose(front_end(clips), one_by_one, atol=1e-5)


def test_wav_files_nobody_can_use(tmp_path):
    path = tmp_path / "a.wav"
    with pytest.raises(UserError, match=r"a\.wav is missing"):
        read_wav(path, RATE)
    write_wav(path, tone(300))
    assert np.array_equal(read_wav(path, RATE), tone(300))
    whole = path.read_bytes()
    for damage, message in (
        (b"", "cannot be read"),
        (b"RIFF nothing", "cannot be read"),
        (whole[:-1000], "announces 16,000 samples and holds 15,500"),
    ):
        path.write_bytes(damage)
        with pytest.raises(UserError, match=rf"a\.wav {message}"):
            read_wav(path, RATE)
    write_wav(path, tone(300), rate=8000)
    with pytest.raises(UserError, match="1 channels of 16 bits at 8000 Hz: it must"):
        read_wav(path, RATE)
    write_wav(path, tone(300), channels=2)
    with pytest.raises(UserError, match="2 channels"):
        read_wav(path, RATE)


# hash, numbers of the recordings
SPEAKERS = {"00aa11bb": (0, 1, 2, 10), "7f00aa00": (0, 1), "c0ffee00": (0, 1, 2)}
WORDS = {"yes": 400, "no": 1500, "stop": 4000}


def write_speech_commands(root: Path) -> None:
    for word, frequency in WORDS.items():
        for speaker, numbers in SPEAKERS.items():
            for number in numbers:
                clip = tone(frequency + number, seconds=0.8 if number == 1 else 1.0)
                write_wav(root / word / f"{speaker}_nohash_{number}.wav", clip)
    write_wav(root / "_background_noise_" / "hum.wav", tone(50, 3))
    (root / "LICENSE").write_text("CC BY 4.0")
    for name, speaker in (("testing_list.txt", "c0ffee00"), ("validation_list.txt", "7f00aa00")):
        lines = [f"{w}/{speaker}_nohash_{n}.wav" for w in WORDS for n in SPEAKERS[speaker]]
        (root / name).write_text("\n".join(lines) + "\n")


def test_speech_commands_in_the_published_split(tmp_path):
    write_speech_commands(tmp_path)
    data = load("speech-commands", data_dir=tmp_path)
    assert data.class_names == ("no", "stop", "yes")
    assert data.x_train.shape == (18, 49, 13) and data.x_test.shape == (9, 49, 13)
    assert data.group_kind == "speaker"
    # Speakers in the order of their hashes; validation joins training.
    assert set(data.groups_train) == {1, 2} and set(data.groups_test) == {3}
    assert data.y_test.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    second = SPEECH(np.pad(tone(1501, 0.8), (0, 3200))[None])[0]
    assert np.allclose(data.x_test[1] * data.deviation + data.mean, second, atol=1e-3), (
        "a short clip ends in silence"
    )
    flat = data.x_train.reshape(-1, 13)
    assert np.allclose(flat.mean(0), 0, atol=1e-5) and np.allclose(flat.std(0), 1, atol=1e-4)


def test_words_can_be_chosen(tmp_path):
    write_speech_commands(tmp_path / "speech_commands_v0.02")
    data = load("speech-commands:yes,no", data_dir=tmp_path)
    assert data.class_names == ("yes", "no") and len(data.x_train) == 12
    assert data.y_test.tolist() == [1] * 3 + [0] * 3
    assert set(data.groups_test) == {3}, "numbers do not depend on the words"
    with pytest.raises(UserError, match="no word maybe: it has no, stop, yes"):
        load("speech-commands:yes,maybe", data_dir=tmp_path)
    with pytest.raises(UserError, match="classes of digits cannot be chosen: leave :1,2 out"):
        load("digits:1,2")


def test_a_speaker_in_recorded_order(tmp_path):
    write_speech_commands(tmp_path)
    person = load("speech-commands:no,yes", data_dir=tmp_path, person=1)
    assert len(person.x_train) == 4 and len(person.x_test) == 4
    third, last = (SPEECH(tone(1500 + n)[None])[0] for n in (2, 10))
    found = person.x_test * person.deviation + person.mean
    assert np.allclose(found[0], third, atol=1e-3) and np.allclose(found[1], last, atol=1e-3)


def test_speech_commands_nobody_can_use(tmp_path):
    with pytest.raises(UserError, match=r"speech-commands: put .*testing_list\.txt.*1804\.03209"):
        load("speech-commands", data_dir=tmp_path)
    write_speech_commands(tmp_path)
    (tmp_path / "validation_list.txt").unlink()
    with pytest.raises(UserError, match=r"validation_list\.txt is missing"):
        load("speech-commands", data_dir=tmp_path)
    write_speech_commands(tmp_path)
    clip = tmp_path / "yes" / "c0ffee00_nohash_2.wav"
    clip.write_bytes(clip.read_bytes()[:100])
    with pytest.raises(UserError, match=r"c0ffee00_nohash_2\.wav"):
        load("speech-commands", data_dir=tmp_path)
    clip.rename(tmp_path / "yes" / "unknown.wav")
    with pytest.raises(UserError, match=r"yes.unknown\.wav: the name does not say the speaker"):
        load("speech-commands", data_dir=tmp_path)


def test_arabic_speech_joins_validation_to_training(tmp_path):
    frequencies = np.array([400, 1500] * 6)
    speaker = np.repeat([1, 2, 3], 4)
    arrays = {
        "audio": np.stack([tone(f) for f in frequencies]),
        "label": np.array([0, 1] * 6, np.uint8),
        "speaker": speaker.astype(np.uint8),
        "split": np.array(["train", "val", "test"])[speaker - 1],
        "words": np.array(["yes", "no"]),
    }
    np.savez(tmp_path / "asc_8w_5rounds.npz", **arrays)
    data = load("arabic-speech", data_dir=tmp_path)
    assert data.class_names == ("yes", "no") and data.y_test.tolist() == [0, 1, 0, 1]
    assert set(data.groups_train) == {1, 2} and set(data.groups_test) == {3}
    expected = SPEECH(tone(1500)[None])[0]
    assert np.allclose(data.x_test[1] * data.deviation + data.mean, expected, atol=1e-3)
    for change, message in (
        ({"audio": np.zeros((12, 300), np.int16)}, "480 samples or more"),
        ({"audio": np.zeros((12, 16000))}, "must be int16"),
        ({"split": np.array(["train"])}, r"12 samples, but split \(1,\)"),
    ):
        np.savez(tmp_path / "asc_8w_5rounds.npz", **(arrays | change))
        with pytest.raises(UserError, match=rf"asc_8w_5rounds\.npz.*{message}"):
            load("arabic-speech", data_dir=tmp_path)
    (tmp_path / "asc_8w_5rounds.npz").unlink()
    with pytest.raises(UserError, match=r"arabic-speech: put asc_8w_5rounds\.npz there.*Ghandoura"):
        load("arabic-speech", data_dir=tmp_path)


def write_slider(root: Path) -> None:
    for machine, frequency in (("00", 400), ("02", 2000), ("04", 5000)):
        for i in range(2):
            write_wav(root / "train" / f"normal_id_{machine}_{i:08d}.wav", tone(frequency, 3.3))
        write_wav(root / "test" / f"normal_id_{machine}_{0:08d}.wav", tone(frequency, 2.2))
        write_wav(root / "test" / f"anomaly_id_{machine}_{0:08d}.wav", tone(frequency + 700, 2.2))


@pytest.mark.parametrize("folder", [".", "slider"])
def test_slide_rails_are_told_apart_by_their_normal_sound(tmp_path, folder):
    write_slider(tmp_path / folder)
    data = load("dcase-slider", data_dir=tmp_path)
    assert data.class_names == ("id_00", "id_02", "id_04")
    # 3.3 s are 102 frames of 64 ms every 32 ms: three samples of 32; 2.2 s are 67: two.
    assert data.x_train.shape == (18, 32, 40) and data.x_test.shape == (6, 32, 40)
    assert np.bincount(data.y_train).tolist() == [6] * 3
    assert data.y_test.tolist() == [0, 0, 1, 1, 2, 2]
    clip = read_wav(tmp_path / folder / "test" / "normal_id_02_00000000.wav", RATE)
    frames = by_hand(clip[32 * 512 : 33 * 512 + 512], 1024, 512, 1024, 40, 0)
    found = data.x_test[3] * data.deviation + data.mean
    assert np.allclose(found[0], frames[0], atol=1e-3), "the second sample starts at frame 32"


def test_slide_rails_nobody_can_use(tmp_path):
    with pytest.raises(UserError, match=r"dcase-slider: put the folder slider.*zenodo"):
        load("dcase-slider", data_dir=tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(UserError, match=r"train holds no normal_id"):
        load("dcase-slider", data_dir=tmp_path)
    write_slider(tmp_path)
    short = tmp_path / "test" / "normal_id_04_00000001.wav"
    write_wav(short, tone(300, 0.5))
    with pytest.raises(UserError, match=r"normal_id_04_00000001\.wav is shorter"):
        load("dcase-slider", data_dir=tmp_path)
    short.rename(tmp_path / "test" / "normal_id_06_00000001.wav")
    with pytest.raises(UserError, match="has machine 06, which is not in train"):
        load("dcase-slider", data_dir=tmp_path)
