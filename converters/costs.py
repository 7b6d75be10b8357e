"""What the ops of a model cost on a Cortex-M4, in instructions, by the sizes of their work.

The costs per kind of op are fitted to counts inside TensorFlow Lite Micro with CMSIS-NN by
`benchmarks/mcu/op_costs.py`, for dense training of random networks; they are estimates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tf_odl.converters.error_type import without_error_type

Costs = Mapping[str, Mapping[str, float]]  # of each kind of op: instructions per unit of a size


@dataclass(frozen=True)
class Work:
    """One op.

    `kind` is the op's name, of a 1x1 convolution with a suffix; `macs` are the multiply-accumulates
    of a layer, forwards, or of the input's error and of the weights that learn; `sizes` are what
    its instructions grow with, `call` 1 among them: see `work`.
    """

    kind: str
    macs: int
    sizes: Mapping[str, float]

    def instructions(self, costs: Costs) -> float:
        """By the costs of its sizes; 0 for an unknown kind.

        With errors of a type that was not measured, an op costs what it does with float32.
        """
        per = costs.get(self.kind) or costs.get(without_error_type(self.kind), {})
        return sum(per.get(name, 0.0) * size for name, size in self.sizes.items())


@cache
def measured_costs() -> Costs:
    """Instructions per unit of every size of each kind of op."""
    costs: Costs = json.loads(_file().read_text())["costs"]
    return costs


def _file() -> Path:
    return Path(__file__).with_name("costs.json")
