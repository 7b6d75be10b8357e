"""Masks that change at run time, and neurons chosen anew on the board."""

import ctypes
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from backward_reference import Generator
from build_graph import build_training_graph
from click.testing import CliRunner
from cpp.toolchain import DRIVERS, HOST_COMPILER, SOURCE, STRICT, TFLM, build
from hypothesis import given, settings
from hypothesis import strategies as st
from reselection_reference import take
from test_tflm_training import CLASSES, INPUT, Exported, exported_convolutions
from training_reference import Reference

from tf_odl.cli import main
from tf_odl.contract import STATE_WORDS
from tf_odl.converters.flatbuffer import DTYPES, FlatModel
from tf_odl.converters.options import ReselectOptions, SelectionRule
from tf_odl.converters.reselection import Reselection
from tf_odl.converters.update_rule import UpdateRule
from tf_odl.errors import UserError
from tf_odl.methods import Mask, parse_budget
from tf_odl.methods.budget import Budget
from tf_odl.methods.dense import Dense
from tf_odl.methods.interfaces import Masks, WeightedLayer
from tf_odl.methods.random import Random
from tf_odl.methods.tinyprop import TinyProp
from tf_odl.methods.tinypropv2 import TinyPropV2
from tf_odl.methods.velocity import Velocity
from tf_odl.tflm_port import host
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

needs_tflm = pytest.mark.skipif(available() is not None, reason=str(available()))

INTERVAL = 3
REFERENCES = 5
STEPS = 20


@pytest.fixture(scope="module")
def exported() -> Exported:
    return exported_convolutions()


def graph(
    exported: Exported,
    selector: Random | Velocity | None,
    *,
    budget: str = "40%",
    frozen: int = 0,
    interval: int = INTERVAL,
    variable: bool = True,
    **how: Any,
) -> bytes:
    """A training graph, its masks variable or not; half of the neurons without a selector."""
    random = np.random.default_rng(3)
    masks = {}
    for site in exported.sites[frozen:]:
        chosen = np.ones(exported.neurons[site], bool)
        if selector is None:
            chosen = random.random(len(chosen)) < 0.5
            chosen[0] = True
        masks[site] = Mask(chosen, chosen)
    reselection = None
    if selector is not None:
        reselection = Reselection(selector, parse_budget(budget), interval, REFERENCES)
    return build_training_graph(
        exported.model,
        exported.sites,
        masks,
        learning_rate=0.05,
        seed=3,
        variable_masks=variable,
        reselection=reselection,
        references=random.integers(-128, 128, (REFERENCES, *INPUT)).astype(np.int8),
        **how,
    )


def stream() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(8)
    samples = random.integers(-128, 128, (STEPS, *INPUT)).astype(np.int8)
    return samples, random.integers(0, CLASSES, STEPS)


@needs_tflm
@pytest.mark.parametrize(
    "of_graph",
    [
        pytest.param({"selector": Random()}, id="random"),
        pytest.param({"selector": Random(), "sparsifier": TinyProp(), "frozen": 2}, id="tinyprop"),
        pytest.param({"selector": Velocity()}, id="velocity"),
        pytest.param(
            {"selector": Velocity(), "skip_rule": TinyPropV2(threshold=0.7), "budget": "25%"},
            id="velocity and tinypropv2",
        ),
    ],
)
def test_every_step_equals_the_reference(exported: Exported, of_graph: dict) -> None:
    model = graph(exported, **of_graph)
    reference = Reference(model)
    reference.step(np.zeros(INPUT, np.int8), -1)
    reference.observe()
    different = set()
    with TrainingInterpreter(model) as interpreter:
        for sample, label in zip(*stream(), strict=True):
            outputs, reports = interpreter.train(sample[np.newaxis], [label])
            output, report = reference.step(sample, int(label))
            np.testing.assert_array_equal(outputs, output)
            np.testing.assert_array_equal(reports[0], report)
            reference.observe()
            for actual, wanted in zip(interpreter.variables(), reference.values(), strict=True):
                np.testing.assert_array_equal(actual, wanted)
            reference.assert_state(interpreter.state())
            masks = interpreter.masks()
            assert list(masks) == exported.sites[of_graph.get("frozen", 0) :]
            for actual, wanted in zip(masks.values(), reference.masks(), strict=True):
                np.testing.assert_array_equal(actual, wanted)
            different.add(interpreter.variables()[-1].tobytes())
        assert interpreter.state().reselections == STEPS // INTERVAL
    assert len(different) > 2


# -- masks that Python changes ----------------------------------------------------------------


def moved(before: list[np.ndarray], after: list[np.ndarray]) -> list[np.ndarray]:
    """Which neurons of each layer changed, lowest layer first, bool [neurons]."""
    layers = []
    for i in range(0, len(before) - 1, 2):  # weights and bias of the last layer, ..., the masks
        weights, bias = before[i] != after[i], before[i + 1] != after[i + 1]
        axis = 0 if weights.shape[0] == len(bias) else -1  # depthwise: [1, h, w, neurons]
        others = tuple(a for a in range(weights.ndim) if a != axis % weights.ndim)
        layers.append(weights.any(axis=others) | bias)
    return layers[::-1]


@needs_tflm
def test_only_neurons_of_the_masks_of_the_moment_move(exported: Exported) -> None:
    samples, labels = stream()
    with TrainingInterpreter(graph(exported, None)) as interpreter:
        interpreter.set_learning_rate(0.3)
        first = interpreter.masks()
        assert any(not mask.all() for mask in first.values())
        second = {name: ~mask for name, mask in first.items()}
        second["layer0"][:] = False
        for masks in (first, second):
            interpreter.set_masks(masks)
            for name, mask in interpreter.masks().items():
                np.testing.assert_array_equal(mask, masks[name])
            before = interpreter.variables()
            interpreter.train(samples, labels)
            changed = moved(before, interpreter.variables())
            for name, neurons in zip(exported.sites, changed, strict=True):
                assert not neurons[~masks[name]].any(), name
                assert neurons.any() == masks[name].any(), name
        interpreter.set_masks({"layer0": first["layer0"]})
        for name, mask in interpreter.masks().items():
            wanted = first if name == "layer0" else second
            np.testing.assert_array_equal(mask, wanted[name])


@needs_tflm
@pytest.mark.parametrize("sparsifier", [Dense(), TinyProp()], ids=str)
def test_a_variable_mask_trains_as_one_that_is_baked_in(
    exported: Exported, sparsifier: object
) -> None:
    samples, labels = stream()
    learned = []
    for variable in (True, False):
        model = graph(exported, None, sparsifier=sparsifier, variable=variable)
        with TrainingInterpreter(model) as interpreter:
            _, reports = interpreter.train(samples, labels)
            values = interpreter.variables()[: 2 * len(exported.sites)]
            assert len(interpreter.masks()) == (len(exported.sites) if variable else 0)
            # Another sentinel, as the image has other variables.
            learned.append((reports, values, replace(interpreter.state(), sentinel=0)))
    np.testing.assert_array_equal(learned[0][0], learned[1][0])
    for actual, wanted in zip(learned[0][1], learned[1][1], strict=True):
        np.testing.assert_array_equal(actual, wanted)
    assert learned[0][2] == learned[1][2] and learned[0][2].trained == STEPS


@needs_tflm
def test_masks_that_do_not_fit_are_refused_and_change_nothing(exported: Exported) -> None:
    with TrainingInterpreter(graph(exported, None)) as interpreter:
        before = interpreter.masks()
        neurons = exported.neurons["layer0"]
        good = {"layer1": np.zeros(exported.neurons["layer1"], bool)}
        for masks, message in [
            ({"layer0": np.ones(neurons + 1, bool)}, f"{neurons} times true or false"),
            ({"layer0": np.ones((neurons, 1), bool)}, "times true or false"),
            ({"layer0": np.ones(neurons, np.int8)}, "times true or false"),
            ({"layer9": np.ones(neurons, bool)}, "'layer9' has no mask that can be changed"),
        ]:
            with pytest.raises(UserError, match=message):
                interpreter.set_masks(good | masks)
        for name, mask in interpreter.masks().items():
            np.testing.assert_array_equal(mask, before[name])
    baked = graph(exported, None, variable=False)
    with (
        TrainingInterpreter(baked) as interpreter,
        pytest.raises(UserError, match="--variable-masks"),
    ):
        interpreter.set_masks({"layer0": np.ones(neurons, bool)})


# -- the rules, without a graph ---------------------------------------------------------------


def layer(index: int, neurons: int, cost: int) -> WeightedLayer:
    """A dense layer whose neurons cost this many parameters."""
    return WeightedLayer(f"layer{index}", "dense", neurons, 1, cost - 1, True, 0, cost - 1, 0)


def options_of(
    layers: list[WeightedLayer], budget: int, zero_points: list[int] | None = None
) -> ReselectOptions:
    """With zero points velocity, else random."""
    return ReselectOptions(
        rule=SelectionRule.RANDOM if zero_points is None else SelectionRule.VELOCITY,
        interval=1,
        budget=budget,
        n_references=0 if zero_points is None else REFERENCES,
        mu=0.5,
        n_layers=len(layers),
        layers=tuple(
            (x.neurons, x.parameters_per_neuron, zero)
            for x, zero in zip(layers, zero_points or [0] * len(layers), strict=True)
        ),
    )


def address(array: np.ndarray) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


def unpacked(layers: list[WeightedLayer], bits: np.ndarray) -> list[np.ndarray]:
    masks, start = [], 0
    for x in layers:
        size = -(-x.neurons // 8)
        mask = np.unpackbits(bits[start : start + size], bitorder="little").astype(bool)
        assert not mask[x.neurons :].any()
        masks.append(mask[: x.neurons])
        start += size
    return masks


def mask_bytes(layers: list[WeightedLayer]) -> np.ndarray:
    return np.full(sum(-(-x.neurons // 8) for x in layers), 0xFF, np.uint8)


class Drawn:
    """In place of NumPy's generator: a permutation that is known."""

    def __init__(self, order: np.ndarray) -> None:
        self.order = order

    def permutation(self, count: int) -> np.ndarray:
        assert count == len(self.order)
        return self.order


LAYERS = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 60)), min_size=1, max_size=5)


@settings(max_examples=300, deadline=None)
@given(
    LAYERS,
    st.integers(1, 3000),
    st.integers(1, 2**32 - 1),
    st.none() | st.lists(st.integers(-3, 3), min_size=100, max_size=100),
)
def test_no_choice_exceeds_the_budget(
    forms: list[tuple[int, int]], budget: int, seed: int, velocities: list[int] | None
) -> None:
    """By either rule; small whole velocities are often equal. The order is that of
    tf_odl/methods: whatever it has room for, `Random` chooses the same from it."""
    layers = [layer(i, *form) for i, form in enumerate(forms)]
    costs = np.repeat([x.parameters_per_neuron for x in layers], [x.neurons for x in layers])
    generator = Generator(seed)
    if velocities is None:
        keys = np.array([generator.draw() for _ in costs], np.float64)
        velocity = None
    else:
        velocity = np.resize(np.array(velocities, np.float32), len(costs))
        keys = np.abs(velocity) / costs.astype(np.float32)
    rng, bits = np.array([seed], np.uint32), mask_bytes(layers)
    blob = options_of(layers, budget, None).pack()
    pointer = None if velocity is None else address(velocity)
    assert host.load().tfodl_select_neurons(blob, len(blob), pointer, address(rng), address(bits))
    assert rng[0] == generator.state
    masks = unpacked(layers, bits)
    chosen = np.concatenate(masks)
    assert costs[chosen].sum() <= budget
    order = np.argsort(-keys, kind="stable")
    np.testing.assert_array_equal(chosen, take(order.tolist(), costs.tolist(), budget))
    if budget >= costs.max():  # else Random refuses
        limit = Budget("parameters", budget)
        wanted = Random().select(layers, limit, 0, Drawn(order), {})  # type: ignore[arg-type]
        for x, mask in zip(layers, masks, strict=True):
            np.testing.assert_array_equal(mask, wanted[x.name].kernel)
            np.testing.assert_array_equal(mask, wanted[x.name].bias)


class Device:
    """TFODL_RESELECT with velocity on outputs that are given."""

    def __init__(self, layers: list[WeightedLayer], budget: int, zero_points: list[int]) -> None:
        self.layers = layers
        self.blob = options_of(layers, budget, zero_points).pack()
        self.neurons = sum(x.neurons for x in layers)
        self.bits = mask_bytes(layers)
        self.words = np.zeros(2 + 3 * self.neurons, np.uint32)
        self.outputs = np.zeros((2, self.neurons, REFERENCES), np.int8)
        self.state = np.zeros(STATE_WORDS, np.uint32)
        self.tensors = [address(x) for x in (self.bits, self.words, self.outputs, self.state)]

    def round(self, codes: np.ndarray) -> None:
        """codes: int8 [references, neurons]."""
        for y in np.ascontiguousarray(codes):
            assert host.load().tfodl_observe_outputs(
                self.blob, len(self.blob), address(y), *self.tensors
            )
        assert not host.load().tfodl_observe_outputs(  # none is wanted any more
            self.blob, len(self.blob), address(codes[0].copy()), *self.tensors
        )
        host.load().tfodl_finish_labelled(self.blob, len(self.blob), *self.tensors)

    def velocity(self) -> np.ndarray:
        return self.words[2 + 2 * self.neurons :].view(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_velocity_chooses_what_the_keras_selector_chooses(seed: int) -> None:
    """Of dense layers, where the definitions agree: int8 outputs against the same as floats."""
    random = np.random.default_rng(seed)
    layers = [layer(0, 11, 20), layer(1, 6, 12), layer(2, 4, 7)]
    zero_points, scales = [-128, 3, -20], [0.02, 0.1, 0.07]
    starts = np.cumsum([x.neurons for x in layers])[:-1]
    budget = 90
    device, keras_selector = Device(layers, budget, zero_points), Velocity()
    state: dict[str, np.ndarray] = {}
    codes = random.integers(-128, 128, (REFERENCES, device.neurons))
    codes[:, 3] = -128  # a neuron of layer 0 that is zero throughout
    different = set()
    for round_ in range(6):
        device.round(codes.astype(np.int8))
        outputs = [
            (scale * (y - zero_point))[:, np.newaxis]
            for y, zero_point, scale in zip(
                np.split(codes, starts, axis=1), zero_points, scales, strict=True
            )
        ]
        state = keras_selector.observe(layers, outputs, state)
        if round_ > 0:
            wanted = np.concatenate([state[f"{x.name}/velocity"] for x in layers])
            np.testing.assert_allclose(device.velocity(), wanted, rtol=0, atol=1e-5)
            limit = Budget("parameters", budget)
            chosen: Masks = keras_selector.select(layers, limit, round_, random, state)
            for x, mask in zip(layers, unpacked(layers, device.bits), strict=True):
                np.testing.assert_array_equal(mask, chosen[x.name].kernel)
            different.add(device.bits.tobytes())
        steps = random.integers(-60, 61, codes.shape)
        steps[:, 3] = 0
        codes = np.clip(codes + steps, -128, 127)
    assert device.state.view(np.uint32)[14] == 5  # reselections
    assert len(different) > 2


# -- on a board -------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", UpdateRule, ids=lambda rule: rule.value)
def test_every_int8_variable_has_a_zero_point(exported: Exported, rule: UpdateRule) -> None:
    """TFLM reads it to clear the variable, whether there is one or not: boards crash without."""
    flat = FlatModel(graph(exported, Velocity(), update_rule=rule))
    found = [t for t in flat.tensors if t.isVariable and DTYPES[t.type] is np.int8]
    assert len(found) == len(exported.sites) * (1 + (rule is UpdateRule.RESIDUAL)) + 2
    for tensor in found:
        assert tensor.quantization is not None and tensor.quantization.zeroPoint[0] == 0


@pytest.mark.skipif(HOST_COMPILER is None, reason="no C++ compiler")
def test_a_sketch_runs_the_reference_samples_that_are_wanted(tmp_path: Path) -> None:
    """label:input of every step. They end what Begin() and Learn() do, whose results are those of
    the sample itself; Predict() wants none, Reset() goes back to none seen."""
    assert HOST_COMPILER is not None
    program = tmp_path / "steps"
    names = ("float_math", "options", "session")
    used = [SOURCE / "tfodl" / f"{name}.cpp" for name in names]
    flags = ["-std=c++14", *STRICT, *TFLM[2024], "-o", program]
    build(HOST_COMPILER, [*flags, DRIVERS / "reference_samples.cpp", *used])
    done = subprocess.run([program], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0
    assert done.stdout.split("\n") == [
        "-1:0 -2:11 -2:22 ",
        "1:5 -2:11 -2:22 class 1 loss 5 active 0",
        "-1:7 class 1 loss 7 active 0",
        "0:9 -2:11 -2:22 class 1 loss 9 active 0",
        "-1:0 -2:11 -2:22 ",
    ]


# -- what export refuses ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .keras file for digits, 650 parameters; beside it the same as .tflite."""
    folder = tmp_path_factory.mktemp("small")
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(10))
    model.save(folder / "small.keras")
    from tf_odl.converters.quantize import quantize

    samples = np.random.default_rng(1).random((20, 8, 8, 1), np.float32)
    (folder / "small.tflite").write_bytes(quantize(model, samples))
    return folder / "small.keras"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--reselect 50", "use --selector random or velocity"),
        ("--budget 20%", "--budget is of a selector on the board"),
        ("--references 8", "--references is of a selector on the board"),
        ("--selector random --references 8", "--references is of velocity"),
        ("--selector random --masks masks.npz", "--masks and --selector both choose"),
        ("--selector full", "use --selector random or velocity"),
        ("--selector head", "use --selector random or velocity"),
        ("--selector wonder", "wonder"),
        ("--selector random --budget 0", "budget 0 leaves nothing to train"),
        ("--selector random --budget -5", "not understood"),
        ("--selector random --budget 120%", "more than 100 %"),
        ("--selector random --budget 4KiB", "in parameters or a share"),
        ("--selector random --budget 64", "has no room for one neuron"),
        ("--selector random --budget 651", "more than the 650 parameters that train"),
        ("--selector random --budget 99999999999", "more than the 650 parameters that train"),
        ("--selector random --reselect 0", "--reselect must be at least 1"),
        ("--selector random --reselect 4294967296", "--reselect must be"),
        ("--selector velocity --references 0", "--references must be from 1 to 64"),
        ("--selector velocity --references 65", "--references must be from 1 to 64"),
    ],
)
def test_export_refuses(small: Path, tmp_path: Path, options: str, message: str) -> None:
    out = tmp_path / "export"
    arguments = ["export", str(small), "--data", "digits", "--out", str(out), *options.split()]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2, done.output
    assert message in " ".join(done.output.split())
    assert list(tmp_path.iterdir()) == []


def test_velocity_without_data_is_refused(small: Path, tmp_path: Path) -> None:
    source = small.with_suffix(".tflite")
    arguments = ["export", str(source), "--out", str(tmp_path / "export"), "--selector"]
    done = CliRunner().invoke(main, [*arguments, "velocity"])
    assert done.exit_code == 2 and "give data with --data" in " ".join(done.output.split())
    assert list(tmp_path.iterdir()) == []
    assert CliRunner().invoke(main, [*arguments, "random"]).exit_code == 0
