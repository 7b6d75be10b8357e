"""scikit-learn's handwritten digits: 1797 grey images of 8x8, embedded in the library."""

from __future__ import annotations

import numpy as np

from tf_odl.data.dataset import Dataset, checked, split


def load_digits() -> Dataset:
    """float32 [N, 8, 8, 1] in 0..1; 1438 samples for training, 359 for test."""
    from sklearn import datasets

    bunch = datasets.load_digits()
    x = (bunch.images[..., None] / 16).astype(np.float32)
    train, test = split(x, bunch.target)
    return checked(
        "digits",
        train,
        test,
        source="scikit-learn load_digits (UCI optical recognition of handwritten digits)",
        class_names=tuple("0123456789"),
    )
