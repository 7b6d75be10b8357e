"""Frames of docs/protocol.md: COBS between zero bytes, with a CRC-16."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from cobs import cobs

VERSION = 1
_HEADER = struct.Struct("<BBH")
_CHECK = struct.Struct("<H")
_OVERHEAD = _HEADER.size + _CHECK.size
_MAX_GARBAGE = 1 << 16  # more without a zero byte is no frame of any board


class BadFrame(ValueError):
    """Bytes between two zeros that are no frame."""


@dataclass(frozen=True)
class Frame:
    """One message. `type` is 0 to 255, `sequence` 0 to 65535."""

    type: int
    sequence: int
    payload: bytes = b""


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF, not reflected."""
    return binascii.crc_hqx(data, 0xFFFF)


def encode(frame: Frame) -> bytes:
    """The bytes to send, with a zero before and after."""
    content = _HEADER.pack(VERSION, frame.type, frame.sequence) + frame.payload
    return b"\0" + cobs.encode(content + _CHECK.pack(crc16(content))) + b"\0"


def decode(chunk: bytes) -> Frame:
    """The frame in the bytes between two zeros.

    Raises:
        BadFrame: they are none, or their check fails.
    """
    try:
        content = cobs.decode(chunk)
    except cobs.DecodeError as error:
        raise BadFrame(str(error)) from error
    if len(content) < _OVERHEAD:
        raise BadFrame("too short")
    if _CHECK.unpack(content[-_CHECK.size :])[0] != crc16(content[: -_CHECK.size]):
        raise BadFrame("the check fails")
    version, kind, sequence = _HEADER.unpack_from(content)
    if version != VERSION:
        raise BadFrame(f"protocol version {version}")
    return Frame(kind, sequence, content[_HEADER.size : -_CHECK.size])


class Receiver:
    """Turns a stream of bytes, cut anywhere, into frames and the text between them."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame | str]:
        """Frames, and what a sketch printed beside them; other garbage is dropped.

        Text comes when its line ends or a zero follows.
        """
        self._pending += data
        while (end := self._pending.find(0)) >= 0:
            chunk = bytes(self._pending[:end])
            del self._pending[: end + 1]
            yield from _parse(chunk)
        yield from self._lines()
        if len(self._pending) > _MAX_GARBAGE:
            self._pending.clear()

    def _lines(self) -> Iterator[str]:
        # The first byte of an encoded frame may be a line's end, the second is the version.
        if len(self._pending) < 2 or self._pending[1] == VERSION:
            return
        end = self._pending.rfind(b"\n") + 1
        text = _text(bytes(self._pending[:end]))
        if text:
            del self._pending[:end]
            yield text


def _parse(chunk: bytes) -> Iterator[Frame | str]:
    if not chunk:
        return
    try:
        yield decode(chunk)
        return
    except BadFrame:
        pass
    # A board that prints without a zero byte behind it.
    end = chunk.rfind(b"\n") + 1
    text = _text(chunk[:end])
    if text:
        yield text
        chunk = chunk[end:]
        try:
            yield decode(chunk)
            return
        except BadFrame:
            pass
    text = _text(chunk)
    if text:
        yield text


def _text(data: bytes) -> str | None:
    """`data` as text, None if it is none."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if all(c.isprintable() or c in "\t\r\n" for c in text) else None
