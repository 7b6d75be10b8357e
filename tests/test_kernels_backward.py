"""The weighted backward kernels: every bit by the contract, the contract by TensorFlow's autodiff.

The kernels compute with errors rounded to int16. Of these, the float gradients of autodiff have to
come out; that the rounded errors are the errors is checked by itself.
"""

import kernel_harness as harness
import numpy as np
import pytest
import tensorflow as tf
from backward_reference import Backward, Generator, backward, error_unit
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from kernel_harness import CONV_2D, DEPTHWISE, FULLY_CONNECTED, Layer, Memory, run_layer

from tf_odl.converters.options import LayerOptions

RELATIVE = 1e-5
STEP = 2.0**-16  # weights move by multiples of it, in expectation
CHECK = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


@st.composite
def layers(draw: st.DrawFn, sparse: bool = False) -> tuple[Layer, np.ndarray, str]:
    """A layer with random contents, an error for its output, and its padding.

    A `sparse` one is a convolution whose errors the kernels keep as a list.
    """
    kinds = [CONV_2D, DEPTHWISE] if sparse else [FULLY_CONNECTED, CONV_2D, DEPTHWISE]
    kind = draw(st.sampled_from(kinds))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    channels = draw(st.integers(1, 6))
    padding = "VALID"
    if kind == FULLY_CONNECTED:
        size = out = kernel = stride = (1, 1)
        pad = (0, 0)
        outputs = draw(st.integers(1, 7))
        weight_shape: tuple[int, ...] = (outputs, channels)
    else:
        padding = draw(st.sampled_from(["SAME", "VALID"]))
        kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
        # tf.nn.depthwise_conv2d takes equal strides only.
        step = draw(st.integers(1, 2 if sparse else 3))
        more = st.integers(5, 9) if sparse else st.integers(0, 4)
        stride = (step, step) if kind == DEPTHWISE else (step, draw(st.integers(1, 3)))
        size = (
            kernel[0] + draw(more),
            kernel[1] + draw(more),
        )
        rows = harness.window_axis(size[0], kernel[0], stride[0], padding)
        columns = harness.window_axis(size[1], kernel[1], stride[1], padding)
        out, pad = (rows[0], columns[0]), (rows[1], columns[1])
        outputs = draw(st.integers(1, 5))
        if kind == DEPTHWISE:
            outputs = channels * draw(st.integers(1, 3))
            weight_shape = (*kernel, outputs)
        else:
            weight_shape = (outputs, *kernel, channels)
    per_channel = draw(st.booleans())
    activation = draw(st.sampled_from([harness.NO_ACTIVATION, (-128, 127), (-30, 128), (-20, 41)]))
    out_shape = (*out, outputs)

    def int8(shape: tuple[int, ...]) -> np.ndarray:
        return random.integers(-128, 128, shape).astype(np.int8)

    layer = Layer(
        kind=kind,
        in_shape=(*size, channels),
        out_shape=out_shape,
        kernel=kernel,
        stride=stride,
        pad=pad,
        x_scale=float(np.float32(draw(st.floats(1e-3, 0.5)))),
        x_zero_point=draw(st.integers(-128, 127)),
        scales=random.uniform(1e-3, 0.1, outputs if per_channel else 1).astype(np.float32),
        x=int8((*size, channels)),
        y=None if activation == harness.NO_ACTIVATION else int8(out_shape),
        weights=np.maximum(int8(weight_shape), -127),
        bias=random.integers(-1000, 1000, outputs).astype(np.int32),
        activation=activation,
    )
    error = random.normal(size=out_shape).astype(np.float32)
    zeros = st.sampled_from([0.85, 0.95, 0.99] if sparse else [0.0, 0.7])
    error[random.random(out_shape) < draw(zeros)] = 0.0
    if sparse:
        window = kernel[0] * kernel[1]
        assume(4 * (np.count_nonzero(error) + window) + outputs <= error.size)
    return layer, error, padding


def mask_error(layer: Layer, error: np.ndarray) -> np.ndarray:
    """delta_z, by rule 1 of the contract."""
    if layer.y is None:
        return error
    y, (low, high) = layer.y, layer.activation
    stuck = ((y == 127) & (error < 0)) | ((y == -128) & (error > 0))
    return np.where((y > low) & (y < high) & ~stuck, error, np.float32(0))


def reference(layer: Layer, error: np.ndarray, memory: Memory) -> Backward:
    """What the contract says. Updates copies of the layer's values, which take their place."""
    layer.weights, layer.bias = layer.weights.copy(), layer.bias.copy()
    layer.residual = None if layer.residual is None else layer.residual.copy()
    state = memory.state()
    return backward(
        LayerOptions.unpack(layer.options()),
        mask_error(layer, error),
        layer.x,
        layer.weights,
        layer.bias,
        np.float32(state.learning_rate),
        Generator(state.rng),
        residual=layer.residual,
        dense=layer.kind == FULLY_CONNECTED,
        depthwise=layer.kind == DEPTHWISE,
    )


def scales_of(layer: Layer) -> np.ndarray:
    """The neurons' weight scales, float64 [out_c]."""
    return np.broadcast_to(layer.scales.astype(np.float64), layer.out_shape[2])


def autodiff(
    layer: Layer, delta: np.ndarray, padding: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients in real units by x, weights and bias, of sum(delta * z(x)), in float64."""
    outputs = layer.out_shape[2]
    scales = scales_of(layer)
    channel_last = layer.kind == DEPTHWISE
    scale_shape = scales if channel_last else scales.reshape(-1, *[1] * (layer.weights.ndim - 1))
    x = tf.constant(layer.x_scale * (layer.x.astype(np.float64) - layer.x_zero_point))
    weights = tf.constant(layer.weights * scale_shape)
    bias = tf.constant(layer.bias * layer.x_scale * scales)
    strides = [1, *layer.stride, 1]
    with tf.GradientTape() as tape:
        tape.watch([x, weights, bias])
        if layer.kind == FULLY_CONNECTED:
            z = tf.reshape(x, [1, -1]) @ tf.transpose(weights) + bias
        elif layer.kind == CONV_2D:
            filters = tf.transpose(weights, [1, 2, 3, 0])
            z = tf.nn.conv2d(x[tf.newaxis], filters, strides, padding) + bias
        else:
            multiplier = outputs // layer.in_shape[2]
            filters = tf.reshape(weights, [*layer.kernel, layer.in_shape[2], multiplier])
            z = tf.nn.depthwise_conv2d(x[tf.newaxis], filters, strides, padding) + bias
        loss = tf.reduce_sum(z * delta.astype(np.float64).reshape(z.shape))
    by_x, by_weights, by_bias = tape.gradient(loss, [x, weights, bias])
    return by_x.numpy().reshape(layer.in_shape), by_weights.numpy(), by_bias.numpy()


def assert_close(actual: np.ndarray, wanted: np.ndarray, largest_terms: float) -> None:
    """Equal up to RELATIVE, of the value or of the sum's terms where they cancel."""
    np.testing.assert_allclose(actual, wanted, rtol=RELATIVE, atol=RELATIVE * largest_terms)


@CHECK
@given(
    layers() | layers(sparse=True),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 4, 5, 6, 7]),
    st.sampled_from([0.0, 1e-6, 0.003, 0.1, 30.0, 1e9]),
)
def test_every_bit_is_the_contracts(
    case: tuple[Layer, np.ndarray, str], seed: int, flags: int, learning_rate: float
) -> None:
    """Weights, biases, errors, the generator and the count of saturated updates."""
    layer, error, _ = case
    random = np.random.default_rng(seed)
    layer.flags = flags
    if random.random() < 0.5:
        layer.mask = random.random(layer.out_shape[2]) < 0.5
    if flags & harness.UPDATE_WEIGHTS and random.random() < 0.5:
        layer.residual = random.integers(-128, 128, layer.weights.shape).astype(np.int8)
    memory = Memory(learning_rate=learning_rate, rng=seed | 1)
    weights, bias, residual, x = layer.weights, layer.bias, layer.residual, layer.x
    wanted = reference(layer, error, memory)
    wanted_weights, wanted_bias, wanted_residual = layer.weights, layer.bias, layer.residual
    layer.weights, layer.bias, layer.residual = weights, bias, residual
    if not flags & harness.UPDATE_WEIGHTS:
        layer.x = None
    result = run_layer(layer, error, memory)
    layer.x = x

    if flags & harness.PROPAGATE:
        np.testing.assert_array_equal(result.error_x, wanted.error_x)
    else:
        assert np.isnan(result.error_x).all()
    np.testing.assert_array_equal(layer.weights, wanted_weights)
    np.testing.assert_array_equal(layer.bias, wanted_bias)
    if residual is not None:
        np.testing.assert_array_equal(layer.residual, wanted_residual)
    state = memory.state()
    assert state.rng == wanted.generator.state
    assert state.saturated == wanted.saturated


@CHECK
@given(layers() | layers(sparse=True), st.booleans())
def test_the_contract_is_autodiff_of_the_rounded_errors(
    case: tuple[Layer, np.ndarray, str], residual: bool
) -> None:
    layer, error, padding = case
    layer.residual = np.zeros_like(layer.weights) if residual else None
    learning_rate = 0.02
    delta = mask_error(layer, error)
    before = Layer(**vars(layer))
    found = reference(layer, error, Memory(learning_rate=learning_rate))
    scales = scales_of(layer)
    own_channels = layer.kind == DEPTHWISE and layer.in_shape[2] == layer.out_shape[2]
    q = np.ones_like(scales) if own_channels else scales
    unit = float(found.unit)
    # The integer errors are the errors, rounded; E is small against the largest of them.
    scaled = delta * q  # float32 in the kernel
    assert (np.abs(found.errors * unit - scaled) <= unit / 2 + np.abs(scaled) * 2.0**-24).all()
    largest = np.abs(scaled).max()
    assert unit <= max(2 * largest / 1000, 2.0**-126)

    rounded = found.errors * unit / q
    by_x, by_weights, by_bias = autodiff(before, rounded, padding)
    assert_close(found.error_x, by_x, np.abs(by_x).max())

    # A step in quantized units times the scale is the step in real units: -lr * gradient.
    if layer.kind == FULLY_CONNECTED:  # its update uses the float error
        _, by_weights, by_bias = autodiff(before, delta, padding)
    axis_scales = scales
    if layer.kind != DEPTHWISE:
        axis_scales = scales.reshape(-1, *[1] * (layer.weights.ndim - 1))
    wanted = learning_rate * by_weights / axis_scales
    # [neuron, ky, kx, channel] to TFLite's order of the weights.
    steps = found.weight_steps
    if layer.kind == DEPTHWISE:
        steps = np.moveaxis(steps[..., 0], 0, 2)
    steps = steps.reshape(wanted.shape)
    slack = 1.5 * STEP
    if layer.kind == FULLY_CONNECTED and residual:
        slack = 2.0**-9 + 2.0**-16  # half of what a residual counts, and the factor's rounding
        limit = 127.0 * np.abs(layer.x.astype(int) - layer.x_zero_point).ravel()
        wanted = np.clip(wanted, -limit, limit)
    elif layer.kind == FULLY_CONNECTED:  # the factor of x is rounded, not the step
        slack = STEP * np.abs(layer.x.astype(int) - layer.x_zero_point).ravel()
        wanted = np.clip(wanted, -127.0 * slack / STEP, 127.0 * slack / STEP)
    assert (np.abs(steps - wanted) <= slack + RELATIVE * np.abs(wanted)).all()
    bias_scales = layer.x_scale * scales
    assert_close(
        found.bias_steps * bias_scales,
        learning_rate * by_bias,
        learning_rate * np.abs(by_bias).max(),
    )


def a_layer(kind: int, **changes: object) -> Layer:
    """Three input channels and four neurons; convolutions with SAME padding on 4x5."""
    random = np.random.default_rng(3)
    size = (1, 1) if kind == FULLY_CONNECTED else (4, 5)
    kernel = (1, 1) if kind == FULLY_CONNECTED else (3, 3)
    channels, neurons = (4, 4) if kind == DEPTHWISE else (3, 4)
    shapes = {
        FULLY_CONNECTED: (neurons, channels),
        CONV_2D: (neurons, *kernel, channels),
        DEPTHWISE: (*kernel, neurons),
    }
    fields: dict = {
        "kind": kind,
        "in_shape": (*size, channels),
        "out_shape": (*size, neurons),
        "kernel": kernel,
        "stride": (1, 1),
        "pad": (0, 0) if kind == FULLY_CONNECTED else (1, 1),
        "x_scale": 0.02,
        "x_zero_point": -5,
        "scales": random.uniform(0.005, 0.01, neurons).astype(np.float32),
        "x": random.integers(-128, 128, (*size, channels)).astype(np.int8),
        "y": None,
        "weights": random.integers(-90, 91, shapes[kind]).astype(np.int8),
        "bias": np.zeros(neurons, np.int32),
    }
    return Layer(**(fields | changes))


@pytest.mark.parametrize("kind", [FULLY_CONNECTED, CONV_2D, DEPTHWISE])
def test_many_steps_with_residuals_are_the_float_gradient(kind: int) -> None:
    """Every step of a weight is off by up to 1 / 512 at most, and none draws a number."""
    layer = a_layer(kind, flags=harness.UPDATE_WEIGHTS)
    layer.weights[...], layer.residual = 0, np.zeros_like(layer.weights)
    error = np.random.default_rng(8).normal(0, 0.2, layer.out_shape).astype(np.float32)
    learning_rate, steps = 2e-4, 50
    _, by_weights, _ = autodiff(layer, error, "SAME")
    scales = scales_of(layer)
    axis_scales = (
        scales if kind == DEPTHWISE else scales.reshape(-1, *[1] * (layer.weights.ndim - 1))
    )
    wanted = -steps * learning_rate * by_weights / axis_scales
    memory = Memory(learning_rate=learning_rate)
    for _ in range(steps):
        run_layer(layer, error, memory)
    assert 1 < np.abs(wanted).max() < 120
    moved = layer.weights + layer.residual / 256
    assert (np.abs(moved - wanted) <= steps / 512 + 2e-3 * np.abs(wanted)).all()
    assert memory.state().rng == Memory().rng and memory.state().saturated == 0


@pytest.mark.parametrize("kind", [FULLY_CONNECTED, CONV_2D, DEPTHWISE])
def test_the_mean_update_is_the_float_gradient(kind: int) -> None:
    """Of the kernel itself, over many seeds; rounding must not push weights anywhere."""
    layer = a_layer(kind)
    start, zero = layer.weights.copy(), layer.bias.copy()
    random = np.random.default_rng(8)
    error = random.normal(0, 0.2, layer.out_shape).astype(np.float32)
    learning_rate, runs = 0.003, 4000
    _, by_weights, by_bias = autodiff(layer, error, "SAME")
    scales = scales_of(layer)
    axis_scales = (
        scales if kind == DEPTHWISE else scales.reshape(-1, *[1] * (layer.weights.ndim - 1))
    )
    wanted = learning_rate * by_weights / axis_scales
    bias_wanted = learning_rate * by_bias / (layer.x_scale * scales)
    moved, bias_moved = np.zeros(start.shape), np.zeros(len(scales))
    memory = Memory(learning_rate=learning_rate)
    for _ in range(runs):
        layer.weights, layer.bias = start.copy(), zero.copy()
        run_layer(layer, error, memory)
        moved += start - layer.weights.astype(float)
        bias_moved += zero - layer.bias.astype(float)
    assert np.abs(wanted).max() > 0.4 and np.abs(wanted).min() < 0.05
    for mean, target in ((moved / runs, wanted), (bias_moved / runs, bias_wanted)):
        chance = target - np.floor(target)
        sigma = np.sqrt(chance * (1 - chance) / runs)
        # int16 errors and the factor of a dense layer cost up to 1e-3 of a step.
        assert (np.abs(mean - target) <= 5 * sigma + 1e-3 * (1 + np.abs(target))).all()


def test_a_dense_layer_is_a_1x1_convolution() -> None:
    """The exporter relies on it for dense layers with several rows."""
    dense = a_layer(FULLY_CONNECTED)
    convolution = Layer(**{**vars(dense), "kind": CONV_2D})
    error = np.random.default_rng(5).normal(size=dense.out_shape).astype(np.float32)
    memory = Memory(learning_rate=0.1)
    errors, steps = [], []
    for layer in (dense, convolution):
        weights, bias = layer.weights, layer.bias
        steps.append(reference(layer, error, memory).weight_steps)
        layer.weights, layer.bias = weights.copy(), bias
        errors.append(run_layer(layer, error, memory).error_x)
    np.testing.assert_array_equal(*errors)
    np.testing.assert_allclose(*steps, rtol=1e-3, atol=256 * STEP)


LARGEST = [0.0, 1e-44, 1e-38, 3e-9, 0.37, 1.0, 32767.0, 1e9, 1e32, 3e38, np.inf, np.nan]


@pytest.mark.parametrize("largest", LARGEST)
@pytest.mark.parametrize("limit", [1, 7, 910, 32767])
def test_the_unit_of_the_errors(largest: float, limit: int) -> None:
    """The smallest power of two that keeps the largest error within the limit."""
    unit = harness.library.tfodl_error_unit(largest, limit)
    assert unit == error_unit(np.float32(largest), limit)
    if unit == 0:
        assert not largest <= limit * 2.0**100
        return
    assert np.log2(unit) == np.floor(np.log2(unit))
    assert np.float32(largest) <= limit * unit
    assert unit == 2.0**-126 or np.float32(largest) > limit * unit / 2
    for share in (1.0, -1.0, 0.5, -0.25, 0.123):
        error = harness.library.tfodl_integer_error(largest * share, 1.0, largest, limit)
        assert error == np.rint(float(np.float32(largest * share)) / unit)
        assert abs(error) <= limit


def small_layer(**changes: object) -> Layer:
    """4 outputs, 3 inputs, all weights 10."""
    fields: dict = {
        "kind": FULLY_CONNECTED,
        "in_shape": (1, 1, 3),
        "out_shape": (1, 1, 4),
        "kernel": (1, 1),
        "stride": (1, 1),
        "pad": (0, 0),
        "x_scale": 0.5,
        "x_zero_point": 0,
        "scales": np.array([0.25], np.float32),
        "x": np.array([1, 2, 0], np.int8),
        "y": None,
        "weights": np.full((4, 3), 10, np.int8),
        "bias": np.zeros(4, np.int32),
    }
    return Layer(**(fields | changes))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_non_finite_error_ends_the_step(bad: float) -> None:
    layer = small_layer()
    memory = Memory()
    run_layer(layer, np.array([1.0, bad, 0.0, 0.0]), memory)
    state = memory.state()
    assert not state.active
    assert state.non_finite == 1
    assert state.backward_macs == 0
    assert (layer.weights == 10).all()
    run_layer(layer, np.ones(4), memory)
    assert (layer.weights == 10).all(), "an inactive step must not train"


@pytest.mark.parametrize(
    ("errors", "scale"), [([3e38, 3e38], 0.25), ([1e30, 0], 1e9), ([4e36, 0], 0.25)]
)
def test_errors_beyond_the_integers_end_the_step(errors: list[float], scale: float) -> None:
    """The sum overflows, the error in units of the weights does, or E would exceed 2^100."""
    memory = Memory()
    layer = small_layer(scales=np.array([scale], np.float32))
    run_layer(layer, np.array([*errors, 0, 0]), memory)
    assert memory.state().non_finite == 1
    assert (layer.weights == 10).all()


def test_work_is_counted() -> None:
    error = np.array([3.0, 0.0, -1.0, 0.5])
    memory = Memory()
    run_layer(small_layer(), error, memory)
    assert memory.state().backward_macs == 2 * 4 * 3
    assert memory.state().backward_macs_nonzero == 2 * 3 * 3

    masked = small_layer(mask=np.array([True, True, False, False]))
    memory = Memory()
    run_layer(masked, error, memory)
    assert memory.state().backward_macs == (4 + 2) * 3
    assert memory.state().backward_macs_nonzero == (3 + 1) * 3


def test_kept_zeros_are_the_first_in_scan_order() -> None:
    """k = 3 with one non-zero entry: neurons 0 and 1 are kept with it, and 1 may not update."""
    layer = small_layer(
        sparsifier=harness.MEPROP, s=(0.75, 0.0), mask=np.array([True, False, False, True])
    )
    memory = Memory()
    run_layer(layer, np.array([0.0, 0.0, 0.0, 2.0]), memory)
    assert memory.state().backward_macs == (3 + 2) * 3
    assert memory.state().backward_macs_nonzero == (1 + 1) * 3


def test_the_work_counter_carries_into_its_high_word() -> None:
    memory = Memory()
    memory.words[9] = 0xFFFFFFFF
    run_layer(small_layer(), np.ones(4), memory)
    assert memory.state().backward_macs == 0xFFFFFFFF + 24


def kept_neurons(layer: Layer, error: list[float], memory: Memory) -> list[int]:
    """Those whose bias moves: by at least 8 for an error of 1."""
    layer.bias[:] = 0
    run_layer(layer, np.array(error), memory)
    return list(np.flatnonzero(layer.bias))


def test_meprop_keeps_a_fixed_share() -> None:
    layer = small_layer(sparsifier=harness.MEPROP, s=(0.5, 0.0))
    assert kept_neurons(layer, [1.0, -4.0, 2.0, 3.0], Memory()) == [1, 3]


def test_tinyprop_follows_the_running_maximum() -> None:
    layer = small_layer(sparsifier=harness.TINYPROP, s=(0.25, 1.0), damping=0.5, layer=1)
    memory = Memory(layers=2)
    # Y = y_max: S = (0.25 + 0.75) * 0.5, k = 2.
    assert kept_neurons(layer, [4.0, 3.0, 2.0, 1.0], memory) == [0, 1]
    assert memory.state().y_max == (0.0, 10.0)
    # Y = 0.4 y_max: S = (0.25 + 0.3) * 0.5, k = round(1.1).
    assert kept_neurons(layer, [1.0, 1.5, 1.0, 0.5], memory) == [1]
    assert memory.state().y_max == (0.0, 10.0)


def test_tinyprop_without_any_error() -> None:
    layer = small_layer(sparsifier=harness.TINYPROP, s=(0.5, 1.0))
    memory = Memory()
    run_layer(layer, np.zeros(4), memory)
    assert memory.state().backward_macs == 2 * 2 * 3
    assert memory.state().backward_macs_nonzero == 0
    assert memory.state().rng == Memory().rng
