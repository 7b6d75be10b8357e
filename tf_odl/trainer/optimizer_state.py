"""What an optimizer keeps beside the parameters."""

from __future__ import annotations

import keras
import numpy as np

FLOAT_BYTES = 4


def state_bytes(optimizer: keras.optimizers.Optimizer) -> int:
    """Bytes an optimizer keeps per parameter: SGD 0, with momentum 4, Adam 8.

    Counted on a copy that is built for one small matrix; state that does not grow with the
    number of parameters, such as the step counter, is left out.
    """
    copy = type(optimizer).from_config(optimizer.get_config())
    probe = keras.Variable(np.zeros((3, 5), np.float32))
    copy.build([probe])
    return sum(FLOAT_BYTES for v in copy.variables if tuple(v.shape) == tuple(probe.shape))
