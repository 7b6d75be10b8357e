"""A client of docs/protocol.md for tests, written from the page and nothing else."""

from __future__ import annotations

import binascii
import os
import select
import struct
import subprocess
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HELLO, SAMPLE, PREDICT, LEARN, STATS, READ, WRITE, SAVE, LOAD, RESET, SET = range(1, 12)
EVENT, ERROR = 0x40, 0xFF
HEADER_BYTES = 32


def cobs(data: bytes) -> bytes:
    out = bytearray()
    groups = data.split(b"\0")
    for number, group in enumerate(groups):
        is_last = number == len(groups) - 1
        while len(group) >= 254:
            out += b"\xff" + group[:254]
            group = group[254:]
            if not group and is_last:
                return bytes(out)
        out += bytes([len(group) + 1]) + group
    return bytes(out)


def uncobs(data: bytes) -> bytes:
    out = bytearray()
    while data:
        code, data = data[0], data[1:]
        if code == 0 or len(data) < code - 1:
            raise ValueError("not COBS")
        out += data[: code - 1]
        data = data[code - 1 :]
        if code < 255 and data:
            out.append(0)
    return bytes(out)


def frame(kind: int, sequence: int, payload: bytes = b"", version: int = 1) -> bytes:
    """Encoded, with the zeros around it."""
    plain = struct.pack("<BBH", version, kind, sequence) + payload
    return b"\0" + cobs(plain + struct.pack("<H", binascii.crc_hqx(plain, 0xFFFF))) + b"\0"


def parse(encoded: bytes) -> tuple[int, int, bytes] | None:
    """(type, sequence, payload) of what lies between two zeros; None if it is no frame."""
    try:
        plain = uncobs(encoded)
    except ValueError:
        return None
    if len(plain) < 6 or plain[0] != 1:
        return None
    if binascii.crc_hqx(plain[:-2], 0xFFFF) != struct.unpack("<H", plain[-2:])[0]:
        return None
    return plain[1], struct.unpack("<H", plain[2:4])[0], plain[4:-2]


class BoardError(Exception):
    """ERROR from the board."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code


@dataclass
class Client:
    """Talks through two functions: `send` bytes, and `receive` what comes within some seconds."""

    send: Callable[[bytes], Any]
    receive: Callable[[float], bytes]
    timeout: float = 5.0
    sequence: int = 0
    events: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    text: bytes = b""
    waiting: bytes = b""

    def exchange(self, kind: int, payload: bytes = b"") -> bytes:
        """The payload of the answer to a new request."""
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.send(frame(kind, self.sequence, payload))
        answer, body = self.answer(self.sequence)
        if answer == ERROR:
            raise BoardError(body[0], body[1:].decode("ascii"))
        assert answer == kind | 0x80
        return body

    def answer(self, sequence: int) -> tuple[int, bytes]:
        """(type, payload) of the next answer with this sequence."""
        end = time.monotonic() + self.timeout
        while (left := end - time.monotonic()) > 0:
            while b"\0" in self.waiting:
                encoded, self.waiting = self.waiting.split(b"\0", 1)
                found = parse(encoded)
                if found is None:
                    self.text += encoded
                elif found[0] == EVENT:
                    self.events.append((found[1], step(found[2])))
                elif found[1] == sequence:
                    return found[0], found[2]
            self.waiting += self.receive(left)
        raise TimeoutError(f"no answer; got {self.waiting!r}")

    def hello(self) -> dict[str, Any]:
        body = self.exchange(HELLO)
        names = ["version", "flags", "max_payload", "model_id", "input_bytes", "input_type"]
        names += ["input_scale", "input_zero_point", "classes", "target_bytes", "image_bytes"]
        values = dict(zip(names, struct.unpack_from("<BBHIIB3xfiIII", body), strict=True))
        rest = body[struct.calcsize("<BBHIIB3xfiIII") :]
        for name in ("firmware", "board"):
            values[name], rest = rest[1 : 1 + rest[0]].decode(), rest[1 + rest[0] :]
        assert not rest
        self.max_payload = values["max_payload"]
        return values

    def sample(self, data: bytes, tensor: int = 0) -> None:
        room = self.max_payload - 5
        for offset in range(0, len(data), room):
            piece = data[offset : offset + room]
            self.exchange(SAMPLE, struct.pack("<BI", tensor, offset) + piece)

    def predict(self, data: bytes) -> dict[str, float]:
        self.sample(data)
        return step(self.exchange(PREDICT, struct.pack("<II", len(data), zlib.crc32(data))))

    def learn(self, data: bytes, label: int, target: bytes = b"") -> dict[str, float]:
        self.sample(data)
        if target:
            self.sample(target, tensor=1)
        both = data + target
        check = struct.pack("<iII", label, len(both), zlib.crc32(both))
        return step(self.exchange(LEARN, check))

    def stats(self) -> dict[str, float]:
        names = "samples trained skipped non_finite saturated backward_macs backward_macs_nonzero"
        names += " learning_rate saves failed_saves sequence bad_frames arena_bytes milliseconds"
        names += " clipped seedings"
        values = struct.unpack("<5I2Qf8I", self.exchange(STATS))
        return dict(zip(names.split(), values, strict=True))

    def read(self) -> bytes:
        """The state image."""
        size, data = self.hello()["image_bytes"], b""
        while len(data) < size:
            count = min(self.max_payload - 4, size - len(data))
            data += self.exchange(READ, struct.pack("<IH", len(data), count))[4:]
        return data

    def write(self, image: bytes) -> None:
        room = self.max_payload - 4
        for offset in range(0, len(image), room):
            self.exchange(WRITE, struct.pack("<I", offset) + image[offset : offset + room])

    def save(self) -> int:
        return int(struct.unpack("<I", self.exchange(SAVE))[0])

    def load(self) -> int:
        return int(struct.unpack("<I", self.exchange(LOAD))[0])

    def set(self, setting: int, value: float) -> None:
        self.exchange(SET, struct.pack("<Bf", setting, value))


def step(payload: bytes) -> dict[str, float]:
    names = ["prediction", "probability", "loss", "decision", "trained", "microseconds"]
    return dict(zip(names, struct.unpack("<ifffB3xI", payload), strict=True))


def image(model_id: int, body: bytes, sequence: int = 0) -> bytes:
    """A state image, from the table in docs/protocol.md."""
    head = struct.pack("<4sHHIIIII", b"TODL", 1, 32, model_id, sequence, len(body), 0, 0)
    head = head[:20] + struct.pack("<II", zlib.crc32(body), 0)
    return head + struct.pack("<I", zlib.crc32(head)) + body


class Program:
    """tests/cpp/board.cpp on pipes; a context manager."""

    def __init__(self, program: Path, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [program, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.client = Client(self.send, self.receive)

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def receive(self, seconds: float) -> bytes:
        assert self.process.stdout is not None
        return receive(self.process.stdout.fileno(), seconds)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Client:
        return self.client

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        try:
            assert self.process.wait(10) == 0
        finally:
            self.process.kill()
            self.process.stdout.close()


def receive(descriptor: int, seconds: float) -> bytes:
    """What can be read of a file descriptor within so many seconds, as soon as there is some."""
    ready, _, _ = select.select([descriptor], [], [], seconds)
    return os.read(descriptor, 65536) if ready else b""


def blobs(
    samples: int, features: int, classes: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """int8 [N, features] around one random centre per class, and the classes [N]."""
    centres = np.random.default_rng(7).normal(0, 0.35, (classes, features))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, samples)
    values = centres[labels] + rng.normal(0, 0.5, (samples, features))
    return np.clip(np.round(values * 127), -127, 127).astype(np.int8), labels
