"""Sparsifiers against numpy written from the formulas: exact top-k, meProp, TinyProp."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tf_odl.errors import UserError
from tf_odl.methods import Dense, MeProp, TinyProp, WeightedLayer
from tf_odl.methods.top_k import round_half_up, top_k

# Few distinct values, so that most draws hold ties; both signs and zero.
COARSE = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
FINE = st.floats(-8, 8, width=32, allow_subnormal=False)


def errors(rows: int = 5, columns: int = 24) -> st.SearchStrategy[np.ndarray]:
    shapes = st.tuples(st.integers(1, rows), st.integers(1, columns))
    return st.one_of(
        hnp.arrays(np.float32, shapes, elements=COARSE),
        hnp.arrays(np.float32, shapes, elements=FINE),
    )


def best_entries(row: np.ndarray, k: int) -> np.ndarray:
    """The k largest of |row|, ties to the lower index: sorted by hand, bool [N]."""
    order = sorted(range(len(row)), key=lambda i: (-abs(float(row[i])), i))
    mask = np.zeros(len(row), bool)
    mask[order[:k]] = True
    return mask


def nearest(x: float) -> int:
    """round() with halves up."""
    whole = math.floor(x)
    return whole + (1 if x - whole >= 0.5 else 0)


def tinyprop_k(
    delta: np.ndarray, y_max: float, depth: int, method: TinyProp, slack: float
) -> list[int]:
    """eq. 9, 11 and 12 for a batch whose largest error counts as seen; slack is added to S N."""
    totals = [sum(abs(float(d)) for d in row) for row in delta]
    y_max = max([y_max, *totals])
    size = delta.shape[1]
    ks = []
    for row, y in zip(delta, totals, strict=True):
        share = y / y_max if y_max > 0 else 0.0
        rate = (method.s_min + share * (method.s_max - method.s_min)) * method.zeta**depth
        of = size if method.share_of == "entries" else sum(float(d) != 0 for d in row)
        ks.append(min(max(nearest(rate * of + slack), 1), size))
    return ks


def kept(sparsifier: object, delta: np.ndarray, y_max: float = 0.0, depth: int = 1):
    """(bool mask or None, new running maximum)."""
    layer = WeightedLayer("a", "dense", delta.shape[1], 1, 1, True, 0, 1, depth)
    answer = sparsifier.keep(tf.constant(delta), tf.constant(y_max, tf.float32), layer)
    mask = None if answer.selected is None else answer.selected.mask.numpy()
    return mask, float(answer.y_max)


# -- exact top-k --------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(errors(), st.data())
def test_top_k_is_exact_with_ties_in_index_order(delta: np.ndarray, data: st.DataObject) -> None:
    rows, size = delta.shape
    k = data.draw(st.lists(st.integers(1, size), min_size=rows, max_size=rows))
    mask = top_k(tf.abs(delta), tf.constant(k, tf.int32)).mask.numpy()
    expected = np.stack([best_entries(row, n) for row, n in zip(delta, k, strict=True)])
    np.testing.assert_array_equal(mask, expected)


def test_top_k_of_the_paper() -> None:
    """top([1, 2, 3, -4], 2) = [0, 0, 3, -4], the example below eq. 4."""
    delta = np.array([[1, 2, 3, -4]], np.float32)
    mask = top_k(tf.abs(delta), tf.constant([2])).mask.numpy()
    np.testing.assert_array_equal(np.where(mask, delta, 0), [[0, 0, 3, -4]])


def test_top_k_keeps_k_of_a_row_that_is_all_equal() -> None:
    mask = top_k(tf.zeros([3, 6]), tf.constant([1, 4, 6])).mask.numpy()
    assert mask.astype(int).tolist() == [[1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0], [1] * 6]


def test_halves_round_up() -> None:
    values = tf.constant([0.0, 0.49, 0.5, 1.5, 2.5, 3.49, 3.5])
    assert round_half_up(values).numpy().tolist() == [0, 0, 1, 2, 3, 3, 4]


# -- dense --------------------------------------------------------------------------------------


def test_dense_keeps_everything_and_leaves_the_running_maximum() -> None:
    assert kept(Dense(), np.ones((2, 3), np.float32), 0.25) == (None, 0.25)


# -- meProp -------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(errors(), st.sampled_from([0.01, 0.1, 0.2, 0.25, 0.5, 0.75, 1.0]), st.integers(1, 4))
def test_meprop_keeps_a_fixed_share(delta: np.ndarray, ratio: float, depth: int) -> None:
    size = delta.shape[1]
    k = min(max(nearest(ratio * size), 1), size)
    mask, y_max = kept(MeProp(ratio), delta, 0.75, depth)
    np.testing.assert_array_equal(mask, np.stack([best_entries(row, k) for row in delta]))
    assert y_max == 0.75


@pytest.mark.parametrize(
    ("ratio", "size", "k"),
    [(0.2, 10, 2), (0.25, 10, 3), (0.05, 10, 1), (0.01, 3, 1), (1.0, 7, 7), (0.5, 1, 1)],
)
def test_meprop_counts(ratio: float, size: int, k: int) -> None:
    delta = np.random.default_rng(0).normal(size=(4, size)).astype(np.float32)
    assert kept(MeProp(ratio), delta)[0].sum(axis=1).tolist() == [k] * 4


@pytest.mark.parametrize("method", [MeProp(0.2), TinyProp()])
def test_the_output_layer_is_dense_unless_asked(method: MeProp | TinyProp) -> None:
    delta = np.random.default_rng(1).normal(size=(3, 10)).astype(np.float32)
    assert kept(method, delta, depth=0)[0] is None
    assert kept(type(method)(sparsify_output=True), delta, depth=0)[0].sum() < delta.size


@pytest.mark.parametrize("ratio", [0.0, -0.1, 1.01, math.nan])
def test_meprop_refuses_a_ratio_out_of_range(ratio: float) -> None:
    with pytest.raises(UserError, match="ratio"):
        MeProp(ratio)


# -- TinyProp -----------------------------------------------------------------------------------

TINYPROP = st.builds(
    lambda ends, zeta, output, share_of: TinyProp(
        min(ends), max(ends), zeta, output, share_of=share_of
    ),
    st.tuples(*[st.sampled_from([0.0, 0.02, 0.1, 0.2, 0.5, 1.0])] * 2),
    st.sampled_from([0.5, 0.7, 0.9, 1.0]),
    st.just(True),
    st.sampled_from(["entries", "nonzero"]),
)


@settings(max_examples=150, deadline=None)
@given(errors(), TINYPROP, st.integers(0, 5), st.sampled_from([0.0, 0.5, 3.0, 50.0]))
def test_tinyprop_follows_the_equations(
    delta: np.ndarray, method: TinyProp, depth: int, y_max: float
) -> None:
    mask, new_max = kept(method, delta, y_max, depth)
    totals = np.abs(delta.astype(np.float64)).sum(axis=1)
    assert new_max == pytest.approx(max(y_max, totals.max()), rel=1e-5)
    low, high = (tinyprop_k(delta, y_max, depth, method, slack) for slack in (-1e-4, 1e-4))
    for row, chosen, lowest, highest in zip(delta, mask, low, high, strict=True):
        k = int(chosen.sum())
        # float32 may round S^l N^l to the other side of a half: both neighbours pass there.
        assert lowest <= k <= highest
        np.testing.assert_array_equal(chosen, best_entries(row, k))


def test_tinyprop_by_hand() -> None:
    """N = 10, S 0.2..1, zeta 0.5, depth 1, Y_max 8.

    Y = 4: (0.2 + 0.4) 0.5 * 10 = 3.  Y = 8: 1.0 * 0.5 * 10 = 5.  Y = 0: 0.2 * 0.5 * 10 = 1.
    """
    delta = np.zeros((3, 10), np.float32)
    delta[0] = [0, 0, -1, 0, 0, 0.5, 0, 0.25, 2, 0.25]
    delta[1] = [0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1, 1, -1]
    mask, y_max = kept(TinyProp(0.2, 1.0, 0.5), delta, 8.0)
    assert y_max == 8.0
    assert [np.flatnonzero(row).tolist() for row in mask] == [[2, 5, 8], [4, 5, 6, 7, 8], [0]]


def test_a_share_of_the_nonzero_entries_by_hand() -> None:
    """S 0.5 of 6, of 3 (1.5, halves up) and of 0 entries (but at least one), whatever N."""
    delta = np.zeros((3, 40), np.float32)
    delta[0, [3, 8, 9, 20, 21, 39]] = [1, -6, 2, 5, -3, 4]
    delta[1, [0, 10, 11]] = [-1, 3, 2]
    mask, _ = kept(TinyProp(0.5, 0.5, 1.0, share_of="nonzero"), delta)
    assert [np.flatnonzero(row).tolist() for row in mask] == [[8, 20, 39], [10, 11], [0]]
    all_of_them = kept(TinyProp(1.0, 1.0, 1.0, share_of="nonzero"), delta)[0]
    np.testing.assert_array_equal(all_of_them[:2], delta[:2] != 0)


def test_tinyprop_halves_round_up_not_to_even() -> None:
    """S N = 0.5 * 5 = 2.5 gives 3, where rounding to even would give 2."""
    delta = np.array([[5, 4, 3, 2, 1]], np.float32)
    assert kept(TinyProp(0.5, 0.5, 1.0), delta)[0].sum() == 3


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 4])
def test_tinyprop_damps_towards_the_input(depth: int) -> None:
    """At the largest error of all, k is s_max zeta^depth N."""
    delta = np.linspace(1, 2, 16, dtype=np.float32)[None]
    method = TinyProp(0.0, 1.0, 0.5, sparsify_output=True)
    assert kept(method, delta, depth=depth)[0].sum() == [16, 8, 4, 2, 1][depth]


def test_k_stays_between_one_and_all() -> None:
    delta = np.array([[1e-6, 2e-6, 0.0]], np.float32)
    assert kept(TinyProp(0.0, 1.0, 0.9), delta, 1e3)[0].tolist() == [[False, True, False]]
    assert kept(TinyProp(1.0, 1.0, 1.0), delta, 1e3)[0].all()


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_an_error_of_zero_before_any_other_is_no_division(depth: int) -> None:
    """0 / 0 counts as share 0: k = s_min zeta^depth N, and the maximum stays 0."""
    method = TinyProp(0.5, 1.0, 0.5, sparsify_output=True)
    mask, y_max = kept(method, np.zeros((2, 16), np.float32), 0.0, depth)
    assert y_max == 0.0
    assert mask.sum(axis=1).tolist() == [8 // 2**depth] * 2


def test_the_running_maximum_only_grows() -> None:
    """Fed back from batch to batch it is the largest Y of all samples so far."""
    rng = np.random.default_rng(3)
    batches = [rng.normal(scale=s, size=(4, 6)).astype(np.float32) for s in (1, 3, 0.1, 5, 2)]
    y_max, seen, history = 0.0, 0.0, []
    for delta in batches:
        _, y_max = kept(TinyProp(), delta, y_max)
        seen = max(seen, *(float(np.abs(row).sum()) for row in delta))
        assert y_max == pytest.approx(seen, rel=1e-6)
        history.append(y_max)
    assert history[2] == history[1] < history[3]


def test_a_dense_output_layer_tracks_its_maximum_too() -> None:
    mask, y_max = kept(TinyProp(), np.array([[1, -2], [0, 1]], np.float32), 0.5, depth=0)
    assert mask is None
    assert y_max == 3.0


@pytest.mark.parametrize(
    "values",
    [
        {"s_min": -0.1},
        {"s_max": 1.1},
        {"s_min": 0.8, "s_max": 0.5},
        {"zeta": 0.0},
        {"zeta": 1.5},
        {"s_min": math.nan},
        {"zeta": math.nan},
    ],
)
def test_tinyprop_refuses_values_out_of_range(values: dict[str, float]) -> None:
    with pytest.raises(UserError, match="tinyprop"):
        TinyProp(**values)
