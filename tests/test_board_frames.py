"""Frames: an independent implementation of the page on the other side, any bytes in between."""

from __future__ import annotations

import struct

import fake_board
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_odl.board.frames import BadFrame, Frame, Receiver, crc16, decode, encode

CHECK = settings(max_examples=300, deadline=None)
FRAMES = st.builds(
    Frame, st.integers(0, 255), st.integers(0, 65535), st.binary(max_size=600)
)  # COBS changes its step at 254 bytes
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1).map(
    lambda text: text + "\r\n"
)


def received(*pieces: bytes) -> list[Frame | str]:
    receiver = Receiver()
    return [item for piece in pieces for item in receiver.feed(piece)]


def test_the_check_of_the_standard():
    assert crc16(b"123456789") == 0x29B1 == fake_board.crc16(b"123456789")


def test_a_frame_byte_by_byte():
    """Worked out on paper: 01 01 00 00 and its check 7A69 hold two zeros."""
    content = bytes([1, 1, 0, 0])
    check = struct.pack("<H", fake_board.crc16(content))
    assert encode(Frame(1, 0)) == b"\0\x03\x01\x01\x01\x03" + check + b"\0"


@CHECK
@given(FRAMES)
def test_the_other_implementation_reads_and_writes_the_same(frame):
    content = struct.pack("<BBH", 1, frame.type, frame.sequence) + frame.payload
    content += struct.pack("<H", fake_board.crc16(content))
    data = encode(frame)
    assert data[0] == data[-1] == 0 and 0 not in data[1:-1]
    assert fake_board.cobs_decode(data[1:-1]) == content
    assert decode(fake_board.cobs_encode(content)) == frame


@CHECK
@given(st.lists(st.one_of(FRAMES, TEXTS), max_size=6), st.data())
def test_frames_and_text_arrive_however_the_stream_is_cut(items, data):
    stream = b"".join(encode(i) if isinstance(i, Frame) else i.encode() for i in items)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    seen = received(*pieces)
    assert [i for i in seen if isinstance(i, Frame)] == [i for i in items if isinstance(i, Frame)]
    texts = "".join(i for i in seen if isinstance(i, str))
    assert texts == "".join(i for i in items if isinstance(i, str))


@CHECK
@given(FRAMES, FRAMES, st.data())
def test_one_changed_byte_is_noticed_and_the_next_frame_arrives(first, second, data):
    bad = bytearray(encode(first))
    at = data.draw(st.integers(0, len(bad) - 1))
    bad[at] ^= data.draw(st.integers(1, 255))
    frames = [i for i in received(bytes(bad), encode(second)) if isinstance(i, Frame)]
    assert frames == [second] or (at == 0 and frames == [first, second])  # a line's end in front


@CHECK
@given(st.binary(max_size=400), FRAMES)
def test_garbage_before_a_frame_does_no_harm(garbage, frame):
    assert received(garbage, encode(frame))[-1] == frame


@pytest.mark.parametrize("chunk", [b"", b"\x01", b"\x05\x01\x02", b"\x03\x01\x01\x01\x03\0\0"])
def test_what_is_no_frame(chunk):
    with pytest.raises(BadFrame):
        decode(chunk)


def test_another_version_is_no_frame():
    content = struct.pack("<BBH", 2, 1, 0)
    content += struct.pack("<H", fake_board.crc16(content))
    with pytest.raises(BadFrame, match="version 2"):
        decode(fake_board.cobs_encode(content))


def test_endless_garbage_is_not_kept():
    receiver = Receiver()
    for _ in range(100):
        assert list(receiver.feed(b"\xff" * 4096)) == []
    assert len(receiver._pending) <= 1 << 16
