"""The k largest entries of every row in C++, where it could be compiled: `largest.cpp`."""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
from pathlib import Path
from typing import Any

import numpy as np


@functools.cache
def library() -> Any:
    """The compiled function, or None where the installation could not build it."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_largest{suffix}")
        if path.is_file():
            function = ctypes.CDLL(str(path)).TfOdlLargest
            rows = ctypes.c_void_p
            function.argtypes = [rows, rows, ctypes.c_int32, ctypes.c_int32, rows, rows]
            function.restype = None
            return function
    return None


def largest(bits: np.ndarray, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The k[b] largest of every row b that are not zero, ties in index order.

    Args:
        bits: of floats that are not negative, int32 [B, N].
        k: int32 [B].

    Returns:
        A mask, bool [B, N], and how many it has in every row, int32 [B].
    """
    bits, k = np.ascontiguousarray(bits), np.ascontiguousarray(k)
    mask, count = np.empty(bits.shape, bool), np.empty(k.shape, np.int32)
    library()(bits.ctypes.data, k.ctypes.data, *bits.shape, mask.ctypes.data, count.ctypes.data)
    return mask, count
