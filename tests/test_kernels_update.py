"""Stochastic rounding: its expectation, its bounds, and its generator."""

import kernel_harness as harness
import numpy as np
import pytest

INT32 = np.iinfo(np.int32)


def update_weights(weights: np.ndarray, steps: np.ndarray, seed: int = 1) -> tuple[int, int]:
    """Update in place. Returns (saturated updates, generator state afterwards)."""
    rng = np.array([seed], np.uint32)
    steps = np.ascontiguousarray(steps, np.float32)
    saturated = harness.library.tfodl_update_weights(
        harness.pointer(weights), harness.pointer(steps), len(steps), harness.pointer(rng)
    )
    return saturated, int(rng[0])


def update_biases(biases: np.ndarray, steps: np.ndarray, seed: int = 1) -> int:
    rng = np.array([seed], np.uint32)
    steps = np.ascontiguousarray(steps, np.float32)
    harness.library.tfodl_update_biases(
        harness.pointer(biases), harness.pointer(steps), len(steps), harness.pointer(rng)
    )
    return int(rng[0])


def xorshift32(state: int) -> int:
    state ^= state << 13 & 0xFFFFFFFF
    state ^= state >> 17
    return state ^ (state << 5 & 0xFFFFFFFF)


def test_the_generator_is_xorshift32() -> None:
    rng = np.array([2463534242], np.uint32)
    actual = np.empty(100, np.float32)
    harness.library.tfodl_uniform(harness.pointer(rng), 100, harness.pointer(actual))
    state = 2463534242
    for value in actual:
        state = xorshift32(state)
        assert value == (state >> 8) / 2**24
    assert state == rng[0]
    assert xorshift32(2463534242) == 723471715  # Marsaglia, "Xorshift RNGs" (2003)


@pytest.mark.parametrize("step", [0.001, -0.001, 0.25, -0.75, 0.999, 3.4, -17.5, 2.0, -5.0])
@pytest.mark.parametrize("parameter", ["weight", "bias"])
def test_the_expectation_is_the_float_step(step: float, parameter: str) -> None:
    count = 200_000
    steps = np.full(count, step)
    if parameter == "weight":
        values = np.zeros(count, np.int8)
        update_weights(values, steps, seed=987654321)
    else:
        values = np.zeros(count, np.int32)
        update_biases(values, steps, seed=987654321)
    moved = -values.astype(np.float64)
    assert set(np.unique(moved)) <= {np.floor(step), np.floor(step) + 1}
    chance = step - np.floor(step)
    sigma = np.sqrt(chance * (1 - chance) / count)
    assert abs(moved.mean() - step) <= 5 * sigma + 2.0**-24


def test_rounding_repeats_bit_for_bit() -> None:
    steps = np.random.default_rng(1).normal(0, 3, 5000)
    weights = np.random.default_rng(2).integers(-127, 128, 5000).astype(np.int8)
    state, saturated, wanted = 77, 0, []
    for weight, step in zip(weights, steps.astype(np.float32), strict=True):
        state = xorshift32(state)
        moved = int(weight) - int(np.floor(step + np.float32((state >> 8) / 2**24)))
        saturated += abs(moved) > 127
        wanted.append(np.clip(moved, -127, 127))
    assert update_weights(weights, steps, seed=77) == (saturated, state)
    np.testing.assert_array_equal(weights, wanted)


def test_a_zero_step_draws_nothing() -> None:
    weights = np.array([1, 2], np.int8)
    assert update_weights(weights, np.array([0.0, -0.0]), seed=5) == (0, 5)
    biases = np.array([1, 2], np.int32)
    assert update_biases(biases, np.array([0.0, -0.0]), seed=5) == 5
    assert list(weights) == list(biases) == [1, 2]


def test_weights_saturate_and_are_counted() -> None:
    weights = np.array([120, -120, 127, -127, 127, 0, 0], np.int8)
    steps = np.array([-20.0, 20.0, -1.0, 1.0, 3.0, -127.0, 127.0])
    saturated, _ = update_weights(weights, steps)
    np.testing.assert_array_equal(weights, [127, -127, 127, -127, 124, 127, -127])
    assert saturated == 4


@pytest.mark.parametrize("huge", [1e3, 1e10, 3e38, np.inf])
def test_huge_steps_saturate(huge: float) -> None:
    weights = np.array([0, 0], np.int8)
    assert update_weights(weights, np.array([huge, -huge]))[0] == 2
    np.testing.assert_array_equal(weights, [-127, 127])
    if huge >= 1e10:
        biases = np.array([5, 5], np.int32)
        update_biases(biases, np.array([huge, -huge]))
        np.testing.assert_array_equal(biases, [INT32.min, INT32.max])


def test_biases_saturate_at_int32() -> None:
    biases = np.array([INT32.max - 1, INT32.min + 1, INT32.max, INT32.min], np.int32)
    update_biases(biases, np.array([-64.0, 64.0, 4e9, -4e9]))
    assert list(biases[:2]) == [INT32.max, INT32.min]
    assert list(biases[2:]) == [INT32.max - 4 * 10**9, INT32.min + 4 * 10**9]


def test_nan_changes_nothing() -> None:
    weights, biases = np.array([3], np.int8), np.array([3], np.int32)
    assert update_weights(weights, np.array([np.nan])) == (0, 1)
    assert update_biases(biases, np.array([np.nan])) == 1
    assert weights[0] == biases[0] == 3
