"""No mask of any selector exceeds its budget, counted parameter by parameter and byte by byte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_layers import BUDGETS, bytes_of, limit_of, networks, parameters_of, spent

from tf_odl.errors import UserError
from tf_odl.methods import Budget, Mask, Masks, Selector, WeightedLayer, parse_budget
from tf_odl.methods.random import Random
from tf_odl.methods.registry import SELECTORS
from tf_odl.methods.sparse_update import SparseUpdate
from tf_odl.methods.tinytrain import TinyTrain
from tf_odl.methods.velocity import Velocity


@dataclass
class Measured:
    """An analysis whose every answer is drawn at random."""

    layers: Sequence[WeightedLayer]
    seed: int
    macs: int = 0
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def fisher(self) -> dict[str, np.ndarray]:
        return {x.name: self.rng.exponential(size=x.neurons) for x in self.layers}

    def weights(self) -> dict[str, np.ndarray]:
        return {
            x.name: self.rng.normal(
                size=(1, x.fan_in, x.neurons)
                if x.kind == "depthwise"
                else (x.in_channels, x.fan_in // x.in_channels, x.neurons)
            )
            for x in self.layers
        }

    def accuracy(self, masks: Masks, epochs: int, learning_rate: float) -> float:
        return float(self.rng.uniform())

    def note(self, message: str) -> None:
        self.notes.append(message)


def selected(selector: Selector, layers: list[WeightedLayer], budget: Budget, seed: int) -> Masks:
    rng = np.random.default_rng(seed)
    selector.check(layers, budget)
    state = {f"{x.name}/velocity": rng.normal(size=x.neurons) for x in layers}
    if selector.needs_analysis:
        state = dict(selector.analyse(layers, budget, Measured(layers, seed), rng))
    return selector.select(layers, budget, 3, rng, state)


ALL = [
    Random(),
    Velocity(),
    TinyTrain(compute=1.0),
    TinyTrain(compute=0.3),
    SparseUpdate(channels="input"),
    SparseUpdate(channels="output"),
    SparseUpdate(search="evolution"),
]


def test_these_are_all_selectors_with_a_budget() -> None:
    names = {name for name, part in SELECTORS.items() if part.build.needs_budget}
    assert {s.name for s in ALL} == names


@pytest.mark.parametrize("selector", ALL, ids=str)
@settings(max_examples=40, deadline=None)
@given(layers=networks(), text=BUDGETS, seed=st.integers(0, 99), state=st.sampled_from([0, 4, 8]))
def test_no_mask_exceeds_its_budget(
    selector: Selector, layers: list[WeightedLayer], text: str, seed: int, state: int
) -> None:
    budget = replace(parse_budget(text), state_bytes=state)
    try:
        masks = selected(selector, layers, budget, seed)
    except UserError:
        assume(False)
    assert spent(layers, text, masks, state) <= limit_of(layers, text)
    assert budget.cost(layers, masks) == spent(layers, text, masks, state)
    assert any(mask.trains for mask in masks.values())


SCOPED = [
    Random(scope="authors"),
    Velocity(scope="authors", depthwise_cost="authors"),
    SparseUpdate(scope="authors"),
    SparseUpdate(scope="authors", channels="output"),
]


@pytest.mark.parametrize("selector", SCOPED, ids=str)
@settings(max_examples=40, deadline=None)
@given(layers=networks(), text=BUDGETS, seed=st.integers(0, 99))
def test_in_the_scope_of_the_authors_convolutions_keep_the_budget_and_the_rest_is_free(
    selector: Selector, layers: list[WeightedLayer], text: str, seed: int
) -> None:
    convolutions = [replace(x, affine=0, shifts=0) for x in layers if x.kind != "dense"]
    assume(convolutions)
    try:
        masks = selected(selector, layers, parse_budget(text), seed)
    except UserError:
        assume(False)
    bare = {x.name: masks[x.name]._replace(scale=None, shift=None) for x in convolutions}
    assert spent(convolutions, text, bare) <= limit_of(convolutions, text)
    for layer in layers:
        if layer.kind == "dense":
            assert masks[layer.name].kernel.all() and masks[layer.name].bias.all()
        else:
            assert masks[layer.name].part("scale").all() and masks[layer.name].part("shift").all()


def test_the_scope_of_the_authors_needs_a_convolution() -> None:
    dense = [WeightedLayer("a", "dense", 3, 1, 4, True, 0, 4, 0, in_channels=4)]
    with pytest.raises(UserError, match="scope=authors masks convolutions only"):
        Random(scope="authors").select(dense, Budget("share", 1), 0, np.random.default_rng(), {})


@settings(max_examples=150, deadline=None)
@given(networks(), st.data())
def test_any_mask_is_priced_parameter_by_parameter(
    layers: list[WeightedLayer], data: st.DataObject
) -> None:
    def bits(count: int) -> np.ndarray:
        return np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool)

    masks = {}
    for x in layers:
        kernel = bits(x.neurons)
        inputs = None
        if x.kind != "depthwise" and kernel.any() and data.draw(st.booleans()):
            inputs = bits(x.in_channels)
        scale, shift = (bits(x.neurons) if data.draw(st.booleans()) else None for _ in range(2))
        masks[x.name] = Mask(kernel, bits(x.neurons), inputs, scale, shift)
    assert Budget("parameters", 1).cost(layers, masks) == parameters_of(layers, masks)
    assert Budget("share", 1).cost(layers, masks) == parameters_of(layers, masks)
    if all(m.scale is None and m.shift is None for m in masks.values()):
        for state in (0, 4, 8):
            budget = Budget("bytes", 1, state_bytes=state)
            assert budget.cost(layers, masks) == bytes_of(layers, masks, state)


def test_bytes_by_hand() -> None:
    """A 3x3 convolution of 4 channels to 2 on 5x5 maps, Adam: 8 bytes per value."""
    conv = WeightedLayer("c", "conv", 2, 25, 36, True, 0, 100, 0, in_channels=4)
    one, all_ = np.array([True, False]), np.ones(2, bool)
    two_inputs = np.array([True, False, True, False])
    for mask, weights, biases, kept in (
        (Mask(one, one), 36, 1, 100),
        (Mask(all_, all_), 72, 2, 100),
        (Mask(~all_, all_), 0, 2, 0),
        (Mask(all_, all_, inputs=two_inputs), 36, 2, 50),
    ):
        for state in (0, 8):
            cost = Budget("bytes", 1, state_bytes=state).cost([conv], {"c": mask})
            assert cost == weights + 4 * biases + state * (weights + biases) + kept
