"""Weights in flash with their changes in RAM, 4 bits each: `export --update-rule changes`."""

import re
from pathlib import Path

import keras
import kernel_harness as harness
import numpy as np
import pytest
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
LARGEST = 7

int8s = st.integers(1, 70).flatmap(
    lambda n: arrays.arrays(np.int8, n, elements=st.integers(-127, 127))
)


def stored(weights: np.ndarray, exported: np.ndarray) -> tuple[np.ndarray, int]:
    """The kernel's changes, and how many were out of bounds."""
    changes = np.full(changes_bytes(len(weights)) + 4, 99, np.int8)
    count = harness.library.tfodl_store_weights(
        *map(harness.pointer, (weights, exported)), len(weights), harness.pointer(changes)
    )
    assert (changes[-4:] == 99).all(), "what lies behind them"
    return changes[:-4].copy(), count


def loaded(changes: np.ndarray, exported: np.ndarray) -> np.ndarray:
    """The kernel's weights."""
    weights = np.full(len(exported) + 4, 99, np.int8)
    harness.library.tfodl_load_weights(
        *map(harness.pointer, (changes, exported)), len(exported), harness.pointer(weights)
    )
    assert (weights[-4:] == 99).all(), "what lies behind them"
    return weights[:-4].copy()


def changes_of(packed: np.ndarray, count: int) -> list[int]:
    """As docs/training-graph.md describes them, one by one."""
    found = []
    for weight in range(count):
        group, place = divmod(weight, 8)
        byte = int(packed[4 * group + place % 4]) & 255
        half = byte >> 4 if place >= 4 else byte & 15
        found.append(half - 16 if half >= 8 else half)
    return found


@given(int8s, st.integers(0, 2**31))
def test_changes_within_seven_steps_are_kept_others_bounded(
    exported: np.ndarray, seed: int
) -> None:
    random = np.random.default_rng(seed)
    spread = random.choice([3, 12, 254])
    exact = random.integers(-spread, spread + 1, exported.shape)
    weights = np.clip(exported + exact, -127, 127).astype(np.int8)
    exact = weights.astype(int) - exported
    packed, out_of_bounds = stored(weights, exported)
    expected = np.clip(exact, -LARGEST, LARGEST)
    assert changes_of(packed, len(weights)) == expected.tolist()
    assert out_of_bounds == int((np.abs(exact) > LARGEST).sum())
    again = loaded(packed, exported)
    np.testing.assert_array_equal(again, exported + expected)
    np.testing.assert_array_equal(changed(exported, packed), again)
    twice, none = stored(again, exported)
    np.testing.assert_array_equal(twice, packed)
    assert none == 0


def test_zeros_are_the_exported_weights() -> None:
    exported = np.arange(-127, 128).astype(np.int8)
    zeros = np.zeros(changes_bytes(255), np.int8)
    np.testing.assert_array_equal(loaded(zeros, exported), exported)


@needs_tflm
@pytest.mark.parametrize("name", MODELS)
def test_they_learn_what_weights_in_ram_do_within_seven_steps(tmp_path: Path, name: str) -> None:
    """Step by step: the weights of the other graph are bounded by hand, after each of its steps."""
    model = make(name)
    rules = (UpdateRule.STOCHASTIC, UpdateRule.CHANGES)
    exports = [
        Export(model, tmp_path / rule.value, update_rule=rule, learning_rate=0.1) for rule in rules
    ]
    whole, narrow = (e.graph for e in exports)
    plain = exports[0].plain
    exported = [plain.constant(plain.find(whole.name(t)) or 0) for t in variable_tensors(whole)]
    codes = exports[0].codes(np.random.default_rng(1).normal(size=(40, *model.input_shape[1:])))
    beyond = 0
    with (
        TrainingInterpreter(exports[0].training) as one,
        TrainingInterpreter(exports[1].training) as other,
    ):
        np.testing.assert_array_equal(one.infer(codes), other.infer(codes))
        for i in range(len(codes)):
            outputs = [b.train(codes[i : i + 1], [i % 4])[0] for b in (one, other)]
            np.testing.assert_array_equal(*outputs)
            weights = one.variables()
            for w, start in zip(weights, exported, strict=True):
                assert start is not None
                if w.dtype == np.int8:
                    change = w.astype(int) - start
                    beyond += int((np.abs(change) > LARGEST).sum())
                    w[:] = start + np.clip(change, -LARGEST, LARGEST)
            one.set_variables(weights)
            learned = [
                start if w.dtype == np.int32 else changed(start, w)
                for start, w in zip(exported, other.variables(), strict=True)
            ]
            for mine, theirs, w in zip(weights, learned, other.variables(), strict=True):
                np.testing.assert_array_equal(mine, w if w.dtype == np.int32 else theirs)
        assert beyond > 0, "else nothing was bounded"
        assert other.state().saturated == one.state().saturated + beyond
        outputs = [b.infer(codes) for b in (one, other)]
        np.testing.assert_array_equal(*outputs)
        other.reset()
        assert not any(v.any() for v in other.variables() if v.dtype == np.int8)
    assert len(variable_tensors(narrow)) == len(variable_tensors(whole))


@needs_tflm
def test_what_was_learned_goes_back_into_both_models(tmp_path: Path) -> None:
    rules = (UpdateRule.STOCHASTIC, UpdateRule.CHANGES)
    written = []
    for rule in rules:
        export = Export(make("separable"), tmp_path / rule.value, update_rule=rule)
        graph = export.training
        codes = export.codes(np.random.default_rng(1).normal(size=(9, 8, 8, 3)))
        with TrainingInterpreter(graph) as board:
            board.train(codes, np.arange(9) % 4)
            outputs, variables = board.infer(codes), board.variables()
        np.testing.assert_array_equal(
            infer(with_variables(export.int8, graph, variables), codes), outputs
        )
        folded = keras.models.load_model(export.folder / "model_folded.keras")
        before = folded.get_weights()
        written.append(write_back(folded, graph, variables).get_weights())
        assert any((a != b).any() for a, b in zip(written[-1], before, strict=True))
    for one, other in zip(*written, strict=True):
        np.testing.assert_array_equal(one, other)


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
    planned = plan_memory(export.training, HOST).arena_bytes
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
