"""A board in Python, written from docs/protocol.md alone: it shares no code with tf_odl.board.

Its model is softmax regression in float32 on int8 samples: weights [classes, features + 1].
"""

from __future__ import annotations

import math
import os
import select
import struct
import threading
import tty
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE, bit by bit."""
    value = 0xFFFF
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1) ^ 0x1021 if value & 0x8000 else value << 1
            value &= 0xFFFF
    return value


def cobs_encode(data: bytes) -> bytes:
    """Runs of up to 254 bytes without a zero, each behind its length plus one."""
    out = bytearray()
    for i, part in enumerate(parts := data.split(b"\0")):
        while len(part) > 254 or (len(part) == 254 and i < len(parts) - 1):
            out += b"\xff" + part[:254]
            part = part[254:]
        out += bytes([len(part) + 1]) + part
    return bytes(out)


def cobs_decode(data: bytes) -> bytes | None:
    out, at = bytearray(), 0
    while at < len(data):
        code = data[at]
        part = data[at + 1 : at + code]
        if code == 0 or len(part) != code - 1 or 0 in part:
            return None
        out += part
        at += code
        if code < 255 and at < len(data):
            out.append(0)
    return bytes(out)


class FakeBoard:
    """Feed it bytes, it returns bytes; `learned` lists what it has learned from."""

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        max_payload: int = 64,
        storage: bool = True,
        scale: float = 1 / 127,
        zero_point: int = 0,
        model_id: int = 0xC0FFEE,
        threshold: float = 0.0,
    ) -> None:
        self.features, self.classes, self.max_payload = features, classes, max_payload
        self.storage, self.scale, self.zero_point = storage, scale, zero_point
        self.model_id, self.threshold = model_id, threshold
        self.saved: bytes | None = None
        self.learned: list[tuple[int, bytes]] = []
        self.start()

    def start(self) -> None:
        """Power on."""
        self.buffer, self.bad_frames, self.saves, self.seedings = bytearray(), 0, 0, 0
        self.last: tuple[int, int, bytes] | None = None
        self.executed: list[int] = []
        self.sample = bytearray(self.features)
        self.filled = 0
        self.incoming = b""
        self.interval = 0.0
        self.reset()
        self.loaded = self.saved is not None
        if self.saved is not None:
            self.load(self.saved)

    def reset(self) -> None:
        self.seedings += 1
        self.weights = np.zeros((self.classes, self.features + 1), np.float32)
        self.rate, self.samples, self.trained = 0.1, 0, 0

    # -- bytes

    def feed(self, data: bytes) -> bytes:
        out = b""
        for byte in data:
            if byte:
                self.buffer.append(byte)
                continue
            chunk, self.buffer = bytes(self.buffer), bytearray()
            if chunk:
                out += self.chunk(chunk)
        return out

    def chunk(self, chunk: bytes) -> bytes:
        content = cobs_decode(chunk)
        if (
            content is None
            or not 6 <= len(content) <= 6 + self.max_payload
            or crc16(content[:-2]) != struct.unpack("<H", content[-2:])[0]
            or content[0] != 1
        ):
            self.bad_frames += 1
            return b""
        kind, sequence = struct.unpack_from("<BH", content, 1)
        if self.last is not None and self.last[:2] == (kind, sequence) and kind != 1:
            return self.last[2]
        self.executed.append(kind)
        try:
            answer = self.frame(kind | 0x80, sequence, self.execute(kind, content[4:-2]))
        except Refusal as refusal:
            payload = bytes([refusal.code]) + refusal.text.encode()
            answer = self.frame(0xFF, sequence, payload)
        self.last = None if kind == 1 else (kind, sequence, answer)
        return answer

    def frame(self, kind: int, sequence: int, payload: bytes) -> bytes:
        content = struct.pack("<BBH", 1, kind, sequence) + payload
        return b"\0" + cobs_encode(content + struct.pack("<H", crc16(content))) + b"\0"

    def event(self, number: int) -> bytes:
        """A step that the sketch takes by itself."""
        self.samples += 1
        return self.frame(0x40, number, struct.pack("<ifffBBHI", 2, 0.5, 0.7, 0.2, 1, 0, 0, 99))

    # -- requests

    def execute(self, kind: int, payload: bytes) -> bytes:
        names = {
            1: self.hello,
            2: self.do_sample,
            3: self.predict,
            4: self.learn,
            5: self.stats,
            6: self.read,
            7: self.write,
            8: self.save,
            9: self.do_load,
            10: self.do_reset,
            11: self.set,
        }
        if kind not in names:
            raise Refusal(1, "unknown request")
        try:
            return names[kind](payload)
        except struct.error as error:
            raise Refusal(2, "malformed") from error

    def hello(self, payload: bytes) -> bytes:
        texts = b"".join(bytes([len(t)]) + t for t in (b"TfOdl 0.1.0", b"fake"))
        flags = self.storage + 2 * self.loaded
        fixed = struct.pack(
            "<BBHIIBBHfiIII",
            1,
            flags,
            self.max_payload,
            self.model_id,
            self.features,
            9,
            0,
            0,
            self.scale,
            self.zero_point,
            self.classes,
            0,
            len(self.image()),
        )
        return fixed + texts

    def do_sample(self, payload: bytes) -> bytes:
        tensor, offset = struct.unpack_from("<BI", payload)
        piece = payload[5:]
        if tensor != 0 or offset + len(piece) > self.features or offset not in (0, self.filled):
            raise Refusal(9, "offset")
        self.sample[offset : offset + len(piece)] = piece
        self.filled = offset + len(piece)
        return b""

    def checked_sample(self, length: int, crc: int) -> bytes:
        sample, filled, self.filled = bytes(self.sample), self.filled, 0
        if filled != self.features or length != self.features or zlib.crc32(sample) != crc:
            raise Refusal(3, "sample incomplete or different")
        return sample

    def probabilities(self, sample: bytes) -> tuple[np.ndarray, np.ndarray]:
        codes = np.frombuffer(sample, np.int8).astype(np.float32)
        x = np.append((codes - self.zero_point) * np.float32(self.scale), np.float32(1))
        z = self.weights @ x
        e = np.exp(z - z.max())
        return x, e / e.sum()

    def predict(self, payload: bytes) -> bytes:
        sample = self.checked_sample(*struct.unpack("<II", payload))
        _, p = self.probabilities(sample)
        best = int(p.argmax())
        return struct.pack("<ifffBBHI", best, p[best], -1, 0, 0, 0, 0, 10)

    def learn(self, payload: bytes) -> bytes:
        label, length, crc = struct.unpack("<iII", payload)
        if not 0 <= label < self.classes:
            raise Refusal(4, "label out of range")
        sample = self.checked_sample(length, crc)
        x, p = self.probabilities(sample)
        error = p.copy()
        error[label] -= 1
        decision = float(np.abs(error).sum()) / 2
        trained = decision > self.threshold
        self.samples += 1
        if trained:
            self.trained += 1
            self.weights -= np.float32(self.rate) * np.outer(error, x)
        self.learned.append((label, sample))
        best = int(p.argmax())
        loss = -math.log(max(float(p[label]), 1e-30))
        return struct.pack("<ifffBBHI", best, p[best], loss, decision, trained, 0, 0, 25)

    def stats(self, payload: bytes) -> bytes:
        macs = self.trained * self.features * self.classes
        return struct.pack(
            "<5IQQf8I",
            self.samples,
            self.trained,
            self.samples - self.trained,
            0,
            0,
            macs,
            macs,
            self.rate,
            self.saves,
            0,
            self.saved_sequence(),
            self.bad_frames,
            1234,
            5678,
            0,
            self.seedings,
        )

    def read(self, payload: bytes) -> bytes:
        offset, count = struct.unpack("<IH", payload)
        image = self.image()
        if offset + count > len(image) or count > self.max_payload - 4:
            raise Refusal(9, "offset")
        return struct.pack("<I", self.samples) + image[offset : offset + count]

    def write(self, payload: bytes) -> bytes:
        if not self.storage:
            raise Refusal(6, "no storage")
        (offset,) = struct.unpack_from("<I", payload)
        if offset == 0:
            self.incoming = b""
        size = len(self.image())
        if offset != len(self.incoming) or offset + len(payload) - 4 > size:
            raise Refusal(9, "offset")
        self.incoming += payload[4:]
        if len(self.incoming) == size:
            if not self.is_whole(self.incoming):
                raise Refusal(10, "image damaged or of another model")
            self.load(self.incoming)
            self.saved = self.image(self.saved_sequence() + 1)
        return b""

    def save(self, payload: bytes) -> bytes:
        if not self.storage:
            raise Refusal(6, "no storage")
        self.saved = self.image(self.saved_sequence() + 1)
        self.saves += 1
        return struct.pack("<I", self.saved_sequence())

    def do_load(self, payload: bytes) -> bytes:
        if self.saved is None:
            raise Refusal(7, "nothing saved for this model")
        self.load(self.saved)
        return struct.pack("<I", self.saved_sequence())

    def do_reset(self, payload: bytes) -> bytes:
        self.reset()
        if payload[0] == 1:
            self.saved = None
        return b""

    def set(self, payload: bytes) -> bytes:
        setting, value = struct.unpack("<Bf", payload)
        if not math.isfinite(value) or value < 0 or setting not in (1, 2):
            raise Refusal(2, "not a setting or value")
        if setting == 1:
            self.rate = value
        else:
            self.interval = value
        return b""

    # -- state

    def saved_sequence(self) -> int:
        return 0 if self.saved is None else struct.unpack_from("<I", self.saved, 12)[0]

    def state(self) -> bytes:
        """The 16 words of `tfodl/state` without y_max."""
        return struct.pack(
            "<IIfIIIIIIQQfIf",
            self.model_id,
            1,
            self.rate,
            0,
            self.samples,
            self.trained,
            self.samples - self.trained,
            0,
            0,
            0,
            0,
            0.0,
            0,
            1.0,
        )

    def image(self, sequence: int = 0) -> bytes:
        body = self.state() + self.weights.astype("<f4").tobytes()
        head = struct.pack(
            "<4sHHIIIII", b"TODL", 1, 32, self.model_id, sequence, len(body), zlib.crc32(body), 0
        )
        return head + struct.pack("<I", zlib.crc32(head)) + body

    def is_whole(self, image: bytes) -> bool:
        head, body = image[:32], image[32:]
        model_id, _, size, crc = struct.unpack_from("<IIII", head, 8)
        return (
            head[:4] == b"TODL"
            and zlib.crc32(head[:28]) == struct.unpack_from("<I", head, 28)[0]
            and size == len(body)
            and zlib.crc32(body) == crc
            and model_id == self.model_id
        )

    def load(self, image: bytes) -> None:
        self.rate, _, self.samples, self.trained = struct.unpack_from("<fIII", image, 32 + 8)
        weights = np.frombuffer(image[32 + len(self.state()) :], "<f4")
        self.weights = weights.reshape(self.weights.shape).astype(np.float32)


class Refusal(Exception):
    def __init__(self, code: int, text: str) -> None:
        self.code, self.text = code, text


class Loopback:
    """A line straight to a board; `there` and `back` may change the bytes on the way."""

    def __init__(
        self,
        board: FakeBoard,
        there: Callable[[bytes], bytes] = bytes,
        back: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self.board, self.there, self.back = board, there, back
        self.waiting = b""

    def read(self, timeout: float) -> bytes:
        data, self.waiting = self.waiting, b""
        return data

    def write(self, data: bytes) -> None:
        self.waiting += self.back(self.board.feed(self.there(data)))


@contextmanager
def on_pty(board: FakeBoard, *, boot: bytes = b"") -> Iterator[str]:
    """The name of a pseudo-terminal at whose other end the board is.

    `boot` is printed when the first bytes arrive.
    """
    master, slave = os.openpty()
    tty.setraw(slave)
    stop = threading.Event()

    def run() -> None:
        text = boot
        while not stop.is_set():
            if select.select([master], [], [], 0.02)[0]:
                answer = text + board.feed(os.read(master, 4096))
                text = b""
                if answer:
                    os.write(master, answer)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        stop.set()
        thread.join(5)
        os.close(master)
        os.close(slave)
