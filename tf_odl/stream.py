"""What is known of learning sample by sample, wherever it happened."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Stream:
    """Labelled samples in the order they were learned from; arrays have one entry for each.

    Accuracies are those of test samples, None where they were not measured and of what is no
    classifier.
    """

    accuracy_before: float | None
    accuracy_after: float | None
    correct: np.ndarray | None  # bool: right before it was learned from; of a classifier
    was_trained: np.ndarray  # bool
    losses: np.ndarray  # float32, before it was learned from

    def to_dict(self) -> dict[str, Any]:
        """The figures without the per-sample arrays."""
        arrays = ("correct", "was_trained", "losses")
        return {k: v for k, v in asdict(self).items() if k not in arrays}
