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
from tf_odl.methods import METHODS as PRESETS
from tf_odl.methods import Mask, get_method
from tf_odl.trainer import effort
from tf_odl.trainer.model import OdlModel

CLASSES, SAMPLES = 3, 6
SMALL = {"ds-cnn": (12, 6), "resnet8": (8, 8, 3)}
LARGE = {"mobilenetv2-0.35": (32, 32, 3), "resnet18": (32, 32, 3), "resnet50": (32, 32, 3)}
SHAPES = SMALL | LARGE
METHODS = {
    "full": {},
    "tinypropv2": {},
    "velocity": {"budget": "40%"},
    "random": {"budget": "40%"},
}


def trainer_for(name: str, method: str, *, eager: bool = False, **settings: str) -> OdlModel:
    model = models.build(name, SHAPES[name], CLASSES, seed=1)
    rng = np.random.default_rng(0)
    subset = rng.random((8, *SHAPES[name]), np.float32)
    models.set_statistics(model, subset)
    trainer = OdlModel(
        model,
        get_method(method, **settings),
        selection_data=subset,
        support_data=(subset, np.arange(len(subset)) % CLASSES),
    )
    trainer.compile(
        keras.optimizers.SGD(2e-4),  # a fresh ResNet50 with fixed statistics bears no more
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
        run_eagerly=eager,
    )
    return trainer


def data(name: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    x = rng.random((SAMPLES, *SHAPES[name]), np.float32)
    return x, rng.integers(0, CLASSES, SAMPLES)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SHAPES)
def test_a_step_moves_what_the_masks_allow_and_costs_what_it_should(name, method):
    """The large ones run eagerly here: tracing them takes longer than everything else."""
    trainer = trainer_for(name, method, eager=name in LARGE, **METHODS[method])
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
    assert moved >= 0.5 * allowed > 0  # neurons behind a closed ReLU do not move

    cost = int(logs["backward_macs"])
    full = SAMPLES * full_backward_macs(model)
    if method == "full":
        assert cost == full
    elif method == "tinypropv2":
        assert 0 < cost < full
    else:
        assert cost == SAMPLES * masked_backward_macs(model, trainer.masks)
        assert cost < full


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(m, marks=[pytest.mark.slow] if m == "sparse-update" else [])
        for m in PRESETS
        if m not in METHODS
    ],
)
def test_an_epoch_of_every_other_method(method):
    """With the presets' own settings, on the model with branches."""
    trainer = trainer_for("resnet8", method)
    before = {v.path: np.array(v) for v in trainer.model.trainable_variables}
    history = trainer.fit(*data("resnet8"), batch_size=3, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert 0 < history["effort"][0] <= 1
    assert all(np.isfinite(v).all() for v in trainer.model.get_weights())
    found = neurons_that_moved(trainer.model, before)
    for layer, (kernel, bias) in found.items():
        mask = trainer.masks[layer]
        assert not kernel[~mask.kernel].any() and not bias[~mask.bias].any(), layer
    assert any(k.any() or b.any() for k, b in found.values())


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", LARGE)
def test_large_models_fit_in_a_graph(name, method):
    trainer = trainer_for(name, method, **METHODS[method])
    history = trainer.fit(*data(name), batch_size=3, epochs=2, verbose=0).history
    assert all(np.isfinite(history[k]).all() for k in history)
    assert history["forward_macs"][0] == SAMPLES * sum(map(forward_macs, weighted(trainer.model)))


@pytest.mark.slow
def test_fresh_deep_models_learn_under_a_skip_rule():
    """The statistics they start with make the difference."""
    rng = np.random.default_rng(4)
    y = rng.integers(0, CLASSES, 64)
    classes = rng.random((CLASSES, 32, 32, 3), np.float32)
    x = (classes[y] + rng.random((64, 32, 32, 3), np.float32)) / 2

    def loss(prepared: bool) -> float:
        model = models.build("mobilenetv2-0.35", (32, 32, 3), CLASSES, seed=0)
        if prepared:
            models.set_statistics(model, x)
        trainer = OdlModel(model, get_method("tinypropv2"))
        trainer.compile(
            keras.optimizers.SGD(0.002),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            run_eagerly=True,
        )
        return trainer.fit(x, y, batch_size=16, epochs=3, verbose=0).history["loss"][-1]

    assert loss(prepared=True) < 0.7 < 1.0 < loss(prepared=False)


@pytest.mark.parametrize("name", SHAPES)
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
