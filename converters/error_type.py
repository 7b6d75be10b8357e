"""What the errors between training ops are stored as."""

from __future__ import annotations

from enum import Enum

import numpy as np

from tf_odl.converters.flatbuffer import FlatModel

_SUFFIX = "_BF16"


class ErrorType(Enum):
    """FLOAT32, or BFLOAT16: the upper half of it, at half the memory.

    An op computes with floats and integers either way; what it writes is rounded.
    """

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"

    @property
    def dtype(self) -> type[np.generic]:
        """Of the tensors; TensorFlow Lite Micro has no bfloat16, so their bits are int16."""
        return np.float32 if self is ErrorType.FLOAT32 else np.int16

    def op(self, name: str) -> str:
        """The name of the op that reads or writes such errors: `TFODL_ADD_BWD_BF16`."""
        return name if self is ErrorType.FLOAT32 else name + _SUFFIX


def error_type_of(training: bytes) -> ErrorType:
    """What the errors of a training graph are stored as."""
    flat = FlatModel(training)
    narrow = any(flat.op_name(op).endswith(_SUFFIX) for op in flat.operators)
    return ErrorType.BFLOAT16 if narrow else ErrorType.FLOAT32


def without_error_type(name: str) -> str:
    """`TFODL_ADD_BWD` of TFODL_ADD_BWD_BF16; any other op's name as it is."""
    return name.removesuffix(_SUFFIX)
