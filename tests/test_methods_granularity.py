"""TinyProp's and meProp's k by hand, in both variants, for entries and for channels."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tf_odl.errors import UserError
from tf_odl.methods import MeProp, TinyProp, WeightedLayer


def layer(neurons: int, positions: int = 1, depth: int = 1) -> WeightedLayer:
    kind = "dense" if positions == 1 else "conv"
    return WeightedLayer("a", kind, neurons, positions, 1, True, 0, 1, depth)


def kept(
    sparsifier: TinyProp | MeProp, delta: np.ndarray, x: WeightedLayer, y_max: float = 0.0
) -> np.ndarray:
    selected = sparsifier.keep(tf.constant(delta), tf.constant(y_max, tf.float32), x).selected.mask
    return selected.numpy()


def nearest_even(value: float) -> int:
    """round() with halves to the even neighbour, as PyTorch has it."""
    low = int(np.floor(value))
    if value - low == 0.5:
        return low if low % 2 == 0 else low + 1
    return low + int(value - low > 0.5)


# -- k of every layer, by hand ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "depth", "share", "paper", "authors"),
    [
        # S = (0 + Y/4 * 1) * 0.5^depth, N = 8
        (4.0, 0, 1.0, 8, 8),
        (4.0, 1, 0.5, 4, 4),
        (2.5, 1, 0.3125, 3, 2),  # 2.5: up, or to even
        (1.5, 1, 0.1875, 2, 2),  # 1.5: up and to even agree
        (0.5, 1, 0.0625, 1, 0),  # 0.5: up, or to even
        (0.25, 1, 0.03125, 1, 0),  # 0.25: clamped to 1, or nothing is kept
        (4.0, 3, 0.125, 1, 1),
        (0.0, 2, 0.0, 1, 0),
    ],
)
def test_k_of_a_layer_in_both_variants(
    y: float, depth: int, share: float, paper: int, authors: int
) -> None:
    assert share == y / 4 * 0.5**depth
    delta = np.full((1, 8), y / 8, np.float32)
    for variant, k in (("paper", paper), ("authors", authors)):
        method = TinyProp(0.0, 1.0, 0.5, sparsify_output=True, variant=variant)
        assert kept(method, delta, layer(8, depth=depth), 4.0).sum() == k


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 4), st.integers(1, 12)),
        elements=st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0]),
    ),
    st.integers(0, 3),
)
def test_the_authors_variant_rounds_to_even_and_does_not_clamp(
    delta: np.ndarray, depth: int
) -> None:
    """Their PyTorch code: K = round(N * S), the result of its clamp is dropped."""
    method = TinyProp(0.0, 1.0, 0.5, sparsify_output=True, variant="authors")
    mask = kept(method, delta, layer(delta.shape[1], depth=depth))
    totals = np.abs(delta).sum(axis=1)
    for row, total, chosen in zip(delta, totals, mask, strict=True):
        share = total / totals.max() if totals.max() else 0.0
        wanted = float(np.float32(share)) * 0.5**depth * delta.shape[1]
        if abs(wanted % 1 - 0.5) < 1e-5 and wanted % 1 != 0.5:
            continue  # float32 may round it to either side
        k = nearest_even(wanted)
        best = sorted(range(len(row)), key=lambda i: (-abs(float(row[i])), i))[:k]
        assert np.flatnonzero(chosen).tolist() == sorted(best)


def test_a_dense_bias_is_announced() -> None:
    delta, y_max = tf.ones([1, 4]), tf.constant(0.0)
    assert TinyProp(dense_bias=True).keep(delta, y_max, layer(4)).dense_bias
    assert not TinyProp().keep(delta, y_max, layer(4)).dense_bias


# -- channels -----------------------------------------------------------------------------------


def test_whole_channels_by_hand() -> None:
    """2x2 maps of 3 channels; sums of |delta| are 4, 5 and 3: the largest entry's comes last."""
    maps = np.array([[[1, -2, 3], [1, -1, 0]], [[1, 1, 0], [-1, 1, 0]]], np.float32).reshape(1, 12)
    x = layer(3, positions=4)
    for count, channels in ((1, [1]), (2, [0, 1]), (3, [0, 1, 2])):
        mask = kept(MeProp(count / 3, granularity="channel"), maps, x).reshape(4, 3)
        assert np.flatnonzero(mask.all(axis=0)).tolist() == channels
        assert mask.sum() == 4 * count


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(np.float32, (3, 4, 5), elements=st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0])),
    st.sampled_from([0.0, 0.2, 0.5]),
    st.sampled_from(["paper", "authors"]),
)
def test_tinyprop_keeps_whole_channels(delta: np.ndarray, s_min: float, variant: str) -> None:
    """k = round(S C) channels of largest sum, ties to the lower channel."""
    method = TinyProp(s_min, 1.0, 1.0, granularity="channel", variant=variant)
    mask = kept(method, delta.reshape(3, 20), layer(5, positions=4)).reshape(3, 4, 5)
    totals = np.abs(delta).sum(axis=(1, 2))
    for sample, total, chosen in zip(delta, totals, mask, strict=True):
        share = total / totals.max() if totals.max() else 0.0
        wanted = float(
            (np.float32(s_min) + np.float32(share) * np.float32(1 - s_min)) * np.float32(5)
        )
        if abs(wanted % 1 - 0.5) < 1e-5 and wanted % 1 != 0.5:
            continue  # float32 may round it to either side
        k = nearest_even(wanted) if variant == "authors" else max(1, int(wanted + 0.5))
        sums = np.abs(sample).sum(axis=0)
        best = sorted(range(5), key=lambda c: (-float(sums[c]), c))[:k]
        expected = np.zeros((4, 5), bool)
        expected[:, best] = True
        np.testing.assert_array_equal(chosen, expected)


def test_a_share_of_the_channels_that_are_not_zero() -> None:
    """Half of four channels with an error; two others have none, one entry is enough."""
    maps = np.zeros((4, 6), np.float32)
    maps[:, 1], maps[2, 2], maps[:, 4], maps[0, 5] = 1, -9, [2, 0, -2, 1], 3
    method = TinyProp(0.5, 0.5, 1.0, granularity="channel", share_of="nonzero")
    mask = kept(method, maps.reshape(1, 24), layer(6, positions=4)).reshape(4, 6)
    assert np.flatnonzero(mask.all(axis=0)).tolist() == [2, 4]
    assert mask.sum() == 8


@pytest.mark.parametrize("variant", ["paper", "authors"])
def test_in_a_dense_layer_both_granularities_are_the_same(variant: str) -> None:
    delta = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    masks = [
        kept(TinyProp(granularity=g, variant=variant), delta, layer(9))
        for g in ("element", "channel")
    ]
    np.testing.assert_array_equal(*masks)


@pytest.mark.parametrize("build", [TinyProp, MeProp])
def test_unknown_names_are_refused(build: type) -> None:
    with pytest.raises(UserError, match="granularity is one of element, channel"):
        build(granularity="row")


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(UserError, match="variant is one of paper, authors"):
        TinyProp(variant="c")
    with pytest.raises(UserError, match="share_of is one of entries, nonzero"):
        TinyProp(share_of="all")
