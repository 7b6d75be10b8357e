"""Sparse Update: masks and costs by hand, the search against brute force, schemes as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_layers import BUDGETS, limit_of, networks, spent

from tf_odl.errors import UserError
from tf_odl.methods import Budget, Masks, WeightedLayer, parse_budget
from tf_odl.methods.contribution import Contributions
from tf_odl.methods.scheme import RATIOS, Scheme, channel_order, layer_mask, masks_of, scheme_cost
from tf_odl.methods.scheme_search import (
    Problem,
    problem_of,
    scheme_of,
    search_by_evolution,
    search_exactly,
)
from tf_odl.methods.sparse_update import SparseUpdate

# 8 channels in, 4 out, 3x3, with normalization; depthwise 4; pointwise 4 to 6; classifier.
NET = [
    WeightedLayer("conv", "conv", 4, 16, 72, False, 2, 128, 3, shifts=1, in_channels=8),
    WeightedLayer("dw", "depthwise", 4, 16, 9, True, 0, 64, 2, in_channels=4),
    WeightedLayer("pw", "conv", 6, 16, 4, False, 0, 64, 1, in_channels=4),
    WeightedLayer("out", "dense", 3, 1, 6, True, 0, 6, 0, in_channels=6),
]


def kernels(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "conv": rng.normal(size=(8, 9, 4)),
        "dw": rng.normal(size=(1, 9, 4)),
        "pw": rng.normal(size=(4, 1, 6)),
        "out": rng.normal(size=(6, 1, 3)),
    }


# -- schemes ------------------------------------------------------------------------------------


def test_channels_of_largest_norm_come_first() -> None:
    kernel = np.zeros((3, 2, 2))
    kernel[0, :, 0] = 3, 4  # norm 5 in channel 0, neuron 0
    kernel[2, :, 1] = -6, 0  # norm 6 in channel 2, neuron 1
    layer = WeightedLayer("a", "conv", 2, 4, 6, True, 0, 12, 0, in_channels=3)
    assert channel_order(kernel, layer, "input").tolist() == [2, 0, 1]
    assert channel_order(kernel, layer, "output").tolist() == [1, 0]


def test_a_depthwise_channel_has_the_neurons_of_its_multiplier() -> None:
    """2 channels, 2 neurons each: norms 1, 2 and 0, 3 of the neurons; the second channel wins."""
    kernel = np.array([1.0, 2.0, 0.0, 3.0]).reshape(1, 1, 4)
    layer = WeightedLayer("a", "depthwise", 4, 4, 1, True, 0, 8, 0, in_channels=2)
    order = channel_order(kernel, layer, "input")
    assert order.tolist() == [1, 0]
    mask = layer_mask(layer, 0.5, "input", order)
    assert mask.kernel.tolist() == [False, False, True, True]
    assert mask.inputs.tolist() == [False, True]


def test_masks_of_a_scheme() -> None:
    weights = kernels()
    scheme = Scheme(3, {"pw": 0.5, "dw": 0.25})
    for channels in ("input", "output"):
        masks = masks_of(scheme, NET, weights, channels)
        assert not masks["conv"].trains
        assert masks["dw"].bias.all() and masks["pw"].bias.all()
        assert masks["out"].kernel.all() and masks["out"].bias.all()
        dw = np.linalg.norm(weights["dw"][0], axis=0)
        assert np.flatnonzero(masks["dw"].kernel).tolist() == [int(dw.argmax())]
    inputs = masks_of(scheme, NET, weights, "input")["pw"]
    read = np.linalg.norm(weights["pw"][:, 0], axis=1)
    assert inputs.kernel.all()
    assert set(np.flatnonzero(inputs.inputs)) == set(np.argsort(-read)[:2])
    outputs = masks_of(scheme, NET, weights, "output")["pw"]
    write = np.linalg.norm(weights["pw"][:, 0], axis=0)
    assert outputs.inputs is None
    assert set(np.flatnonzero(outputs.kernel)) == set(np.argsort(-write)[:3])


@pytest.mark.parametrize(
    ("scheme", "channels", "parameters", "in_bytes"),
    [
        # classifier 18 + 3; bytes 18 + 3 * 4 + its input 6
        (Scheme(1), "input", 21, 36),
        # the pointwise layer has no bias of its own, on the device 6 of 4 bytes
        (Scheme(2), "input", 21, 36 + 24),
        (Scheme(3), "input", 21 + 4, 36 + 24 + 16),
        # the normalization's 4 shifts are the convolution's biases
        (Scheme(4), "input", 21 + 4 + 4, 36 + 24 + 16 + 16),
        # half of the inputs: 2 of 4 channels of 16 entries, 6 neurons read them
        (Scheme(2, {"pw": 0.5}), "input", 21 + 12, 36 + 24 + 12 + 32),
        # half of the outputs: 3 neurons with 4 weights, the whole input
        (Scheme(2, {"pw": 0.5}), "output", 21 + 12, 36 + 24 + 12 + 64),
        # depthwise, one channel of 4 either way: output channels still need the whole input
        (Scheme(3, {"dw": 0.25}), "input", 21 + 4 + 9, 36 + 24 + 16 + 9 + 16),
        (Scheme(3, {"dw": 0.25}), "output", 21 + 4 + 9, 36 + 24 + 16 + 9 + 64),
        # an eighth of 8 input channels: 9 * 4 weights; the normalization's scale rests
        (Scheme(4, {"conv": 0.125}), "input", 29 + 36, 36 + 24 + 16 + 16 + 36 + 16),
        # all of the convolution: 288 weights and now the 4 scales, too
        (Scheme(4, {"conv": 1.0}), "input", 29 + 288 + 4, 36 + 24 + 16 + 16 + 288 + 128),
    ],
)
def test_costs_by_hand(scheme: Scheme, channels: str, parameters: int, in_bytes: int) -> None:
    assert scheme_cost(scheme, NET, channels, Budget("parameters", 1)) == parameters
    assert scheme_cost(scheme, NET, channels, Budget("bytes", 1)) == in_bytes


@settings(max_examples=100, deadline=None)
@given(networks(), BUDGETS, st.sampled_from(["input", "output"]), st.data())
def test_the_cost_of_a_scheme_is_that_of_its_masks(
    layers: list[WeightedLayer], text: str, channels: str, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, len(layers)))
    ratios = {
        x.name: data.draw(st.sampled_from(RATIOS))
        for x in layers[len(layers) - count : -1]
        if data.draw(st.booleans())
    }
    rng = np.random.default_rng(0)
    weights = {
        x.name: rng.normal(
            size=(1, x.fan_in, x.neurons)
            if x.kind == "depthwise"
            else (x.in_channels, x.fan_in // x.in_channels, x.neurons)
        )
        for x in layers
    }
    scheme = Scheme(count, ratios)
    masks = masks_of(scheme, layers, weights, channels)
    cost = scheme_cost(scheme, layers, channels, parse_budget(text))
    assert cost == spent(layers, text, masks)


# -- the search ---------------------------------------------------------------------------------


def brute_force(problem: Problem) -> tuple[float, int]:
    """The largest gain within the limit, and the smallest cost that reaches it."""
    layers, options = problem.cost.shape
    best = (-np.inf, 0)
    for k in range(1, layers + 2):
        for chosen in product(range(options), repeat=k - 1):
            gain, cost = problem.base_gain[k - 1], problem.base_cost[k - 1]
            for j, option in enumerate(chosen):
                gain, cost = gain + problem.gain[j, option], cost + problem.cost[j, option]
            if cost <= problem.limit:
                best = max(best, (round(float(gain), 9), -int(cost)))
    return best[0], -best[1]


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Up to four layers before the classifier; gains as of 64 samples, whose sums are exact."""
    layers = draw(st.integers(0, 4))
    gains = st.integers(-20, 30).map(lambda g: g / 64)
    costs = [[0, *sorted(draw(st.integers(1, 90)) for _ in RATIOS)] for _ in range(layers)]
    base = np.cumsum([draw(st.integers(1, 20)) for _ in range(layers + 1)])
    return Problem(
        base,
        np.array([0.0, *(draw(gains) for _ in range(layers))]),
        np.array(costs, np.int64).reshape(layers, 5),
        np.array([[0.0, *(draw(gains) for _ in RATIOS)] for _ in range(layers)]).reshape(layers, 5),
        float(base[0] + draw(st.integers(0, 250))),
    )


def value(problem: Problem, choice: tuple[int, tuple[int, ...]]) -> tuple[float, int]:
    """Gain and cost of a legal choice, summed term by term."""
    k, options = choice
    assert all(option == 0 or k >= j + 2 for j, option in enumerate(options))
    gain, cost = problem.base_gain[k - 1], problem.base_cost[k - 1]
    for j, option in enumerate(options):
        gain, cost = gain + problem.gain[j, option], cost + problem.cost[j, option]
    assert cost <= problem.limit
    return round(float(gain), 9), int(cost)


@settings(max_examples=120, deadline=None)
@given(problems())
def test_the_exact_search_finds_what_brute_force_finds(problem: Problem) -> None:
    gain, cost = value(problem, search_exactly(problem))
    best, cheapest = brute_force(problem)
    assert (gain, cost) == (best, cheapest)


def many_layers(seed: int, layers: int = 30) -> Problem:
    rng = np.random.default_rng(seed)
    costs = rng.integers(10, 500, (layers, 1)) * np.array([0, 1, 2, 4, 8])
    return Problem(
        np.cumsum(rng.integers(1, 20, layers + 1)),
        np.array([0.0, *np.cumsum(rng.normal(0.002, 0.004, layers))]),
        costs.astype(np.int64),
        np.hstack([np.zeros((layers, 1)), np.sort(rng.normal(0.01, 0.02, (layers, 4)), axis=1)]),
        8000.0,
    )


@pytest.mark.parametrize("seed", range(4))
def test_evolution_comes_close_where_brute_force_cannot(seed: int) -> None:
    """5^30 schemes; the exact search still solves this one and says how good evolution is."""
    problem = many_layers(seed)
    best, _ = value(problem, search_exactly(problem))
    found = search_by_evolution(problem, np.random.default_rng(seed))
    gain, _ = value(problem, found)
    assert 0.9 * best <= gain <= best
    assert found == search_by_evolution(problem, np.random.default_rng(seed))


@settings(max_examples=25, deadline=None)
@given(problems())
def test_evolution_solves_small_problems(problem: Problem) -> None:
    gain, _ = value(problem, search_by_evolution(problem, np.random.default_rng(0)))
    assert gain == brute_force(problem)[0]


# -- the whole analysis -------------------------------------------------------------------------


@dataclass
class Additive:
    """A network whose gains really are additive; notes what was trained."""

    layers: Sequence[WeightedLayer]
    bias_gain: Mapping[str, float]
    weight_gain: Mapping[str, float]
    macs: int = 0
    trained: list[Masks] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def weights(self) -> dict[str, np.ndarray]:
        return kernels()

    def accuracy(self, masks: Masks, epochs: int, learning_rate: float) -> float:
        self.trained.append(masks)
        self.macs += 1000
        found = 0.5
        for layer in self.layers[:-1]:
            mask = masks[layer.name]
            share = mask.kernel.mean() * (1 if mask.inputs is None else mask.inputs.mean())
            if layer.kind == "depthwise":
                share = mask.kernel.mean()
            found += self.bias_gain[layer.name] * mask.bias.any()
            found += self.weight_gain[layer.name] * float(share) ** 0.5
        return found

    def note(self, message: str) -> None:
        self.notes.append(message)


BIAS = {"conv": 0.01, "dw": 0.02, "pw": 0.0}
WEIGHT = {"conv": 0.2, "dw": 0.02, "pw": 0.1}


def analysed(selector: SparseUpdate, budget: Budget, seed: int = 0) -> tuple[Masks, str, Additive]:
    analysis = Additive(NET, BIAS, WEIGHT)
    rng = np.random.default_rng(seed)
    selector.check(NET, budget)
    state = selector.analyse(NET, budget, analysis, rng)
    masks = selector.select(NET, budget, 5, rng, state)
    return masks, selector.files(state)["scheme.yaml"], analysis


def test_the_analysis_measures_every_part_once() -> None:
    """Classifier, 2 further biases (pw has none), 4 ratios of 3 layers: 15 measurements.

    An eighth and a quarter of 4 channels are both one channel: 13 trainings.
    """
    _, text, analysis = analysed(SparseUpdate(), Budget("share", 1.0))
    assert len(analysis.trained) == 1 + 2 + 12 - 2
    content = yaml.safe_load(text)
    assert content["analysis_macs"] == 13_000
    assert content["classifier_accuracy"] == pytest.approx(0.5)
    assert [row["name"] for row in content["layers"]] == ["conv", "dw", "pw"]
    gains = {row["name"]: row["gains"] for row in content["layers"]}
    for name, gain in (("pw", 0.0), ("dw", 0.02), ("conv", 0.03)):
        assert gains[name]["bias"] == pytest.approx(gain)
        shares = [0.25 if r < 0.25 and name != "conv" else r for r in RATIOS]  # at least one
        assert gains[name]["weights"] == pytest.approx([WEIGHT[name] * s**0.5 for s in shares])
    assert len(analysis.notes) == 15 + 1
    assert analysis.notes[0].startswith("contribution 1/16: classifier alone: 50.00%")


def test_the_scheme_is_the_best_one_within_the_budget() -> None:
    """Every scheme tried, with the gains the network really has."""
    for channels in ("input", "output"):
        for limit in (21, 40, 60, 120, 340):
            masks, text, analysis = analysed(
                SparseUpdate(channels=channels), Budget("parameters", limit)
            )
            best = -1.0
            for k in range(1, 5):
                names = [x.name for x in NET[4 - k : -1]]
                for ratios in product((0.0, *RATIOS), repeat=len(names)):
                    weights = {n: r for n, r in zip(names, ratios, strict=True) if r}
                    candidate = masks_of(Scheme(k, weights), NET, kernels(), channels)
                    if spent(NET, "1", candidate) <= limit:
                        best = max(best, analysis.accuracy(candidate, 1, 0.1))
            assert analysis.accuracy(masks, 1, 0.1) == pytest.approx(best), (channels, limit, text)
            assert spent(NET, "1", masks) <= limit


def test_a_scheme_file_gives_the_same_masks_without_measuring(tmp_path: Path) -> None:
    budget = Budget("parameters", 120)
    masks, text, _ = analysed(SparseUpdate(), budget)
    path = tmp_path / "scheme.yaml"
    path.write_text(text)
    again, copy, analysis = analysed(SparseUpdate(scheme=str(path)), budget)
    assert not analysis.trained
    for name, mask in masks.items():
        for one, other in zip(mask, again[name], strict=True):
            assert (one is None and other is None) or np.array_equal(one, other)
    assert yaml.safe_load(copy) == yaml.safe_load(text) | {"analysis_macs": 0}


def test_another_budget_searches_again_in_the_measured_gains(tmp_path: Path) -> None:
    _, text, _ = analysed(SparseUpdate(), Budget("parameters", 120))
    path = tmp_path / "scheme.yaml"
    path.write_text(text)
    for limit in (30, 200):
        budget = Budget("parameters", limit)
        again, _, analysis = analysed(SparseUpdate(scheme=str(path)), budget)
        fresh, _, _ = analysed(SparseUpdate(), budget)
        assert not analysis.trained
        for name in fresh:
            assert np.array_equal(fresh[name].kernel, again[name].kernel)
        assert spent(NET, "1", again) <= limit


def rows(*layers: str) -> str:
    """A scheme of NET by hand; every layer is its bias and its weights, such as 'true 0.5'."""
    text = ["layers:"]
    for neurons, layer in zip((4, 4, 6), layers, strict=False):
        bias, weights = layer.split()
        text.append(f"- {{neurons: {neurons}, bias: {bias}, weights: {weights}}}")
    return "\n".join(text)


def test_a_scheme_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(rows("false 0", "true 1", "true 0.5"))
    masks, _, analysis = analysed(SparseUpdate(scheme=str(path)), Budget("share", 1.0))
    assert not analysis.trained
    assert masks["dw"].kernel.all() and masks["pw"].inputs.sum() == 2
    assert not masks["conv"].trains


def test_layers_are_known_by_their_order_whatever_they_are_called(tmp_path: Path) -> None:
    """And a classifier with other classes is no other model."""
    masks, text, _ = analysed(SparseUpdate(), Budget("parameters", 120))
    path = tmp_path / "scheme.yaml"
    path.write_text(text)
    renamed = [replace(x, name=f"{x.name}_7") for x in NET[:-1]]
    renamed.append(replace(NET[-1], name="out_7", neurons=2))

    class Renamed(Additive):
        def weights(self) -> dict[str, np.ndarray]:
            return {f"{name}_7": kernel for name, kernel in kernels().items()}

    selector, rng = SparseUpdate(scheme=str(path)), np.random.default_rng(0)
    budget = Budget("parameters", 120)
    selector.check(renamed, budget)
    state = selector.analyse(renamed, budget, Renamed(renamed, BIAS, WEIGHT), rng)
    other = selector.select(renamed, budget, 0, rng, state)
    for name in ("conv", "dw", "pw"):
        np.testing.assert_array_equal(masks[name].kernel, other[f"{name}_7"].kernel)
    assert "name: dw_7" in selector.files(state)["scheme.yaml"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (rows("false 0", "true 1", "true 1"), r"costs 85, more than the budget of 80 parameters"),
        ("channels: input", r"'layers' is missing"),
        ("layers: all", r"layers is no list"),
        ("layers: [conv, dw, pw]", r"layer 1 is no mapping"),
        ("layers: [{bias: true}]", r"'neurons' is missing"),
        ("layers: [{neurons: 4}]", r"'bias' is missing"),
        ("layers: [{neurons: 4, bias: 1, name: x}]", r"bias of 'x' is true or false, got 1"),
        (rows("false 0", "true 2", "true 1"), r"weights of 'layer 2' are a share from 0 to 1"),
        (rows("false 0", "true all", "true 1"), r"is not understood: could not convert"),
        (rows("false 0", "false 1", "true 1"), r"weights of 'layer 2' update but not its bias"),
        (rows("true 0", "false 0", "true 0"), r"bias of 'layer 1' updates but not that of 'layer"),
        (rows("false 0", "true 1"), r"it has 2 layers before the classifier, this model has 3"),
        (rows("true 0", "true 0", "true 0").replace("6", "5"), r"layer 3 \('layer 3'\) has 5 neur"),
        ("channels: output\nlayers: []", r"is for channels=output: use --set channels=output"),
        ("scope: authors\nlayers: []", r"is for scope=authors"),
        ("- 1\n- 2", r"no mapping"),
        ("layers: [", r"is no YAML"),
        (
            "layers: [{neurons: 4, bias: true, gains: {bias: 1, weights: [1]}}]",
            r"gains of the weights of 'layer 1' are 4 numbers",
        ),
    ],
)
def test_schemes_that_cannot_be_used_say_why(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "scheme.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        SparseUpdate(scheme=str(path)).check(NET, Budget("parameters", 80))


def test_a_missing_file_and_a_budget_below_the_classifier_are_refused() -> None:
    with pytest.raises(UserError, match=r"scheme none\.yaml cannot be read"):
        SparseUpdate(scheme="none.yaml").check(NET, Budget("share", 1.0))
    with pytest.raises(UserError, match=r"no room for the classifier 'out'.* costs 21"):
        SparseUpdate().check(NET, Budget("parameters", 20))


@pytest.mark.parametrize(
    "values", [{"samples": 9}, {"epochs": 0}, {"rate": 0.0}, {"search": "luck"}]
)
def test_settings_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(values))):
        SparseUpdate(**values)


@settings(max_examples=60, deadline=None)
@given(networks(), BUDGETS, st.integers(0, 99))
def test_the_searched_problem_prices_schemes_as_their_masks(
    layers: list[WeightedLayer], text: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    budget = parse_budget(text)
    assume(scheme_cost(Scheme(1), layers, "input", budget) <= limit_of(layers, text))
    names = [x.name for x in layers[:-1]]
    found = Contributions(
        0.5,
        {n: float(rng.normal()) for n in names},
        {n: tuple(rng.normal(size=len(RATIOS)).tolist()) for n in names},
    )
    problem = problem_of(layers, found, "input", budget)
    choice = search_exactly(problem)
    scheme = scheme_of(layers, choice)
    assert problem.total(*choice)[0] == scheme_cost(scheme, layers, "input", budget)
    assert scheme_cost(scheme, layers, "input", budget) <= limit_of(layers, text)
