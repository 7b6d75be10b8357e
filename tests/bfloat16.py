"""bfloat16 by numpy: a float32 whose lower 16 bits are zero."""

import numpy as np


def as_bfloat16(values: np.ndarray) -> np.ndarray:
    """Float32 of the same shape, rounded to the nearest bfloat16, halves to even; finite values."""
    exact = np.asarray(values, np.float64)
    _, exponent = np.frexp(exact)
    # 8 bits of precision, fewer below the smallest normal number.
    unit = np.ldexp(1.0, np.maximum(exponent - 8, -133))
    with np.errstate(over="ignore"):  # beyond the largest number is infinity
        return (np.rint(exact / unit) * unit).astype(np.float32)


def bfloat16_bits(values: np.ndarray) -> np.ndarray:
    """int16, of values that are bfloat16."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    assert not (bits & 0xFFFF).any()
    return (bits >> 16).astype(np.uint16).view(np.int16)


def from_bfloat16_bits(bits: np.ndarray) -> np.ndarray:
    """Float32 of the same shape."""
    return (bits.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
