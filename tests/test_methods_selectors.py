"""Selectors and budgets: which neurons update, counted and recomputed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tf_odl.errors import UserError
from tf_odl.methods import Budget, Masks, WeightedLayer, parse_budget
from tf_odl.methods.bias_only import BiasOnly
from tf_odl.methods.budget import take_prefix
from tf_odl.methods.full import Full
from tf_odl.methods.head import Head
from tf_odl.methods.random import Random
from tf_odl.methods.velocity import Velocity, similarity


def layer(
    name: str,
    neurons: int,
    fan_in: int,
    *,
    positions: int = 1,
    bias: bool = True,
    affine: int = 0,
    input_size: int = 0,
    depth: int = 0,
) -> WeightedLayer:
    kind = "dense" if positions == 1 else "conv"
    size = input_size or fan_in
    return WeightedLayer(name, kind, neurons, positions, fan_in, bias, affine, size, depth)


# 4 neurons of 3*3*2 + 1 + 2 = 21 parameters, 6 of 8, 3 of 7: 84 + 48 + 21 = 153 in all.
THREE = [
    layer("conv", 4, 18, positions=9, affine=2, input_size=50, depth=2),
    layer("hidden", 6, 8, bias=False, input_size=36, depth=1),
    layer("out", 3, 6),
]


def rng(seed: int = 0, epoch: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, epoch])


def chosen(masks: Masks, part: str = "kernel") -> dict[str, list[int]]:
    return {name: np.flatnonzero(getattr(mask, part)).tolist() for name, mask in masks.items()}


# -- full, head, bias-only ----------------------------------------------------------------------


def test_full_updates_everything() -> None:
    masks = Full().select(THREE, None, 0, rng(), {})
    for part in ("kernel", "bias"):
        assert chosen(masks, part) == {
            "conv": [0, 1, 2, 3],
            "hidden": [*range(6)],
            "out": [0, 1, 2],
        }


def test_head_updates_the_output_layer_alone() -> None:
    masks = Head().select(THREE, None, 3, rng(), {})
    for part in ("kernel", "bias"):
        assert chosen(masks, part) == {"conv": [], "hidden": [], "out": [0, 1, 2]}


def test_head_is_the_layer_of_depth_0_wherever_it_stands() -> None:
    assert chosen(Head().select(THREE[::-1], None, 0, rng(), {}))["out"] == [0, 1, 2]


def test_bias_only_updates_all_biases_and_no_weight() -> None:
    masks = BiasOnly().select(THREE, None, 0, rng(), {})
    assert chosen(masks) == {"conv": [], "hidden": [], "out": []}
    assert chosen(masks, "bias") == {"conv": [0, 1, 2, 3], "hidden": [*range(6)], "out": [0, 1, 2]}


@pytest.mark.parametrize("selector", [Full(), Head(), BiasOnly(), Random()])
def test_selectors_without_memory_leave_the_state(selector: Full) -> None:
    state = {"x": np.ones(2)}
    assert selector.observe(THREE, [np.zeros((1, 1, 1))] * 3, state) is state


@pytest.mark.parametrize(
    ("selector", "static", "needs_budget", "needs_outputs"),
    [
        (Full(), True, False, False),
        (Head(), True, False, False),
        (BiasOnly(), True, False, False),
        (Random(), False, True, False),
        (Velocity(), False, True, True),
    ],
)
def test_what_selectors_announce(
    selector: Full, static: bool, needs_budget: bool, needs_outputs: bool
) -> None:
    announced = (selector.static, selector.needs_budget, selector.needs_outputs)
    assert announced == (static, needs_budget, needs_outputs)


# -- reading budgets ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("50000", "parameters", 50000),
        (" 7 ", "parameters", 7),
        ("12.0", "parameters", 12),
        ("10%", "share", 0.1),
        ("0.5 %", "share", 0.005),
        ("100%", "share", 1.0),
        ("300B", "bytes", 300),
        ("300b", "bytes", 300),
        ("64KiB", "bytes", 64 * 1024),
        ("64 kib", "bytes", 64 * 1024),
        ("64kB", "bytes", 64000),
        ("1.5MiB", "bytes", 1.5 * 1024 * 1024),
        ("2MB", "bytes", 2_000_000),
    ],
)
def test_budgets_are_read(text: str, kind: str, value: float) -> None:
    budget = parse_budget(text)
    assert budget.kind == kind
    assert budget.value == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        *("0", "0%", "0KiB", "0.0", "-1", "-10%", "-64KiB", "101%", "1000 %"),
        *("", " ", "%", "KiB", "ten", "10%%", "10 KiB/s", "1e3", "0x10", "nan", "inf", "1,000"),
        *("2.5", "10k", "10 iB", "64iB", "10GB", "1_000", "10% of all", "9" * 400),
    ],
)
def test_nonsense_is_no_budget(text: str) -> None:
    with pytest.raises(UserError, match="budget"):
        parse_budget(text)


@settings(max_examples=200, deadline=None)
@given(st.text("0123456789.%kKmMiIbB -+e", max_size=8))
def test_any_text_is_a_budget_or_a_user_error(text: str) -> None:
    try:
        budget = parse_budget(text)
    except UserError:
        return
    assert budget.value > 0
    assert budget.kind != "share" or budget.value <= 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [("50000", "50000 parameters"), ("10%", "0.1 of the parameters"), ("1KiB", "1024 bytes")],
)
def test_budgets_are_shown_with_their_unit(text: str, shown: str) -> None:
    assert str(parse_budget(text)) == shown


# -- what budgets cost --------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "limit"), [("40", 40), ("10%", 15.3), ("1KiB", 1024)])
def test_limits(text: str, limit: float) -> None:
    assert parse_budget(text).limit(THREE) == pytest.approx(limit)


@pytest.mark.parametrize("percent", range(1, 101))
def test_a_share_of_a_hundred_parameters_is_not_lost_to_rounding(percent: int) -> None:
    """0.29 * 100 is a little less than 29 in floating point."""
    hundred = [layer("only", 100, 1, bias=False)]
    masks = Random().select(hundred, parse_budget(f"{percent}%"), 0, rng(), {})
    assert masks["only"].kernel.sum() == percent


def test_costs_of_a_mask_by_hand() -> None:
    masks = take_prefix(THREE, [(0, 1), (2, 0), (2, 2)], Budget("parameters", 1000))
    assert Budget("parameters", 1).cost(THREE, masks) == 21 + 7 + 7
    assert Budget("share", 1).cost(THREE, masks) == 21 + 7 + 7
    assert Budget("bytes", 1).cost(THREE, masks) == (50 + 22) + (6 + 2 * 10)


def test_a_prefix_stops_at_the_first_neuron_that_does_not_fit() -> None:
    """Not at the last that would: conv does not fit, hidden after it would."""
    order = [(1, 5), (2, 0), (0, 3), (1, 0)]
    assert chosen(take_prefix(THREE, order, Budget("parameters", 8 + 7 + 20))) == {
        "conv": [],
        "hidden": [5],
        "out": [0],
    }
    fits = chosen(take_prefix(THREE, order, Budget("parameters", 8 + 7 + 21)))
    assert fits == {"conv": [3], "hidden": [5], "out": [0]}


def test_the_saved_input_is_paid_once_per_layer() -> None:
    order = [(0, 0), (0, 1), (0, 2)]
    for limit, count in ((50 + 22, 1), (50 + 43, 1), (50 + 44, 2), (50 + 66, 3)):
        masks = take_prefix(THREE, order, Budget("bytes", limit))
        assert masks["conv"].kernel.sum() == count


@pytest.mark.parametrize(("kind", "price"), [("parameters", 21), ("bytes", 72)])
def test_a_budget_without_room_for_the_dearest_neuron_is_refused(kind: str, price: int) -> None:
    with pytest.raises(UserError, match=rf"'conv', which costs {price}"):
        Random().select(THREE, Budget(kind, price - 1), 0, rng(), {})
    assert Random().select(THREE, Budget(kind, price), 0, rng(), {})


# -- properties of every selection within a budget ----------------------------------------------


@st.composite
def networks(draw: st.DrawFn) -> list[WeightedLayer]:
    count = draw(st.integers(1, 4))
    return [
        layer(
            f"layer{i}",
            draw(st.integers(1, 9)),
            draw(st.integers(1, 30)),
            positions=draw(st.sampled_from([1, 4])),
            bias=draw(st.booleans()),
            affine=draw(st.integers(0, 2)),
            input_size=draw(st.integers(1, 60)),
            depth=count - 1 - i,
        )
        for i in range(count)
    ]


BUDGETS = st.one_of(
    st.integers(1, 600).map(str),
    st.integers(1, 100).map("{}%".format),
    st.integers(1, 1500).map("{}B".format),
)
Neuron = tuple[int, int]


def parameters(x: WeightedLayer) -> int:
    return x.fan_in + (1 if x.has_bias else 0) + x.affine


def price(layers: Sequence[WeightedLayer], text: str, open_: set[int], neuron: Neuron) -> int:
    """What one more neuron costs, given the layers that already have one."""
    x = layers[neuron[0]]
    if not text.endswith("B"):
        return parameters(x)
    return x.fan_in + 4 + (0 if neuron[0] in open_ else x.input_size)


def limit_of(layers: Sequence[WeightedLayer], text: str) -> Fraction:
    if text.endswith("%"):
        total = sum(x.neurons * parameters(x) for x in layers)
        return Fraction(text[:-1]) * total / 100
    return Fraction(text.removesuffix("B"))


def greedy(layers: Sequence[WeightedLayer], order: Sequence[Neuron], text: str) -> list[Neuron]:
    """The longest prefix of the order whose summed price stays within the budget."""
    spent, taken = 0, []
    for neuron in order:
        spent += price(layers, text, {i for i, _ in taken}, neuron)
        if spent > limit_of(layers, text):
            break
        taken.append(neuron)
    return taken


def neurons_of(layers: Sequence[WeightedLayer]) -> list[Neuron]:
    return [(i, n) for i, x in enumerate(layers) for n in range(x.neurons)]


def picked(layers: Sequence[WeightedLayer], masks: Masks) -> list[Neuron]:
    return [(i, n) for i, n in neurons_of(layers) if masks[layers[i].name].kernel[n]]


def affordable(layers: Sequence[WeightedLayer], text: str) -> bool:
    dearest = max(price(layers, text, set(), (i, 0)) for i in range(len(layers)))
    return dearest <= limit_of(layers, text)


@settings(max_examples=150, deadline=None)
@given(networks(), BUDGETS, st.randoms(use_true_random=False))
def test_a_prefix_is_greedy(layers: list[WeightedLayer], text: str, random: object) -> None:
    order = neurons_of(layers)
    random.shuffle(order)
    if not affordable(layers, text):
        with pytest.raises(UserError, match="no room"):
            take_prefix(layers, order, parse_budget(text))
        return
    masks = take_prefix(layers, order, parse_budget(text))
    assert picked(layers, masks) == sorted(greedy(layers, order, text))
    for mask in masks.values():
        np.testing.assert_array_equal(mask.kernel, mask.bias)


@settings(max_examples=150, deadline=None)
@given(networks(), BUDGETS, st.integers(0, 2**32), st.integers(0, 20))
def test_random_fills_the_budget_and_never_exceeds_it(
    layers: list[WeightedLayer], text: str, seed: int, epoch: int
) -> None:
    assume(affordable(layers, text))
    masks = Random().select(layers, parse_budget(text), epoch, rng(seed, epoch), {})
    taken = picked(layers, masks)
    open_ = {i for i, _ in taken}
    spent = sum(price(layers, text, {0, 1, 2, 3}, n) for n in taken)
    spent += sum(layers[i].input_size for i in open_) if text.endswith("B") else 0
    assert taken
    assert spent <= limit_of(layers, text)
    assert parse_budget(text).cost(layers, masks) == spent
    left = [n for n in neurons_of(layers) if n not in taken]
    # It stopped at a neuron that did not fit, so one of those left does not.
    assert not left or spent + max(price(layers, text, open_, n) for n in left) > limit_of(
        layers, text
    )


@settings(max_examples=150, deadline=None)
@given(networks(), BUDGETS, st.data())
def test_velocity_takes_the_fastest_per_parameter(
    layers: list[WeightedLayer], text: str, data: st.DataObject
) -> None:
    """Few distinct velocities: ties go to the earlier layer and neuron."""
    assume(affordable(layers, text))
    speeds = st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 1.0])
    state = {
        f"{x.name}/velocity": np.array(
            data.draw(st.lists(speeds, min_size=x.neurons, max_size=x.neurons))
        )
        for x in layers
    }

    def score(neuron: Neuron) -> Fraction:
        x = layers[neuron[0]]
        return abs(Fraction(float(state[f"{x.name}/velocity"][neuron[1]]))) / parameters(x)

    order = sorted(neurons_of(layers), key=lambda n: (-score(n), n))
    masks = Velocity().select(layers, parse_budget(text), 5, rng(), state)
    assert picked(layers, masks) == sorted(greedy(layers, order, text))
    for mask in masks.values():
        np.testing.assert_array_equal(mask.kernel, mask.bias)


# -- random -------------------------------------------------------------------------------------

HALF = parse_budget("50%")
WIDE = [layer("a", 30, 5, depth=1), layer("b", 20, 30)]


def random_choice(seed: int, epoch: int) -> dict[str, list[int]]:
    return chosen(Random().select(WIDE, HALF, epoch, rng(seed, epoch), {}))


def test_random_repeats_for_a_seed_and_changes_by_epoch_and_seed() -> None:
    choices = [random_choice(seed, epoch) for seed in (0, 1) for epoch in range(5)]
    assert choices == [random_choice(seed, epoch) for seed in (0, 1) for epoch in range(5)]
    assert len({str(c) for c in choices}) == 10


def test_random_neurons_are_equally_likely() -> None:
    """5 of 20 neurons in 800 draws: each 200 times, standard deviation 12."""
    only = [layer("a", 20, 3)]
    counts = sum(
        Random().select(only, parse_budget("25%"), e, rng(0, e), {})["a"].kernel.astype(int)
        for e in range(800)
    )
    assert counts.sum() == 800 * 5
    assert np.abs(counts - 200).max() < 60


# -- velocity -----------------------------------------------------------------------------------


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    """Of two vectors; two zeros are alike, one zero is like nothing."""
    dot = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
    norm_a = sum(float(x) ** 2 for x in a) ** 0.5
    norm_b = sum(float(y) ** 2 for y in b) ** 0.5
    if norm_a == 0 or norm_b == 0:
        return 1.0 if norm_a == norm_b else 0.0
    return dot / (norm_a * norm_b)


def phi(now: np.ndarray, before: np.ndarray) -> list[float]:
    """methods.md: vectors over the samples, maps over H*W and then the mean over the samples."""
    samples, positions, neurons = now.shape
    if positions == 1:
        return [cosine(now[:, 0, n], before[:, 0, n]) for n in range(neurons)]
    return [
        sum(cosine(now[s, :, n], before[s, :, n]) for s in range(samples)) / samples
        for n in range(neurons)
    ]


@pytest.mark.parametrize("positions", [1, 2, 9])
def test_similarity(positions: int) -> None:
    generator = np.random.default_rng(positions)
    now, before = generator.normal(size=(2, 7, positions, 5)).astype(np.float32)
    now[:, :, 1] = 0  # one map zero
    now[:, :, 2] = before[:, :, 2] = 0  # both
    now[:3, :, 3] = 0  # in some samples
    np.testing.assert_allclose(similarity(now, before), phi(now, before), rtol=1e-10, atol=1e-12)


def test_similarity_by_hand() -> None:
    """Columns are neurons: equal, scaled, reversed, orthogonal, one zero, both zero."""
    now = np.array([[1, 2, 1, 1, 0, 0], [2, 4, 2, 0, 0, 0]], np.float32)[:, None]
    before = np.array([[1, 1, -1, 0, 1, 0], [2, 2, -2, 3, 1, 0]], np.float32)[:, None]
    np.testing.assert_allclose(similarity(now, before), [1, 1, -1, 0, 0, 1], atol=1e-12)
    # As one sample of a map with two positions it is the same; as two samples it is a mean.
    maps = now.transpose(1, 0, 2), before.transpose(1, 0, 2)
    np.testing.assert_allclose(similarity(*maps), [1, 1, -1, 0, 0, 1], atol=1e-12)
    two = [np.concatenate([m, np.ones_like(m)]) for m in maps]
    np.testing.assert_allclose(similarity(*two), [1, 1, 0, 0.5, 0.5, 1], atol=1e-12)


def angle(degrees: float) -> np.ndarray:
    """One neuron's output on two samples, a unit vector."""
    radians = np.deg2rad(degrees)
    return np.array([np.cos(radians), np.sin(radians)], np.float32).reshape(2, 1, 1)


def test_the_velocity_recurrence_by_hand() -> None:
    """Turned by 60, 90, 0 and 60 degrees, so phi = 0.5, 0, 1, 0.5; mu = 0.5.

    dphi = -0.5, -0.5, 1, -0.5 (phi_0 = 1)
    v1 = -0.5;  v2 = -0.5 + 0.5 - 0.25 = -0.25;  v3 = 1 + 0.5 - 0.125 = 1.375
    v4 = -0.5 - 1 + 0.6875 = -0.8125
    """
    one = [layer("a", 1, 3)]
    selector = Velocity(mu=0.5)
    state = selector.observe(one, [angle(0)], {})
    assert "a/velocity" not in state
    found = []
    for degrees in (60, 150, 150, 210):
        state = selector.observe(one, [angle(degrees)], state)
        found.append((state["a/phi"][0], state["a/change"][0], state["a/velocity"][0]))
    expected = [(0.5, -0.5, -0.5), (0, -0.5, -0.25), (1, 1, 1.375), (0.5, -0.5, -0.8125)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("mu", [0.0, 0.5, 0.9])
def test_the_velocity_of_a_network_over_epochs(mu: float) -> None:
    generator = np.random.default_rng(4)
    shapes = [(8, x.positions, x.neurons) for x in THREE]
    epochs = [[generator.normal(size=s).astype(np.float32) for s in shapes] for _ in range(5)]
    state: dict[str, np.ndarray] = {}
    for outputs in epochs:
        state = Velocity(mu).observe(THREE, outputs, state)
    for i, x in enumerate(THREE):
        for n in range(x.neurons):
            similar, change, velocity = 1.0, 0.0, 0.0
            for before, now in pairwise(epochs):
                last_change, last = change, similar
                similar = phi(now[i], before[i])[n]
                change = similar - last
                velocity = change - last_change + mu * velocity
            assert state[f"{x.name}/velocity"][n] == pytest.approx(velocity, abs=1e-9)


def test_observing_leaves_the_state_it_was_given() -> None:
    outputs = [np.ones((4, x.positions, x.neurons), np.float32) for x in THREE]
    first = Velocity().observe(THREE, outputs, {})
    kept = {k: v.copy() for k, v in first.items()}
    Velocity().observe(THREE, [3 * o for o in outputs], first)
    assert first.keys() == kept.keys()
    for key, value in kept.items():
        np.testing.assert_array_equal(first[key], value)


def test_the_first_epoch_of_velocity_is_random() -> None:
    outputs = [np.ones((4, x.positions, x.neurons), np.float32) for x in THREE]
    budget = parse_budget("40%")
    seen = Velocity().observe(THREE, outputs, {})
    for state in ({}, seen):
        drawn = [chosen(Velocity().select(THREE, budget, 0, rng(s), state)) for s in range(4)]
        expected = [chosen(Random().select(THREE, budget, 0, rng(s), {})) for s in range(4)]
        assert drawn == expected
    later = Velocity().observe(THREE, outputs, seen)
    assert chosen(Velocity().select(THREE, budget, 1, rng(1), later)) == chosen(
        Velocity().select(THREE, budget, 1, rng(2), later)
    )


def test_a_still_network_falls_back_to_the_order_of_the_neurons() -> None:
    state = {f"{x.name}/velocity": np.zeros(x.neurons) for x in THREE}
    masks = Velocity().select(THREE, Budget("parameters", 84 + 16), 2, rng(), state)
    assert chosen(masks) == {"conv": [0, 1, 2, 3], "hidden": [0, 1], "out": []}


def test_velocity_counts_whichever_way_it_points() -> None:
    state = {f"{x.name}/velocity": np.zeros(x.neurons) for x in THREE}
    state["conv/velocity"][2] = -0.9  # 0.9 / 21 = 0.043
    state["out/velocity"][1] = 0.2  # 0.2 / 7 = 0.029
    state["hidden/velocity"][4] = 0.4  # 0.4 / 8 = 0.05
    expected = [("hidden", 4), ("conv", 2), ("out", 1)]
    for count, budget in ((1, 28), (2, 35), (3, 36)):
        masks = Velocity().select(THREE, Budget("parameters", budget), 2, rng(), state)
        taken = [(name, n) for name, ns in chosen(masks).items() for n in ns]
        assert sorted(taken) == sorted(expected[:count])
