"""TinyTrain: scores by hand, neurons by Fisher information, memory and compute never exceeded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_layers import BUDGETS, limit_of, networks, spent

from tf_odl.errors import UserError
from tf_odl.methods import Budget, Mask, Masks, WeightedLayer, parse_budget
from tf_odl.methods.tinytrain import TinyTrain, fill_layers, layer_scores

# conv: 2 neurons of 9 weights on 4x4 maps; hidden: 4 of 5; out: 3 of 4. No biases.
THREE = [
    WeightedLayer("conv", "conv", 2, 16, 9, False, 0, 36, 2, in_channels=1),
    WeightedLayer("hidden", "dense", 4, 1, 5, False, 0, 5, 1, in_channels=5),
    WeightedLayer("out", "dense", 3, 1, 4, False, 0, 4, 0, in_channels=4),
]
FISHER = {
    "conv": np.array([1.0, 3.0]),
    "hidden": np.array([0.25, 0.5, 0.125, 0.125]),
    "out": np.array([0.5, 0.25, 0.25]),
}


def chosen(masks: Masks) -> dict[str, list[int]]:
    return {name: np.flatnonzero(mask.kernel).tolist() for name, mask in masks.items()}


def test_scores_by_hand() -> None:
    """Parameters 18, 20, 12 over 20; MACs 288, 20, 12 over 288; P = 4, 1, 1."""
    scores = layer_scores(THREE, FISHER)
    assert scores["conv"] == pytest.approx(4 / (18 / 20 * 288 / 288))
    assert scores["hidden"] == pytest.approx(1 / (20 / 20 * 20 / 288))
    assert scores["out"] == pytest.approx(1 / (12 / 20 * 12 / 288))
    assert scores["out"] > scores["hidden"] > scores["conv"]


def test_whole_layers_by_score_then_neurons_by_fisher_information() -> None:
    """out (3 x 4), hidden (4 x 5), conv (2 x 9): 22 parameters are 12 + 10."""
    for budget, expected in (
        (4, {"conv": [], "hidden": [], "out": [0]}),
        (11, {"conv": [], "hidden": [], "out": [0, 1]}),
        (22, {"conv": [], "hidden": [0, 1], "out": [0, 1, 2]}),
        (29, {"conv": [], "hidden": [0, 1, 2], "out": [0, 1, 2]}),
        (30, {"conv": [0, 1], "hidden": [], "out": [0, 1, 2]}),  # 18 fit whole, 20 do not
        (32, {"conv": [], "hidden": [0, 1, 2, 3], "out": [0, 1, 2]}),
        (32 + 9, {"conv": [1], "hidden": [0, 1, 2, 3], "out": [0, 1, 2]}),
        (50, {"conv": [0, 1], "hidden": [0, 1, 2, 3], "out": [0, 1, 2]}),
    ):
        masks = fill_layers(THREE, THREE, FISHER, Budget("parameters", budget), 1.0)
        assert chosen(masks) == expected, budget


def test_the_compute_budget_counts_the_error_on_its_way() -> None:
    """Full backward MACs: 288 + 2 * 20 + 2 * 12 = 352.

    out alone costs 4 per neuron, 12 in all. hidden adds 12 for the error of out, and 5 per
    neuron: 29, 34, 39, 44. One conv neuron adds the error of hidden, 20, and 144: 208.
    """
    everything = Budget("share", 1.0)
    for limit, expected in (
        (3.9, {"conv": [], "hidden": [], "out": []}),
        (4, {"conv": [], "hidden": [], "out": [0]}),
        (28, {"conv": [], "hidden": [], "out": [0, 1, 2]}),
        (29, {"conv": [], "hidden": [1], "out": [0, 1, 2]}),
        (207, {"conv": [], "hidden": [0, 1, 2, 3], "out": [0, 1, 2]}),
        (208, {"conv": [1], "hidden": [0, 1, 2, 3], "out": [0, 1, 2]}),
        (352, {"conv": [0, 1], "hidden": [0, 1, 2, 3], "out": [0, 1, 2]}),
    ):
        masks = fill_layers(THREE, THREE, FISHER, everything, limit / 352)
        assert chosen(masks) == expected, limit


def test_frozen_layers_on_the_way_cost_their_propagation() -> None:
    """hidden is frozen by the user: to reach conv the error still crosses it."""
    trainable = [THREE[0], THREE[2]]
    for limit, conv in ((12 + 12 + 20 + 144 - 1, []), (12 + 12 + 20 + 144, [1])):
        masks = fill_layers(trainable, THREE, FISHER, Budget("share", 1.0), limit / 352)
        assert chosen(masks) == {"conv": conv, "out": [0, 1, 2]}


def dense_macs(layers: list[WeightedLayer], masks: Masks) -> int:
    """Weight gradients of the chosen neurons, and every layer's error above the lowest of them."""
    total, lowest = 0, False
    for x in layers:
        total += x.neurons * x.positions * x.fan_in if lowest else 0
        count = int(masks[x.name].kernel.sum())
        total += count * x.positions * x.fan_in
        lowest = lowest or count > 0
    return total


@settings(max_examples=150, deadline=None)
@given(networks(), BUDGETS, st.integers(0, 999), st.floats(0.02, 1.0))
def test_both_budgets_hold_and_are_filled(
    layers: list[WeightedLayer], text: str, seed: int, compute: float
) -> None:
    rng = np.random.default_rng(seed)
    fisher = {x.name: rng.exponential(size=x.neurons) for x in layers}
    masks = fill_layers(layers, layers, fisher, parse_budget(text), compute)
    everything = {x.name: masks[x.name]._replace(kernel=np.ones(x.neurons, bool)) for x in layers}
    allowed = compute * dense_macs(layers, everything)
    assert dense_macs(layers, masks) <= allowed
    assert spent(layers, text, masks) <= limit_of(layers, text)
    for x in layers:
        taken, left = fisher[x.name][masks[x.name].kernel], fisher[x.name][~masks[x.name].kernel]
        assert not (len(taken) and len(left)) or taken.min() >= left.max()
    for x in layers:  # nothing more fits
        kernel = masks[x.name].kernel.copy()
        if not kernel.all():
            kernel[np.argmax(np.where(kernel, -1, fisher[x.name]))] = True
            one_more = masks | {x.name: Mask(kernel, kernel)}
            too_dear = spent(layers, text, one_more) > limit_of(layers, text)
            assert too_dear or dense_macs(layers, one_more) > allowed


@dataclass
class Fixed:
    """An analysis that knows the Fisher information."""

    layers: list[WeightedLayer]
    macs: int = 0

    def fisher(self) -> dict[str, np.ndarray]:
        return FISHER


def test_what_is_chosen_once_stays() -> None:
    selector, rng = TinyTrain(compute=1.0), np.random.default_rng(0)
    budget = Budget("parameters", 22)
    state = selector.analyse(THREE, budget, Fixed(THREE), rng)
    np.testing.assert_array_equal(state["hidden/fisher"], FISHER["hidden"])
    for epoch in (0, 1, 7):
        masks = selector.select(THREE, budget, epoch, rng, state)
        assert chosen(masks) == {"conv": [], "hidden": [0, 1], "out": [0, 1, 2]}
        assert all(np.array_equal(m.kernel, m.bias) for m in masks.values())


def test_budgets_without_room_are_refused() -> None:
    with pytest.raises(UserError, match=r"no room for a single neuron.* costs 4"):
        TinyTrain().check(THREE, Budget("parameters", 3))
    TinyTrain().check(THREE, Budget("parameters", 4))
    with pytest.raises(UserError, match=r"compute=0\.001 and the budget .* leave no neuron"):
        TinyTrain(compute=0.001).analyse(
            THREE, Budget("share", 1.0), Fixed(THREE), np.random.default_rng(0)
        )


@pytest.mark.parametrize("values", [{"compute": 0.0}, {"compute": 1.1}, {"samples": 0}])
def test_settings_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(values))):
        TinyTrain(**values)
