"""Forward ops that keep their multipliers in flash: the bits of TensorFlow Lite, in less RAM."""

import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import kernel_harness as harness
import numpy as np
import pytest
from build_graph import build_training_graph
from converter_models import Export, make, samples
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_layers import (
    Convolution,
    Layer,
    dense_outputs,
    model,
    outputs,
    random_convolution,
    random_dense,
)

from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.layer_plan import op_plans
from tf_odl.converters.memory import HOST, plan_memory
from tf_odl.converters.options import ConvOptions, FullyConnectedOptions
from tf_odl.converters.own_layers import (
    BUILTIN,
    OWN_LAYERS,
    fixed_point,
    in_place_words,
    scratch_words,
    with_own_layers,
)
from tf_odl.converters.state_layout import state_layout
from tf_odl.converters.targets import get_target
from tf_odl.methods import Mask
from tf_odl.models import build, set_statistics
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

needs_tflm = pytest.mark.skipif(available() is not None, reason=str(available()))
needs_tflite = pytest.mark.skipif(
    find_spec("tflite_runtime") is None, reason="no tflite-runtime for this Python"
)


def run_kernel(
    options: ConvOptions,
    depthwise: bool,
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray | None,
) -> np.ndarray | None:
    """The compiled kernel's outputs, None where the options are refused."""
    blob = options.pack()
    y = np.full((options.out_h, options.out_w, options.y_c), 99, np.int8)
    scratch = np.full(2 * scratch_words(options), -7, np.int16)
    accepted = harness.library.tfodl_conv(
        harness.DEPTHWISE if depthwise else harness.CONV_2D,
        blob,
        len(blob),
        *(harness.pointer(array) for array in (x, weights, bias, scratch, y)),
    )
    if not accepted:
        return None
    behind = options.first_c + options.out_c
    others = np.delete(y, np.arange(options.first_c, behind), axis=2)
    assert (others == 99).all(), "channels of others"
    return np.ascontiguousarray(y[:, :, options.first_c : behind])


def run_dense(
    options: FullyConnectedOptions, x: np.ndarray, weights: np.ndarray, bias: np.ndarray | None
) -> np.ndarray | None:
    """As `run_kernel`."""
    blob = options.pack()
    y = np.full((options.rows, options.out_c), 99, np.int8)
    arrays = (harness.pointer(array) for array in (x, weights, bias, y))
    accepted = harness.library.tfodl_fully_connected(blob, len(blob), *arrays)
    return y if accepted else None


def options_of(layer: Layer) -> ConvOptions | FullyConnectedOptions | None:
    """As the converter makes them; None where it keeps the builtin op."""
    flat = with_own_layers(FlatModel(model([layer])))
    (op,) = flat.operators
    if flat.op_name(op) not in BUILTIN:
        return None
    kind = ConvOptions if isinstance(layer, Convolution) else FullyConnectedOptions
    return kind.unpack(op.customOptions.tobytes())


# -- the same bits ------------------------------------------------------------------------------

TFLITE = """
import pickle, sys
from tflite_runtime.interpreter import Interpreter, OpResolverType
model, inputs = pickle.load(sys.stdin.buffer)
interpreter = Interpreter(
    model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
)
interpreter.allocate_tensors()
for detail, x in zip(interpreter.get_input_details(), inputs):
    interpreter.set_tensor(detail["index"], x.reshape(detail["shape"]))
interpreter.invoke()
outputs = [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]
pickle.dump(outputs, sys.stdout.buffer)
"""


def tflite_outputs(layers: Sequence[Layer], inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Of TensorFlow Lite's reference kernels, in a process without TensorFlow."""
    done = subprocess.run(
        [sys.executable, "-c", TFLITE],
        input=pickle.dumps((model(layers), inputs)),
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    found: list[np.ndarray] = pickle.loads(done.stdout)
    return [y.reshape(layer.y_shape) for y, layer in zip(found, layers, strict=True)]


@needs_tflite
@pytest.mark.parametrize("seed", range(4))
def test_kernels_give_the_bits_of_tensorflow_lite(seed: int) -> None:
    """60 random convolutions at a time, from one scale for all channels to huge and tiny ones."""
    rng = np.random.default_rng(seed)
    drawn = [random_convolution(rng) for _ in range(60)]
    inputs = [rng.integers(-128, 128, c.x_shape).astype(np.int8) for c in drawn]
    wanted = tflite_outputs(drawn, inputs)
    varied = 0
    for convolution, x, y in zip(drawn, inputs, wanted, strict=True):
        options = options_of(convolution)
        assert options is not None
        found = run_kernel(options, convolution.depthwise, x, convolution.weights, convolution.bias)
        np.testing.assert_array_equal(found, y)
        varied += len(np.unique(y)) > 8
    assert varied > 20, "most outputs are at the ends of their range: this would show little"


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), spread=st.integers(0, 31), full=st.booleans())
def test_kernels_are_exact_for_every_multiplier(seed: int, spread: int, full: bool) -> None:
    """Sums, multipliers and shifts over all of their ranges, against exact integers."""
    rng = np.random.default_rng(seed)
    convolution = random_convolution(rng)
    options = options_of(convolution)
    assert options is not None
    out_c = options.out_c
    multipliers = rng.integers(2**30, 2**31, out_c)
    multipliers[rng.integers(out_c)] = rng.choice([2**30, 2**31 - 1])
    low, high = sorted(int(n) for n in rng.integers(-128, 128, 2))
    options = replace(
        options,
        multipliers=tuple(int(m) for m in multipliers),
        shifts=tuple(int(s) for s in np.clip(rng.integers(0, 32, out_c), 0, 1 + spread)),
        y_c=out_c + int(rng.integers(0, 4)) + 3,
        first_c=int(rng.integers(0, 4)),
        act_min=-128 if full else low,
        act_max=127 if full else high,
    )
    x = rng.integers(-128, 128, convolution.x_shape).astype(np.int8)
    bias = rng.integers(-(2**spread), 2**spread, out_c).astype(np.int32)
    found = run_kernel(options, convolution.depthwise, x, convolution.weights, bias)
    wanted = outputs(options, convolution.depthwise, x, convolution.weights, bias)
    np.testing.assert_array_equal(found, wanted)


@needs_tflite
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_the_fully_connected_kernel_gives_the_bits_of_tensorflow_lite(
    seed: int, per_channel: bool
) -> None:
    rng = np.random.default_rng(seed)
    drawn = [random_dense(rng, per_channel) for _ in range(80)]
    inputs = [rng.integers(-128, 128, d.x_shape).astype(np.int8) for d in drawn]
    wanted = tflite_outputs(drawn, inputs)
    varied = 0
    for dense, x, y in zip(drawn, inputs, wanted, strict=True):
        options = options_of(dense)
        assert options is not None
        np.testing.assert_array_equal(run_dense(options, x, dense.weights, dense.bias), y)
        varied += len(np.unique(y)) > 4
    assert varied > 20, "most outputs are at the ends of their range: this would show little"


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), spread=st.integers(0, 31), per_channel=st.booleans())
def test_the_fully_connected_kernel_is_exact_for_every_multiplier(
    seed: int, spread: int, per_channel: bool
) -> None:
    """Biases up to all of int32, too, at which sums are modulo 2^32."""
    rng = np.random.default_rng(seed)
    dense = random_dense(rng, per_channel)
    options = options_of(dense)
    assert options is not None
    n = options.n_scales
    low, high = sorted(int(bound) for bound in rng.integers(-128, 128, 2))
    options = replace(
        options,
        multipliers=tuple(int(m) for m in rng.integers(2**30, 2**31, n)),
        shifts=tuple(int(s) for s in np.clip(rng.integers(0, 32, n), 0, 1 + spread)),
        act_min=low,
        act_max=high,
    )
    x = rng.integers(-128, 128, dense.x_shape).astype(np.int8)
    bias = rng.integers(-(2**spread), 2**spread, options.out_c).astype(np.int32)
    found = run_dense(options, x, dense.weights, bias)
    np.testing.assert_array_equal(found, dense_outputs(options, x, dense.weights, bias))


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_depthwise_convolutions_work_in_place(seed: int) -> None:
    """Where the map keeps its size, windows of any height: the bits of the one with two maps."""
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(1, 8, 2))
    channels = int(rng.integers(1, 14))
    kernel = [int(k) for k in rng.integers(1, 6, 2)]
    pads = [int(rng.integers(0, k)) for k in kernel]
    options = ConvOptions(
        *(height, width, channels) * 2,
        *kernel,
        *(1, 1),
        *pads,
        *(channels, 0),
        *(int(rng.integers(-128, 128)), int(rng.integers(-128, 128)), -128, 127),
        multipliers=tuple(int(m) for m in rng.integers(2**30, 2**31, channels)),
        shifts=tuple(int(s) for s in rng.integers(6, 10, channels)),
    )
    x = rng.integers(-128, 128, (height, width, channels)).astype(np.int8)
    weights = rng.integers(-127, 128, (1, *kernel, channels)).astype(np.int8)
    bias = rng.integers(-500, 500, channels).astype(np.int32)
    wanted = run_kernel(options, True, x, weights, bias)
    blob, scratch = options.pack(), np.full(4 * in_place_words(options), 77, np.int8)
    arrays = (harness.pointer(a) for a in (weights, bias, scratch, x))
    assert harness.library.tfodl_depthwise_in_place(blob, len(blob), *arrays)
    np.testing.assert_array_equal(x, wanted)


def test_halves_are_rounded_away_from_zero_after_the_shift() -> None:
    """By hand: 1.0 * 2^-1, so a sum of 3 is 1.5 and becomes 2, a sum of -3 becomes -2."""
    options = ConvOptions(
        *(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 0),
        0,
        0,
        -128,
        127,
        multipliers=(2**30,),
        shifts=(0,),
    )
    one = np.ones((1, 1, 1), np.int8)
    for total, wanted in ((3, 2), (-3, -1), (1, 1), (-1, 0)):
        bias = np.array([total - 1], np.int32)
        found = run_kernel(options, False, one, one[None], bias)
        # 2^30 is 1/2, rounded by the multiplication: halves up.
        assert found is not None and found.item() == wanted
    halved = replace(options, multipliers=(2**31 - 1,), shifts=(1,))
    for total, wanted in ((3, 2), (-3, -2), (1, 1), (-1, -1), (200, 100)):
        found = run_kernel(halved, False, one, one[None], np.array([total - 1], np.int32))
        assert found is not None and found.item() == wanted


@pytest.mark.parametrize(
    ("scale", "wanted"),
    [
        (1.0, (2**30, -1)),
        (0.5, (2**30, 0)),
        (0.75, (3 * 2**29, 0)),
        (2.0**-31, (2**30, 30)),
        (2.0**-32, (2**30, 31)),
        (1 - 2.0**-33, (2**30, -1)),
        (2.0**-33, None),
        (2.0**31, None),
        (0.0, None),
    ],
)
def test_a_scale_in_fixed_point(scale: float, wanted: tuple[int, int] | None) -> None:
    found = fixed_point(np.array([0.5, scale]))
    assert found == (None if wanted is None else ([2**30, wanted[0]], [0, wanted[1]]))


# -- what is refused ------------------------------------------------------------------------------

GOOD = ConvOptions(
    *(5, 5, 2, 5, 5, 3, 3, 3, 1, 1, 1, 1, 3, 0), 0, 0, -128, 127, (2**30,) * 3, (0, 31, -30)
)


def accepted(options: ConvOptions, kind: int = harness.CONV_2D, extra: bytes = b"") -> bool:
    blob = options.pack() + extra
    nothing = [harness.pointer(None)] * 5
    # Refused options never get as far as the kernel; accepted ones are tried elsewhere.
    if blob == GOOD.pack() and kind == harness.CONV_2D:
        return True
    return bool(harness.library.tfodl_conv(kind, blob, len(blob), *nothing))


@pytest.mark.parametrize(
    "change",
    [
        {"in_h": 0},
        {"in_c": 2**24},
        {"out_h": 7},
        {"out_w": 2**20},
        {"kernel_h": 0},
        {"stride_w": 0},
        {"pad_top": 3},
        {"y_c": 2},
        {"y_c": 5, "first_c": 3},
        {"y_c": 2**20, "first_c": 2**32 - 1},
        {"x_zero_point": 128},
        {"y_zero_point": -129},
        {"act_min": -129},
        {"act_min": 5, "act_max": 4},
        {"multipliers": (2**30, 2**30, 2**30 - 1)},
        {"multipliers": (2**30, -(2**30), 2**30)},
        {"shifts": (0, 32, 0)},
        {"shifts": (0, -31, 0)},
        {
            "in_c": 7311,
            "in_h": 3,
            "in_w": 3,
            "out_h": 1,
            "out_w": 1,
            "pad_top": 0,
        },  # 65799 products
    ],
    ids=str,
)
def test_options_are_checked(change: dict[str, Any]) -> None:
    assert not accepted(replace(GOOD, **change))


GOOD_DENSE = FullyConnectedOptions(2, 6, 3, 0, 0, -128, 127, 3, (2**30,) * 3, (0, 31, -30))


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 0},
        {"in_c": 0},
        {"out_c": 0},
        {"rows": 2**20 + 1},
        {"rows": 2**20, "in_c": 2**20},
        {"in_c": 65793},
        {"n_scales": 2, "multipliers": (2**30,) * 2, "shifts": (0, 0)},
        {"n_scales": 0, "multipliers": (), "shifts": ()},
        {"x_zero_point": 128},
        {"y_zero_point": -129},
        {"act_max": 128},
        {"act_min": 5, "act_max": 4},
        {"multipliers": (2**30, 2**30, 2**30 - 1)},
        {"shifts": (0, 32, 0)},
    ],
    ids=str,
)
def test_options_of_fully_connected_layers_are_checked(change: dict[str, Any]) -> None:
    x, weights = np.zeros((2, 6), np.int8), np.zeros((3, 6), np.int8)
    assert run_dense(GOOD_DENSE, x, weights, None) is not None
    assert run_dense(replace(GOOD_DENSE, **change), x, weights, None) is None


def test_lengths_and_channels_are_checked() -> None:
    assert not accepted(GOOD, extra=b"\0")
    assert not accepted(GOOD, harness.DEPTHWISE), "3 channels of 2"


def test_fully_connected_layers_that_the_op_does_not_have_stay() -> None:
    rng = np.random.default_rng(1)
    dense = random_dense(rng)
    assert options_of(dense) is not None
    assert options_of(replace(dense, scales=dense.scales * np.float32(1e-12))) is None
    shuffled = FlatModel(model([dense]))
    shuffled.operators[0].builtinOptions.weightsFormat = 1
    assert with_own_layers(shuffled).op_name(shuffled.operators[0]) == "FULLY_CONNECTED"


def test_convolutions_that_the_ops_do_not_have_stay() -> None:
    """Dilated ones, in groups, and scales that TensorFlow Lite takes for zero."""
    rng = np.random.default_rng(1)
    one = next(c for c in iter(lambda: random_convolution(rng), None) if not c.depthwise)
    assert options_of(one) is not None
    assert options_of(replace(one, scales=one.scales * np.float32(1e-12))) is None
    flat = FlatModel(model([one]))
    flat.operators[0].builtinOptions.dilationWFactor = 2
    assert with_own_layers(flat).op_name(flat.operators[0]) == "CONV_2D"
    halves = replace(one, x_shape=(*one.x_shape[:2], 2 * one.x_shape[2]))
    assert options_of(halves) is None


# -- in graphs ------------------------------------------------------------------------------------

#: Samples and how many of the last layers train (None: all) of built-in models.
BUILT_IN: dict[str, tuple[tuple[int, ...], int | None]] = {
    "cnn5": ((16, 16, 1), None),
    "ds-cnn": ((49, 10), 3),
    "resnet8": ((32, 32, 3), None),
    "mobilenetv2-0.35": ((32, 32, 3), 5),
}


def exported_model(name: str, folder: Path) -> Export:
    """Of a small model, or of a built-in one."""
    if name not in BUILT_IN:
        return Export(make(name), folder)
    shape, trained = BUILT_IN[name]
    model = build(name, shape, 4, 1)
    set_statistics(model, np.random.default_rng(1).normal(size=(20, *shape)).astype(np.float32))
    vast = replace(get_target("nano33"), arena_bytes=1 << 30, flash_bytes=1 << 30)
    return Export(model, folder, target=vast, train_layers=trained)


def with_builtin_layers(export: Export) -> FlatModel:
    """The training graph of an export of `exported_model`, made from its model.tflite."""
    layers = export.report.export["layers"]
    every = {
        layer["name"]: np.full(layer["neurons"], layer["trainable_weights"] > 0) for layer in layers
    }
    masks = {name: Mask(trains, trains) for name, trains in every.items()}
    return FlatModel(
        build_training_graph(export.int8, list(masks), masks, learning_rate=0.005, seed=0)
    )


@pytest.fixture(scope="module", params=["cnn", "separable", *BUILT_IN])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Export:
    return exported_model(request.param, tmp_path_factory.mktemp("export") / "e")


def test_exports_have_them(exported: Export) -> None:
    """Of every convolution of the model; model.tflite itself keeps TensorFlow Lite's."""
    builtin = with_builtin_layers(exported)
    assert with_own_layers(builtin).pack() == exported.training
    kinds = Counter(exported.graph.op_name(op) for op in exported.graph.operators)
    plain = Counter(exported.plain.op_name(op) for op in exported.plain.operators)
    assert plain["CONV_2D"] > 0
    for kind, own in OWN_LAYERS.items():
        assert kinds[kind] == 0 and kinds[own] == plain[kind]


@needs_tflm
def test_a_graph_learns_the_same_bits(exported: Export) -> None:
    graph = with_builtin_layers(exported).pack()
    codes = exported.codes(samples(exported.model, 12))
    labels = np.arange(12) % 4
    learned = []
    for data in (graph, exported.training):
        with TrainingInterpreter(data) as interpreter:
            before = interpreter.infer(codes)
            outputs, reports = interpreter.train(codes, labels)
            after = interpreter.infer(codes)
            learned.append((before, outputs, reports, after, *interpreter.variables()))
    for one, other in zip(*learned, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(learned[0][0], learned[0][3]), "nothing was learned"
    assert len(np.unique(learned[0][0])) > 10, "the outputs say little"
    own = state_layout(exported.training)
    assert own == state_layout(graph), "an image of one is an image of the other"


@needs_tflm
def test_the_plan_is_never_below_the_arena_used(exported: Export) -> None:
    with TrainingInterpreter(exported.training) as interpreter:
        used = interpreter.arena_used_bytes
    assert used <= plan_memory(exported.training, HOST).used_bytes <= 1.02 * used
    builtin = plan_memory(with_builtin_layers(exported))
    assert plan_memory(exported.training).struct_bytes < builtin.struct_bytes


def test_the_plan_knows_their_work(exported: Export) -> None:
    """As many multiply-accumulates as the builtin ops have, and what they learn."""
    plans = []
    for flat in (with_builtin_layers(exported), exported.graph):
        plans.append([op for op in op_plans(flat, plan_memory(flat))[0] if op.macs_forward])
    builtin, own = plans
    for one, other in zip(builtin, own, strict=True):
        same = replace(
            one,
            instructions_forward=other.instructions_forward,
            instructions_backward=other.instructions_backward,
        )
        assert other == same
        assert other.instructions_forward > 0
