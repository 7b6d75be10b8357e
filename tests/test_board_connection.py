"""Requests over clean and bad lines, to a board written independently from docs/protocol.md."""

from __future__ import annotations

import struct
from collections import Counter

import numpy as np
import pytest
from bad_line import Noise
from fake_board import FakeBoard, Loopback, on_pty
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_odl.board import image
from tf_odl.board.client import Board
from tf_odl.board.connection import Connection, NoAnswer, Refused
from tf_odl.board.messages import ErrorCode, Hello, InputType, Malformed, Setting
from tf_odl.board.serial_port import SerialLine, wait_for_port
from tf_odl.contract import STATE_WORDS
from tf_odl.errors import UserError

FEATURES, CLASSES = 150, 4  # three pieces of a sample in 64 bytes of payload


def sample(number: int) -> bytes:
    return np.random.default_rng(number).integers(-128, 128, FEATURES, np.int8).tobytes()


def connect(fake: FakeBoard, **line) -> Board:
    return Board(Connection(Loopback(fake, **line), timeout=0.002, patience=0.25))


@pytest.fixture
def fake() -> FakeBoard:
    return FakeBoard(FEATURES, CLASSES)


def test_hello(fake):
    hello = connect(fake).hello
    assert hello == Hello(
        max_payload=64,
        has_storage=True,
        loaded=False,
        model_id=0xC0FFEE,
        input_bytes=FEATURES,
        input_type=InputType.INT8,
        input_scale=np.float32(1 / 127),
        input_zero_point=0,
        classes=CLASSES,
        target_bytes=0,
        image_bytes=32 + 4 * STATE_WORDS + 4 * CLASSES * (FEATURES + 1),
        firmware="TfOdl 0.1.0",
        board="fake",
    )


def test_learning_and_predicting(fake):
    board = connect(fake)
    before = board.predict(sample(1))
    assert before.probability == pytest.approx(0.25) and before.loss == -1 and not before.trained
    step = board.learn(sample(1), 3)
    assert step.trained and step.loss == pytest.approx(np.log(4)) and step.microseconds == 25
    assert board.predict(sample(1)).prediction == 3
    assert fake.learned == [(3, sample(1))]
    stats = board.stats()
    assert (stats.samples, stats.trained, stats.skipped) == (1, 1, 0)
    assert stats.backward_macs == FEATURES * CLASSES and stats.uptime_ms == 5678
    board.set(Setting.LEARNING_RATE, 0.5)
    assert fake.rate == 0.5


def test_state_is_saved_loaded_reset_read_and_written(fake):
    board = connect(fake)
    for i in range(5):
        board.learn(sample(i), i % CLASSES)
    assert board.save() == 1 and board.save() == 2
    learned = board.read_image()
    assert learned == fake.image()
    board.reset()
    assert board.stats().samples == 0 and not fake.weights.any()
    assert board.load() == 2 and board.read_image() == learned
    board.reset(erase=True)
    with pytest.raises(Refused, match="nothing saved") as error:
        board.load()
    assert error.value.code == ErrorCode.NOTHING_SAVED
    board.write_image(learned)
    assert board.read_image() == learned and board.stats().saved_sequence == 1


def test_an_image_of_another_model_is_refused_and_changes_nothing(fake):
    board = connect(fake)
    board.learn(sample(1), 1)
    mine = board.read_image()
    foreign = image.build(image.Image(1, 0, image.parse(mine).body))
    with pytest.raises(Refused, match="another model"):
        board.write_image(foreign)
    assert board.read_image() == mine


def test_what_the_board_refuses_is_said(fake):
    board = connect(fake)
    with pytest.raises(Refused, match="label out of range"):
        board.learn(sample(1), CLASSES)
    with pytest.raises(Refused, match="offset"):
        board.learn(sample(1) + b"more", 0)
    with pytest.raises(Refused, match="incomplete"):
        board.learn(sample(1)[:-1], 0)
    assert fake.learned == []


def test_the_image_is_read_anew_when_the_sketch_learns_in_between(fake):
    reads = 0

    def back(data: bytes) -> bytes:
        nonlocal reads
        reads += 1
        if reads == 7:
            return data + fake.event(1)
        return data

    steps = []
    board = Board(Connection(Loopback(fake, back=back), on_event=steps.append))
    assert board.read_image() == fake.image()
    assert [s.prediction for s in steps] == [2] and image.parse(fake.image()).sequence == 0


def test_text_and_events_between_answers(fake):
    texts, steps = [], []

    def back(data: bytes) -> bytes:
        return b"temperature 21\r\n" + data + fake.event(7) + b"done\r\n"

    line = Loopback(fake, back=back)
    board = Board(Connection(line, on_text=texts.append, on_event=steps.append))
    assert board.stats().samples == 1  # the second event comes behind the answer
    assert board.stats().samples == 2
    assert "".join(texts) == "temperature 21\r\ndone\r\n" * 3
    assert len(steps) == 3 and steps[0].microseconds == 99


def test_a_silent_board():
    class Dead:
        def read(self, timeout: float) -> bytes:
            return b""

        def write(self, data: bytes) -> None:
            pass

    with pytest.raises(NoAnswer, match=r"did not answer for 0\.05 s"):
        Board(Connection(Dead(), timeout=0.01, patience=0.05))


def test_answers_to_somebody_else_are_ignored(fake):
    board = connect(fake)
    line = board._connection._line
    line.waiting += fake.frame(0x85, (board._connection._sequence + 2) & 0xFFFF, b"wrong")
    line.waiting += fake.frame(0x86, (board._connection._sequence + 1) & 0xFFFF, b"wrong")
    assert board.stats().samples == 0


@pytest.mark.parametrize("cut", [0, 1, 10, 44, 50])
def test_answers_that_make_no_sense(fake, cut):
    fake.hello = lambda payload, right=fake.hello: right(payload)[:cut]
    with pytest.raises(UserError, match="makes no sense"):
        connect(fake)


def test_another_protocol_is_said():
    with pytest.raises(Malformed, match="version 9"):
        Hello.decode(b"\x09" + bytes(60))


# -- bad lines


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.002, 0.01]))
def test_every_sample_is_learned_once_or_reported_lost(seed, rate):
    """0.01: one byte in a hundred; nearly every second frame of 70 bytes is hit."""
    fake = FakeBoard(FEATURES, CLASSES)
    line = Loopback(fake)
    board = Board(Connection(line, timeout=0.0005, patience=0.01))
    line.there, line.back = Noise(seed, rate), Noise(seed + 1, rate)
    confirmed, lost = [], []
    for i in range(30):
        try:
            step = board.learn(sample(i), i % CLASSES)
        except (NoAnswer, Refused):
            lost.append((i % CLASSES, sample(i)))
        else:
            confirmed.append((i % CLASSES, sample(i)))
            assert step.microseconds == 25
    counts = Counter(fake.learned)
    assert all(counts[s] == 1 for s in confirmed)
    assert all(counts[s] <= 1 for s in lost)
    assert set(counts) <= {*confirmed, *lost}
    assert len(confirmed) > 0


def test_a_lost_answer_is_sent_again_and_nothing_is_learned_twice(fake):
    board = connect(fake)
    line = board._connection._line
    drops = iter([False] * 3 + [True, True])  # two answers to LEARN
    line.back = lambda data: b"" if next(drops, False) else data
    board.learn(sample(1), 1)
    assert len(fake.learned) == 1 and board._connection.repeats >= 2
    assert fake.executed.count(4) == 1


# -- serial ports


def test_over_a_pseudo_terminal(fake):
    texts = []
    with on_pty(fake, boot=b"booting\r\n\0\xff\xfe half a fra") as port, SerialLine(port) as line:
        board = Board(Connection(line, on_text=texts.append))
        assert board.hello.board == "fake"
        for i in range(20):
            board.learn(sample(i), i % CLASSES)
    assert fake.learned == [(i % CLASSES, sample(i)) for i in range(20)]
    assert texts[0] == "booting\r\n"


def test_a_port_that_is_none(tmp_path):
    with pytest.raises(UserError, match="cannot be opened: No such file"):
        SerialLine(str(tmp_path / "ttyACM9"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be opened"):
        SerialLine(str(tmp_path / "file"))
    with pytest.raises(UserError, match="did not come back"):
        wait_for_port(str(tmp_path / "ttyACM9"), 0.2)


def test_a_board_that_goes_away(fake):
    with on_pty(fake) as port:
        line = SerialLine(port)
        board = Board(Connection(line, timeout=0.05, patience=0.2))
    with pytest.raises(UserError):
        board.stats()


# -- images


def test_an_image_is_taken_apart_and_put_together(fake):
    connect(fake).learn(sample(1), 1)
    data = fake.image(5)
    parsed = image.parse(data)
    assert (parsed.model_id, parsed.sequence) == (0xC0FFEE, 5)
    assert image.build(parsed) == data
    shape = (CLASSES, FEATURES + 1)
    state, (weights,) = image.split(parsed.body, 4 * STATE_WORDS, [(shape, np.float32)])
    assert state == fake.state() and np.array_equal(weights, fake.weights)
    assert image.join(state, [weights]) == parsed.body
    for wrong in ((CLASSES, FEATURES), (CLASSES, FEATURES + 2)):
        with pytest.raises(UserError, match=r"too (large|small)"):
            image.split(parsed.body, 4 * STATE_WORDS, [(wrong, np.float32)])


def test_one_changed_byte_of_an_image_is_noticed(fake):
    data = fake.image(5)
    for at in [*range(40), len(data) - 1]:
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        with pytest.raises(UserError, match=r"image|format"):
            image.parse(bytes(damaged))
    for short in (b"", data[:31], data[:-1], data + b"\0"):
        with pytest.raises(UserError, match="image"):
            image.parse(short)
    assert struct.unpack_from("<I", data, 16)[0] == len(data) - 32
