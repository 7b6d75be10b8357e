"""Skip rules against numpy written from TinyPropv2 eq. 14."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tf_odl.errors import UserError
from tf_odl.methods import Never, TinyPropV2

ERRORS = hnp.arrays(
    np.float32,
    st.integers(1, 12),
    elements=st.one_of(
        st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0]),
        st.floats(2**-20, 4, width=32),
    ),
)
MAXIMA = st.sampled_from([0.0, 0.5, 2.0, 10.0])
RULES = st.builds(
    lambda threshold, ends, beta: TinyPropV2(threshold, min(ends), max(ends), beta),
    st.sampled_from([0.05, 0.1, 0.5, 0.9]),
    st.tuples(*[st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0])] * 2),
    st.sampled_from([0.5, 1.0, 2.0]),
)


def decide(rule: TinyPropV2 | Never, alpha: object, alpha_max: float = 0.0):
    """(bool [B], new running maximum)."""
    trains, new = rule.decide(tf.constant(alpha, tf.float32), tf.constant(alpha_max, tf.float32))
    return trains.numpy(), float(new)


def metric(rule: TinyPropV2, alpha: np.ndarray, alpha_max: float) -> list[float]:
    """D of eq. 14 for a batch whose largest error counts as seen."""
    largest = max([alpha_max, *map(float, alpha)])
    shares = [float(a) / largest if largest > 0 else 0.0 for a in alpha]
    return [(rule.d_min + s * (rule.d_max - rule.d_min)) * rule.beta for s in shares]


@settings(max_examples=200, deadline=None)
@given(ERRORS, MAXIMA, RULES)
def test_tinypropv2_follows_the_equation(
    alpha: np.ndarray, alpha_max: float, rule: TinyPropV2
) -> None:
    trains, new = decide(rule, alpha, alpha_max)
    assert new == max(alpha_max, float(alpha.max()))
    for d, chosen in zip(metric(rule, alpha, alpha_max), trains, strict=True):
        if abs(d - rule.threshold) > 1e-5:  # nearer than that float32 may decide either way
            assert chosen == (d > rule.threshold)


def test_tinypropv2_by_hand() -> None:
    """alpha_max 2, threshold 0.5: D = 0.45, 0.55, 0, 1."""
    trains, alpha_max = decide(TinyPropV2(threshold=0.5), [0.9, 1.1, 0.0, 2.0])
    assert trains.tolist() == [False, True, False, True]
    assert alpha_max == 2.0


def test_every_term_of_the_equation_counts() -> None:
    """alpha / alpha_max = 1/4: (0.2 + 0.25 * 0.4) * 0.5 = 0.15."""
    for threshold, expected in ((0.149, True), (0.151, False)):
        rule = TinyPropV2(threshold, d_min=0.2, d_max=0.6, beta=0.5)
        assert decide(rule, [1.0], 4.0)[0].tolist() == [expected]


def test_a_sample_on_the_threshold_is_skipped() -> None:
    """ "D exceeds a certain threshold": equality does not."""
    trains, _ = decide(TinyPropV2(threshold=0.5), [1.0, 1.0 + 2**-20], 2.0)
    assert trains.tolist() == [False, True]


@settings(max_examples=50, deadline=None)
@given(ERRORS)
def test_the_first_sample_is_never_skipped(alpha: np.ndarray) -> None:
    """It is the largest error so far: D = d_max beta. So is the largest of the first batch."""
    assume(alpha.max() > 0)
    trains, _ = decide(TinyPropV2(threshold=0.99), alpha)
    assert trains[int(np.argmax(alpha))]
    assert decide(TinyPropV2(threshold=0.99), alpha.max(keepdims=True))[0].all()


def test_a_new_largest_error_always_trains() -> None:
    alpha_max = 0.0
    for alpha in (0.5, 0.6, 3.0, 3.1):
        trains, alpha_max = decide(TinyPropV2(threshold=0.99), [alpha], alpha_max)
        assert trains.all()
        assert alpha_max == pytest.approx(alpha)


def test_an_error_of_zero_before_any_other_is_skipped_without_a_division() -> None:
    trains, alpha_max = decide(TinyPropV2(), [0.0, 0.0])
    assert not trains.any()
    assert alpha_max == 0.0


def test_skipped_samples_raise_the_running_maximum() -> None:
    """beta 0.1 skips even the largest error, which still sets the scale of the next samples."""
    trains, alpha_max = decide(TinyPropV2(threshold=0.5, beta=0.1), [8.0])
    assert not trains.any()
    assert alpha_max == 8.0


def test_the_running_maximum_never_falls() -> None:
    rng = np.random.default_rng(0)
    alpha_max, seen = 0.0, 0.0
    for scale in (1, 4, 0.1, 0.5, 9, 1):
        alpha = rng.uniform(0, scale, 5).astype(np.float32)
        _, alpha_max = decide(TinyPropV2(), alpha, alpha_max)
        seen = max(seen, float(alpha.max()))
        assert alpha_max == seen


@settings(max_examples=50, deadline=None)
@given(ERRORS, MAXIMA)
def test_a_lower_threshold_trains_the_same_samples_and_more(
    alpha: np.ndarray, alpha_max: float
) -> None:
    chosen = [decide(TinyPropV2(threshold=t), alpha, alpha_max)[0] for t in (0.0, 0.1, 0.5, 1.0)]
    for more, fewer in pairwise(chosen):
        assert (more | ~fewer).all()
    assert (chosen[0] == (alpha > 0)).all()
    assert not chosen[-1].any()


def test_with_softmax_and_cross_entropy_it_is_a_bound_on_the_probability() -> None:
    """Y^L = 2 (1 - p_true); once the running maximum is 2, D = 1 - p_true."""
    rng = np.random.default_rng(1)
    logits = rng.normal(scale=3, size=(64, 6))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    label = rng.integers(0, 6, 64)
    delta = p - np.eye(6)[label]
    trains, _ = decide(TinyPropV2(threshold=0.3), np.abs(delta).sum(axis=1), 2.0)
    p_true = p[np.arange(64), label]
    assert 0 < trains.sum() < 64
    assert trains.tolist() == (p_true < 0.7).tolist()


@settings(max_examples=30, deadline=None)
@given(ERRORS, MAXIMA)
def test_never_trains_every_sample(alpha: np.ndarray, alpha_max: float) -> None:
    trains, new = decide(Never(), alpha, alpha_max)
    assert trains.dtype == bool
    assert trains.shape == alpha.shape
    assert trains.all()
    assert new == alpha_max


def test_only_never_announces_that_everything_trains() -> None:
    assert Never().always_trains
    assert not TinyPropV2().always_trains


@pytest.mark.parametrize(
    "values",
    [
        {"d_min": 0.5, "d_max": 0.4},
        {"beta": 0.0},
        {"beta": -1.0},
        {"beta": math.nan},
        {"d_min": math.nan},
        {"threshold": math.nan},
        {"d_max": math.inf},
    ],
)
def test_tinypropv2_refuses_values_that_mean_nothing(values: dict[str, float]) -> None:
    with pytest.raises(UserError, match="tinypropv2"):
        TinyPropV2(**values)
