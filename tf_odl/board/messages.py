"""Requests and answers of docs/protocol.md."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

PROTOCOL = 1
ANSWER = 0x80  # set in the type of an answer
ERROR = 0xFF
EVENT = 0x40
MIN_PAYLOAD = 64  # every board takes as much


class Request(IntEnum):
    """Types of requests."""

    HELLO = 0x01
    SAMPLE = 0x02
    PREDICT = 0x03
    LEARN = 0x04
    STATS = 0x05
    READ = 0x06
    WRITE = 0x07
    SAVE = 0x08
    LOAD = 0x09
    RESET = 0x0A
    SET = 0x0B


class ErrorCode(IntEnum):
    """What a board answers instead."""

    UNKNOWN_REQUEST = 1
    MALFORMED = 2
    SAMPLE_DIFFERS = 3
    LABEL_OUT_OF_RANGE = 4
    STEP_FAILED = 5
    NO_STORAGE = 6
    NOTHING_SAVED = 7
    STORAGE_FAILED = 8
    OFFSET = 9
    BAD_IMAGE = 10


class Setting(IntEnum):
    """What SET changes."""

    LEARNING_RATE = 1
    SAVE_INTERVAL = 2  # seconds, 0 for none


class Tensor(IntEnum):
    """What SAMPLE fills."""

    INPUT = 0
    TARGET = 1


class InputType(IntEnum):
    """As in TensorFlow Lite."""

    FLOAT32 = 1
    INT8 = 9


class Malformed(ValueError):
    """A payload that is none of this protocol."""


@dataclass(frozen=True)
class Hello:
    """What a board says of itself. `image_bytes` is the size of its state image."""

    max_payload: int
    has_storage: bool
    loaded: bool  # a saved state, at the start
    model_id: int
    input_bytes: int
    input_type: InputType
    input_scale: float
    input_zero_point: int
    classes: int  # 0: no classifier
    target_bytes: int
    image_bytes: int
    firmware: str
    board: str

    _FIXED = struct.Struct("<BBHIIBBHfiIII")

    @classmethod
    def decode(cls, payload: bytes) -> Hello:
        """From the answer to HELLO.

        Raises:
            Malformed: it is none, or of another version of the protocol.
        """
        if payload[:1] and payload[0] != PROTOCOL:
            raise Malformed(f"protocol version {payload[0]}, this program speaks {PROTOCOL}")
        try:
            (
                _,
                flags,
                max_payload,
                model_id,
                input_bytes,
                input_type,
                _,
                _,
                scale,
                zero_point,
                classes,
                target_bytes,
                image_bytes,
            ) = cls._FIXED.unpack_from(payload)
            kind = InputType(input_type)
        except (struct.error, ValueError) as error:
            raise Malformed(f"Hello: {error}") from error
        texts = []
        at = cls._FIXED.size
        for _ in range(2):
            length = payload[at] if at < len(payload) else -1
            text = payload[at + 1 : at + 1 + length]
            if length < 0 or len(text) != length:
                raise Malformed("Hello ends too early")
            texts.append(text.decode("ascii", "replace"))
            at += 1 + length
        if max_payload < MIN_PAYLOAD:
            raise Malformed(f"Hello: payloads of at most {max_payload} bytes")
        return cls(
            max_payload=max_payload,
            has_storage=bool(flags & 1),
            loaded=bool(flags & 2),
            model_id=model_id,
            input_bytes=input_bytes,
            input_type=kind,
            input_scale=scale,
            input_zero_point=zero_point,
            classes=classes,
            target_bytes=target_bytes,
            image_bytes=image_bytes,
            firmware=texts[0],
            board=texts[1],
        )


@dataclass(frozen=True)
class Step:
    """What a board made of one sample; prediction and loss are those before the update."""

    prediction: int  # -1 without classes
    probability: float
    loss: float  # -1 without a label
    decision: float
    trained: bool
    microseconds: int

    _FIXED = struct.Struct("<ifffBBHI")

    @classmethod
    def decode(cls, payload: bytes) -> Step:
        """From the answer to PREDICT or LEARN, or from an EVENT.

        Raises:
            Malformed: it is none.
        """
        try:
            prediction, probability, loss, decision, trained, _, _, us = cls._FIXED.unpack(payload)
        except struct.error as error:
            raise Malformed(f"Step: {error}") from error
        return cls(prediction, probability, loss, decision, bool(trained), us)


@dataclass(frozen=True)
class Stats:
    """Counters of a board; those of learning are part of its state, the others of this start."""

    samples: int
    trained: int
    skipped: int
    non_finite: int
    saturated: int
    backward_macs: int
    backward_macs_nonzero: int
    learning_rate: float
    saves: int
    failed_saves: int
    saved_sequence: int  # 0: nothing saved
    bad_frames: int
    arena_used_bytes: int
    uptime_ms: int
    clipped: int  # samples whose error was clipped
    seedings: int  # how often the weights were those of the export again

    _FIXED = struct.Struct("<5IQQf8I")

    @classmethod
    def decode(cls, payload: bytes) -> Stats:
        """From the answer to STATS.

        Raises:
            Malformed: it is none.
        """
        try:
            return cls(*cls._FIXED.unpack(payload))
        except struct.error as error:
            raise Malformed(f"Stats: {error}") from error


def sample_payloads(tensor: Tensor, data: bytes, max_payload: int) -> list[bytes]:
    """Payloads of the SAMPLE requests that carry `data`."""
    size = max_payload - 5
    return [
        struct.pack("<BI", tensor, start) + data[start : start + size]
        for start in range(0, len(data), size)
    ]


def predict_payload(data: bytes) -> bytes:
    """Payload of PREDICT on the sample `data`."""
    return struct.pack("<II", len(data), zlib.crc32(data))


def learn_payload(data: bytes, label: int) -> bytes:
    """Payload of LEARN on `data`, the sample and behind it the target, if there is one."""
    return struct.pack("<i", label) + predict_payload(data)


def read_payload(offset: int, count: int) -> bytes:
    """Payload of READ."""
    return struct.pack("<IH", offset, count)


def write_payloads(image: bytes, max_payload: int) -> list[bytes]:
    """Payloads of the WRITE requests that carry a state image."""
    size = max_payload - 4
    return [
        struct.pack("<I", start) + image[start : start + size]
        for start in range(0, len(image), size)
    ]


def set_payload(setting: Setting, value: float) -> bytes:
    """Payload of SET."""
    return struct.pack("<Bf", setting, value)
