"""docs/protocol.md: the firmware's side, through a client written from the page."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from board_client import (
    ERROR,
    HEADER_BYTES,
    HELLO,
    LEARN,
    LOAD,
    PREDICT,
    READ,
    RESET,
    SAMPLE,
    SAVE,
    SET,
    STATS,
    WRITE,
    BoardError,
    Client,
    Program,
    blobs,
    cobs,
    frame,
    image,
    uncobs,
)
from cpp.toolchain import HOST_COMPILER, build_board

pytestmark = pytest.mark.skipif(HOST_COMPILER is None, reason="no C++ compiler")

FEATURES, CLASSES = 300, 4
VARIABLE_BYTES = CLASSES * FEATURES + 4 * CLASSES
SAMPLE_BYTES = bytes(range(200)) + bytes(100)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_board(tmp_path_factory.mktemp("board"))


@pytest.fixture
def client(program: Path, tmp_path: Path) -> Iterator[Client]:
    settings = ("--features", FEATURES, "--classes", CLASSES, "--storage", tmp_path / "flash")
    with Program(program, *settings) as client:
        yield client


def refusal(client: Client, kind: int, payload: bytes = b"") -> int:
    with pytest.raises(BoardError) as error:
        client.exchange(kind, payload)
    return error.value.code


def test_cobs_of_the_paper() -> None:
    """Examples of Cheshire and Baker, so that the client is right."""
    assert cobs(b"\0") == b"\x01\x01"
    assert cobs(b"\x11\x22\0\x33") == b"\x03\x11\x22\x02\x33"
    full = bytes(range(1, 255))
    assert cobs(full) == b"\xff" + full
    assert cobs(full + b"\xff") == b"\xff" + full + b"\x02\xff"
    rng = np.random.default_rng(0)
    for length in [*range(20), 253, 254, 255, 256, 508, 509, 1000]:
        data = rng.integers(0, 3, length, dtype=np.uint8).tobytes()
        assert b"\0" not in cobs(data) and uncobs(cobs(data)) == data


def test_hello_tells_what_the_board_is(client: Client) -> None:
    hello = client.hello()
    assert hello["version"] == 1 and hello["flags"] == 1
    assert hello["max_payload"] >= 64 and hello["model_id"] != 0
    assert (hello["input_bytes"], hello["input_type"]) == (FEATURES, 9)
    assert hello["input_scale"] == pytest.approx(1 / 127) and hello["input_zero_point"] == 0
    assert (hello["classes"], hello["target_bytes"]) == (CLASSES, 0)
    assert hello["image_bytes"] > HEADER_BYTES + VARIABLE_BYTES
    assert hello["firmware"].startswith("TfOdl ") and hello["board"] == "host"


def test_the_image_is_what_learning_changed(client: Client) -> None:
    hello = client.hello()
    before = client.read()
    body = before[HEADER_BYTES:]
    assert before == image(hello["model_id"], body)
    assert not any(body[-VARIABLE_BYTES:]), "starts with zeros"
    sentinel, rng, rate = struct.unpack_from("<IIf", body)
    assert sentinel == hello["model_id"] and rng != 0 and rate > 0
    client.learn(SAMPLE_BYTES, 2)
    after = client.read()
    assert after == image(hello["model_id"], after[HEADER_BYTES:]) != before
    weights = np.frombuffer(after[-VARIABLE_BYTES:], np.int8, CLASSES * FEATURES)
    weights = weights.reshape(CLASSES, FEATURES).astype(int)
    pixels = np.frombuffer(SAMPLE_BYTES, np.int8).astype(int)
    slopes = weights @ pixels
    assert slopes[2] > 0 > max(np.delete(slopes, 2)), "the class is pulled up, others down"


def test_steps_agree_with_softmax_regression(client: Client) -> None:
    """Prediction, probability, loss and D of every step, from the weights read before it."""
    client.hello()
    x, y = blobs(30, FEATURES, CLASSES)
    alpha_max = 0.0
    for sample, label in zip(x, y, strict=True):
        body = client.read()[-VARIABLE_BYTES:]
        weights = np.frombuffer(body, np.int8, CLASSES * FEATURES).reshape(CLASSES, FEATURES)
        bias = np.frombuffer(body, "<i4", offset=CLASSES * FEATURES)
        sums = weights.astype(float) @ sample.astype(float) + bias
        logits = np.clip(np.floor(sums / 127 / 32 * 8 + 0.5), -128, 127) / 8
        p = np.exp(logits) / np.exp(logits).sum()
        step = client.learn(sample.tobytes(), int(label))
        assert step["prediction"] == np.argmax(p)
        assert step["probability"] == pytest.approx(p.max(), rel=1e-5)
        assert step["loss"] == pytest.approx(-np.log(p[label]), rel=1e-5, abs=1e-6)
        alpha = np.abs(p - np.eye(CLASSES)[label]).sum()
        alpha_max = max(alpha_max, alpha)
        assert step["decision"] == pytest.approx(alpha / alpha_max, rel=1e-4, abs=1e-6)
        assert step["trained"] == 1
    before = client.read()
    step = client.predict(sample.tobytes())
    assert step["loss"] == -1 and step["trained"] == 0 and client.read() == before
    assert client.stats()["samples"] == client.stats()["trained"] == 30


def test_it_learns_and_skips_what_teaches_little(program: Path) -> None:
    x, y = blobs(400, FEATURES, CLASSES)
    x_test, y_test = blobs(100, FEATURES, CLASSES, seed=1)
    settings = ("--features", FEATURES, "--classes", CLASSES, "--skip", 0.05)
    with Program(program, *settings) as client:
        assert client.hello()["flags"] == 0, "no storage"
        for sample, label in zip(x, y, strict=True):
            step = client.learn(sample.tobytes(), int(label))
            assert step["trained"] == (step["decision"] > np.float32(0.05))
        found = [client.predict(sample.tobytes())["prediction"] for sample in x_test]
        assert np.mean(found == y_test) > 0.95
        stats = client.stats()
        assert stats["trained"] + stats["skipped"] == 400 and stats["skipped"] > 100
        assert stats["backward_macs"] == stats["trained"] * FEATURES * CLASSES
        for kind in (SAVE, LOAD, WRITE):
            assert refusal(client, kind, bytes(4) if kind == WRITE else b"") == 6


def test_a_repeated_request_is_answered_again_but_not_executed(client: Client) -> None:
    client.hello()
    client.sample(SAMPLE_BYTES)
    payload = struct.pack("<iII", 1, FEATURES, zlib.crc32(SAMPLE_BYTES))
    again = frame(LEARN, 500, payload)
    client.send(again)
    first = client.answer(500)
    assert first[0] == LEARN | 0x80
    for _ in range(3):
        client.send(again)
        assert client.answer(500) == first
    assert client.stats()["samples"] == 1
    # The same number for another type, or after HELLO, is a new request.
    client.send(frame(STATS, 500))
    assert client.answer(500)[0] == STATS | 0x80
    client.send(again)
    assert client.answer(500)[1][0] == 3
    client.sample(SAMPLE_BYTES)
    client.send(again)
    assert client.answer(500)[0] == LEARN | 0x80
    client.hello()
    client.send(again)
    assert client.answer(500)[1][0] == 3
    assert client.stats()["samples"] == 2


def test_steps_run_on_exactly_what_was_meant(client: Client) -> None:
    client.hello()
    good = struct.pack("<II", FEATURES, zlib.crc32(SAMPLE_BYTES))
    assert refusal(client, PREDICT, good) == 3, "no sample"
    client.sample(SAMPLE_BYTES)
    client.exchange(PREDICT, good)
    assert refusal(client, PREDICT, good) == 3, "a sample serves one step"
    client.sample(SAMPLE_BYTES[:-1])
    assert refusal(client, PREDICT, good) == 3, "incomplete"
    client.sample(SAMPLE_BYTES[:-1] + b"\1")
    assert refusal(client, PREDICT, good) == 3, "different"
    client.sample(SAMPLE_BYTES)
    assert refusal(client, LEARN, struct.pack("<i", CLASSES) + good) == 4
    client.sample(SAMPLE_BYTES)
    assert refusal(client, LEARN, struct.pack("<i", -1) + good) == 4
    client.exchange(SAMPLE, struct.pack("<BI", 0, 0) + SAMPLE_BYTES[:100])
    assert refusal(client, SAMPLE, struct.pack("<BI", 0, 101) + SAMPLE_BYTES[101:200]) == 9
    client.exchange(SAMPLE, struct.pack("<BI", 0, 100) + SAMPLE_BYTES[100:300])
    assert refusal(client, SAMPLE, struct.pack("<BI", 0, 300) + b"\0") == 9, "too long"
    client.exchange(LEARN, struct.pack("<i", 0) + good)
    assert client.stats()["samples"] == 1


def test_malformed_requests_are_refused(client: Client) -> None:
    client.hello()
    before = client.read()
    assert refusal(client, 0x33) == 1
    assert refusal(client, 0x00) == 1
    wrong = [(HELLO, 1), (SAMPLE, 4), (PREDICT, 7), (PREDICT, 9), (LEARN, 8), (STATS, 1)]
    wrong += [(READ, 5), (WRITE, 3), (SAVE, 1), (LOAD, 1), (RESET, 0), (RESET, 2), (SET, 4)]
    for kind, length in wrong:
        assert refusal(client, kind, bytes(length)) == 2, (kind, length)
    assert refusal(client, SAMPLE, b"\2\0\0\0\0\0") == 2, "no such tensor"
    assert refusal(client, SAMPLE, b"\1\0\0\0\0\0") == 9, "this model has no target"
    assert refusal(client, RESET, b"\2") == 2
    for value in (float("nan"), float("inf"), -0.5):
        for setting in (1, 2):
            assert refusal(client, SET, struct.pack("<Bf", setting, value)) == 2
    assert refusal(client, SET, struct.pack("<Bf", 3, 1.0)) == 2
    assert refusal(client, LOAD) == 7
    size = len(before)
    for offset, count in [(0, client.max_payload), (size, 1), (size - 3, 4), (2**32 - 1, 1)]:
        assert refusal(client, READ, struct.pack("<IH", offset, count)) == 9
    assert client.read() == before


def test_garbage_between_frames_does_no_harm(client: Client) -> None:
    client.hello()
    rng = np.random.default_rng(5)
    bad = 0
    for _ in range(200):
        garbage = rng.integers(1, 256, rng.integers(1, 600), dtype=np.uint8).tobytes()
        client.send(garbage + b"\0")
        bad += 1
        client.send(frame(STATS, 7, version=2))
        bad += 1
        assert client.stats()["bad_frames"] == bad
    damaged = bytearray(frame(SAVE, 9))
    damaged[4] ^= 4
    client.send(bytes(damaged) + bytes(50))
    stats = client.stats()
    assert stats["bad_frames"] == bad + 1 and stats["saves"] == 0


def test_settings_saves_and_resets(client: Client) -> None:
    client.hello()
    client.set(1, 0.25)
    assert client.stats()["learning_rate"] == 0.25
    assert client.stats()["seedings"] == 1 and client.stats()["clipped"] == 0
    client.learn(SAMPLE_BYTES, 1)
    saved = client.read()
    assert client.save() == 1
    client.learn(SAMPLE_BYTES, 1)
    changed = client.read()
    assert changed != saved
    assert client.load() == 1 and client.read() == saved
    client.exchange(RESET, b"\0")
    stats = client.stats()
    assert stats["samples"] == 0 and stats["learning_rate"] == pytest.approx(0.05)
    assert stats["seedings"] == 2
    assert stats["sequence"] == 1 and client.load() == 1 and client.read() == saved
    client.exchange(RESET, b"\1")
    assert client.stats()["sequence"] == 0 and refusal(client, LOAD) == 7


def test_a_pushed_image_is_saved_and_loaded_in_one_step(client: Client, program: Path) -> None:
    model_id = client.hello()["model_id"]
    client.learn(SAMPLE_BYTES, 1)
    first = client.read()
    client.save()
    client.learn(SAMPLE_BYTES, 3)
    second = client.read()
    client.write(first[:-1])
    assert client.read() == second, "nothing has changed yet"
    assert client.stats()["sequence"] == 1
    client.write(first)
    assert client.read() == first
    assert client.stats()["sequence"] == 2

    body = second[HEADER_BYTES:]
    broken = {
        "another model": image(model_id ^ 1, body),
        "a damaged body": second[:-1] + bytes([second[-1] ^ 1]),
        "another sentinel": image(model_id, b"\0" + body[1:]),
        "a generator that stands still": image(model_id, body[:4] + bytes(4) + body[8:]),
        "no learning rate": image(model_id, body[:8] + b"\0\0\xc0\x7f" + body[12:]),
        "too short": image(model_id, body[:-4]),
    }
    for what, data in broken.items():
        with pytest.raises(BoardError) as error:
            client.write(data)
        assert error.value.code == 10, what
    assert client.read() == first and client.stats()["sequence"] == 2
    assert refusal(client, WRITE, struct.pack("<I", 7) + b"abc") == 9
    client.write(second)
    assert client.read() == second and client.stats()["sequence"] == 3


def test_errors_are_answered_again_too(client: Client) -> None:
    client.hello()
    for _ in range(2):
        client.send(frame(LOAD, 900))
        assert client.answer(900) == (ERROR, b"\7nothing saved for this model")
