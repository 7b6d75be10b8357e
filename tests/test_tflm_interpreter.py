"""The interpreter as a user meets it: settings, broken models, and machines that cannot run it."""

import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from build_graph import build_training_graph, every_neuron

from tf_odl.contract import Flags
from tf_odl.converters.flatbuffer import FlatModel, schema
from tf_odl.converters.layers import WEIGHTED_OPS
from tf_odl.converters.options import LayerOptions, PoolOptions, SeedOptions, XentOptions
from tf_odl.converters.quantize import quantize
from tf_odl.errors import UserError
from tf_odl.tflm_port import host, interpreter
from tf_odl.tflm_port.interpreter import TrainingInterpreter

needs_tflm = pytest.mark.skipif(
    interpreter.available() is not None, reason=str(interpreter.available())
)

INPUT = (5, 5, 1)
CLASSES = 3
NEURONS = {"conv": 4, "dense": CLASSES}


@pytest.fixture(scope="module")
def plain() -> bytes:
    """Convolution, max pooling and a dense layer as an int8 model."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(INPUT),
            layers.Conv2D(NEURONS["conv"], 2, activation="relu", bias_initializer="normal"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(CLASSES, bias_initializer="normal"),
        ]
    )
    random = np.random.default_rng(4)
    flat = FlatModel(quantize(model, random.normal(size=(30, *INPUT)).astype(np.float32)))
    weighted = [op for op in flat.operators if flat.op_name(op) in WEIGHTED_OPS]
    for op, name in zip(weighted, NEURONS, strict=True):
        flat.tensors[op.outputs[0]].name = name.encode()
    return flat.pack()


def training_graph(model: bytes, seed: int = 1) -> bytes:
    return build_training_graph(
        model, list(NEURONS), every_neuron(NEURONS), learning_rate=0.1, seed=seed
    )


@pytest.fixture(scope="module")
def graph(plain: bytes) -> bytes:
    return training_graph(plain)


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return np.random.default_rng(5).integers(-128, 128, (20, *INPUT)).astype(np.int8)


LABELS = np.arange(20) % CLASSES


def assert_equal(actual: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    for one, other in zip(actual, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def exported_variables(model: bytes) -> list[np.ndarray]:
    """The constants that TFODL_SEED copies."""
    flat = FlatModel(model)
    inputs = flat.operators[0].inputs
    constants = [flat.constant(int(i)) for i in inputs[1 + len(inputs) // 2 :]]
    return [values for values in constants if values is not None]


def op_named(flat: FlatModel, name: str) -> Any:
    return next(op for op in flat.operators if flat.op_name(op) == f"TFODL_{name}")


def with_options(model: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """The model with other custom options for the first op of this name."""
    flat = FlatModel(model)
    op = op_named(flat, name)
    blob = change(np.asarray(op.customOptions, np.uint8).tobytes())
    op.customOptions = np.frombuffer(blob, np.uint8) if blob else None
    return flat.pack()


# -- settings -------------------------------------------------------------------------------


@needs_tflm
def test_variables_start_as_exported_and_return_there(graph: bytes, samples: np.ndarray) -> None:
    exported = exported_variables(graph)
    assert [v.dtype for v in exported] == [np.int8, np.int32] * 2
    with TrainingInterpreter(graph) as board:
        assert_equal(board.variables(), exported)
        board.train(samples, LABELS)
        moved = [(a != b).any() for a, b in zip(board.variables(), exported, strict=True)]
        assert all(moved)
        seedings = board.counts().seedings
        board.set_learning_rate(0.5)
        board.reset()
        assert_equal(board.variables(), exported)
        assert board.counts().seedings == seedings + 1
        state = board.state()
        assert (state.samples, state.trained, state.backward_macs) == (0, 0, 0)
        assert state.learning_rate == np.float32(0.1)


@needs_tflm
def test_variables_round_trip_through_another_interpreter(
    graph: bytes, samples: np.ndarray
) -> None:
    with TrainingInterpreter(graph) as one, TrainingInterpreter(graph) as other:
        one.train(samples, LABELS)
        other.set_variables(one.variables())
        assert_equal(other.variables(), one.variables())
        np.testing.assert_array_equal(other.infer(samples), one.infer(samples))
        copies = one.variables()
        copies[0][...] = 0
        assert one.variables()[0].any(), "variables() has to return copies"


@needs_tflm
def test_the_seed_decides_every_bit(plain: bytes, samples: np.ndarray) -> None:
    runs = []
    for seed in (1, 1, 2):
        with TrainingInterpreter(training_graph(plain, seed)) as board:
            outputs, reports = board.train(samples, LABELS)
            runs.append([outputs, reports, *board.variables()])
    assert_equal(runs[0], runs[1])
    assert any((a != b).any() for a, b in zip(runs[0], runs[2], strict=True))


@needs_tflm
def test_a_tiny_learning_rate_moves_next_to_nothing(graph: bytes, samples: np.ndarray) -> None:
    """Steps of 1e-12 are drawn for, but far from likely to reach the next integer."""
    with TrainingInterpreter(graph) as board:
        start = board.variables()
        board.set_learning_rate(1e-12)
        board.train(samples, LABELS)
        assert_equal(board.variables(), start)
        state = board.state()
        assert state.trained == 20 and state.rng != 1, "the samples were trained all the same"


@needs_tflm
def test_learning_rates_that_are_no_float32_are_refused(graph: bytes) -> None:
    with TrainingInterpreter(graph) as board:
        for wrong in (1e39, -1e-9, float("nan")):
            with pytest.raises(UserError, match="learning rate"):
                board.set_learning_rate(wrong)
        assert board.state().learning_rate == np.float32(0.1)


@needs_tflm
def test_a_huge_learning_rate_saturates_and_is_counted(graph: bytes, samples: np.ndarray) -> None:
    with TrainingInterpreter(graph) as board:
        board.set_learning_rate(1e30)
        _, reports = board.train(samples, LABELS)
        state = board.state()
        assert np.isfinite(reports).all()
        assert state.saturated > 20 and state.non_finite == 0
        for values in board.variables():
            if values.dtype == np.int8:
                assert (np.abs(values.astype(int)) <= 127).all()


@needs_tflm
def test_a_label_far_below_zero_only_infers(graph: bytes, samples: np.ndarray) -> None:
    """-2^40 would be class 0 if it were cut to 32 bits."""
    with TrainingInterpreter(graph) as board:
        _, reports = board.train(samples[:2], [-(2**40), -1])
        np.testing.assert_array_equal(reports[:, :4], [[-1, 0, 0, 0]] * 2)
        assert board.state().samples == 0


# -- steps that are not finite -----------------------------------------------------------------


@needs_tflm
def test_a_loss_that_is_not_finite_changes_no_weight(graph: bytes, samples: np.ndarray) -> None:
    def huge(blob: bytes) -> bytes:
        return replace(XentOptions.unpack(blob), logits_scale=3e38).pack()

    with TrainingInterpreter(with_options(graph, "SOFTMAX_XENT", huge)) as board:
        start = board.variables()
        outputs, reports = board.train(samples, LABELS)
        right = outputs.argmax(1) == LABELS
        assert (~right).any()
        state = board.state()
        assert state.non_finite == (~np.isfinite(reports[:, 0])).sum() > 0
        assert state.samples == 20 and state.trained == 20 - state.non_finite
        assert not reports[~np.isfinite(reports[:, 0]), 2].any()
        board.reset()
        wrong = np.flatnonzero(~np.isfinite(reports[:, 0]))[:1]
        board.train(samples[wrong], LABELS[wrong])
        assert board.state().non_finite == 1
        assert_equal(board.variables(), start)


@needs_tflm
def test_an_error_that_overflows_ends_the_step(graph: bytes, samples: np.ndarray) -> None:
    """Weights of the dense layer that are worth 1e38 each: what they hand down is not finite."""

    def huge(blob: bytes) -> bytes:
        return replace(LayerOptions.unpack(blob), scales=(1e38,)).pack()

    with TrainingInterpreter(with_options(graph, "FULLY_CONNECTED_BWD", huge)) as board:
        start = board.variables()
        board.train(samples, LABELS)
        state = board.state()
        assert state.non_finite == 20 and not state.active
        conv = [i for i, values in enumerate(start) if values.shape[:1] == (4,)]
        assert len(conv) == 2
        assert_equal([board.variables()[i] for i in conv], [start[i] for i in conv])


# -- broken models -----------------------------------------------------------------------------

OPS = ["SEED", "SOFTMAX_XENT", "FULLY_CONNECTED_BWD", "MAX_POOL_2D_BWD", "CONV_2D_BWD"]


@needs_tflm
@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(lambda blob: b"", id="no options"),
        pytest.param(lambda blob: blob[:-1], id="a byte short"),
        pytest.param(lambda blob: blob + b"\0\0\0\0", id="a word more"),
        pytest.param(lambda blob: b"\1" + blob[1:], id="another version"),
    ],
)
def test_options_of_another_length_or_version_are_refused(
    graph: bytes, name: str, cut: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(UserError, match=f"TFODL_{name}: invalid options"):
        TrainingInterpreter(with_options(graph, name, cut))


def field_change(options: Any, **fields: Any) -> Callable[[bytes], bytes]:
    return lambda blob: replace(options.unpack(blob), **fields).pack()


@needs_tflm
@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("SEED", field_change(SeedOptions, rng_seed=0), "invalid options"),
        ("SEED", field_change(SeedOptions, n_variables=5), "wrong number of tensors"),
        ("SEED", field_change(SeedOptions, learning_rate=np.nan), "invalid options"),
        ("SOFTMAX_XENT", field_change(XentOptions, skip_rule=2), "invalid options"),
        ("SOFTMAX_XENT", field_change(XentOptions, logits_scale=0), "invalid options"),
        ("CONV_2D_BWD", field_change(LayerOptions, flags=0), "invalid options"),
        ("CONV_2D_BWD", field_change(LayerOptions, flags=Flags.UPDATE_BIAS), "number of tensors"),
        ("CONV_2D_BWD", field_change(LayerOptions, layer=9), "state tensor does not fit"),
        ("CONV_2D_BWD", field_change(LayerOptions, in_h=2**31), "invalid options"),
        ("CONV_2D_BWD", field_change(LayerOptions, in_h=50), "an input does not fit"),
        ("CONV_2D_BWD", field_change(LayerOptions, stride_h=0), "invalid options"),
        ("CONV_2D_BWD", field_change(LayerOptions, x_scale=np.inf), "invalid options"),
        ("CONV_2D_BWD", field_change(LayerOptions, act_min=-200), "invalid options"),
        ("MAX_POOL_2D_BWD", field_change(PoolOptions, pad_top=2), "invalid options"),
        ("MAX_POOL_2D_BWD", field_change(PoolOptions, out_h=3), "invalid options"),
        ("MAX_POOL_2D_BWD", field_change(PoolOptions, in_c=2), "a tensor does not fit"),
    ],
)
def test_option_fields_that_do_not_fit_are_refused(
    graph: bytes, name: str, change: Callable[[bytes], bytes], message: str
) -> None:
    with pytest.raises(UserError, match=f"TFODL_{name}.*{message}"):
        TrainingInterpreter(with_options(graph, name, change))


@needs_tflm
@pytest.mark.parametrize(
    ("name", "position", "kind", "message"),
    [
        ("SEED", 0, "FLOAT32", "TFODL_SEED: the state tensor does not fit"),
        ("SEED", 1, "INT16", "TFODL_SEED: a variable does not fit"),
        ("SEED", 5, "INT32", "TFODL_SEED: a variable and its seed do not match"),
        ("SOFTMAX_XENT", 1, "INT8", "TFODL_SOFTMAX_XENT: a tensor does not fit"),
        ("FULLY_CONNECTED_BWD", 0, "INT32", "a tensor does not fit"),
    ],
)
def test_tensors_of_another_type_are_refused(
    graph: bytes, name: str, position: int, kind: str, message: str
) -> None:
    flat = FlatModel(graph)
    tensor = flat.tensors[op_named(flat, name).inputs[position]]
    tensor.type = getattr(schema().TensorType, kind)
    with pytest.raises(UserError, match=message):
        TrainingInterpreter(flat.pack())


@needs_tflm
def test_weights_that_are_constant_are_refused(graph: bytes) -> None:
    flat = FlatModel(graph)
    seed = op_named(flat, "SEED").inputs
    constants = {int(v): int(c) for v, c in zip(seed[1:5], seed[5:], strict=True)}
    op = op_named(flat, "CONV_2D_BWD")
    op.inputs = [constants.get(int(i), int(i)) for i in op.inputs]
    with pytest.raises(UserError, match="TFODL_CONV_2D_BWD: the weights are constant"):
        TrainingInterpreter(flat.pack())


@needs_tflm
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.95])
def test_truncated_files_are_refused(graph: bytes, share: float) -> None:
    with pytest.raises(UserError, match="the file is damaged"):
        TrainingInterpreter(graph[: int(len(graph) * share)])


@needs_tflm
def test_damaged_files_end_the_worker_only(graph: bytes, samples: np.ndarray) -> None:
    """Whatever TFLM makes of a damaged file, the caller sees a UserError or a result."""
    random = np.random.default_rng(6)
    refused = 0
    for _ in range(12):
        damaged = bytearray(graph)
        for position in random.integers(8, len(graph), 6):
            damaged[position] ^= int(random.integers(1, 256))
        try:
            with TrainingInterpreter(bytes(damaged)) as board:
                board.train(samples[:2], [0, 1])
        except UserError as error:
            assert str(error)
            refused += 1
    assert refused


@needs_tflm
def test_files_of_another_kind_are_refused() -> None:
    for wrong in (b"", b"PK\3\4" * 10, b"\0" * 64):
        with pytest.raises(UserError, match=r"not a \.tflite model"):
            TrainingInterpreter(wrong)


@needs_tflm
def test_a_float_model_is_refused(plain: bytes) -> None:
    flat = FlatModel(plain)
    flat.tensors[flat.inputs[0]].type = schema().TensorType.FLOAT32
    with pytest.raises(UserError):
        TrainingInterpreter(flat.pack())


@needs_tflm
def test_an_arena_that_is_too_small_is_refused(graph: bytes) -> None:
    with pytest.raises(UserError, match=r"failed to allocate tensors.*arena: 512 bytes"):
        TrainingInterpreter(graph, arena_bytes=512)


# -- the worker -----------------------------------------------------------------------------


@needs_tflm
def test_a_worker_that_dies_is_reported(graph: bytes, samples: np.ndarray) -> None:
    board = TrainingInterpreter(graph)
    process = board._worker._process
    process.send_signal(signal.SIGKILL)
    process.wait()
    for _ in range(2):
        with pytest.raises(UserError, match="died with SIGKILL"):
            board.infer(samples)
    board.close()


@needs_tflm
def test_closing_ends_the_process(graph: bytes) -> None:
    with TrainingInterpreter(graph) as board:
        process = board._worker._process
        assert process.poll() is None
    assert process.poll() == 0
    board.close()


@needs_tflm
def test_a_refused_model_leaves_no_process(graph: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    popen = interpreter.subprocess.Popen

    def spy(*arguments: Any, **options: Any) -> Any:
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(interpreter.subprocess, "Popen", spy)
    with pytest.raises(UserError):
        TrainingInterpreter(with_options(graph, "SEED", lambda blob: b""))
    (process,) = started
    assert process.poll() is not None


# -- machines that cannot run it ---------------------------------------------------------------


@pytest.fixture
def fresh() -> Iterator[None]:
    """available() without what it remembers, before and after."""
    interpreter.available.cache_clear()
    yield
    interpreter.available.cache_clear()


@pytest.mark.parametrize(
    ("system", "machine"), [("Darwin", "x86_64"), ("Windows", "AMD64"), ("Linux", "aarch64")]
)
def test_other_platforms_are_named(
    fresh: None, monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert "needs Linux on x86-64" in str(interpreter.available())


def on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


def test_a_missing_wheel_is_named(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    on_linux(monkeypatch)
    monkeypatch.setattr(host, "library_path", lambda: os.devnull)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert interpreter.available() == (
        "the tflite-micro wheel is not installed; run pip install 'tf-odl[simulate]'"
    )
    with pytest.raises(UserError, match="tflite-micro wheel is not installed"):
        TrainingInterpreter(b"\0\0\0\0TFL3")


def test_a_missing_host_library_is_named(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    on_linux(monkeypatch)
    monkeypatch.setattr(host, "library_path", lambda: None)
    assert "install a C++ compiler" in str(interpreter.available())


@needs_tflm
@pytest.mark.parametrize("version", ["0.dev20240715", interpreter.WHEEL_VERSION])
def test_a_wheel_that_fails_the_smoke_test_is_named(
    fresh: None, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    fake = SimpleNamespace(executable="/bin/false")
    monkeypatch.setattr(interpreter, "sys", fake)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    reason = str(interpreter.available())
    assert "cannot run the training ops" in reason and "exit code 1" in reason
    assert f"tflite-micro {version} is" in reason
    assert interpreter.WHEEL_VERSION in reason and "pip install" in reason
    assert sys.executable != fake.executable


@pytest.mark.skipif(host.library_path() is None, reason="the host library was not compiled")
def test_the_bridge_refuses_a_library_that_is_no_wheel() -> None:
    library = host.load()
    itself = ctypes.CDLL(str(host.library_path()))
    assert library.tfodl_bind_runtime(itself._handle) == 0
    assert b"does not export the accessors" in library.tfodl_last_error()
    resolver = ctypes.create_string_buffer(1 << 16)
    register = library[host.REGISTERER]
    register.restype = ctypes.c_bool
    assert not register(resolver)
    assert b"has not been bound" in library.tfodl_last_error()
    assert not any(resolver.raw), "nothing may be written"
