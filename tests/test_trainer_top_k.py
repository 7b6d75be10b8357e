"""Top-k of layers as large as a convolution's, against sorting with NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_odl.methods.top_k import top_k


def expected(magnitude: np.ndarray, k: np.ndarray) -> np.ndarray:
    mask = np.zeros(magnitude.shape, bool)
    for row, count in enumerate(k.astype(int)):
        mask[row, np.argsort(-magnitude[row], kind="stable")[:count]] = True
    return mask


def rows(kind: str, size: int) -> np.ndarray:
    rng = np.random.default_rng(size)
    values = np.abs(rng.normal(0, 1, (6, size)))
    if kind == "sparse":
        values *= rng.random(values.shape) < 0.1
    elif kind == "tied":
        values = np.round(values, 1)
    elif kind == "scales":
        values = 10 ** rng.uniform(-37, 38, values.shape)
    elif kind == "equal":
        values = np.full(values.shape, 0.3)
    elif kind == "zero":
        values = np.zeros(values.shape)
    return values.astype(np.float32)


@pytest.mark.parametrize("size", [1023, 1024, 3000])
@pytest.mark.parametrize("kind", ["normal", "sparse", "tied", "scales", "equal", "zero"])
def test_exact_with_ties_in_index_order(kind: str, size: int) -> None:
    """Eagerly and in a graph; the k of a row may be 0, 1, all, or reach into the zeros."""
    magnitude = rows(kind, size)
    function = tf.function(top_k)
    for k in (
        np.array([0, 1, size // 20, size // 2, size - 1, size]),
        np.full(6, size // 2),
        np.full(6, size),
        np.zeros(6),
    ):
        want = expected(magnitude, k)
        for run in (top_k, function):
            mask, nonzero = run(tf.constant(magnitude), tf.constant(k, tf.int32))
            np.testing.assert_array_equal(mask, want)
            np.testing.assert_array_equal(nonzero, want & (magnitude > 0))


def test_errors_that_are_no_numbers_are_the_largest() -> None:
    """A diverged run ends with a message, not in a crash."""
    magnitude = np.array([[1, np.nan, np.inf, 2, 0], [np.nan] * 5], np.float32)
    mask = top_k(tf.constant(magnitude), tf.constant([3, 2])).mask.numpy()
    np.testing.assert_array_equal(mask, [[0, 1, 1, 1, 0], [1, 1, 0, 0, 0]])


def test_only_rows_with_too_many_entries_are_searched() -> None:
    """Rows of 0, 1, 3 and 5 entries that are not zero, of which 3 are kept, ties among them."""
    magnitude = np.array([[0] * 5, [0, 0, 2, 0, 0], [0, 4, 1, 0, 1], [1, 7, 1, 7, 1]], np.float32)
    found = top_k(tf.constant(magnitude), tf.fill([4], 3))
    nonzero = [[0] * 5, [0, 0, 1, 0, 0], [0, 1, 1, 0, 1], [1, 1, 0, 1, 0]]
    np.testing.assert_array_equal(found.nonzero, nonzero)
    mask = [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [0, 1, 1, 0, 1], [1, 1, 0, 1, 0]]
    np.testing.assert_array_equal(found.mask, mask)
