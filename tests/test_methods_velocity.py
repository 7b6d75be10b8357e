"""NEq, both variants of the velocity, and what the authors' scope and depthwise cost change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_layers import networks

from tf_odl.errors import UserError
from tf_odl.methods import Budget, WeightedLayer
from tf_odl.methods.neq import Neq
from tf_odl.methods.random import Random
from tf_odl.methods.velocity import Velocity, WatchesVelocity


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def angle(degrees: float) -> np.ndarray:
    """One neuron's output on two samples, a unit vector."""
    radians = np.deg2rad(degrees)
    return np.array([np.cos(radians), np.sin(radians)], np.float32).reshape(2, 1, 1)


ONE = [WeightedLayer("a", "dense", 1, 1, 3, True, 0, 3, 0, in_channels=3)]


def velocities(selector: WatchesVelocity) -> list[float]:
    """Outputs turned by 60, 90, 0 and 60 degrees: phi = 0.5, 0, 1, 0.5 after phi_0 = 1."""
    state = selector.observe(ONE, [angle(0)], {})
    found = []
    for degrees in (60, 150, 150, 210):
        state = selector.observe(ONE, [angle(degrees)], state)
        found.append(float(state["a/velocity"][0]))
    return found


@pytest.mark.parametrize("build", [Velocity, Neq])
def test_the_recurrence_of_the_paper_by_hand(build: type) -> None:
    """dphi = -0.5, -0.5, 1, -0.5 and mu = 0.5.

    v1 = -0.5;  v2 = -0.5 + 0.25 = -0.25;  v3 = 1 + 0.125 = 1.125;  v4 = -0.5 - 0.5625 = -1.0625
    """
    found = velocities(build(variant="paper"))
    np.testing.assert_allclose(found, [-0.5, -0.25, 1.125, -1.0625], atol=1e-6)


@pytest.mark.parametrize("build", [Velocity, Neq])
def test_the_recurrence_of_the_authors_by_hand(build: type) -> None:
    """v1 = -0.5;  v2 = 0 - 0.25;  v3 = 1.5 - 0.125;  v4 = -1.5 + 0.6875"""
    found = velocities(build())
    np.testing.assert_allclose(found, [-0.5, -0.25, 1.375, -0.8125], atol=1e-6)


# -- NEq ----------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(networks(), st.integers(0, 99), st.sampled_from([0.0, 0.001, 0.3, 1.0]))
def test_neq_freezes_the_neurons_that_are_slower_than_eps(
    layers: list[WeightedLayer], seed: int, eps: float
) -> None:
    state = {f"{x.name}/velocity": rng(seed).normal(size=x.neurons) for x in layers}
    masks = Neq(eps=eps).select(layers, None, 4, rng(), state)
    for x in layers:
        expected = [abs(float(v)) >= eps for v in state[f"{x.name}/velocity"]]
        assert masks[x.name].kernel.tolist() == masks[x.name].bias.tolist() == expected


def test_neq_trains_everything_in_the_first_epoch() -> None:
    state = Neq().observe(ONE, [angle(0)], {})
    for seen in ({}, state):
        masks = Neq().select(ONE, None, 0, rng(), seen)
        assert masks["a"].kernel.all() and masks["a"].bias.all()


def test_a_neuron_that_stops_changing_comes_to_rest_and_wakes_when_it_changes() -> None:
    """Unchanged outputs: phi = 1, so v halves in every epoch until it is below eps."""
    selector = Neq(eps=0.1)
    state = selector.observe(ONE, [angle(0)], {})
    trained = []
    for degrees in (60, 60, 60, 60, 60, 60, 90):
        state = selector.observe(ONE, [angle(degrees)], state)
        trained.append(bool(selector.select(ONE, None, 1, rng(), state)["a"].kernel[0]))
    # v = -.5, 1 - .25 = .75, -.5 + .375, -.0625, -.03, -.016, then a change again
    assert trained == [True, True, True, False, False, False, True]


@pytest.mark.parametrize("eps", [-0.1, float("nan")])
def test_neq_refuses_an_eps_that_means_nothing(eps: float) -> None:
    with pytest.raises(UserError, match="eps"):
        Neq(eps=eps)


# -- what the authors charge --------------------------------------------------------------------

# A depthwise convolution of 6 channels, 3x3; a pointwise one to 4; a classifier.
SMALL_NET = [
    WeightedLayer("dw", "depthwise", 6, 16, 9, False, 2, 96, 2, shifts=1, in_channels=6),
    WeightedLayer("pw", "conv", 4, 16, 6, False, 2, 96, 1, shifts=1, in_channels=6),
    WeightedLayer("out", "dense", 3, 1, 4, True, 0, 4, 0, in_channels=4),
]


def test_a_depthwise_neuron_costs_its_weights_or_as_the_authors_charge_it() -> None:
    """Velocities equal: the order is that of the prices, and 60 parameters buy fewer of them.

    Exact: 9 per depthwise neuron, 6 per pointwise one: 4 * 6 + 4 * 9 = 60. Authors: 9 * 6 = 54,
    and 24 + 54 is more than 60.
    """
    state = {f"{x.name}/velocity": np.ones(x.neurons) for x in SMALL_NET}
    for cost, depthwise in (("exact", 4), ("authors", 0)):
        selector = Velocity(scope="authors", depthwise_cost=cost)
        masks = selector.select(SMALL_NET, Budget("parameters", 60), 2, rng(), state)
        assert masks["pw"].kernel.sum() == 4
        assert masks["dw"].kernel.sum() == depthwise


def test_the_share_of_the_authors_is_of_the_weights_of_convolutions() -> None:
    """54 + 24 weights: half of them are 39."""
    for seed in range(10):
        masks = Random(scope="authors").select(SMALL_NET, Budget("share", 0.5), 0, rng(seed), {})
        weights = 9 * masks["dw"].kernel.sum() + 6 * masks["pw"].kernel.sum()
        assert 39 - 9 < weights <= 39
        assert masks["out"].kernel.all()


def test_the_budgets_of_the_poster_are_shares_of_its_convolutions() -> None:
    """2,189,760 weights of MobileNetV2's convolutions: 8.78 % are 192,261; in words 192,311."""
    conv = replace(SMALL_NET[1], neurons=2_189_760, fan_in=1, in_channels=1, affine=0, shifts=0)
    layers = [conv, SMALL_NET[2]]
    for budget in (192_311, 464_639, 675_540):
        masks = Random(scope="authors").select(layers, Budget("parameters", budget), 0, rng(), {})
        assert masks["pw"].kernel.sum() == budget


@pytest.mark.parametrize(
    "values",
    [{"variant": "both"}, {"scope": "none"}, {"depthwise_cost": "free"}],
)
def test_velocity_refuses_names_it_does_not_know(values: dict[str, str]) -> None:
    with pytest.raises(UserError, match=next(iter(values))):
        Velocity(**values)
