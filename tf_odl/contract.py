"""What `converters/` and `tflm_port/` both know of a training graph (docs/training-graph.md)."""

from __future__ import annotations

from enum import IntFlag

ABI_VERSION = 2  # the first word of every op's options
STATE_WORDS = 16  # of 4 bytes, of the state tensor before y_max
REPORT_FLOATS = 6


class Flags(IntFlag):
    """LayerOptions.flags"""

    PROPAGATE = 1
    UPDATE_WEIGHTS = 2
    UPDATE_BIAS = 4
    MASKED = 8
    RESIDUAL = 16
    VARIABLE_MASK = 32
    ACCUMULATE = 64
