"""Samples as the bytes of a board's input."""

from __future__ import annotations

import math

import numpy as np

from tf_odl.board.messages import Hello, InputType
from tf_odl.errors import UserError


def to_bytes(x: np.ndarray, hello: Hello) -> list[bytes]:
    """What to send for each sample.

    Values of int8 inputs are rounded half to even and saturate, as the simulation's are.

    Args:
        x: float [N, *sample].

    Raises:
        UserError: the board's model takes samples of another size.
    """
    values = np.asarray(x, np.float32)
    values = values.reshape(len(x), math.prod(values.shape[1:]))
    size = 1 if hello.input_type is InputType.INT8 else 4
    if values.shape[1] * size != hello.input_bytes:
        raise UserError(
            f"the data have {values.shape[1]} values per sample, the board's model takes "
            f"{hello.input_bytes // size}"
        )
    if hello.input_type is InputType.FLOAT32:
        return [row.astype("<f4").tobytes() for row in values]
    codes = np.round(values / np.float32(hello.input_scale)) + hello.input_zero_point
    return [row.tobytes() for row in np.clip(codes, -128, 127).astype(np.int8)]
