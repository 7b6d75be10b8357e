"""Errors stored as bfloat16: rounded where an op writes them, and nothing else is different."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import kernel_harness as harness
import numpy as np
import pytest
from bfloat16 import as_bfloat16, bfloat16_bits, from_bfloat16_bits
from click.testing import CliRunner
from converter_models import Export, make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_harness import MEPROP, Layer, Memory, run_layer, run_layer_bfloat16
from test_kernels_backward import layers
from test_kernels_sparsify import FLOATS, reference

from tf_odl.cli import main
from tf_odl.converters.error_type import ErrorType
from tf_odl.converters.head import Head
from tf_odl.converters.memory import HOST, plan_memory
from tf_odl.converters.plan import measures
from tf_odl.converters.targets import get_target
from tf_odl.errors import UserError
from tf_odl.models.digits_cnn import digits_cnn
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

needs_tflm = pytest.mark.skipif(available() is not None, reason=str(available()))

CHECK = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


def rounded(values: np.ndarray) -> np.ndarray:
    """By the library."""
    bits = np.zeros(values.shape, np.int16)
    harness.library.tfodl_to_bfloat16(harness.pointer(values), values.size, harness.pointer(bits))
    return from_bfloat16_bits(bits)


@CHECK
@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=50)
)
def test_rounding(numbers: list[float]) -> None:
    values = np.array(numbers, np.float32)
    np.testing.assert_array_equal(rounded(values), as_bfloat16(values))


def test_what_is_not_finite_stays_so() -> None:
    values = np.array([np.inf, -np.inf, np.nan, 3.4e38, -3.4e38], np.float32)
    np.testing.assert_array_equal(rounded(values), [np.inf, -np.inf, np.nan, np.inf, -np.inf])


@CHECK
@given(st.lists(FLOATS, min_size=1, max_size=60), st.data())
def test_selection_equals_a_stable_sort(numbers: list[float], data: st.DataObject) -> None:
    values = rounded(np.array(numbers, np.float32))
    values[~np.isfinite(values)] = 0
    k = data.draw(st.integers(1, len(values)))
    bits = bfloat16_bits(values)
    harness.library.tfodl_keep_largest_bfloat16(harness.pointer(bits), len(bits), k)
    np.testing.assert_array_equal(from_bfloat16_bits(bits), reference(values, k))


@pytest.mark.parametrize("k", [1, 77, 5000, 9999])
@pytest.mark.parametrize("spread", [0.01, 1.0, 20.0])
def test_selection_from_many(k: int, spread: float) -> None:
    """Thousands of equal magnitudes where there is little spread."""
    random = np.random.default_rng(k)
    values = as_bfloat16(random.choice([-1, 1], 10_000) * np.exp2(random.normal(0, spread, 10_000)))
    bits = bfloat16_bits(values)
    harness.library.tfodl_keep_largest_bfloat16(harness.pointer(bits), len(bits), k)
    np.testing.assert_array_equal(from_bfloat16_bits(bits), reference(values, k))


def assert_equals_float(layer: Layer, error: np.ndarray) -> None:
    """Weights, biases and counters bit for bit, and error_x but for its rounding.

    The float kernels are compared with the contract and with autodiff in test_kernels_backward.
    """
    error = as_bfloat16(error)
    twin, memory, its_memory = copy.deepcopy(layer), Memory(), Memory()
    wanted = run_layer(layer, error, memory)
    error_x = run_layer_bfloat16(twin, error, its_memory)
    np.testing.assert_array_equal(error_x, as_bfloat16(wanted.error_x))
    np.testing.assert_array_equal(twin.weights, layer.weights)
    np.testing.assert_array_equal(twin.bias, layer.bias)
    np.testing.assert_array_equal(its_memory.words, memory.words)


@CHECK
@given(layers())
def test_layers_equal_those_with_floats(case: tuple[Layer, np.ndarray, str]) -> None:
    layer, error, _ = case
    assert_equals_float(layer, error)


@CHECK
@given(layers(sparse=True))
def test_sparse_layers_equal_those_with_floats(case: tuple[Layer, np.ndarray, str]) -> None:
    layer, error, _ = case
    assert_equals_float(layer, error)


@CHECK
@given(layers(), st.floats(0.01, 0.3))
def test_selecting_layers_equal_those_with_floats(
    case: tuple[Layer, np.ndarray, str], share: float
) -> None:
    layer, error, _ = case
    layer.sparsifier, layer.s = MEPROP, (share, 1.0)
    assert_equals_float(layer, error)


def large_layer(kind: int, zeros: np.ndarray) -> tuple[Layer, np.ndarray]:
    random = np.random.default_rng(0)
    shape = (*zeros.shape, 6)
    weights = (6, 3, 3, 6) if kind == harness.CONV_2D else (3, 3, 6)
    layer = Layer(
        kind=kind,
        in_shape=shape,
        out_shape=shape,
        kernel=(3, 3),
        stride=(1, 1),
        pad=(1, 1),
        x_scale=0.02,
        x_zero_point=3,
        scales=random.uniform(0.01, 0.1, 6).astype(np.float32),
        x=random.integers(-128, 128, shape).astype(np.int8),
        y=None,
        weights=random.integers(-127, 128, weights).astype(np.int8),
        bias=np.zeros(6, np.int32),
    )
    error = random.normal(size=shape).astype(np.float32)
    error[zeros] = 0
    return layer, error


@pytest.mark.parametrize("kind", [harness.CONV_2D, harness.DEPTHWISE])
@pytest.mark.parametrize("where", ["first", "last", "every fifth", "one", "none"])
def test_lists_take_the_place_of_errors_wherever_they_lie(kind: int, where: str) -> None:
    """A list has twice as many bytes per entry, and overwrites what it is made from."""
    zeros = np.ones((30, 20), bool)
    chosen = {
        "first": np.s_[:7],
        "last": np.s_[-7:],
        "every fifth": np.s_[::5],
        "one": np.s_[11:12, 7:8],
        "none": np.s_[:0],
    }
    zeros[chosen[where]] = False
    layer, error = large_layer(kind, zeros)
    window, outputs = 9, 6
    assert 4 * (np.count_nonzero(error) + 2 * window) + 2 * outputs <= error.size
    assert_equals_float(layer, error)


def test_wide_dense_layers_take_their_inputs_in_parts() -> None:
    random = np.random.default_rng(1)
    inputs, outputs = 600, 7
    layer = Layer(
        kind=harness.FULLY_CONNECTED,
        in_shape=(1, 1, inputs),
        out_shape=(1, 1, outputs),
        kernel=(1, 1),
        stride=(1, 1),
        pad=(0, 0),
        x_scale=0.02,
        x_zero_point=-5,
        scales=np.array([0.01], np.float32),
        x=random.integers(-128, 128, (1, 1, inputs)).astype(np.int8),
        y=None,
        weights=random.integers(-127, 128, (outputs, inputs)).astype(np.int8),
        bias=np.zeros(outputs, np.int32),
    )
    blob = layer.options()
    kind = harness.FULLY_CONNECTED
    assert harness.library.tfodl_scratch_words_bfloat16(kind, blob, len(blob)) == 256
    assert_equals_float(layer, random.normal(size=(1, 1, outputs)).astype(np.float32))


# -- exports ------------------------------------------------------------------------------------


def arena_of(export: Export) -> int:
    return int(export.report.plan["training"]["arena_bytes"])


@pytest.fixture(scope="module")
def arenas(tmp_path_factory: pytest.TempPathFactory) -> dict[ErrorType, int]:
    """Bytes that a board needs: of a model whose errors take more than planning them."""
    folder = tmp_path_factory.mktemp("arenas")
    return {e: arena_of(Export(digits_cnn(), folder / e.value, errors=e)) for e in ErrorType}


def test_they_are_used_where_nothing_else_fits(
    arenas: dict[ErrorType, int], tmp_path: Path
) -> None:
    board = get_target("nano33")
    assert arenas[ErrorType.BFLOAT16] < arenas[ErrorType.FLOAT32]
    small = replace(board, arena_bytes=arenas[ErrorType.BFLOAT16])
    export = Export(digits_cnn(), tmp_path / "small", target=small)
    assert arena_of(export) == arenas[ErrorType.BFLOAT16]
    assert export.report.export["errors"] == "bfloat16"
    assert any("bfloat16" in done for done in measures(export.report.plan))
    (sketch,) = export.folder.glob("arduino/*/*.ino")
    assert "tfodl::AddBfloat16Ops(resolver);" in sketch.read_text()

    exact = replace(board, arena_bytes=arenas[ErrorType.FLOAT32])
    export = Export(digits_cnn(), tmp_path / "exact", target=exact)
    assert export.report.export["errors"] == "float32"
    assert not any("bfloat16" in done for done in measures(export.report.plan))


def test_a_type_that_was_asked_for_stays(arenas: dict[ErrorType, int], tmp_path: Path) -> None:
    small = replace(get_target("nano33"), arena_bytes=arenas[ErrorType.BFLOAT16])
    with pytest.raises(UserError, match="does not fit"):
        Export(digits_cnn(), tmp_path / "refused", target=small, errors=ErrorType.FLOAT32)
    assert not (tmp_path / "refused").exists()
    export = Export(digits_cnn(), tmp_path / "asked", errors=ErrorType.BFLOAT16)
    assert export.report.export["errors"] == "bfloat16"
    assert not any("bfloat16" in done for done in measures(export.report.plan))


def test_a_float_head_hands_on_floats(tmp_path: Path) -> None:
    settings = {"head": Head.FLOAT32, "errors": ErrorType.BFLOAT16}
    with pytest.raises(UserError, match="--head float32 has float32 errors"):
        Export(make("mlp"), tmp_path / "refused", **settings)


def test_plan_and_export_take_the_option(tmp_path: Path) -> None:
    make("cnn").save(tmp_path / "cnn.keras")
    needs = {}
    for errors in ErrorType:
        arguments = ["plan", str(tmp_path / "cnn.keras"), "--errors", errors.value, "--json"]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        needs[errors] = json.loads(result.stdout)["training"]["planned_bytes"]
    assert needs[ErrorType.BFLOAT16] < needs[ErrorType.FLOAT32]


@needs_tflm
def test_the_planned_arena_is_enough(tmp_path: Path) -> None:
    export = Export(make("cnn"), tmp_path / "e", errors=ErrorType.BFLOAT16)
    planned = plan_memory(export.training, HOST).used_bytes
    with TrainingInterpreter(export.training) as board:
        used = board.arena_used_bytes
    assert used <= planned <= 1.02 * used + 16
