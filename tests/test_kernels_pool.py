"""The pooling backward kernels against TensorFlow's autodiff.

Among equal elements of a window TensorFlow gives the whole error to the first in scan order; so
does the kernel, and the tests use many equal elements.
"""

import kernel_harness as harness
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

CHECK = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def pools(draw: st.DrawFn) -> tuple:
    window = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    size = (window[0] + draw(st.integers(0, 4)), window[1] + draw(st.integers(0, 4)))
    channels = draw(st.integers(1, 3))
    rows = harness.window_axis(size[0], window[0], stride[0], padding)
    columns = harness.window_axis(size[1], window[1], stride[1], padding)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([2, 5, 128]))
    x = random.integers(-levels, levels, (*size, channels)).astype(np.int8)
    delta = random.normal(size=(rows[0], columns[0], channels)).astype(np.float32)
    delta[random.random(delta.shape) < 0.3] = 0.0
    blob = harness.pool_options(x.shape, delta.shape[:2], window, stride, (rows[1], columns[1]))
    return x, delta, window, stride, padding, blob


def gradient(operation: str, case: tuple) -> np.ndarray:
    x, delta, window, stride, padding, _ = case
    # TensorFlow's CPU kernels for float32 are the ones that models are trained with.
    image = tf.constant(x[np.newaxis].astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(image)
        pooled = getattr(tf.nn, operation)(image, window, stride, padding)
        loss = tf.reduce_sum(pooled * delta[np.newaxis])
    return tape.gradient(loss, image).numpy()[0]


@CHECK
@given(pools())
def test_max_pool_equals_autodiff(case: tuple) -> None:
    x, delta, *_, blob = case
    error_x = np.full(x.shape, np.nan, np.float32)
    accepted = harness.library.tfodl_max_pool_backward(
        blob, len(blob), harness.pointer(delta), harness.pointer(x), harness.pointer(error_x)
    )
    assert accepted
    np.testing.assert_allclose(error_x, gradient("max_pool2d", case), rtol=1e-5, atol=1e-6)


@CHECK
@given(pools())
def test_average_pool_equals_autodiff(case: tuple) -> None:
    """Padding does not count: TensorFlow divides by the elements inside the input."""
    x, delta, *_, blob = case
    error_x = np.full(x.shape, np.nan, np.float32)
    accepted = harness.library.tfodl_average_pool_backward(
        blob, len(blob), harness.pointer(delta), harness.pointer(error_x)
    )
    assert accepted
    np.testing.assert_allclose(error_x, gradient("avg_pool2d", case), rtol=1e-5, atol=1e-6)


def test_the_first_of_equal_elements_gets_the_error() -> None:
    x = np.full((2, 2, 1), 9, np.int8)
    delta = np.array([[[2.0]]], np.float32)
    error_x = np.empty((2, 2, 1), np.float32)
    blob = harness.pool_options((2, 2, 1), (1, 1), (2, 2), (2, 2), (0, 0))
    harness.library.tfodl_max_pool_backward(
        blob, len(blob), harness.pointer(delta), harness.pointer(x), harness.pointer(error_x)
    )
    np.testing.assert_array_equal(error_x.ravel(), [2, 0, 0, 0])


def test_a_mean_is_a_pool_with_a_window_of_the_whole_map() -> None:
    delta = np.array([[[6.0, 12.0]]], np.float32)
    error_x = np.empty((2, 3, 2), np.float32)
    blob = harness.pool_options((2, 3, 2), (1, 1), (2, 3), (1, 1), (0, 0))
    harness.library.tfodl_average_pool_backward(
        blob, len(blob), harness.pointer(delta), harness.pointer(error_x)
    )
    np.testing.assert_array_equal(error_x, np.broadcast_to([1.0, 2.0], (2, 3, 2)))


def mask_error(
    y: np.ndarray, activation: tuple[int, int], error: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (delta_z, [sum, largest, non-zero entries])."""
    delta, summary = error.astype(np.float32), np.zeros(3, np.float32)
    harness.library.tfodl_mask_error(
        harness.pointer(y), *activation, len(y), harness.pointer(delta), harness.pointer(summary)
    )
    return delta, summary


def test_the_mask_of_a_fused_activation() -> None:
    """Only act_min < y < act_max lets the error through; both bounds block."""
    y = np.array([-128, -127, 0, 99, 100, 127], np.int8)
    delta, summary = mask_error(y, (-128, 100), np.array([1.0, -2, 3, 4, 5, 6]))
    np.testing.assert_array_equal(delta, [0, -2, 3, 4, 0, 0])
    np.testing.assert_array_equal(summary, [9, 4, 3])


@pytest.mark.parametrize(
    "activation", [(-129, 128), (-128, 128), (-128, 127), (-30, 41), (126, 128)]
)
def test_the_end_of_int8_passes_only_what_pulls_back(activation: tuple[int, int]) -> None:
    y = np.repeat(np.arange(-128, 128, dtype=np.int8), 3)
    error = np.tile([1.5, -0.25, 0.0], 256)
    low, high = activation
    blocked = (y <= low) | (y >= high)
    blocked |= ((y == 127) & (error < 0)) | ((y == -128) & (error > 0))
    wanted = np.where(blocked, 0.0, error)
    delta, summary = mask_error(y, activation, error)
    np.testing.assert_array_equal(delta, wanted)
    assert summary[0] == np.abs(wanted).sum()
    assert summary[1] == np.abs(wanted).max()
    assert summary[2] == np.count_nonzero(wanted)
