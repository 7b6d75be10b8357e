"""Exact top-k: the k largest magnitudes, ties in scan order."""

import kernel_harness as harness
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

DENORMAL = np.float32(1e-45)
FLOATS = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, float(DENORMAL), float(-DENORMAL), 3.4e38, -3.4e38]),
)


def reference(values: np.ndarray, k: int) -> np.ndarray:
    """A stable sort keeps scan order among equal magnitudes."""
    kept = np.argsort(-np.abs(values.astype(np.float64)), kind="stable")[:k]
    result = np.zeros_like(values)
    result[kept] = values[kept]
    return result


def keep_largest(values: np.ndarray, k: int) -> np.ndarray:
    result = values.copy()
    harness.library.tfodl_keep_largest(harness.pointer(result), len(result), k)
    return result


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(FLOATS, min_size=1, max_size=60), st.data())
def test_equals_a_stable_sort(numbers: list[float], data: st.DataObject) -> None:
    values = np.array(numbers, np.float32)
    k = data.draw(st.integers(1, len(values)))
    np.testing.assert_array_equal(keep_largest(values, k), reference(values, k))


@pytest.mark.parametrize("k", [1, 2, 77, 5000, 9999, 10000])
@pytest.mark.parametrize("decimals", [1, 3, 8])
def test_large_arrays(k: int, decimals: int) -> None:
    values = np.random.default_rng(k).normal(size=10000).round(decimals).astype(np.float32)
    result = keep_largest(values, k)
    np.testing.assert_array_equal(result, reference(values, k))


def test_values_that_differ_in_the_last_bit() -> None:
    """Needs every pass of the radix selection."""
    values = np.arange(0x3F800000, 0x3F800000 + 64, dtype=np.uint32).view(np.float32)
    values = np.random.default_rng(0).permutation(values)
    for k in range(1, 65):
        np.testing.assert_array_equal(keep_largest(values, k), reference(values, k))


def test_ties_stay_in_scan_order() -> None:
    values = np.array([1, -2, 2, 2, -1, 1], np.float32)
    np.testing.assert_array_equal(keep_largest(values, 2), [0, -2, 2, 0, 0, 0])
    np.testing.assert_array_equal(keep_largest(values, 4), [1, -2, 2, 2, 0, 0])


@pytest.mark.parametrize(
    ("fraction", "count", "wanted"),
    [
        (0.0, 10, 1),
        (0.04, 10, 1),
        (0.25, 10, 3),  # 2.5: halves away from zero
        (0.35, 10, 4),
        (0.5, 3, 2),
        (0.125, 12, 2),
        (1.0, 10, 10),
        (7.0, 10, 10),
        (-1.0, 10, 1),
        (0.5, 1, 1),
        (0.5, 1 << 28, 1 << 27),
    ],
)
def test_count_of_fraction(fraction: float, count: int, wanted: int) -> None:
    assert harness.library.tfodl_count_of_fraction(fraction, count) == wanted


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.floats(0, 1.5, width=32), st.integers(1, 1 << 20))
def test_count_of_fraction_rounds_the_product(fraction: float, count: int) -> None:
    product = np.float32(fraction) * np.float32(count)
    wanted = int(np.clip(np.floor(np.float64(product) + 0.5), 1, count))
    assert harness.library.tfodl_count_of_fraction(fraction, count) == wanted
