"""The PC's half of the protocol and the firmware's, which is built for this computer."""

from __future__ import annotations

import json
import os
import subprocess
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from bad_line import Noise
from board_client import blobs, receive
from click.testing import CliRunner
from cpp.toolchain import HOST_COMPILER, build_board

from tf_odl.board import image
from tf_odl.board.client import Board
from tf_odl.board.connection import Connection
from tf_odl.board.lesson import Lesson
from tf_odl.board.messages import InputType
from tf_odl.cli import main
from tf_odl.contract import STATE_WORDS

pytestmark = pytest.mark.skipif(HOST_COMPILER is None, reason="no C++ compiler: apt install g++")

FEATURES, CLASSES = 40, 5


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    return build_board(tmp_path_factory.mktemp("board"))


class Pipes:
    """A line to the program; `noise` changes the bytes in both directions."""

    def __init__(self, process: subprocess.Popen, noise=bytes) -> None:
        self.process, self.noise = process, noise

    def read(self, timeout: float) -> bytes:
        return self.noise(receive(self.process.stdout.fileno(), timeout))

    def write(self, data: bytes) -> None:
        self.process.stdin.write(self.noise(data))
        self.process.stdin.flush()


@contextmanager
def running(program: Path, *arguments: object) -> Iterator[Pipes]:
    sizes = ["--features", str(FEATURES), "--classes", str(CLASSES)]
    process = subprocess.Popen(
        [program, *sizes, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield Pipes(process)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def connect(line: Pipes, timeout: float = 1.0, patience: float = 10.0) -> Board:
    return Board(Connection(line, timeout=timeout, patience=patience))


def test_hello_steps_and_stats(program):
    x, labels = blobs(60, FEATURES, CLASSES)
    with running(program) as line:
        board = connect(line)
        hello = board.hello
        assert (hello.board, hello.classes, hello.input_bytes) == ("host", CLASSES, FEATURES)
        assert hello.input_type is InputType.INT8 and hello.firmware.startswith("TfOdl ")
        assert not hello.has_storage and hello.target_bytes == 0
        first = board.learn(x[0].tobytes(), int(labels[0]))
        # All logits are zero: every class is equally likely.
        assert first.trained and first.loss == pytest.approx(np.log(CLASSES), rel=1e-6)
        assert first.prediction == 0 and first.probability == pytest.approx(1 / CLASSES)
        for row, label in zip(x[1:], labels[1:], strict=True):
            board.learn(row.tobytes(), int(label))
        assert board.predict(x[5].tobytes()).prediction == labels[5]
        stats = board.stats()
        assert (stats.samples, stats.trained, stats.non_finite) == (60, 60, 0)
        body = image.parse(board.read_image()).body
        assert len(body) == 4 * STATE_WORDS + FEATURES * CLASSES + 4 * CLASSES
        board.reset()
        assert board.stats().samples == 0


@pytest.mark.parametrize(("seed", "rate"), [(1, 0.002), (2, 0.005), (3, 0.01)])
def test_a_bad_line_teaches_every_sample_once_or_reports_it(program, seed, rate):
    """What was learned is bit for bit what a clean line teaches with the samples not lost."""
    x, labels = blobs(80, FEATURES, CLASSES, seed)
    samples = [(row.tobytes(), int(label)) for row, label in zip(x, labels, strict=True)]
    learned = []
    with running(program) as line:
        board = connect(line, timeout=0.01, patience=1.0)
        lesson, unanswered = Lesson(board), 0
        line.noise = Noise(seed, rate)
        for sample, label in samples:
            step = lesson.learn(sample, label)
            if step is None:
                account = lesson.account()
                if account.unanswered == unanswered:
                    continue
                unanswered = account.unanswered
            learned.append((sample, label))
        line.noise = bytes
        account = lesson.account()
        noisy = board.read_image()
        assert board.stats().bad_frames > 0 and board.repeats > 0
    assert account.taught == len(samples) == len(learned) + account.lost
    assert account.forgotten == account.own == 0
    with running(program) as line:
        board = connect(line)
        for sample, label in learned:
            board.learn(sample, label)
        assert board.read_image() == noisy


# -- the commands, on a pseudo-terminal


@contextmanager
def on_terminal(program: Path, *arguments: object) -> Iterator[str]:
    """The name of a pseudo-terminal at whose other end the program is."""
    master, slave = os.openpty()
    tty.setraw(slave)
    sizes = ["--features", str(FEATURES), "--classes", str(CLASSES)]
    process = subprocess.Popen([program, *sizes, *map(str, arguments)], stdin=master, stdout=master)
    try:
        yield os.ttyname(slave)
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)


def run(*arguments: object):
    result = CliRunner().invoke(main, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_teach_pull_power_cut_push(program, tmp_path):
    x, labels = blobs(400, FEATURES, CLASSES)
    data, flash = tmp_path / "data.npz", tmp_path / "flash"
    x_float = (x / np.float32(127)).astype(np.float32)
    np.savez(
        data, x_train=x_float[:300], y_train=labels[:300], x_test=x_float[300:],
        y_test=labels[300:],
    )  # fmt: skip
    storage = ("--storage", flash)
    with on_terminal(program, *storage) as port:
        taught = run("teach", "--port", port, "--data", data, "--test", 1, "--out", tmp_path / "t")
        run("pull", "--port", port, "--out", tmp_path / "learned")
    assert taught["accuracy_before"] == pytest.approx((labels[300:] == 0).mean())
    assert taught["accuracy_after"] > 0.95 > 0.5 > taught["accuracy_before"]
    assert taught["account"]["confirmed"] == 300 and taught["saved_sequence"] == 1

    # The program was killed; it starts again from its file.
    with on_terminal(program, *storage) as port:
        again = run("pull", "--port", port, "--out", tmp_path / "again")
        assert again["samples"] == 300
        same = (tmp_path / "again/state.image", tmp_path / "learned/state.image")
        assert same[0].read_bytes() == same[1].read_bytes()
        no_more = run(
            "teach", "--port", port, "--data", data, "--samples", 1, "--lr", "1e-30",
            "--test", 1, "--out", tmp_path / "t",
        )  # fmt: skip
    assert no_more["accuracy_before"] == taught["accuracy_after"]

    # weights.npz is what the formula of the model needs.
    weights = np.load(tmp_path / "learned/weights.npz")
    codes = np.clip(np.round(x_float[300:] / np.float32(1 / 127)), -128, 127)
    logits = (codes @ weights["weights"].T.astype(np.int64) + weights["bias"]) / 127 / 32 * 8
    mine = (np.clip(np.floor(logits + 0.5), -128, 127).argmax(1) == labels[300:]).mean()
    assert mine == pytest.approx(taught["accuracy_after"], abs=0.011)

    # Arrays of one's own: the classes swap their places.
    np.savez(
        tmp_path / "swapped.npz",
        weights=weights["weights"][::-1].copy(),
        bias=weights["bias"][::-1].copy(),
    )
    with on_terminal(program, "--storage", tmp_path / "other") as port:
        run("push", tmp_path / "swapped.npz", "--port", port)
        run("pull", "--port", port, "--out", tmp_path / "swapped")
    pulled = np.load(tmp_path / "swapped/weights.npz")
    assert np.array_equal(pulled["weights"], weights["weights"][::-1])
    assert np.array_equal(pulled["bias"], weights["bias"][::-1])
    with on_terminal(program, "--storage", tmp_path / "third") as port:
        run("push", tmp_path / "learned", "--port", port)
        assert run("pull", "--port", port, "--out", tmp_path / "copy")["samples"] == 300
    assert (tmp_path / "copy/state.image").read_bytes() == same[1].read_bytes()
