"""What the state image of a training graph holds, as docs/protocol.md describes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.training_graph import SEED_OP, STATE
from tf_odl.converters.write_back import variable_tensors

_SENTINEL_WORD = 1  # of SeedOptions


def state_layout(graph: bytes) -> dict[str, Any]:
    """The model id and the parts of the body, as export.json keeps them.

    Args:
        graph: a model_train.tflite.

    Raises:
        UserError: the model is no training graph.
    """
    flat = FlatModel(graph)
    variables = variable_tensors(flat)
    seed = next(op for op in flat.operators if flat.op_name(op) == SEED_OP)
    state = flat.find(STATE)
    assert state is not None
    words = np.frombuffer(seed.customOptions.tobytes(), "<u4")
    return {
        "model_id": int(words[_SENTINEL_WORD]),
        "state_bytes": 4 * int(np.prod(flat.shape(state))),
        "variables": [
            {
                "name": flat.name(t),
                "shape": list(flat.shape(t)),
                "dtype": np.dtype(flat.dtype(t)).name,
            }
            for t in variables
        ],
    }
