"""Every built-in convolutional network trains with every kind of method."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from model_counts import (
    forward_macs,
    full_backward_macs,
    masked_backward_macs,
    neurons_that_moved,
    upstream,
    weighted,
)

from tf_odl import models
from tf_odl.methods import Mask, get_method
from tf_odl.trainer import effort
from tf_odl.trainer.model import OdlModel

CLASSES, SAMPLES = 3, 6
SMALL = {"ds-cnn": (12, 6), "resnet8": (8, 8, 3)}
METHODS = {
    "full": {},
    "tinypropv2": {},
    "velocity": {"budget": "40%"},
    "random": {"budget": "40%"},
}


def trainer_for(name: str, method: str, **settings: str) -> OdlModel:
    model = models.build(name, SMALL[name], CLASSES, seed=1)
    rng = np.random.default_rng(0)
    subset = rng.random((2, *SMALL[name]), np.float32)
    trainer = OdlModel(model, get_method(method, **settings), selection_data=subset)
    trainer.compile(
        keras.optimizers.SGD(0.05),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    return trainer


def data(name: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    x = rng.random((SAMPLES, *SMALL[name]), np.float32)
    return x, rng.integers(0, CLASSES, SAMPLES)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SMALL)
def test_a_step_moves_what_the_masks_allow_and_costs_what_it_should(name, method):
    trainer = trainer_for(name, method, **METHODS[method])
    model = trainer.model
    before = {v.path: np.array(v) for v in model.trainable_variables}
    logs = trainer.train_on_batch(*data(name), return_dict=True)
    assert all(np.isfinite(float(v)) for v in logs.values())
    assert all(np.isfinite(v).all() for v in model.get_weights())

    found = neurons_that_moved(model, before)
    assert set(found) == set(trainer.masks)
    for layer, (kernel, bias) in found.items():
        mask = trainer.masks[layer]
        assert not kernel[~mask.kernel].any() and not bias[~mask.bias].any(), layer
    moved = sum(int((k | b).sum()) for k, b in found.values())
    allowed = sum(int(m.kernel.sum()) for m in trainer.masks.values())
    assert moved >= 0.5 * allowed > 0  # dead ReLUs do not move

    cost = int(logs["backward_macs"])
    full = SAMPLES * full_backward_macs(model)
    if method == "full":
        assert cost == full
    elif method == "tinypropv2":
        assert 0 < cost < full
    else:
        assert cost == SAMPLES * masked_backward_macs(model, trainer.masks)
        assert cost < full


@pytest.mark.parametrize("name", SMALL)
def test_upstream_is_what_keras_graph_says(name):
    trainer = trainer_for(name, "full")
    layers = {x.name: x for x in weighted(trainer.model)}
    assert {x.name for x in trainer.layers_in_order} == set(layers)
    for x in trainer.layers_in_order:
        assert x.upstream == upstream(layers[x.name]) & set(layers), x.name


def only(trainer: OdlModel, *names: str) -> dict[str, Mask]:
    return {
        n: Mask(*(np.full(s.layer.neurons, n in names) for _ in range(2)))
        for n, s in trainer.sites.items()
    }


def test_a_shortcut_does_not_propagate_for_the_branch_beside_it():
    """ResNet8, block2: conv1 -> conv2 beside the shortcut; block3 and the head lie below both."""
    trainer = trainer_for("resnet8", "random", budget="40%")
    macs = {x.name: forward_macs(x) for x in weighted(trainer.model)}
    below = sum(v for n, v in macs.items() if n.startswith("block3") or n == "head")
    for trains, propagate in (
        ("block2_conv1", macs["block2_conv2"]),
        ("block2_conv2", 0),
        ("block2_shortcut", 0),
    ):
        trainer.set_masks(only(trainer, trains))
        trainer.reset_metrics()
        logs = trainer.train_on_batch(*data("resnet8"), return_dict=True)
        assert int(logs["backward_macs"]) == SAMPLES * (macs[trains] + propagate + below), trains
    layers = trainer.layers_in_order
    sends = effort.propagates(layers, only(trainer, "block1_conv2"))
    assert [x.name for x, s in zip(layers, sends, strict=True) if s] == [
        x.name for x in layers if x.name.startswith(("block2", "block3", "head"))
    ]
