"""The state tensor of a training graph, as docs/training-graph.md lists its words."""

import struct
from dataclasses import dataclass

from tf_odl.contract import STATE_WORDS

_FIXED = struct.Struct("<IIfIIIIIIQQfIf")


@dataclass(frozen=True)
class Counts:
    """What no state counts: of all interpreters of a process, its check of itself included.

    ``seedings``: how often the variables were filled with what was exported; ``clipped``: samples
    that trained with a clipped error.
    """

    seedings: int
    clipped: int


@dataclass(frozen=True)
class State:
    """Counters and settings of the training ops.

    ``backward_macs`` counts k entries per layer, ``backward_macs_nonzero`` leaves out entries that
    are exactly zero. ``rate_factor`` is what the learning rate was multiplied by at the last
    sample that trained. ``y_max`` has one value per weighted layer, lowest layer first.
    """

    sentinel: int
    rng: int
    learning_rate: float
    active: bool
    samples: int
    trained: int
    skipped: int
    non_finite: int
    saturated: int
    backward_macs: int
    backward_macs_nonzero: int
    alpha_max: float
    reselections: int
    rate_factor: float
    y_max: tuple[float, ...]

    @classmethod
    def from_bytes(cls, data: bytes) -> "State":
        """Decode the tensor: STATE_WORDS little-endian words, then y_max as float32."""
        (
            sentinel,
            rng,
            learning_rate,
            active,
            samples,
            trained,
            skipped,
            non_finite,
            saturated,
            backward_macs,
            backward_macs_nonzero,
            alpha_max,
            reselections,
            rate_factor,
        ) = _FIXED.unpack_from(data)
        layers = len(data) // 4 - STATE_WORDS
        return cls(
            sentinel=sentinel,
            rng=rng,
            learning_rate=learning_rate,
            active=bool(active),
            samples=samples,
            trained=trained,
            skipped=skipped,
            non_finite=non_finite,
            saturated=saturated,
            backward_macs=backward_macs,
            backward_macs_nonzero=backward_macs_nonzero,
            alpha_max=alpha_max,
            reselections=reselections,
            rate_factor=rate_factor,
            y_max=struct.unpack_from(f"<{layers}f", data, 4 * STATE_WORDS),
        )
