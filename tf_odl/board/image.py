"""The state image of docs/protocol.md: everything that learning changed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_odl.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike

MAGIC = b"TODL"
FORMAT = 1
_HEADER = struct.Struct("<4sHHIIIII")
_CHECK = struct.Struct("<I")
HEADER_BYTES = _HEADER.size + _CHECK.size


@dataclass(frozen=True)
class Image:
    """`body` is the state tensor and the variables; `sequence` is 0 in an image from memory."""

    model_id: int
    sequence: int
    body: bytes


def parse(data: bytes) -> Image:
    """Check and take apart an image.

    Raises:
        UserError: it is damaged or none.
    """
    if len(data) < HEADER_BYTES or data[:4] != MAGIC:
        raise UserError("no state image of a board")
    _, version, header_bytes, model_id, sequence, body_bytes, check, _ = _HEADER.unpack_from(data)
    if _CHECK.unpack_from(data, _HEADER.size)[0] != zlib.crc32(data[: _HEADER.size]):
        raise UserError("the header of the state image is damaged")
    if version != FORMAT or header_bytes != HEADER_BYTES:
        raise UserError(f"state images of format {version} are unknown")
    body = data[HEADER_BYTES:]
    if len(body) != body_bytes or zlib.crc32(body) != check:
        raise UserError("the state image is damaged")
    return Image(model_id, sequence, body)


def build(image: Image) -> bytes:
    """The bytes of an image."""
    header = _HEADER.pack(
        MAGIC,
        FORMAT,
        HEADER_BYTES,
        image.model_id,
        image.sequence,
        len(image.body),
        zlib.crc32(image.body),
        0,
    )
    return header + _CHECK.pack(zlib.crc32(header)) + image.body


def split(
    body: bytes, state_bytes: int, variables: Sequence[tuple[tuple[int, ...], DTypeLike]]
) -> tuple[bytes, list[np.ndarray]]:
    """The state tensor and the variables of a body.

    Args:
        variables: (shape, dtype) of each, in the order of TFODL_SEED.

    Raises:
        UserError: the sizes differ.
    """
    import numpy as np

    arrays: list[np.ndarray] = []
    at = state_bytes
    for shape, dtype in variables:
        count = int(np.prod(shape, dtype=np.int64))
        end = at + count * np.dtype(dtype).itemsize
        if end > len(body):
            raise UserError("the state image is too small for this model")
        values: np.ndarray = np.frombuffer(body[at:end], np.dtype(dtype).newbyteorder("<"))
        arrays.append(values.astype(dtype).reshape(shape))
        at = end
    if at != len(body):
        raise UserError("the state image is too large for this model")
    return body[:state_bytes], arrays


def join(state: bytes, variables: Sequence[np.ndarray]) -> bytes:
    """The body of the state tensor and the variables."""
    return state + b"".join(v.astype(v.dtype.newbyteorder("<")).tobytes() for v in variables)
