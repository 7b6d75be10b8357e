"""`teach`, `pull`, `push` and `monitor`, typed as a user does, with a fake board on a pty."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from fake_board import FakeBoard, Loopback, on_pty

from tf_odl import teaching
from tf_odl.board.client import Board
from tf_odl.board.connection import Connection, NoAnswer
from tf_odl.board.lesson import Lesson
from tf_odl.board.messages import InputType, Step
from tf_odl.cli import main
from tf_odl.cli.teaching import show
from tf_odl.data import load
from tf_odl.errors import UserError
from tf_odl.task import Loss, Task

FEATURES, CLASSES, SAMPLES, TESTS = 12, 3, 300, 60


def run(*arguments: object):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Three clouds around random centres; softmax regression is right on nearly all of them."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(-0.6, 0.6, (CLASSES, FEATURES))
    labels = rng.integers(0, CLASSES, SAMPLES + TESTS)
    x = (centres[labels] + 0.2 * rng.standard_normal((SAMPLES + TESTS, FEATURES))).astype("f4")
    path = tmp_path_factory.mktemp("data") / "clouds.npz"
    train, test = slice(0, SAMPLES), slice(SAMPLES, None)
    np.savez(path, x_train=x[train], y_train=labels[train], x_test=x[test], y_test=labels[test])
    return path


@pytest.fixture
def fake() -> FakeBoard:
    return FakeBoard(FEATURES, CLASSES, scale=1 / 100, zero_point=3, threshold=0.1)


def test_teach(fake, data, tmp_path):
    with on_pty(fake) as port:
        result = run("teach", "--port", port, "--data", data, "--test", 1, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "teach.json").read_text())
    # Class 0 wins while all weights are zero.
    y_test = np.load(data)["y_test"]
    assert figures["accuracy_before"] == pytest.approx((y_test == 0).mean())
    assert figures["accuracy_after"] > 0.95
    assert figures["account"] == {
        "taught": SAMPLES,
        "confirmed": SAMPLES,
        "unanswered": 0,
        "lost": 0,
        "forgotten": 0,
        "restarts": 0,
        "own": 0,
    }
    assert figures["trained"] == fake.trained < SAMPLES and figures["test_samples"] == TESTS
    assert figures["saved_sequence"] == 1 and fake.saved is not None
    assert figures["microseconds_per_step"] == 25
    assert (tmp_path / "teach.png").read_bytes().startswith(b"\x89PNG")
    for text in ("test accuracy after", "lost on the line", "skipped", "samples per second"):
        assert text in result.stdout
    # In order, each with the board's scale and zero point.
    x, y = np.load(data)["x_train"], np.load(data)["y_train"]
    codes = np.clip(np.round(x / np.float32(1 / 100)) + 3, -128, 127).astype(np.int8)
    assert fake.learned == [(int(c), row.tobytes()) for c, row in zip(y, codes, strict=True)]


def test_teach_options_and_json(fake, data, tmp_path):
    arguments = ["--samples", 20, "--passes", 2, "--lr", 0.25, "--test", 0, "--no-save", "--json"]
    with on_pty(fake) as port:
        result = run("teach", "--port", port, "--data", data, "--out", tmp_path, *arguments)
    figures = json.loads(result.stdout)
    assert figures["account"]["confirmed"] == len(fake.learned) == 40
    assert fake.learned[:20] == fake.learned[20:] and fake.rate == 0.25
    assert figures["accuracy_before"] is figures["accuracy_after"] is None
    assert figures["saved_sequence"] is None and fake.saved is None


def test_ctrl_c_keeps_what_was_learned(fake, data, tmp_path):
    with on_pty(fake) as port:
        command = ["teach", "--port", port, "--data", str(data), "--out", str(tmp_path)]
        process = subprocess.Popen(
            [sys.executable, "-m", "tf_odl", *command, "--passes", "10000", "--test", "0"],
            stdout=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        while len(fake.learned) < 50:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 130 and "interrupted" in output
    figures = json.loads((tmp_path / "teach.json").read_text())
    account = figures["account"]
    assert account["confirmed"] + account["unanswered"] == len(fake.learned)
    assert account["lost"] == account["own"] == 0
    assert fake.saved is not None and figures["saved_sequence"] == 1
    assert struct.unpack_from("<I", fake.saved, 32 + 16)[0] == len(fake.learned)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--data"),
        (["--data", "digits"], "64 values per sample, the board's model takes 12"),
        (["--data", "digits", "--samples", "0"], "--samples"),
        (["--data", "digits", "--lr", "nan"], "--lr"),
        (["--data", "digits", "--test", "2"], "--test"),
        (["no-export"], "export.json"),
    ],
)
def test_teach_refuses(fake, arguments, message):
    with on_pty(fake) as port:
        result = run("teach", "--port", port, *arguments)
    assert result.exit_code == 2 and message in result.stderr
    assert result.stderr.count("\n") == 1 and fake.learned == []


def test_too_many_classes(data):
    fake = FakeBoard(FEATURES, 2)
    with on_pty(fake) as port:
        result = run("teach", "--port", port, "--data", data)
    assert result.exit_code == 2 and "2 classes, " in result.stderr and "has 3" in result.stderr


# -- pull and push


def test_pull_and_push_bring_the_state_to_another_board(fake, data, tmp_path):
    with on_pty(fake) as port:
        run("teach", "--port", port, "--data", data, "--out", tmp_path / "teach")
        result = run("pull", "--port", port, "--out", tmp_path / "learned")
        assert result.exit_code == 0, result.output
        again = run("pull", "--port", port, "--out", tmp_path / "learned")
        assert again.exit_code == 2 and "--overwrite" in again.stderr
        result = run("pull", "--port", port, "--out", tmp_path / "learned", "--overwrite")
        assert result.exit_code == 0, result.output
    assert (tmp_path / "learned" / "state.image").read_bytes() == fake.image()
    other = FakeBoard(FEATURES, CLASSES, scale=1 / 100, zero_point=3)
    with on_pty(other) as port:
        result = run("push", tmp_path / "learned", "--port", port, "--json")
        assert json.loads(result.stdout)["saved_sequence"] == 1
    assert np.array_equal(other.weights, fake.weights) and other.samples == SAMPLES
    other.start()
    assert other.loaded and np.array_equal(other.weights, fake.weights)


def test_push_refuses(fake, tmp_path):
    image = tmp_path / "state.image"
    image.write_bytes(FakeBoard(FEATURES, CLASSES, model_id=5).image())
    broken = tmp_path / "broken.image"
    broken.write_bytes(fake.image()[:-1] + b"?")
    (tmp_path / "weights.npz").write_bytes(b"none")
    (tmp_path / "empty").mkdir()
    cases = {
        image: "another model",
        broken: "damaged",
        tmp_path / "weights.npz": "cannot be read as .npz",
        tmp_path / "empty": "neither state.image nor learned.tflite",
        tmp_path / "none.image": "cannot be read",
        tmp_path / "some.txt": "no folder with learned weights",
    }
    with on_pty(fake) as port:
        for source, message in cases.items():
            result = run("push", source, "--port", port)
            assert result.exit_code == 2 and message in result.stderr, result.output
    assert fake.saved is None


def test_a_board_without_storage_refuses_a_push(data, tmp_path):
    fake = FakeBoard(FEATURES, CLASSES, storage=False)
    (tmp_path / "state.image").write_bytes(fake.image())
    with on_pty(fake) as port:
        result = run("push", tmp_path, "--port", port)
        assert result.exit_code == 2 and "no storage" in result.stderr
        taught = run("teach", "--port", port, "--data", data, "--out", tmp_path, "--json")
    assert json.loads(taught.stdout)["saved_sequence"] is None


# -- monitor


@pytest.mark.parametrize("as_json", [False, True])
def test_monitor(as_json):
    master, slave = os.openpty()

    def board() -> None:
        fake = FakeBoard(FEATURES, CLASSES)
        os.write(master, fake.feed(os.read(master, 100)))
        os.write(master, b"temperature 21\r\n" + fake.event(1) + fake.event(2))

    import tty

    tty.setraw(slave)
    threading.Thread(target=board, daemon=True).start()
    flags = ["--json"] if as_json else []
    result = run("monitor", "--port", os.ttyname(slave), "--seconds", "0.5", *flags)
    os.close(master)
    os.close(slave)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    if as_json:
        text, *steps = (json.loads(line) for line in lines)
        assert text == {"text": "temperature 21\r\n"}
        assert [s["step"]["microseconds"] for s in steps] == [99, 99]
    else:
        assert lines[0] == "temperature 21"
        assert lines[1:] == ["[class 2 (50%), loss 0.7000, trained, 99 us]"] * 2


def test_no_port(tmp_path):
    for command in (["teach", "--data", "digits"], ["pull"], ["monitor"]):
        result = run(*command, "--port", tmp_path / "ttyACM0")
        assert result.exit_code == 2 and "cannot be opened" in result.stderr
    assert not (Path("learned")).exists()


# -- the account


def sample(number: int) -> bytes:
    return np.random.default_rng(number).integers(-128, 128, FEATURES, np.int8).tobytes()


def lesson_with(fake: FakeBoard, patience: float = 10) -> tuple[Lesson, Loopback]:
    line = Loopback(fake)
    return Lesson(Board(Connection(line, timeout=0.002, patience=patience))), line


def test_an_answer_that_never_comes_is_looked_up(fake):
    lesson, line = lesson_with(fake)
    right = line.back
    answers = 0

    def no_answer_to_learn(data: bytes) -> bytes:
        nonlocal answers
        if fake.executed[-1] == 4:
            answers += 1
            return b""
        return right(data)

    line.back = no_answer_to_learn
    assert lesson.learn(sample(1), 1) is None and answers > 1
    line.back = right
    account = lesson.account()
    assert (account.taught, account.unanswered, account.lost) == (1, 1, 0)
    assert len(fake.learned) == 1


def test_a_sample_that_never_arrives_is_lost(fake):
    lesson, line = lesson_with(fake)
    right = line.there
    line.there = lambda data: b"" if data[3] == 4 or b"\x04" in data[:4] else right(data)
    assert lesson.learn(sample(1), 1) is None
    line.there = right
    assert lesson.learn(sample(2), 1) is not None
    account = lesson.account()
    assert (account.taught, account.confirmed, account.lost) == (2, 1, 1)
    assert [s for _, s in fake.learned] == [sample(2)]


def test_a_board_that_restarts_has_forgotten(fake):
    lesson, _ = lesson_with(fake)
    for i in range(5):
        lesson.learn(sample(i), 0)
    fake.start()
    for i in range(3):
        lesson.learn(sample(i), 0)
    account = lesson.account()
    assert (account.confirmed, account.forgotten, account.restarts) == (8, 5, 1)


def test_steps_of_the_sketch_are_counted_apart(fake):
    lesson, _ = lesson_with(fake)
    lesson.learn(sample(1), 0)
    fake.event(1)
    assert lesson.account().own == 1


def test_a_board_that_has_gone_ends_the_lesson(fake):
    lesson, line = lesson_with(fake, patience=0.05)
    line.there = lambda data: b""
    with pytest.raises(NoAnswer):
        lesson.learn(sample(1), 0)


class Regression:
    """A board that learns targets, as far as `teach` asks it; it notes what it is taught."""

    def __init__(self, targets: int) -> None:
        self.hello = SimpleNamespace(
            input_type=InputType.INT8,
            input_bytes=FEATURES,
            input_scale=0.01,
            input_zero_point=3,
            classes=0,
            target_bytes=4 * targets,
            has_storage=False,
        )
        self.taught: list[tuple[bytes, int, bytes | None]] = []
        self.repeats = 0

    def learn(self, sample: bytes, label: int, target: bytes | None = None) -> Step:
        self.taught.append((sample, label, target))
        return Step(-1, 0.0, 1 / len(self.taught), 0.5, True, 10)

    def stats(self) -> SimpleNamespace:
        known = len(self.taught)
        return SimpleNamespace(samples=known, saturated=0, non_finite=known, clipped=1, seedings=1)


def test_targets_are_taught_as_they_are(tmp_path, capsys):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, FEATURES)).astype(np.float32)
    y = rng.normal(size=(40, 2)).astype(np.float32)
    np.savez(tmp_path / "some.npz", x_train=x, y_train=y, x_test=x[:4], y_test=y[:4])
    data = load(str(tmp_path / "some.npz"), task=Task(Loss.MSE))
    board = Regression(targets=2)
    result = teaching.teach(board, data)  # type: ignore[arg-type]
    assert [struct.unpack("<2f", t) for _, _, t in board.taught] == [tuple(row) for row in y]
    codes = np.clip(np.round(x / np.float32(0.01)) + 3, -128, 127).astype(np.int8)
    assert [s for s, _, _ in board.taught] == [row.tobytes() for row in codes]
    assert result.correct is None and result.accuracy_before is None and result.trained == 40
    counted = (result.non_finite, result.saturated, result.clipped, result.seedings)
    assert counted == (40, 0, 0, 0)  # since the lesson began
    show(result, data, "test", tmp_path)
    shown = capsys.readouterr().out
    assert "first 20" in shown and "accuracy" not in shown
    with pytest.raises(UserError, match="learns 1 target, some has 2"):
        teaching.teach(Regression(targets=1), data)  # type: ignore[arg-type]
