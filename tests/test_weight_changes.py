"""Weights in flash with their changes in RAM, 4 bits each: `export --update-rule changes`."""

import re
from pathlib import Path

import keras
import kernel_harness as harness
import numpy as np
import pytest
from backward_reference import Generator
from converter_models import MODELS, Export, make
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tf_odl.converters.memory import HOST, plan_memory
from tf_odl.converters.reference import infer
from tf_odl.converters.update_rule import UpdateRule
from tf_odl.converters.weight_changes import changed, changes_bytes
from tf_odl.converters.write_back import variable_tensors, with_variables, write_back
from tf_odl.errors import UserError
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

needs_tflm = pytest.mark.skipif(available() is not None, reason=str(available()))
SIZES = (0, 2, 4, 8, 12, 18, 26, 38)

int8s = st.integers(1, 70).flatmap(
    lambda n: arrays.arrays(np.int8, n, elements=st.integers(-127, 127))
)


def stored(
    weights: np.ndarray, exported: np.ndarray, changes: np.ndarray, seed: int
) -> tuple[np.ndarray, int, int]:
    """The kernel's changes, how many were out of bounds, and the generator's state afterwards."""
    packed = np.concatenate([changes, np.full(4, 99, np.int8)])
    rng = np.array([seed], np.uint32)
    count = harness.library.tfodl_store_weights(
        *map(harness.pointer, (weights, exported)),
        len(weights),
        *map(harness.pointer, (packed, rng)),
    )
    assert (packed[-4:] == 99).all(), "what lies behind them"
    return packed[:-4].copy(), count, int(rng[0])


def loaded(changes: np.ndarray, exported: np.ndarray) -> np.ndarray:
    """The kernel's weights."""
    weights = np.full(len(exported) + 4, 99, np.int8)
    harness.library.tfodl_load_weights(
        *map(harness.pointer, (changes, exported)), len(exported), harness.pointer(weights)
    )
    assert (weights[-4:] == 99).all(), "what lies behind them"
    return weights[:-4].copy()


def codes_of(packed: np.ndarray, count: int) -> list[int]:
    """As docs/training-graph.md describes them, one by one."""
    found = []
    for weight in range(count):
        group, place = divmod(weight, 8)
        byte = int(packed[4 * group + place % 4]) & 255
        found.append(byte >> 4 if place >= 4 else byte & 15)
    return found


def change_of(code: int) -> int:
    return -SIZES[code - 8] if code >= 8 else SIZES[code]


def weight_of(exported: int, code: int) -> int:
    return max(-127, min(127, exported + change_of(code)))


def code_of(change: int, generator: Generator) -> int:
    """That of the value below or above, drawn in proportion to how near they are."""
    size = abs(change)
    below = max(i for i, s in enumerate(SIZES) if s <= size)
    if size != SIZES[below] and below < 7:
        gap = SIZES[below + 1] - SIZES[below]
        if (generator.draw() >> 16) * gap // 2**16 < size - SIZES[below]:
            below += 1
    return below + 8 if change < 0 and below else below


def reference(
    weights: np.ndarray, exported: np.ndarray, codes: list[int], generator: Generator
) -> tuple[list[int], int]:
    """The codes of some weights, and how many of their changes were out of bounds."""
    found, beyond = [], 0
    for w, start, code in zip(weights.tolist(), exported.tolist(), codes, strict=True):
        if w == weight_of(start, code):
            found.append(code)
            continue
        beyond += abs(w - start) > SIZES[-1]
        found.append(code_of(w - start, generator))
    return found, beyond


@given(int8s, st.integers(0, 2**31))
def test_changes_are_kept_bit_for_bit(exported: np.ndarray, seed: int) -> None:
    random = np.random.default_rng(seed)
    packed = random.integers(-128, 128, changes_bytes(len(exported))).astype(np.int8)
    codes = codes_of(packed, len(exported))
    before = np.array([weight_of(*pair) for pair in zip(exported.tolist(), codes, strict=True)])
    np.testing.assert_array_equal(loaded(packed, exported), before)
    np.testing.assert_array_equal(changed(exported, packed), before)
    spread = random.choice([0, 1, 3, 12, 254])
    moved = before + random.integers(-spread, spread + 1, before.shape)
    weights = np.clip(moved, -127, 127).astype(np.int8)
    generator = Generator(seed + 1)
    expected, beyond = reference(weights, exported, codes, generator)
    after, out_of_bounds, rng = stored(weights, exported, packed, seed + 1)
    assert codes_of(after, len(exported)) == expected
    assert (out_of_bounds, rng) == (beyond, generator.state)


def test_the_mean_of_a_change_is_the_change() -> None:
    """Within the bounds; seven standard errors at most."""
    count = 40_000
    for change in (*range(-38, 39), 40, -127):
        weights, exported = np.full(count, change, np.int8), np.zeros(count, np.int8)
        packed, out_of_bounds, _ = stored(
            weights, exported, np.zeros(changes_bytes(count), np.int8), 7
        )
        wanted = max(-38, min(38, change))
        learned = changed(exported, packed).astype(float)
        assert abs(learned.mean() - wanted) <= 7 * learned.std() / count**0.5
        assert set(np.abs(learned)) <= set(SIZES)
        assert out_of_bounds == (count if wanted != change else 0)


def test_zeros_are_the_exported_weights() -> None:
    exported = np.arange(-127, 128).astype(np.int8)
    zeros = np.zeros(changes_bytes(255), np.int8)
    np.testing.assert_array_equal(loaded(zeros, exported), exported)


@needs_tflm
@pytest.mark.parametrize("name", MODELS)
def test_a_step_is_that_of_weights_in_ram_and_then_stored(tmp_path: Path, name: str) -> None:
    """Of the output layer alone: the generator has the same state when its weights change."""
    model, rules = make(name), (UpdateRule.STOCHASTIC, UpdateRule.CHANGES)
    one, other = (
        Export(model, tmp_path / rule.value, update_rule=rule, learning_rate=0.5, train_layers=1)
        for rule in rules
    )
    kernel, _ = variable_tensors(one.graph)
    exported = one.plain.constant(one.plain.find(one.graph.name(kernel)) or 0)
    assert exported is not None
    codes = one.codes(np.random.default_rng(1).normal(size=(1, *model.input_shape[1:])))
    boards = [TrainingInterpreter(export.training) for export in (one, other)]
    with boards[0], boards[1]:
        outputs = [board.train(codes, [2])[0] for board in boards]
        np.testing.assert_array_equal(*outputs)
        (weights, bias), (changes, same_bias) = (board.variables() for board in boards)
        states = [board.state() for board in boards]
    np.testing.assert_array_equal(bias, same_bias)
    generator = Generator(states[0].rng)
    none = [0] * weights.size
    expected, beyond = reference(weights.ravel(), exported.ravel(), none, generator)
    assert codes_of(changes, weights.size) == expected and any(expected)
    assert states[1].rng == generator.state
    assert states[1].saturated == states[0].saturated + beyond


@needs_tflm
@pytest.mark.parametrize("name", MODELS)
def test_what_is_learned_is_what_the_forward_pass_computes_with(tmp_path: Path, name: str) -> None:
    export = Export(make(name), tmp_path / "e", update_rule=UpdateRule.CHANGES, learning_rate=0.02)
    codes = export.codes(np.random.default_rng(1).normal(size=(60, *export.model.input_shape[1:])))
    labels = np.arange(60) % 4
    with TrainingInterpreter(export.training) as board:
        np.testing.assert_array_equal(board.infer(codes), infer(export.int8, codes))
        losses = [board.train(codes, labels)[1][:, 0].mean() for _ in range(6)]
        assert losses[-1] < losses[0]
        learned = with_variables(export.int8, export.training, board.variables())
        np.testing.assert_array_equal(board.infer(codes), infer(learned, codes))
        board.reset()
        assert not any(v.any() for v in board.variables() if v.dtype == np.int8)
        np.testing.assert_array_equal(board.infer(codes), infer(export.int8, codes))


def test_what_was_learned_goes_back_into_keras(tmp_path: Path) -> None:
    """As from weights in RAM that have the same values, also of a depthwise layer."""
    model = make("separable")
    narrow = Export(model, tmp_path / "narrow", update_rule=UpdateRule.CHANGES)
    wide = Export(model, tmp_path / "wide", update_rule=UpdateRule.STOCHASTIC)
    random = np.random.default_rng(3)
    changes, weights = [], []
    for tensor, same in zip(
        variable_tensors(narrow.graph), variable_tensors(wide.graph), strict=True
    ):
        exported = wide.plain.constant(wide.plain.find(wide.graph.name(same)) or 0)
        assert exported is not None
        if exported.dtype == np.int8:
            shape = narrow.graph.shape(tensor)
            changes.append(random.integers(-128, 128, shape).astype(np.int8))
            weights.append(changed(exported, changes[-1]))
        else:
            changes.append(exported + 5)
            weights.append(exported + 5)
    folded = keras.models.load_model(wide.folder / "model_folded.keras")
    one = write_back(folded, narrow.training, changes).get_weights()
    other = write_back(folded, wide.training, weights).get_weights()
    for a, b, before in zip(one, other, folded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != before).any()


def test_a_change_takes_half_a_byte(tmp_path: Path) -> None:
    model = make("cnn")
    plans = {
        rule: Export(model, tmp_path / rule.value, update_rule=rule).report.plan
        for rule in UpdateRule
    }
    weights = 5 * 18 + 6 * 30 + 8 * 24 + 4 * 8
    biases = 4 * (5 + 6 + 8 + 4)
    trainable = {rule: plan["trainable_bytes"] for rule, plan in plans.items()}
    assert trainable[UpdateRule.RESIDUAL] == 2 * weights + biases
    assert trainable[UpdateRule.STOCHASTIC] == weights + biases
    in_changes = sum(changes_bytes(n) for n in (5 * 18, 6 * 30, 8 * 24, 4 * 8))
    assert trainable[UpdateRule.CHANGES] == in_changes + biases
    assert in_changes <= weights / 2 + 4 * 4
    for plan in plans.values():
        assert sum(op["trainable_bytes"] for op in plan["ops"]) == plan["trainable_bytes"]


@needs_tflm
@pytest.mark.parametrize("name", MODELS)
def test_the_arena_is_planned(tmp_path: Path, name: str) -> None:
    export = Export(make(name), tmp_path / "e", update_rule=UpdateRule.CHANGES)
    planned = plan_memory(export.training, HOST).used_bytes
    with TrainingInterpreter(export.training) as board:
        used = board.arena_used_bytes
    assert used <= planned <= 1.02 * used


def test_a_layer_of_which_only_the_bias_trains_has_none(tmp_path: Path) -> None:
    from tf_odl.methods import Mask

    model = make("mlp")
    masks = {model.layers[0].name: Mask(np.zeros(9, bool), np.ones(9, bool))}
    export = Export(model, tmp_path / "e", masks=masks, update_rule=UpdateRule.CHANGES)
    assert [export.graph.name(t).rsplit("/", 1)[-1] for t in variable_tensors(export.graph)] == [
        "bias"
    ]
    assert not any("WEIGHTS" in export.graph.op_name(op) for op in export.graph.operators)


def test_a_damaged_graph_is_refused(tmp_path: Path) -> None:
    export = Export(make("mlp"), tmp_path / "e", update_rule=UpdateRule.CHANGES)
    flat = export.graph
    variables = [np.zeros(flat.shape(t), flat.dtype(t)) for t in variable_tensors(flat)]
    name = re.sub("/changes$", "", flat.name(variable_tensors(flat)[0]))
    flat.tensors[flat.find(name) or 0].name = "gone"
    with pytest.raises(UserError, match=f"no weights '{name}'"):
        with_variables(export.int8, flat.pack(), variables)
