"""The kernels behind PAD, CONCATENATION and branching tensors, against TensorFlow's autodiff."""

import ctypes

import kernel_harness as harness
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_odl.converters.options import AddOptions, CropOptions

CHECK = settings(max_examples=150, deadline=None, derandomize=True)
EXTENTS = st.tuples(*[st.integers(1, 6)] * 3)


def crop(options: CropOptions, error: np.ndarray) -> np.ndarray:
    blob = options.pack()
    error = np.ascontiguousarray(error, np.float32)
    error_x = np.full((options.in_h, options.in_w, options.in_c), np.nan, np.float32)
    accepted = harness.library.tfodl_crop_error(
        blob, len(blob), harness.pointer(error), harness.pointer(error_x)
    )
    assert accepted, "the options were refused"
    return error_x


@CHECK
@given(EXTENTS, st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 3), st.integers(0))
def test_padding_equals_autodiff(
    shape: tuple[int, ...], margins: tuple[tuple[int, int], ...], seed: int
) -> None:
    random = np.random.default_rng(seed)
    x = tf.constant(random.normal(size=shape), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        padded = tf.pad(x, margins)
        error = random.normal(size=padded.shape).astype(np.float32)
        loss = tf.reduce_sum(padded * error)
    options = CropOptions(*shape, *padded.shape, *[before for before, _ in margins])
    np.testing.assert_array_equal(crop(options, error), tape.gradient(loss, x).numpy())


@CHECK
@given(EXTENTS, st.integers(0, 2), st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_concatenation_equals_autodiff(shape: tuple[int, ...], axis: int, sizes: list[int]) -> None:
    shapes = [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]
    random = np.random.default_rng(len(sizes))
    parts = [tf.constant(random.normal(size=s), tf.float32) for s in shapes]
    with tf.GradientTape() as tape:
        tape.watch(parts)
        joined = tf.concat(parts, axis)
        error = random.normal(size=joined.shape).astype(np.float32)
        loss = tf.reduce_sum(joined * error)
    for i, gradient in enumerate(tape.gradient(loss, parts)):
        origin = [0, 0, 0]
        origin[axis] = sum(sizes[:i])
        options = CropOptions(*shapes[i], *joined.shape, *origin)
        np.testing.assert_array_equal(crop(options, error), gradient.numpy())


def test_errors_are_added_up() -> None:
    total = np.array([1.5, -2.0, 0.0], np.float32)
    other = np.array([0.25, 2.0, -7.0], np.float32)
    harness.library.tfodl_add_errors(harness.pointer(other), 3, harness.pointer(total))
    np.testing.assert_array_equal(total, [1.75, 0, -7])
    harness.library.tfodl_add_errors(harness.pointer(total), 3, harness.pointer(total))
    np.testing.assert_array_equal(total, [3.5, 0, -14])


def changed(options: bytes, position: int, value: int) -> bytes:
    words = np.frombuffer(options, np.uint32).copy()
    words[position] = value
    return words.tobytes()


CROP = CropOptions(2, 3, 4, 5, 6, 7, 3, 3, 3).pack()
ADD = AddOptions(12, -128, 128).pack()


@pytest.mark.parametrize(
    ("name", "blob", "accepted"),
    [
        ("crop", CROP, True),
        ("crop", changed(CROP, 0, 1), False),
        ("crop", changed(CROP, 1, 0), False),
        ("crop", changed(CROP, 1, 3), False),  # 3 + 3 rows of 5
        ("crop", changed(CROP, 7, 4), False),
        ("crop", changed(CROP, 8, 2**32 - 1), False),
        ("crop", changed(CROP, 9, 4), False),
        ("crop", changed(CROP, 6, 2**31), False),
        ("crop", CROP[:-4], False),
        ("crop", CROP + b"\0" * 4, False),
        ("crop", b"", False),
        ("add", ADD, True),
        ("add", changed(ADD, 0, 1), False),
        ("add", changed(ADD, 1, 0), False),
        ("add", changed(ADD, 1, 2**29), False),
        ("add", changed(ADD, 2, 128), False),
        ("add", changed(ADD, 2, 2**32 - 200), False),
        ("add", changed(ADD, 3, 129), False),
        ("add", ADD[:-4], False),
    ],
)
def test_options_that_no_kernel_could_run_are_refused(
    name: str, blob: bytes, accepted: bool
) -> None:
    if name == "add":
        assert bool(harness.library.tfodl_parse_add(blob, len(blob))) == accepted
        return
    error = np.zeros(5 * 6 * 7, np.float32)
    error_x = np.zeros(2 * 3 * 4, np.float32)
    pointers = (harness.pointer(error), harness.pointer(error_x))
    assert bool(harness.library.tfodl_crop_error(blob, ctypes.c_uint32(len(blob)), *pointers)) == (
        accepted
    )
