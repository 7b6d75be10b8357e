"""The weighted backward kernels against TensorFlow's autodiff on the dequantized layer."""

import kernel_harness as harness
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_harness import CONV_2D, DEPTHWISE, FULLY_CONNECTED, Layer, Memory, run_layer

RELATIVE = 1e-5
CHECK = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


@st.composite
def layers(draw: st.DrawFn) -> tuple[Layer, np.ndarray, str]:
    """A layer with random contents, an error for its output, and its padding."""
    kind = draw(st.sampled_from([FULLY_CONNECTED, CONV_2D, DEPTHWISE]))
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
        step = draw(st.integers(1, 3))
        stride = (step, step) if kind == DEPTHWISE else (step, draw(st.integers(1, 3)))
        size = (
            kernel[0] + draw(st.integers(0, 4)),
            kernel[1] + draw(st.integers(0, 4)),
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
    error[random.random(out_shape) < draw(st.sampled_from([0.0, 0.7]))] = 0.0
    return layer, error, padding


def autodiff(
    layer: Layer, error: np.ndarray, padding: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients in real units by x, weights and bias, of sum(error * layer(x)), in float64."""
    outputs = layer.out_shape[2]
    scales = np.broadcast_to(layer.scales.astype(np.float64), outputs)
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
        low, high = layer.activation
        passes = 1.0
        if layer.y is not None:
            slope = error.reshape(layer.y.shape)
            stuck = ((layer.y == 127) & (slope < 0)) | ((layer.y == -128) & (slope > 0))
            passes = (
                ((layer.y > low) & (layer.y < high) & ~stuck).reshape(error.shape).astype(float)
            )
        loss = tf.reduce_sum(z * (error * passes).reshape(z.shape))
    by_x, by_weights, by_bias = tape.gradient(loss, [x, weights, bias])
    return by_x.numpy().reshape(layer.in_shape), by_weights.numpy(), by_bias.numpy()


def assert_close(actual: np.ndarray, wanted: np.ndarray, largest_terms: float) -> None:
    """Equal up to RELATIVE, of the value or of the sum's terms where they cancel."""
    np.testing.assert_allclose(actual, wanted, rtol=RELATIVE, atol=RELATIVE * largest_terms)


@CHECK
@given(layers())
def test_gradients_equal_autodiff(case: tuple[Layer, np.ndarray, str]) -> None:
    layer, error, padding = case
    learning_rate = 0.25
    by_x, by_weights, by_bias = autodiff(layer, error, padding)
    before = layer.weights.copy()
    result = run_layer(layer, error, Memory(learning_rate=learning_rate), record=True)

    assert_close(result.error_x, by_x, np.abs(by_x).max())
    scales = np.broadcast_to(layer.scales.astype(np.float64), layer.out_shape[2])
    if layer.kind != DEPTHWISE:
        scales = scales.reshape(-1, *[1] * (layer.weights.ndim - 1))
    # A step in quantized units times the scale is the step in real units: -lr * gradient.
    actual = result.weight_steps * scales
    assert_close(actual, learning_rate * by_weights, learning_rate * np.abs(by_weights).max())
    bias_scales = layer.x_scale * np.broadcast_to(layer.scales, layer.out_shape[2])
    assert_close(
        result.bias_steps * bias_scales,
        learning_rate * by_bias,
        learning_rate * np.abs(by_bias).max(),
    )
    np.testing.assert_array_equal(layer.weights, before)


@CHECK
@given(layers(), st.integers(0, 2**32 - 1))
def test_the_update_rounds_the_recorded_steps(
    case: tuple[Layer, np.ndarray, str], seed: int
) -> None:
    """Every weight moves by floor or ceil of its float step, and only where the mask allows it."""
    layer, error, _ = case
    random = np.random.default_rng(seed)
    layer.mask = random.random(layer.out_shape[2]) < 0.5
    recorded = run_layer(layer, error, Memory(learning_rate=0.01), record=True)
    weights, bias = layer.weights.astype(np.int64), layer.bias.astype(np.int64)
    memory = Memory(learning_rate=0.01)
    real = run_layer(layer, error, memory, record=False)

    np.testing.assert_array_equal(real.error_x, recorded.error_x)
    moved = weights - layer.weights
    inside = np.abs(weights - recorded.weight_steps) < 126
    assert (np.abs(moved - recorded.weight_steps)[inside] < 1 + 1e-6).all()
    assert (np.abs(layer.weights.astype(int)) <= 127).all()
    # Converting a large sum to float32 costs up to its spacing.
    slack = 1 + np.spacing(np.abs(recorded.bias_steps))
    assert (np.abs((bias - layer.bias) - recorded.bias_steps.astype(np.float64)) <= slack).all()

    frozen = ~layer.mask
    neuron_moves = moved[..., frozen] if layer.kind == DEPTHWISE else moved[frozen]
    assert not neuron_moves.any()
    assert (layer.bias[frozen] == bias[frozen]).all()
    drawn = memory.state().rng != Memory().rng
    assert drawn == bool(recorded.weight_steps.any() or recorded.bias_steps.any())


@CHECK
@given(layers(), st.sampled_from([1, 2, 4, 5, 6]))
def test_flags_select_the_work(case: tuple[Layer, np.ndarray, str], flags: int) -> None:
    layer, error, _ = case
    full = run_layer(layer, error, Memory(), record=True)
    layer.flags = flags
    weights, bias = layer.weights, layer.bias
    if not flags & harness.UPDATE_WEIGHTS:
        layer.x = None
    part = run_layer(layer, error, Memory(), record=True)
    if flags & harness.PROPAGATE:
        np.testing.assert_array_equal(part.error_x, full.error_x)
    else:
        assert np.isnan(part.error_x).all()
    updates_weights, updates_bias = flags & harness.UPDATE_WEIGHTS, flags & harness.UPDATE_BIAS
    np.testing.assert_array_equal(part.weight_steps, full.weight_steps if updates_weights else 0)
    np.testing.assert_array_equal(part.bias_steps, full.bias_steps if updates_bias else 0)
    assert layer.weights is weights and layer.bias is bias


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_dense_layer_is_a_1x1_convolution(per_channel: bool) -> None:
    """Bit for bit: the exporter relies on it for dense layers with several rows."""
    random = np.random.default_rng(5)
    results = []
    for kind in (FULLY_CONNECTED, CONV_2D):
        random = np.random.default_rng(5)
        weights = random.integers(-127, 128, (6, 9)).astype(np.int8)
        layer = Layer(
            kind=kind,
            in_shape=(1, 1, 9),
            out_shape=(1, 1, 6),
            kernel=(1, 1),
            stride=(1, 1),
            pad=(0, 0),
            x_scale=0.02,
            x_zero_point=-7,
            scales=random.uniform(0.001, 0.1, 6 if per_channel else 1).astype(np.float32),
            x=random.integers(-128, 128, 9).astype(np.int8),
            y=None,
            weights=weights,
            bias=np.zeros(6, np.int32),
        )
        memory = Memory(learning_rate=0.1)
        result = run_layer(layer, random.normal(size=(1, 1, 6)), memory, record=False)
        results.append([result.error_x, weights, layer.bias, memory.words])
    for dense, convolution in zip(*results, strict=True):
        np.testing.assert_array_equal(dense, convolution)


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
    run_layer(layer, np.array([1.0, bad, 0.0, 0.0]), memory, record=False)
    state = memory.state()
    assert not state.active
    assert state.non_finite == 1
    assert state.backward_macs == 0
    assert (layer.weights == 10).all()
    run_layer(layer, np.ones(4), memory, record=False)
    assert (layer.weights == 10).all(), "an inactive step must not train"


def test_a_sum_that_overflows_is_not_finite() -> None:
    memory = Memory()
    run_layer(small_layer(), np.array([3e38, 3e38, 0, 0]), memory, record=False)
    assert memory.state().non_finite == 1


def test_work_is_counted() -> None:
    error = np.array([3.0, 0.0, -1.0, 0.5])
    memory = Memory()
    run_layer(small_layer(), error, memory, record=False)
    assert memory.state().backward_macs == 2 * 4 * 3
    assert memory.state().backward_macs_nonzero == 2 * 3 * 3

    masked = small_layer(mask=np.array([True, True, False, False]))
    memory = Memory()
    run_layer(masked, error, memory, record=False)
    assert memory.state().backward_macs == (4 + 2) * 3
    assert memory.state().backward_macs_nonzero == (3 + 1) * 3


def test_kept_zeros_are_the_first_in_scan_order() -> None:
    """k = 3 with one non-zero entry: neurons 0 and 1 are kept with it, and 1 may not update."""
    layer = small_layer(
        sparsifier=harness.MEPROP, s=(0.75, 0.0), mask=np.array([True, False, False, True])
    )
    memory = Memory()
    run_layer(layer, np.array([0.0, 0.0, 0.0, 2.0]), memory, record=False)
    assert memory.state().backward_macs == (3 + 2) * 3
    assert memory.state().backward_macs_nonzero == (1 + 1) * 3


def test_the_work_counter_carries_into_its_high_word() -> None:
    memory = Memory()
    memory.words[9] = 0xFFFFFFFF
    run_layer(small_layer(), np.ones(4), memory, record=False)
    assert memory.state().backward_macs == 0xFFFFFFFF + 24


def test_meprop_keeps_a_fixed_share() -> None:
    layer = small_layer(sparsifier=harness.MEPROP, s=(0.5, 0.0))
    result = run_layer(layer, np.array([1.0, -4.0, 2.0, 3.0]), Memory(), record=False)
    np.testing.assert_array_equal(result.delta, [0, -4, 0, 3])


def test_tinyprop_follows_the_running_maximum() -> None:
    layer = small_layer(sparsifier=harness.TINYPROP, s=(0.25, 1.0), damping=0.5, layer=1)
    memory = Memory(layers=2)
    # Y = y_max: S = (0.25 + 0.75) * 0.5, k = 2.
    result = run_layer(layer, np.array([4.0, 3.0, 2.0, 1.0]), memory, record=False)
    np.testing.assert_array_equal(result.delta, [4, 3, 0, 0])
    assert memory.state().y_max == (0.0, 10.0)
    # Y = 0.4 y_max: S = (0.25 + 0.3) * 0.5, k = round(1.1).
    result = run_layer(layer, np.array([1.0, 1.5, 1.0, 0.5]), memory, record=False)
    np.testing.assert_array_equal(result.delta, [0, 1.5, 0, 0])
    assert memory.state().y_max == (0.0, 10.0)


def test_tinyprop_without_any_error() -> None:
    layer = small_layer(sparsifier=harness.TINYPROP, s=(0.5, 1.0))
    memory = Memory()
    run_layer(layer, np.zeros(4), memory, record=False)
    assert memory.state().backward_macs == 2 * 2 * 3
    assert memory.state().backward_macs_nonzero == 0
    assert memory.state().rng == Memory().rng
