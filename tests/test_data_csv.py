"""Tables and recordings in .csv files, clips in .wav files, as makers have them."""

from __future__ import annotations

import csv
import wave
from pathlib import Path

import keras
import numpy as np
import pytest
from cli_calls import figures, invoke

from tf_odl.data import load, standardisation, standardised_as
from tf_odl.data.audio import SPEECH
from tf_odl.data.dataset import Dataset
from tf_odl.data.validation import validation_part
from tf_odl.errors import UserError
from tf_odl.task import Loss, Task
from tf_odl.tflm_port.interpreter import available

RNG = np.random.default_rng(0)
CHANNELS = ["aX", "aY", "aZ", "gX", "gY", "gZ"]
ANY = Task(loss=None)


def write(path: Path, *lines: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def both(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Samples and labels of both parts, in the order of the samples."""
    x = np.concatenate([data.x_train, data.x_test])
    order = np.lexsort(x.reshape(len(x), -1).T[::-1])
    return x[order], np.concatenate([data.y_train, data.y_test])[order]


# -- tables -------------------------------------------------------------------------------------

WALKS = [f"{i}.5,{i % 3},{'walk' if i % 2 else 'rest'}" for i in range(10)]


@pytest.mark.parametrize("header", ["a,b,label", "a,b,Class", None])
def test_a_row_is_a_sample(tmp_path: Path, header: str | None) -> None:
    path = write(tmp_path / "walks.csv", *([header] if header else []), *WALKS)
    data = load(path)
    x, y = both(data)
    np.testing.assert_array_equal(x, [[i + 0.5, i % 3] for i in range(10)])
    assert [data.class_names[label] for label in y] == ["rest", "walk"] * 5
    assert (len(data.x_train), len(data.x_test)) == (8, 2) and data.x_train.dtype == np.float32
    said = () if header else ("walks.csv: the label is the last column",)
    assert data.notes == said


def test_the_label_may_be_in_any_column_and_the_last_one_is_said_to_be_it(tmp_path: Path) -> None:
    first = write(tmp_path / "first.csv", "label,a", *(f"{i % 2},{i}" for i in range(10)))
    data = load(first)
    assert both(data)[1].tolist() == [0, 1] * 5 and data.notes == ()
    last = write(tmp_path / "last.csv", "a,b,state", *WALKS)
    assert load(last).notes == ("last.csv: the label is the last column, state",)


def test_semicolons_tabs_quotes_bom_and_an_index(tmp_path: Path) -> None:
    """As spreadsheets and pandas write them."""
    expected = np.array([[i + 0.5, i % 3] for i in range(10)])
    for delimiter in ";\t":
        rows = [row.replace(",", delimiter) for row in ["a,b,label", *WALKS]]
        np.testing.assert_array_equal(both(load(write(tmp_path / "d.csv", *rows)))[0], expected)
    path = tmp_path / "index.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        quoting = csv.writer(file, quoting=csv.QUOTE_ALL)
        quoting.writerow(["", "timestamp", "a", "b", "label"])
        quoting.writerows([[i, 100 * i, *row.split(",")] for i, row in enumerate(WALKS)])
    data = load(str(path))
    np.testing.assert_array_equal(both(data)[0], expected)
    assert data.notes == (
        "index.csv: the column without a name is left out",
        "index.csv: the column 'timestamp' is left out",
    )


def test_columns_called_target_are_learned_as_they_are(tmp_path: Path) -> None:
    rows = [f"{i},{10 * i + 1},{-i / 4}" for i in range(10)]
    path = write(tmp_path / "sensor.csv", "a,target_ppm,target_K", *rows)
    data = load(path, task=ANY)
    x, y = both(data)
    np.testing.assert_array_equal(x[:, 0], np.arange(10))
    np.testing.assert_array_equal(y, [[10 * i + 1, -i / 4] for i in range(10)])
    assert data.target_names == ("ppm", "K") and data.classes == 0 and y.dtype == np.float32
    with pytest.raises(UserError, match=r"has targets.*--loss mse"):
        load(path)


def test_whole_numbers_are_classes_and_fractions_targets_unless_the_task_knows(
    tmp_path: Path,
) -> None:
    whole = write(tmp_path / "whole.csv", "a,target", *(f"{i},{i % 3}" for i in range(12)))
    assert load(whole, task=ANY).classes == 3
    data = load(whole, task=Task(Loss.MSE))
    assert data.classes == 0 and data.target_names == ("target",)
    part = write(tmp_path / "part.csv", "a,target", *(f"{i},{i / 2}" for i in range(12)))
    assert load(part, task=ANY).target_names == ("target",)
    with pytest.raises(UserError, match=r"part\.csv, line 3: the label 0\.5 is no class"):
        load(part)


def test_the_model_tells_whether_there_is_a_label(tmp_path: Path) -> None:
    path = write(tmp_path / "bands.csv", "a,b,c", *(f"{i},{i / 4},1" for i in range(10)))
    data = load(path, task=Task(None, (3,)))
    assert data.x_train.shape == (8, 3) and data.class_names == ("",) and data.notes == ()
    with pytest.raises(UserError, match=r"3 columns and the model takes 3 features.*label"):
        load(path, task=Task(Loss.CROSS_ENTROPY, (3,)))
    with pytest.raises(
        UserError, match=r"bands\.csv, line 2: 2 features \(a, b\) beside c, the model takes 5"
    ):
        load(path, task=Task(None, (5,)))
    with pytest.raises(UserError, match="a file per class"):
        load(path, task=Task(None, (99, 2)))


def test_rows_of_a_recording_stay_together(tmp_path: Path) -> None:
    rows = [f"{i},s{i // 4},{i // 4 % 2}" for i in range(40)]
    data = load(write(tmp_path / "some.csv", "a,recording,label", *rows))
    assert data.x_train.shape[1:] == (1,) and data.group_kind == "recording"
    train, test = ({int(v) // 4 for v in x[:, 0]} for x in (data.x_train, data.x_test))
    assert train | test == set(range(10)) and not train & test and len(test) == 2
    assert np.bincount(data.y_test).tolist() == [4, 4]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,b,label", "1,2,x", "3,y"], r"some\.csv, line 3: 2 values, the header has 3"),
        (["1,2,0", "", "3,4,5,1"], r"some\.csv, line 3: 4 values, line 1 has 3"),
        (["a,b,label", "1,2,x", "3,oops,y"], r"line 3: 'oops' in column b is no number"),
        (["1,2,x", "3,,y"], r"line 2: '' in column 2 is no number"),
        (["a;label", "1,5;x", "2;y"], r"line 2: '1,5' in column a is no number: decimals have a"),
        (["a,label", "nan,0", "1,1"], r"line 2: 'nan' in column a is no number"),
        (["a,label", "1,x", "2,"], r"line 3: the label is empty"),
        (["a,label", "1,0", "2,-1"], r"line 3: the label -1 is no class"),
        (["a,label", "1,x", "2,x", "3,x"], "all training labels are x, at least two classes"),
        (["a,label", "1,x", "2,x", "3,y"], "line 4: the only sample of the class 'y'"),
        (["a,b,label"], r"some\.csv holds no rows below its header"),
        ([""], r"some\.csv holds no rows"),
        (["label", "x", "y"], "no column of features"),
        (["a,a,label", "1,2,x"], "two columns are called 'a'"),
        (["a,class,label", "1,2,x"], r"several labels \(class, label\)"),
        (["Recording,recording,a,label", "1,2,3,x"], "several columns of recordings"),
    ],
)
def test_tables_nobody_can_train_on(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(write(tmp_path / "some.csv", *lines))


def test_files_that_are_no_csv(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        load(str(tmp_path / "some.csv"))
    (tmp_path / "some.csv").write_bytes("a [°C],label\n1,x\n".encode("latin-1"))
    with pytest.raises(UserError, match="is no text in UTF-8"):
        load(str(tmp_path / "some.csv"))


# -- recordings ---------------------------------------------------------------------------------


def recording(number: int, steps: int = 119) -> list[str]:
    """Rows that say which recording and step they are."""
    return [f"{number},{step},0,{number}.25,-{step},1" for step in range(steps)]


def gestures(folder: Path, count: int = 10, steps: int = 119) -> str:
    """A file per class as Arduino's tutorial has them: a header, recordings, blank lines."""
    for i, name in enumerate(("flex", "punch")):
        lines = [",".join(CHANNELS)]
        for number in range(count):
            lines += [*recording(100 * i + number, steps), ""]
        write(folder / f"{name}.csv", *lines)
    return str(folder)


def test_a_file_per_class_with_blank_lines_between_recordings(tmp_path: Path) -> None:
    data = load(gestures(tmp_path), task=Task(shape=(119, 6)))
    assert data.class_names == ("flex", "punch")
    assert data.x_train.shape == (16, 119, 6) and data.x_test.shape == (4, 119, 6)
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert np.array_equal(x[:, 0, 0] >= 100, y == 1), "a window has the label of its file"
        assert (x[:, :, 0] == x[:, :1, 0]).all(), "a window is of one recording"
        np.testing.assert_array_equal(x[0, :, 1], np.arange(119))
    assert np.bincount(data.y_test).tolist() == [2, 2]
    flat = load(str(tmp_path), task=Task(shape=(714,)))
    np.testing.assert_array_equal(flat.x_train, data.x_train.reshape(16, 714))


def test_flat_windows_are_standardised_by_the_channels(tmp_path: Path) -> None:
    path = gestures(tmp_path)
    plain = load(path, task=Task(shape=(119, 6)), standardise=True)
    flat = load(path, task=Task(shape=(714,)), standardise=True)
    assert flat.mean is not None and plain.mean is not None and len(flat.mean) == 6
    np.testing.assert_allclose(flat.mean, plain.mean, rtol=1e-6)
    np.testing.assert_allclose(flat.x_test, plain.x_test.reshape(4, 714), rtol=1e-5)
    raw = load(path, task=Task(shape=(714,)))
    later = standardised_as(raw, standardisation(flat))
    np.testing.assert_allclose(later.x_train, flat.x_train, rtol=1e-5)
    other = standardised_as(flat, {"mean": [1.0] * 6, "deviation": [2.0] * 6})
    np.testing.assert_allclose(other.x_train, (raw.x_train - 1) / 2, rtol=1e-4, atol=1e-4)


def test_windows_of_one_recording_are_in_one_part(tmp_path: Path) -> None:
    data = load(gestures(tmp_path, steps=100), task=Task(shape=(30, 6, 1)))
    assert data.x_train.shape == (48, 30, 6, 1) and data.x_test.shape == (12, 30, 6, 1)
    train, test = (set(x[:, 0, 0, 0]) for x in (data.x_train, data.x_test))
    assert not train & test and len(train | test) == 20
    starts = sorted(data.x_train[data.x_train[:, 0, 0, 0] == min(train)][:, 0, 1, 0])
    assert starts == [0, 30, 60], "no overlap, and what is left over is dropped"
    part = validation_part(data, "1/4")
    assert not set(part.x_train[:, 0, 0, 0]) & set(part.x_test[:, 0, 0, 0])
    assert set(part.y_test) == {0, 1}
    with pytest.raises(UserError, match="who made"):
        load(str(tmp_path), task=Task(shape=(30, 6)), person=1)


def test_a_sub_folder_per_class_with_a_file_per_recording(tmp_path: Path) -> None:
    for i, name in enumerate(("flex", "punch")):
        for number in range(5):
            write(tmp_path / name / f"{number}.csv", *recording(100 * i + number, 40))
    data = load(str(tmp_path), task=Task(shape=(40, 6)))
    assert data.x_train.shape == (8, 40, 6) and data.x_test.shape == (2, 40, 6)
    assert np.array_equal(data.x_train[:, 0, 0] >= 100, data.y_train == 1)
    np.testing.assert_array_equal(load(str(tmp_path)).x_train, data.x_train)  # all as long


def test_recordings_in_train_and_test(tmp_path: Path) -> None:
    gestures(tmp_path / "train", 3)
    gestures(tmp_path / "test", 2)
    data = load(str(tmp_path), task=Task(shape=(119, 6)))
    assert (len(data.x_train), len(data.x_test)) == (6, 4)
    assert data.groups_train is not None and data.groups_test is not None
    assert not set(data.groups_train) & set(data.groups_test)


def test_one_long_recording_per_class_ends_in_the_test_part(tmp_path: Path) -> None:
    data = load(gestures(tmp_path, count=1, steps=100), task=Task(shape=(10, 6)))
    assert sorted(data.x_test[:, 0, 1]) == [80, 80, 90, 90] and len(data.x_train) == 16
    assert data.notes == tuple(
        f"{name!r} is a single recording: its last fifth is the test part"
        for name in ("flex", "punch")
    )


def test_a_header_in_the_middle_and_a_short_recording(tmp_path: Path) -> None:
    header = ",".join(CHANNELS)
    for name in ("flex", "punch"):
        parts = [recording(i, 20 if i else 7) for i in range(5)]
        write(tmp_path / f"{name}.csv", *(line for part in parts for line in [header, *part]))
    data = load(str(tmp_path), task=Task(shape=(20, 6)))
    assert len(data.x_train) + len(data.x_test) == 8
    (note,) = data.notes
    assert note.startswith("2 of 10 recordings have fewer than the 20 rows")
    assert note.endswith(f"{tmp_path / 'flex.csv'}, line 2")
    with pytest.raises(UserError, match=r"recording of 20 rows, the first one has 7"):
        load(str(tmp_path))


def test_recordings_nobody_can_train_on(tmp_path: Path) -> None:
    path = gestures(tmp_path)
    with pytest.raises(UserError, match=r"flex\.csv, line 2: 6 channels, the model takes .*50 x 3"):
        load(path, task=Task(shape=(50, 3)))
    with pytest.raises(UserError, match=r"119 rows, and no recording of 'flex' has the 500 rows"):
        load(path, task=Task(shape=(500, 6)))
    write(tmp_path / "punch.csv", "1,2", "3,4")
    with pytest.raises(UserError, match=r"punch\.csv, line 1: 2 channels, .*flex\.csv has 6"):
        load(path, task=Task(shape=(119, 6)))
    write(tmp_path / "punch.csv", *recording(0)[:60], "1,2,3,4,x,6")
    with pytest.raises(UserError, match=r"punch\.csv, line 61: 'x' in column 5 is no number"):
        load(path, task=Task(shape=(119, 6)))
    (tmp_path / "punch.csv").unlink()
    with pytest.raises(UserError, match=r"two \.csv files, one per class, it has 1"):
        load(path, task=Task(shape=(119, 6)))


# -- clips --------------------------------------------------------------------------------------


def clip(path: Path, rate: int = 16000, seconds: float = 0.8) -> np.ndarray:
    samples = RNG.integers(-3000, 3000, int(rate * seconds)).astype("<i2")
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return samples


def test_a_folder_of_words(tmp_path: Path) -> None:
    sounds = {
        (label, i): clip(tmp_path / name / f"{i}.wav")
        for label, name in enumerate(("no", "yes"))
        for i in range(5)
    }
    data = load(str(tmp_path))
    assert data.class_names == ("no", "yes") and data.x_train.shape == (8, 49, 13)
    assert abs(data.x_train.mean()) < 1e-5 and data.mean is not None and data.deviation is not None
    plain, labels = both(data)
    plain = plain * data.deviation + data.mean
    for (label, _), sound in sounds.items():
        frames = SPEECH(np.pad(sound, (0, 16000 - len(sound)))[None])[0]
        difference = np.abs(plain - frames).max((1, 2))
        assert difference.min() < 1e-4 and labels[difference.argmin()] == label
    (tmp_path / "yes" / "0.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"\.png and \.wav files"):
        load(str(tmp_path))
    (tmp_path / "yes" / "0.png").unlink()
    clip(tmp_path / "yes" / "0.wav", rate=44100)
    with pytest.raises(UserError, match=r"0\.wav has .* at 44100 Hz.*ffmpeg"):
        load(str(tmp_path))


def test_speakers_whose_names_are_known_stay_apart(tmp_path: Path) -> None:
    for speaker in ("0a", "1b", "2c", "3d", "4e"):
        for word in ("no", "yes"):
            for i in range(2):
                clip(tmp_path / word / f"{speaker}_nohash_{i}.wav", seconds=0.1)
    data = load(str(tmp_path))
    assert data.group_kind == "speaker"
    assert data.groups_train is not None and data.groups_test is not None
    assert not set(data.groups_train) & set(data.groups_test)
    assert np.bincount(data.y_test).tolist() == [2, 2]


def test_other_clips_are_standardised_as_those_of_the_run(tmp_path: Path) -> None:
    for word in ("no", "yes"):
        for i in range(5):
            clip(tmp_path / word / f"{i}.wav")
    data = load(str(tmp_path))
    assert data.mean is not None and data.deviation is not None
    record = {"mean": [1.0] * 13, "deviation": [2.0] * 13}
    plain = data.x_test * data.deviation + data.mean
    np.testing.assert_allclose(standardised_as(data, record).x_test, (plain - 1) / 2, atol=1e-5)


# -- the whole path -----------------------------------------------------------------------------


def waves(folder: Path, gain: float) -> Path:
    """Slow and fast waves in two channels of unlike scales, 12 recordings of 40 rows each."""
    for name, turns in (("slow", 1), ("fast", 4)):
        lines = ["aX,gX"]
        for _ in range(12):
            angle = 2 * np.pi * (turns * np.arange(40) / 40 + RNG.uniform())
            noise = RNG.normal(0, 0.1, (40, 2))
            rows = gain * np.stack([np.sin(angle), 50 * np.cos(angle)], axis=1) + noise
            lines += [*(f"{a:.3f},{g:.3f}" for a, g in rows), ""]
        write(folder / f"{name}.csv", *lines)
    return folder


@pytest.mark.skipif(available() is not None, reason=str(available()))
def test_gestures_from_the_serial_monitor_to_the_board(tmp_path: Path) -> None:
    """Windows, their standardisation and the names of the classes go with the run."""
    keras.utils.set_random_seed(0)
    ends = [keras.layers.Dense(16, activation="relu"), keras.layers.Dense(2, activation="softmax")]
    keras.Sequential([keras.Input((80,)), *ends]).save(tmp_path / "mine.keras")
    run = tmp_path / "run"
    record = figures(
        *("finetune", "--model", tmp_path / "mine.keras", "--data", waves(tmp_path / "mine", 1)),
        *("--standardise", "--lr", 0.05, "--batch-size", 4, "--epochs", 15, "--out", run),
    )
    assert record["data"]["train"] == [20, 80] and record["result"]["accuracy"] == 1
    assert len(record["data"]["mean"]) == 2 and record["data"]["deviation"][1] > 20
    figures("export", run)
    out = run / "export-nano33"
    header = next(out.glob("arduino/*/sample.h")).read_text()
    assert "kChannels = 2;" in header and '{"fast", "slow"}' in header
    others = figures("simulate", out, "--data", waves(tmp_path / "other", 0.8))
    assert others["samples"] == 20 and others["accuracy_before"] == 1
    tests = figures("verify", out, "--data", tmp_path / "other")
    assert tests["samples"] == 4
    (tmp_path / "mine" / "fast.csv").write_text("aX,gX\n1,2\n1,x\n")
    refused = invoke(
        *("finetune", "--model", tmp_path / "mine.keras", "--data", tmp_path / "mine"),
        *("--out", tmp_path / "again"),
    )
    assert refused.exit_code == 2 and "fast.csv, line 3: 'x' in column gX" in refused.stderr
    assert not (tmp_path / "again").exists()
