"""Gradients of several samples that change the weights together: `export --accumulate`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from converter_models import Export, make

from tf_odl.contract import Flags
from tf_odl.converters.error_type import ErrorType
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.options import AccumulateOptions, LayerOptions, SummedLayer, SumRule
from tf_odl.converters.planner import Planner
from tf_odl.converters.reselection import Reselection
from tf_odl.converters.targets import get_target
from tf_odl.converters.update_rule import ACCUMULATED, SUMS, UpdateRule, is_residual
from tf_odl.converters.write_back import variable_tensors, with_variables
from tf_odl.errors import UserError
from tf_odl.fitting import layers_that_fit
from tf_odl.methods import Mask, get_method, parse_budget
from tf_odl.methods.random import Random
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

needs_tflm = pytest.mark.skipif(available() is not None, reason=str(available()))


def masks_of(plain: Export, share: float) -> dict[str, Mask]:
    """Some neurons of every layer."""
    random = np.random.default_rng(0)
    masks = {}
    for layer in plain.report.export["layers"]:
        chosen = random.random(layer["neurons"]) < share
        chosen[1] = True
        masks[layer["name"]] = Mask(chosen, chosen)
    return masks


def sums_of(flat: FlatModel) -> dict[str, int]:
    names = {flat.name(t): t for t in variable_tensors(flat)}
    return {n: t for n, t in names.items() if n.rsplit("/", 1)[-1] == SUMS}


def test_sums_have_rows_of_the_neurons_that_may_update(tmp_path: Path) -> None:
    model = make("separable")
    everything = Export(model, tmp_path / "all", accumulate=4)
    masks = masks_of(everything, 0.4)
    export = Export(model, tmp_path / "e", masks=masks, accumulate=4)
    flat = export.graph
    for op in flat.operators:
        if not flat.op_name(op).endswith(("CONNECTED_BWD", "CONV_2D_BWD")):
            continue
        o = LayerOptions.unpack(op.customOptions.tobytes())
        assert o.flags & Flags.ACCUMULATE and not o.flags & Flags.RESIDUAL
        depthwise = "DEPTHWISE" in flat.op_name(op)
        rows = o.out_c if depthwise or o.mask is None else sum(o.mask)
        fan_in = o.kernel_h * o.kernel_w * (1 if depthwise else o.in_c)
        assert np.prod(flat.shape(int(op.inputs[6]))) == 2 * rows * fan_in
        assert flat.shape(int(op.inputs[5])) == (rows,)
    rows = [
        sum(f.shape(t)[0] for n, t in sums_of(f).items() if "bias" in n)
        for f in (flat, everything.graph)
    ]
    assert rows == [6 + 6 + 3 + 2, 6 + 6 + 7 + 4]
    arenas = [e.report.plan["training"]["arena_bytes"] for e in (export, everything)]
    assert arenas[0] < arenas[1]


def test_the_options_survive_packing() -> None:
    random = np.random.default_rng(3)
    masks = [None, *(tuple((random.random(n) < 0.5).tolist()) for n in (1, 32, 33, 70))]
    layers = tuple(SummedLayer(5 if m is None else len(m), 7, m) for m in masks)
    options = AccumulateOptions(4, SumRule.KEEP_REST, len(layers), layers=layers)
    assert AccumulateOptions.unpack(options.pack()) == options
    for broken in (options.pack()[:-4], options.pack() + bytes(4)):
        with pytest.raises(ValueError, match="AccumulateOptions"):
            AccumulateOptions.unpack(broken)


@needs_tflm
@pytest.mark.parametrize(
    "rule", [UpdateRule.STOCHASTIC, UpdateRule.RESIDUAL], ids=lambda rule: rule.value
)
def test_weights_change_with_every_nth_trained_sample_only(
    tmp_path: Path, rule: UpdateRule
) -> None:
    export = Export(make("mlp"), tmp_path / "e", accumulate=3, update_rule=rule, learning_rate=0.05)
    flat = export.graph
    tensors = variable_tensors(flat)
    names = [flat.name(t) for t in tensors]
    assert not any(is_residual(n) for n in names), "the sums keep what rounding leaves"
    kernels = [i for i, n in enumerate(names) if n.endswith("/kernel")]
    codes = export.codes(np.random.default_rng(1).normal(size=(9, *export.model.input_shape[1:])))
    with TrainingInterpreter(export.training) as board:
        before = board.variables()
        for i in range(9):
            board.train(codes[i : i + 1], [i % 4])
            now = board.variables()
            assert now[names.index(ACCUMULATED)][0] == (i + 1) % 3
            moved = any((now[k] != before[k]).any() for k in kernels)
            assert moved == (i % 3 == 2)
            sums = [now[i] for i, n in enumerate(names) if n.endswith("kernel/sums")]
            if i % 3 == 2 and rule is UpdateRule.STOCHASTIC:
                assert not any(s.any() for s in sums)
            else:
                assert any(s.any() for s in sums)
            before = now
        board.reset()
        assert not any(v.any() for v, n in zip(board.variables(), names, strict=True) if SUMS in n)


@needs_tflm
def test_small_steps_add_up_to_large_ones(tmp_path: Path) -> None:
    """48 steps and 6 of eight times the rate, on one sample: no weight changes in between."""
    rate, sums = 3e-4, []
    for factor in (1, 8):
        export = Export(
            make("mlp"), tmp_path / str(factor), accumulate=100, learning_rate=factor * rate
        )
        shape = export.model.input_shape[1:]
        codes = export.codes(np.random.default_rng(1).normal(size=(1, *shape)))
        names = [export.graph.name(t) for t in variable_tensors(export.graph)]
        with TrainingInterpreter(export.training) as board:
            for _ in range(48 // factor):
                board.train(codes, [2])
            found = dict(zip(names, board.variables(), strict=True))
        pairs = [v.astype(int) for n, v in found.items() if n.endswith("kernel/sums")]
        sums.append(np.concatenate([(256 * high + low).ravel() for high, low in pairs]))
    # Each step is rounded to a unit of 2^-8, so half a unit at most is lost.
    assert np.abs(sums[0] - sums[1]).max() <= 48 / 2 + 6 / 2
    assert np.abs(sums[1]).max() > 200


@needs_tflm
def test_what_was_learned_goes_back_into_the_model(tmp_path: Path) -> None:
    export = Export(make("mlp"), tmp_path / "e", accumulate=2, learning_rate=0.05)
    codes = export.codes(np.random.default_rng(1).normal(size=(6, *export.model.input_shape[1:])))
    with TrainingInterpreter(export.training) as board:
        board.train(codes, np.arange(6) % 4)
        outputs = board.infer(codes)
        learned = with_variables(export.int8, export.training, board.variables())
    from tf_odl.converters.reference import infer

    np.testing.assert_array_equal(infer(learned, codes), outputs)


def test_what_cannot_be_added_up_is_refused(tmp_path: Path) -> None:
    model = make("mlp")
    with pytest.raises(UserError, match="--accumulate must be 1 sample or more, got 0"):
        Export(model, tmp_path / "a", accumulate=0)
    with pytest.raises(UserError, match="--accumulate takes two bytes per weight"):
        Export(model, tmp_path / "r", accumulate=2, update_rule=UpdateRule.CHANGES)
    with pytest.raises(UserError, match="leave out --variable-masks"):
        Export(model, tmp_path / "b", accumulate=2, variable_masks=True)
    with pytest.raises(UserError, match="--selector"):
        Export(
            model,
            tmp_path / "c",
            accumulate=2,
            reselection=Reselection(Random(), parse_budget("20%"), 10),
        )


def test_fit_knows_what_sums_take() -> None:
    """With a byte less than all layers need, not all neurons can train."""
    model, method = make("cnn"), get_method("full")
    planner, board = Planner(model), get_target("esp32")
    whole = {"update_rule": UpdateRule.RESIDUAL, "errors": ErrorType.FLOAT32}
    settings = whole | {"accumulate": 4}
    everything = planner.plan(board, method.sparsifier, method.skip, **settings)["training"]
    tight = replace(board, arena_bytes=everything["arena_bytes"] - 1)
    least = planner.plan(tight, method.sparsifier, method.skip, **settings)["training"]
    small = replace(board, arena_bytes=least["arena_bytes"] - 1)
    found = layers_that_fit(model, method, small, None, **settings)
    assert set(found.best.layers) != set(planner.neurons)
    without = layers_that_fit(model, method, small, None, **whole)
    assert set(without.best.layers) == set(planner.neurons)
