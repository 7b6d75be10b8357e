"""A training graph in one call."""

from __future__ import annotations

import zlib
from typing import Any

from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.training_graph import make_trainable


def build_training_graph(model: bytes, *arguments: Any, **how: Any) -> bytes:
    """As `make_trainable`, from a .tflite file to another one."""
    flat = FlatModel(model)
    make_trainable(flat, *arguments, checksum=zlib.crc32(model), **how)
    return flat.pack()
