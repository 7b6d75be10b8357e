"""Softmax cross entropy against TensorFlow, the TinyPropv2 decision, and exp and log."""

import math

import kernel_harness as harness
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_harness import Memory

from tf_odl.converters.options import XentOptions


def step(
    logits: np.ndarray, label: int, memory: Memory, blob: bytes
) -> tuple[int, np.ndarray, np.ndarray]:
    """Returns (status, error, report)."""
    error = np.full(len(logits), np.nan, np.float32)
    report = np.full(6, np.nan, np.float32)
    status = harness.library.tfodl_xent_step(
        blob,
        len(blob),
        harness.pointer(logits),
        len(logits),
        label,
        harness.pointer(memory.words),
        harness.pointer(error),
        harness.pointer(report),
    )
    return status, error, report


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(-128, 127), min_size=1, max_size=20),
    st.floats(2.0**-10, 0.5, width=32),
    st.data(),
)
def test_loss_and_error_equal_tensorflow(
    values: list[int], scale: float, data: st.DataObject
) -> None:
    logits = np.array(values, np.int8)
    label = data.draw(st.integers(0, len(values) - 1))
    status, error, report = step(logits, label, Memory(), harness.xent_options(scale))
    assert status == 1

    scores = tf.constant(logits.astype(np.float64) * np.float32(scale))
    with tf.GradientTape() as tape:
        tape.watch(scores)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=[label], logits=scores[tf.newaxis]
        )
    wanted = tape.gradient(loss, scores).numpy()
    np.testing.assert_allclose(report[0], loss.numpy()[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(error, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(report[3], np.abs(wanted).sum(), rtol=1e-5, atol=1e-6)
    assert report[4] == logits.argmax()
    np.testing.assert_allclose(report[5], tf.nn.softmax(scores).numpy().max(), rtol=1e-5)


def test_the_loss_of_an_impossible_label_is_finite() -> None:
    """p[label] = e^-25500 is no float; the loss is still right."""
    memory = Memory()
    logits = np.array([127, -128], np.int8)
    _, error, report = step(logits, 1, memory, harness.xent_options(100.0))
    assert report[0] == 25500.0
    np.testing.assert_array_equal(error, [1, -1])
    assert memory.state().active


def test_a_small_error_keeps_its_digits() -> None:
    """1 - p[label] is far below the last digit of p[label]: 9 e^-51, 7e-22."""
    logits = np.full(10, -128, np.int8)
    logits[4] = 127
    _, error, report = step(logits, 4, Memory(), harness.xent_options(0.2))
    others = np.exp(np.float64(np.float32(0.2)) * -255)
    wrong = 9 * others / (1 + 9 * others)
    np.testing.assert_allclose(report[3], 2 * wrong, rtol=1e-6)
    np.testing.assert_allclose(np.delete(error, 4), others, rtol=1e-6)
    np.testing.assert_allclose(error[4], -wrong, rtol=1e-6)


@pytest.mark.parametrize("scale", [0.25, 0.2500001, 1.0, 30.0])
def test_logits_far_below_the_largest_code(scale: float) -> None:
    """The table ends at 0 with a large scale; only differences of logits count."""
    for low in (-128, -60, 100):
        logits = np.array([low, low + 1, low + 3], np.int8)
        _, error, report = step(logits, 1, Memory(), harness.xent_options(scale))
        scores = np.float64(np.float32(scale)) * np.array([0, 1, 3])
        p = np.exp(scores - scores.max())
        p /= p.sum()
        np.testing.assert_allclose(error, p - [0, 1, 0], rtol=1e-5, atol=1e-30)
        np.testing.assert_allclose(
            report[0], np.log(np.exp(scores - 3 * scores[1]).sum()) + 2 * scores[1], rtol=1e-5
        )


def test_a_broken_table_is_refused() -> None:
    good = harness.xent_options(0.1)
    accepts = harness.library.tfodl_parse_xent
    assert accepts(good, len(good)) == 1
    for entry, value in [(255, 0.5), (100, 2.0), (100, -1.0), (100, np.nan), (7, 0.0)]:
        table = np.frombuffer(good, np.float32).copy()
        table[7 + entry] = value
        broken = table.tobytes()
        assert accepts(broken, len(broken)) == 0, (entry, value)
    assert accepts(good[:-4], len(good) - 4) == 0
    assert accepts(good[:28], 28) == 0


@pytest.mark.parametrize("scale", [1e-3, 0.07, 0.25, 0.6, 1.0, 1000.0])
def test_the_exported_table(scale: float) -> None:
    blob = XentOptions(scale, 0, 0.0, 1.0, 1.0, 0.0).pack()
    exact = [math.exp(float(np.float32(scale)) * (q - 127)) for q in range(-128, 128)]
    wanted = [0.0 if value < 2.0**-126 else np.float32(value) for value in exact]
    np.testing.assert_array_equal(np.frombuffer(blob, np.float32)[7:], wanted)


def test_a_non_finite_loss_abandons_the_step() -> None:
    memory = Memory()
    _, _, report = step(np.array([127, -128], np.int8), 1, memory, harness.xent_options(3e38))
    state = memory.state()
    assert (state.non_finite, state.active, state.trained, state.samples) == (1, False, 0, 1)
    assert report[2] == 0


def test_a_negative_label_only_infers() -> None:
    memory = Memory()
    status, _, report = step(np.array([1, 2], np.int8), -1, memory, harness.xent_options(0.1))
    assert status == 1
    np.testing.assert_allclose(report, [-1, 0, 0, 0, 1, 1 / (1 + np.exp(-0.1))], rtol=1e-6)
    state = memory.state()
    assert (state.active, state.samples, state.trained) == (False, 0, 0)


@pytest.mark.parametrize("label", [2, 3, 2**31 - 1])
def test_an_unknown_label_fails(label: int) -> None:
    memory = Memory()
    status, _, _ = step(np.array([1, 2], np.int8), label, memory, harness.xent_options(0.1))
    assert status == 2
    assert not memory.state().active


def test_the_decision_follows_the_running_maximum() -> None:
    """D = (d_min + alpha (d_max - d_min) / alpha_max) beta, trained above the threshold."""
    blob = harness.xent_options(0.05, skip_rule=1, d=(0.1, 0.9), beta=0.5, threshold=0.3)
    memory = Memory()
    alpha_max = 0.0
    counts = {True: 0, False: 0}
    random = np.random.default_rng(3)
    for i in range(200):
        logits = random.integers(-128, 128, 4).astype(np.int8)
        label = int(logits.argmax()) if i % 3 else int(logits.argmin())
        _, error, report = step(logits, label, memory, blob)
        scores = np.exp(np.float32(0.05) * logits.astype(np.float64))
        alpha = 2 * np.delete(scores, label).sum() / scores.sum()
        assert np.isnan(error).all() == (report[2] == 0)  # written when the sample trains
        alpha_max = max(alpha_max, alpha)
        decision = (0.1 + alpha * 0.8 / alpha_max) * 0.5
        np.testing.assert_allclose(report[1], decision, rtol=1e-5)
        assert report[2] == (report[1] > 0.3) == memory.state().active
        counts[bool(report[2])] += 1
    state = memory.state()
    assert (state.trained, state.skipped, state.samples) == (counts[True], counts[False], 200)
    assert min(counts.values()) > 20
    np.testing.assert_allclose(state.alpha_max, alpha_max, rtol=1e-5)


@pytest.mark.parametrize("threshold", [0.0, 0.02, 0.1])
def test_samples_that_the_network_knows(threshold: float) -> None:
    """With one logit far above the others: loss and decision keep their digits down to 1e-8."""
    scale = 0.1
    blob = harness.xent_options(scale, skip_rule=1, d=(0.0, 1.0), beta=1.0, threshold=threshold)
    memory = Memory()
    random = np.random.default_rng(7)
    step(np.array([100, -100, -100], np.int8), 1, memory, blob)  # alpha_max is 2
    decisions = set()
    for _ in range(300):
        logits = random.integers(-60, 0, 6).astype(np.int8)
        label = int(random.integers(6))
        logits[label] = random.integers(20, 127)
        _, error, report = step(logits, label, memory, blob)
        below = np.delete(logits, label).astype(np.float64) - logits[label]
        others = np.exp(np.float32(scale) * below)
        wrong = others.sum() / (1 + others.sum())
        alpha_max = memory.state().alpha_max
        wanted = [np.log1p(others.sum()), 2 * wrong / alpha_max, 2 * wrong / alpha_max > threshold]
        np.testing.assert_allclose(
            report,
            [*wanted, 2 * wrong, label, 1 - wrong],
            rtol=1e-6 if others.sum() < 0.125 else 1e-5,
        )
        trained = bool(report[2])
        assert np.isnan(error).all() != trained and memory.state().active == trained
        decisions.add(trained)
    state = memory.state()
    assert decisions == ({True} if threshold == 0.0 else {True, False})
    assert (state.samples, state.trained + state.skipped) == (301, 301)


def test_no_error_at_all_gives_the_smallest_decision() -> None:
    blob = harness.xent_options(0.05, skip_rule=1, d=(0.4, 0.9), beta=1.0, threshold=0.3)
    _, error, report = step(np.array([5], np.int8), 0, Memory(), blob)
    np.testing.assert_array_equal(error, [0])
    np.testing.assert_allclose(report, [0, 0.4, 1, 0, 0, 1])


def test_exp_is_as_accurate_as_documented() -> None:
    x = -np.logspace(-8, np.log10(86.9), 100_000).astype(np.float32)
    actual = np.empty_like(x)
    harness.library.tfodl_exp_of_non_positive(harness.pointer(x), len(x), harness.pointer(actual))
    relative = np.abs(actual / np.exp(x.astype(np.float64)) - 1)
    assert relative.max() < 2.0**-22
    edges = np.array([0.0, -0.0, -88.0, -1e30, -np.inf], np.float32)
    actual = np.empty_like(edges)
    harness.library.tfodl_exp_of_non_positive(
        harness.pointer(edges), len(edges), harness.pointer(actual)
    )
    np.testing.assert_array_equal(actual, [1, 1, 0, 0, 0])


def test_log_is_as_accurate_as_documented() -> None:
    x = np.concatenate([[0], np.logspace(-9, 6, 100_000)]).astype(np.float32)
    actual = np.empty_like(x)
    harness.library.tfodl_log_of_one_plus(harness.pointer(x), len(x), harness.pointer(actual))
    wanted = np.log1p(x.astype(np.float64))
    assert (np.abs(actual - wanted) < 1e-7 + 2.0**-22 * wanted).all()
