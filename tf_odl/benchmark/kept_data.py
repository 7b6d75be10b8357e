"""Data that stay in a worker's memory from one run to the next."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from tf_odl.data.catalogue import DATASETS
from tf_odl.task import CLASSIFICATION, Loss, Task
from tf_odl.trainer.settings import Settings

if TYPE_CHECKING:
    from tf_odl.data import Dataset

MOST_BYTES = 1 << 30
# Settings no data depend on. What is not listed here is taken to change them.
_OTHERS = (
    "model",
    "weights",
    "method",
    "selector",
    "sparsifier",
    "skip",
    "budget",
    "set",
    "epochs",
    "batch_size",
    "learning_rate",
    "schedule",
    "warmup",
    "seed",
    "strategy",
)


class KeptData:
    """Loads data once for all runs that use them.

    The least recently used go when all together are larger than MOST_BYTES.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Dataset] = {}

    def load(self, settings: Settings, task: Task = CLASSIFICATION) -> Dataset:
        """As `finetune.load_data`."""
        from tf_odl.trainer import finetune

        given = {k: v for k, v in settings.to_dict().items() if k not in _OTHERS}
        built_in = (settings.data or "").partition(":")[0] in DATASETS
        # Own data depend on what is asked of them; of others an autoencoder gets no labels.
        asked = [task.loss is Loss.RECONSTRUCTION] if built_in else [task.loss, task.shape]
        key = json.dumps([given, asked], sort_keys=True)
        data = self._kept.pop(key, None)
        if data is None:
            data = finetune.load_data(settings, task)
        self._kept[key] = data
        while len(self._kept) > 1 and sum(map(_bytes, self._kept.values())) > MOST_BYTES:
            del self._kept[next(iter(self._kept))]
        return data


def _bytes(data: Dataset) -> int:
    values = (getattr(data, field.name) for field in fields(data))
    return sum(value.nbytes for value in values if isinstance(value, np.ndarray))
