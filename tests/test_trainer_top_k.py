"""Top-k of layers as large as a convolution's, against sorting with NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_odl.methods import get_method
from tf_odl.methods import top_k as module
from tf_odl.methods.largest import library
from tf_odl.methods.top_k import top_k
from tf_odl.trainer.model import OdlModel


@pytest.fixture(params=["C++", "TensorFlow"])
def search(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who searches: the compiled function, or TensorFlow's ops where there is none."""
    if request.param == "TensorFlow":
        monkeypatch.setattr(module, "library", lambda: None)
    elif library() is None:
        pytest.skip("the search was not compiled: install a C++ compiler and install tf-odl again")
    monkeypatch.setattr(module, "CALLED", 0)
    return str(request.param)


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
def test_exact_with_ties_in_index_order(search: str, kind: str, size: int) -> None:
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
            mask, nonzero, count = run(tf.constant(magnitude), tf.constant(k, tf.int32))
            np.testing.assert_array_equal(mask, want)
            np.testing.assert_array_equal(nonzero, want & (magnitude > 0))
            np.testing.assert_array_equal(count, (want & (magnitude > 0)).sum(axis=1))


def test_errors_that_are_no_numbers_are_the_largest(search: str) -> None:
    """A diverged run ends with a message, not in a crash."""
    magnitude = np.array([[1, np.nan, np.inf, 2, 0], [np.nan] * 5], np.float32)
    mask = top_k(tf.constant(magnitude), tf.constant([3, 2])).mask.numpy()
    np.testing.assert_array_equal(mask, [[0, 1, 1, 1, 0], [1, 1, 0, 0, 0]])
    many = np.where(np.arange(200) % 2, np.float32(np.nan), np.arange(200, dtype=np.float32))[None]
    mask = top_k(tf.constant(many), tf.constant([102])).mask.numpy()[0]
    assert mask[1::2].all() and mask[196] and mask[198] and mask.sum() == 102


def test_only_rows_with_too_many_entries_are_searched(search: str) -> None:
    """Rows of 0, 1, 3 and 5 entries that are not zero, of which 3 are kept, ties among them."""
    magnitude = np.array([[0] * 5, [0, 0, 2, 0, 0], [0, 4, 1, 0, 1], [1, 7, 1, 7, 1]], np.float32)
    found = top_k(tf.constant(magnitude), tf.fill([4], 3))
    nonzero = [[0] * 5, [0, 0, 1, 0, 0], [0, 1, 1, 0, 1], [1, 1, 0, 1, 0]]
    np.testing.assert_array_equal(found.nonzero, nonzero)
    mask = [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [0, 1, 1, 0, 1], [1, 1, 0, 1, 0]]
    np.testing.assert_array_equal(found.mask, mask)


@pytest.mark.skipif(library() is None, reason="the search was not compiled")
def test_weights_do_not_depend_on_who_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit, under a skip rule, whose batches have any number of samples."""
    rng = np.random.default_rng(0)
    x, y = rng.random((96, 12, 12, 1), np.float32), rng.integers(0, 4, 96)
    weights = []
    for has_library in (True, False):
        if not has_library:
            monkeypatch.setattr(module, "library", lambda: None)
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Conv2D(8, 3, activation="relu"), keras.layers.MaxPooling2D()]
        layers += [keras.layers.Flatten(), keras.layers.Dense(24, "relu"), keras.layers.Dense(4)]
        model = OdlModel(
            keras.Sequential([keras.Input((12, 12, 1)), *layers]), get_method("tinypropv2")
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1), loss, steps_per_execution=2)
        model.fit(x, y, batch_size=16, epochs=4, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
