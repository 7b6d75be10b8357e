"""Pickled arrays from strangers: nothing but numbers, texts and arrays is ever created."""

from __future__ import annotations

import io
import pickle
from typing import Any

from tf_odl.errors import UserError

# What the batches of CIFAR name, under the names of NumPy 1 and 2; everything else is refused.
ADMITTED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no data set needs")
        return super().find_class(module, name)


def unpickle(data: bytes, what: str) -> Any:
    """The object in a pickle of Python 2 or 3, if it is made of plain values and arrays.

    Keys that were texts in Python 2 are bytes.

    Raises:
        UserError: the pickle names anything else, which is not created, or is damaged.
    """
    try:
        return _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:  # a damaged pickle can raise almost anything
        raise UserError(f"{what} cannot be read: {error}") from error
