"""The update rules: stochastic rounding and its generator, residuals, and the bounds of both."""

import kernel_harness as harness
import numpy as np
import pytest
from backward_reference import Generator, fraction

INT32 = np.iinfo(np.int32)
ONE = 2**16  # a step of 1


def update_outer(
    weights: np.ndarray,
    x: np.ndarray,
    factor: float,
    *,
    zero_point: int = 0,
    seed: int = 1,
    residuals: np.ndarray | None = None,
) -> tuple[int, int]:
    """Update in place. Returns (saturated updates, generator state afterwards)."""
    rng = np.array([seed], np.uint32)
    saturated = harness.library.tfodl_update_outer(
        harness.pointer(weights),
        harness.pointer(residuals),
        harness.pointer(x),
        zero_point,
        harness.ctypes.c_float(factor),
        len(weights),
        harness.pointer(rng),
    )
    return saturated, int(rng[0])


def update_row(
    weights: np.ndarray,
    gradient: np.ndarray,
    factor: float,
    *,
    seed: int = 1,
    residuals: np.ndarray | None = None,
) -> tuple[int, int]:
    rng = np.array([seed], np.uint32)
    gradient = np.ascontiguousarray(gradient, np.int32)
    saturated = harness.library.tfodl_update_row(
        harness.pointer(weights),
        harness.pointer(residuals),
        harness.pointer(gradient),
        harness.ctypes.c_float(factor),
        len(weights),
        harness.pointer(rng),
    )
    return saturated, int(rng[0])


def update_biases(biases: np.ndarray, steps: np.ndarray, seed: int = 1) -> int:
    rng = np.array([seed], np.uint32)
    steps = np.ascontiguousarray(steps, np.float32)
    harness.library.tfodl_update_biases(
        harness.pointer(biases), harness.pointer(steps), len(steps), harness.pointer(rng)
    )
    return int(rng[0])


def test_the_generator_is_xorshift32() -> None:
    rng = np.array([2463534242], np.uint32)
    actual = np.empty(100, np.float32)
    harness.library.tfodl_uniform(harness.pointer(rng), 100, harness.pointer(actual))
    generator = Generator(2463534242)
    for value in actual:
        assert value == generator.uniform()
    assert generator.state == rng[0]
    assert Generator(2463534242).draw() == 723471715  # Marsaglia, "Xorshift RNGs" (2003)


STEPS = [0.001, -0.001, 0.25, -0.75, 0.999, 3.4, -17.5, 2.0, -5.0]


def assert_unbiased(
    moved: np.ndarray, step: float, resolution: float, *, rounded_by: float = 0.0
) -> None:
    """Every value is floor or ceil of a step that is within `rounded_by` of the wanted one."""
    assert moved.min() >= np.floor(step - rounded_by)
    assert moved.max() <= np.floor(step + rounded_by) + 1
    chance = step - np.floor(step)
    sigma = np.sqrt(chance * (1 - chance) / len(moved))
    assert abs(moved.mean() - step) <= 5 * sigma + resolution


@pytest.mark.parametrize("step", STEPS)
def test_the_expectation_of_a_row_is_the_float_step(step: float) -> None:
    count = 200_000
    weights = np.zeros(count, np.int8)
    gradient = np.full(count, 3_000_000 if step > 0 else -3_000_000)
    update_row(weights, gradient, abs(step) / 3_000_000, seed=987654321)
    assert_unbiased(-weights.astype(float), step, 2.0**-16)


@pytest.mark.parametrize("step", STEPS)
def test_the_expectation_of_an_outer_product_is_the_float_step(step: float) -> None:
    """The factor of x is rounded once per row: the mean is over rows, too."""
    rows, count = 3000, 64
    x = np.full(count, 100, np.int8)
    moved = np.zeros(rows * count)
    seed = 987654321
    for row in range(rows):
        weights = np.zeros(count, np.int8)
        _, seed = update_outer(weights, x, step / 93, zero_point=7, seed=seed)
        moved[row * count : (row + 1) * count] = -weights.astype(float)
    slack = 93 * 2.0**-16
    assert_unbiased(moved, step, 5 * slack / np.sqrt(rows), rounded_by=slack)


@pytest.mark.parametrize("step", STEPS)
def test_the_expectation_of_a_bias_is_the_float_step(step: float) -> None:
    biases = np.zeros(200_000, np.int32)
    update_biases(biases, np.full(len(biases), step), seed=987654321)
    assert_unbiased(-biases.astype(float), step, 2.0**-24)


@pytest.mark.parametrize("step", [0.02, 0.3, 0.5])
def test_weights_round_independently(step: float) -> None:
    """Weights that share a draw see parts of it; that must not make them move together.

    Those half a range away from each other move together less often than by chance.
    """
    rows = 100_000
    weights = np.zeros(rows * 8, np.int8)
    update_row(weights, np.full(rows * 8, 1_000_000), step / 1e6, seed=5)
    moved = -weights.reshape(rows, 8).astype(float)
    correlation = np.corrcoef(moved.T)
    opposite = np.abs(np.subtract.outer(range(8), range(8))) == 4
    apart = step / (step - 1)  # never both, for a step up to a half
    np.testing.assert_allclose(correlation[opposite], apart, atol=0.02)
    others = ~opposite & ~np.eye(8, dtype=bool)
    assert np.abs(correlation[others]).max() < 0.02
    later = np.corrcoef(moved[:-1].T, moved[1:].T)[:8, 8:]
    assert np.abs(later).max() < 0.02
    # Sums over a neuron scatter less than those of independent weights.
    assert moved.sum(1).var() < 1.02 * 8 * step * (1 - step)


@pytest.mark.parametrize("count", [1, 3, 8, 11, 64])
def test_rows_repeat_bit_for_bit(count: int) -> None:
    """Eight weights to a draw; the generator moves on by that many draws."""
    random = np.random.default_rng(count)
    gradient = random.integers(-(2**24), 2**24, count)
    weights = random.integers(-127, 128, count).astype(np.int8)
    generator, saturated, wanted = Generator(77), 0, []
    draw = 0
    for i, (weight, g) in enumerate(zip(weights, gradient, strict=True)):
        if i % 8 == 0:
            draw = generator.draw()
        t = int(np.floor(int(g) * 2.0**-20 * ONE + 0.5))
        moved = int(weight) - min(max((t + fraction(draw, i % 8)) >> 16, -128), 127)
        saturated += abs(moved) > 127
        wanted.append(min(max(moved, -127), 127))
    assert update_row(weights, gradient, 2.0**-20, seed=77) == (saturated, generator.state)
    np.testing.assert_array_equal(weights, wanted)


def test_four_neighbours_share_a_draw() -> None:
    gradient = np.array([2**16, 2**15, -(2**16), 3], np.int32)
    factors = np.array([2.0**-16, 2.0**-17, 2.0**-16, 0.0], np.float32)
    weights = np.array([0, 0, 0, 9], np.int8)
    rng = np.array([5], np.uint32)
    arrays = [harness.pointer(a) for a in (weights, None, gradient, factors)]
    saturated = harness.library.tfodl_update_four(*arrays, 4, harness.pointer(rng))
    generator = Generator(5)
    draw = generator.draw()
    second = (ONE // 4 + fraction(draw, 1)) >> 16
    np.testing.assert_array_equal(weights, [-1, -second, 1, 9])
    assert saturated == 0 and rng[0] == generator.state


def test_a_zero_step_draws_nothing() -> None:
    weights, x = np.array([1, 2], np.int8), np.array([3, 4], np.int8)
    assert update_outer(weights, x, 0.0, seed=5) == (0, 5)
    assert update_outer(weights, x, -0.0, seed=5) == (0, 5)
    assert update_row(weights, np.array([7, 8]), 0.0, seed=5) == (0, 5)
    biases = np.array([1, 2], np.int32)
    assert update_biases(biases, np.array([0.0, -0.0]), seed=5) == 5
    assert list(weights) == list(biases) == [1, 2]


@pytest.mark.parametrize("factor", [2.0**-18, 1.0, 2000.0])
def test_weights_saturate_and_are_counted(factor: float) -> None:
    weights = np.array([120, -120, 127, -127, 127, -127, 0, 0, 126, -126, 5], np.int8)
    steps = np.array([-20, 20, -1, 1, 3, -3, -127, 127, -2, 2, 0])
    wanted = [127, -127, 127, -127, 124, -124, 127, -127, 127, -127, 5]
    if factor < 1:
        gradient = steps * 2**18
    else:  # every step is clipped
        gradient = np.sign(steps) * 1000
        wanted = [127, -127, 127, -127, 0, 1, 127, -127, 127, -127, 5]
    saturated, _ = update_row(weights, gradient, factor)
    np.testing.assert_array_equal(weights, wanted)
    assert saturated == (6 if factor < 1 else 7)


@pytest.mark.parametrize("huge", [127.0, 1e3, 1e10, 3e38, np.inf])
def test_huge_steps_are_clipped_to_int8(huge: float) -> None:
    for update in (
        lambda w, sign: update_outer(w, np.array([100], np.int8), sign * huge),
        lambda w, sign: update_row(w, np.array([1000 * sign]), huge),
    ):
        for sign, wanted in ((1, -127), (-1, 127)):
            weights = np.zeros(1, np.int8)
            update(weights, sign)
            assert weights[0] == wanted
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
    assert update_outer(weights, np.array([9], np.int8), np.nan) == (0, 1)
    assert update_row(weights, np.array([9]), np.nan) == (0, 1)
    assert update_biases(biases, np.array([np.nan])) == 1
    assert weights[0] == biases[0] == 3


# -- residuals ------------------------------------------------------------------------------------


def fixed_point(weights: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    """The weights that int8 weights and residuals stand for, in steps of 1 / 256."""
    return 256 * weights.astype(int) + residuals


def random_fixed_point(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    return (
        random.integers(-127, 128, count).astype(np.int8),
        random.integers(-128, 128, count).astype(np.int8),
    )


@pytest.mark.parametrize("count", [1, 3, 4, 11, 64])
@pytest.mark.parametrize("size", [1e-5, 3e-4, 0.01, 0.7, 40.0])
def test_a_residual_takes_what_rounding_leaves(count: int, size: float) -> None:
    """The sum moves by the step rounded to 1 / 256, between the ends of the weights' range."""
    random = np.random.default_rng(count)
    weights, residuals = random_fixed_point(random, count)
    before = fixed_point(weights, residuals)
    x = random.integers(-128, 128, count).astype(np.int8)
    for sign in (1, -1):
        steps = sign * size / 100 * 256 * (x.astype(float) - 7)
        wanted = np.clip(before - np.clip(np.floor(steps + 0.5), -32768, 32767), -32640, 32639)
        new, rest = weights.copy(), residuals.copy()
        saturated, rng = update_outer(new, x, sign * size / 100, zero_point=7, residuals=rest)
        # The factor has 24 binary places and the step is a multiple of it.
        slack = np.abs(steps) * 2.0**-20 + 255 * 2.0**-16 + 2.0**-16
        clear = np.abs(steps - np.floor(steps) - 0.5) > slack
        assert clear.any()
        np.testing.assert_array_equal(fixed_point(new, rest)[clear], wanted[clear])
        np.testing.assert_allclose(fixed_point(new, rest), wanted, atol=1)
        assert rng == 1, "nothing is drawn"
        at_end = np.isin(fixed_point(new, rest), (-32640, 32639))
        assert saturated <= at_end.sum() and (saturated > 0 or not (size == 40 and count == 64))


@pytest.mark.parametrize("count", [1, 4, 9, 64])
@pytest.mark.parametrize("power", [-38, -30, -24, -16])
def test_rows_with_residuals_bit_for_bit(count: int, power: int) -> None:
    random = np.random.default_rng(count)
    weights, residuals = random_fixed_point(random, count)
    gradient = random.integers(-(2**24), 2**24, count)
    saturated, wanted = 0, []
    for value, g in zip(fixed_point(weights, residuals), gradient, strict=True):
        t = (int(g) * 2 ** (power + 40) + 2**23) >> 24  # in units of 2^-16, halves up
        d = min(max((t + 128) >> 8, -(2**15)), 2**15 - 1)
        moved = int(value) - d
        saturated += not -32640 <= moved <= 32639
        wanted.append(min(max(moved, -32640), 32639))
    factor = 2.0**power
    assert update_row(weights, gradient, factor, residuals=residuals) == (saturated, 1)
    np.testing.assert_array_equal(fixed_point(weights, residuals), wanted)
    assert (np.abs(weights.astype(int)) <= 127).all()


def test_small_steps_add_up_in_the_residual() -> None:
    """A hundred steps of a hundredth are one, where rounding each of them would be none."""
    weights, residuals = np.array([5, -5, 0, 0, 0], np.int8), np.zeros(5, np.int8)
    for _ in range(100):
        update_outer(weights, np.full(5, 100, np.int8), 4 / 256 / 100, residuals=residuals)
    np.testing.assert_array_equal(fixed_point(weights, residuals), [880, -1680, -400, -400, -400])
    np.testing.assert_array_equal(weights, [3, -7, -2, -2, -2])


def test_the_weight_is_its_fixed_point_number_rounded() -> None:
    weights, residuals = np.zeros(3, np.int8), np.array([-128, 127, 0], np.int8)
    update_row(weights, np.array([-(2**16), -(2**16), -(2**17)]), 2.0**-17, residuals=residuals)
    np.testing.assert_array_equal(weights, [0, 1, 1])
    np.testing.assert_array_equal(residuals, [0, -1, 0])
