"""Masks: what may not update keeps its bits, whatever the optimizer remembers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tf_odl.errors import UserError
from tf_odl.methods import Budget, Mask, get_method
from tf_odl.trainer.model import OdlModel

OPTIMIZERS: dict[str, Callable[[], keras.optimizers.Optimizer]] = {
    "sgd": lambda: keras.optimizers.SGD(0.1),
    "momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "decay": lambda: keras.optimizers.SGD(0.05, momentum=0.9, weight_decay=0.1),
}


def cnn() -> keras.Model:
    """Every kind of neuron: convolution, depthwise, pointwise, dense, with normalization."""
    keras.utils.set_random_seed(4)
    x = inputs = keras.Input((6, 6, 2))
    for layer in (
        layers.Conv2D(3, 3, padding="same", activation="relu", name="conv"),
        layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, name="depthwise"),
        layers.BatchNormalization(name="normalization"),
        layers.ReLU(),
        layers.SeparableConv2D(5, 2, name="separable"),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dense(7, activation="relu", kernel_constraint="unit_norm", name="hidden"),
        layers.Dense(3, name="head"),
    ):
        x = layer(x)
    return keras.Model(inputs, x)


def data(samples: int = 32) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    x = rng.normal(0, 1, (samples, 6, 6, 2)).astype(np.float32)
    return x, rng.integers(0, 3, samples)


def compiled(trainer: OdlModel, optimizer: str = "sgd", eager: bool = False) -> OdlModel:
    trainer.compile(
        OPTIMIZERS[optimizer](),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
        run_eagerly=eager,
    )
    return trainer


def values(model: keras.Model) -> dict[str, np.ndarray]:
    return {v.path: np.array(v) for v in model.trainable_variables}


def moved(model: keras.Model, before: dict[str, np.ndarray]) -> set[str]:
    """Paths of the trainable variables of which any entry changed."""
    return {p for p, v in values(model).items() if not np.array_equal(v, before[p])}


def neuron_axes(path: str) -> tuple[int, ...]:
    """Which axes of a variable of `cnn` count its neurons."""
    depthwise = "depthwise/kernel" in path or "depthwise_kernel" in path
    return (-2, -1) if depthwise else (-1,)


def moved_neurons(before: np.ndarray, after: np.ndarray, path: str) -> np.ndarray:
    """Bool [neurons]: whether any value of the neuron changed."""
    neurons = np.prod([before.shape[a] for a in neuron_axes(path)])
    return (before != after).reshape(-1, neurons).any(axis=0)


# The mask that covers each trainable variable of `cnn`.
OWNER = {
    "conv/kernel": ("conv", "kernel"),
    "conv/bias": ("conv", "bias"),
    "depthwise/kernel": ("depthwise", "kernel"),
    "normalization/gamma": ("depthwise", "kernel"),
    "normalization/beta": ("depthwise", "bias"),
    "separable/depthwise_kernel": ("separable/depthwise", "kernel"),
    "separable/pointwise_kernel": ("separable/pointwise", "kernel"),
    "separable/bias": ("separable/pointwise", "bias"),
    "hidden/kernel": ("hidden", "kernel"),
    "hidden/bias": ("hidden", "bias"),
    "head/kernel": ("head", "kernel"),
    "head/bias": ("head", "bias"),
}


class Recorder(keras.callbacks.Callback):
    """Masks and weights of every epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.masks: list[dict[str, Mask]] = []
        self.before: list[dict[str, np.ndarray]] = []
        self.after: list[dict[str, np.ndarray]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.masks.append(dict(self.model.masks))
        self.before.append(values(self.model.model))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.after.append(values(self.model.model))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_frozen_neurons_do_not_move_while_masks_change(optimizer: str) -> None:
    """Momenta of earlier epochs, weight decay and constraints included."""
    model = cnn()
    assert set(values(model)) == set(OWNER)
    trainer = compiled(OdlModel(model, get_method("random", budget="50%"), seed=2), optimizer)
    recorder = Recorder()
    x, y = data()
    trainer.fit(x, y, batch_size=8, epochs=4, verbose=0, callbacks=[recorder])
    assert len(recorder.masks) == 4
    thawed = 0
    for epoch, masks in enumerate(recorder.masks):
        for path, (name, part) in OWNER.items():
            allowed = getattr(masks[name], part)
            change = moved_neurons(recorder.before[epoch][path], recorder.after[epoch][path], path)
            assert not change[~allowed].any(), (epoch, path)
            if epoch:
                thawed += int((getattr(recorder.masks[epoch - 1][name], part) & ~allowed).sum())
            if name in ("head", "separable/pointwise"):
                assert change[allowed].all(), (epoch, path)
    assert thawed > 10, "no neuron was frozen after it had trained"


def test_one_neuron_of_every_kind() -> None:
    """The mask reaches the right entries, also those of depthwise kernels."""
    model = cnn()
    trainer = compiled(OdlModel(model, get_method("random", budget="50%")), eager=True)
    x, y = data()
    for name, site in trainer.sites.items():
        for neuron in (1, site.layer.neurons - 1):
            masks = {
                n: Mask(np.zeros(s.layer.neurons, bool), np.zeros(s.layer.neurons, bool))
                for n, s in trainer.sites.items()
            }
            masks[name].kernel[neuron] = masks[name].bias[neuron] = True
            trainer.set_masks(masks)
            before = values(model)
            trainer.train_on_batch(x, y)
            after = values(model)
            for path, (owner, _) in OWNER.items():
                change = moved_neurons(before[path], after[path], path)
                expected = np.zeros(len(change), bool)
                expected[neuron if owner == name else ()] = owner == name
                assert np.array_equal(change, expected), (name, neuron, path)


def test_depthwise_neurons_are_output_channels() -> None:
    """Neuron n of a depthwise convolution with multiplier 2 is input channel n // 2."""
    model = cnn()
    trainer = compiled(OdlModel(model, get_method("random", budget="50%")), eager=True)
    masks = {
        n: Mask(np.zeros(s.layer.neurons, bool), np.zeros(s.layer.neurons, bool))
        for n, s in trainer.sites.items()
    }
    masks["depthwise"].kernel[3] = True
    trainer.set_masks(masks)
    before = values(model)["depthwise/kernel"]
    trainer.train_on_batch(*data())
    change = before != values(model)["depthwise/kernel"]
    assert change[:, :, 1, 1].all()
    assert change.sum() == 9
    probe = keras.Model(model.input, model.get_layer("depthwise").output)
    x, _ = data()
    new = probe(x).numpy()
    kernel = model.get_layer("depthwise").kernel
    kernel.assign(before)
    assert np.abs(new - probe(x).numpy()).max(axis=(0, 1, 2)).nonzero()[0].tolist() == [3]


def test_weights_and_bias_have_masks_of_their_own() -> None:
    model = cnn()
    trainer = compiled(OdlModel(model, get_method("random", budget="50%")), "adamw", eager=True)
    x, y = data()
    for part, paths in (
        ("kernel", {"hidden/kernel"}),
        ("bias", {"hidden/bias"}),
    ):
        masks = {
            n: Mask(
                *(np.full(s.layer.neurons, n == "hidden" and p == part) for p in ("kernel", "bias"))
            )
            for n, s in trainer.sites.items()
        }
        trainer.set_masks(masks)
        before = values(model)
        trainer.train_on_batch(x, y)
        assert moved(model, before) == paths


@pytest.mark.parametrize("optimizer", ["momentum", "adamw"])
@pytest.mark.parametrize(
    ("method", "paths"),
    [
        ("head", {"head/kernel", "head/bias"}),
        ("bias-only", {p for p, (_, part) in OWNER.items() if part == "bias"}),
        ("full", set(OWNER)),
    ],
)
def test_static_selectors_move_exactly_their_variables(
    method: str, paths: set[str], optimizer: str
) -> None:
    model = cnn()
    trainer = compiled(OdlModel(model, get_method(method)), optimizer, eager=True)
    before = values(model)
    x, y = data()
    for i in range(3):
        trainer.train_on_batch(x[8 * i : 8 * i + 8], y[8 * i : 8 * i + 8])
    assert moved(model, before) == paths
    assert {v.path for v in trainer.trained_variables} == paths


def test_layers_frozen_by_the_user_are_never_selected() -> None:
    model = cnn()
    frozen = ("conv", "separable")
    for name in frozen:
        model.get_layer(name).trainable = False
    initial = {v.path: np.array(v) for n in frozen for v in model.get_layer(n).weights}
    trainer = compiled(OdlModel(model, get_method("random", budget="70%")))
    recorder = Recorder()
    x, y = data()
    trainer.fit(x, y, batch_size=16, epochs=2, verbose=0, callbacks=[recorder])
    for masks in recorder.masks:
        for name, mask in masks.items():
            selected = mask.kernel.any() or mask.bias.any()
            assert not (selected and name.split("/")[0] in frozen)
    for name in frozen:
        for v in model.get_layer(name).weights:
            np.testing.assert_array_equal(v, initial[v.path])


def test_random_masks_keep_the_budget_and_follow_the_seed() -> None:
    def masks(seed: int, epochs: int) -> list[dict[str, Mask]]:
        trainer = OdlModel(cnn(), get_method("random", budget="50%"), seed=seed)
        found = []
        for epoch in range(epochs):
            trainer.select(epoch)
            found.append(trainer.masks)
        budget = Budget("share", 0.5)
        for m in found:
            assert (
                0 < budget.cost(trainer.layers_in_order, m) <= budget.limit(trainer.layers_in_order)
            )
            assert all(np.array_equal(v.kernel, v.bias) for v in m.values())
        return found

    def flat(m: dict[str, Mask]) -> list[bool]:
        return np.concatenate([v.kernel for v in m.values()]).tolist()

    first, again, other = masks(0, 3), masks(0, 3), masks(1, 1)
    assert [flat(m) for m in first] == [flat(m) for m in again]
    assert flat(first[0]) != flat(other[0])
    assert flat(first[0]) != flat(first[1]) != flat(first[2])


def _cosine(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Per neuron: maps are compared sample by sample, vectors over the samples."""
    samples, neurons = len(now), now.shape[-1]
    result = []
    for n in range(neurons):
        a, b = now[..., n].reshape(samples, -1), before[..., n].reshape(samples, -1)
        if a.shape[1] == 1:
            a, b = a.T, b.T
        rows = []
        for p, q in zip(a.astype(float), b.astype(float), strict=True):
            lengths = np.linalg.norm(p), np.linalg.norm(q)
            if lengths[0] * lengths[1] == 0:
                rows.append(float(lengths[0] == lengths[1]))
            else:
                rows.append(p @ q / (lengths[0] * lengths[1]))
        result.append(np.mean(rows))
    return np.array(result)


def test_velocity_selects_by_the_outputs_it_sees() -> None:
    """Masks of three epochs from outputs that plain Keras models compute."""
    model = cnn()
    x, y = data()
    subset = x[:5]
    mu = 0.5
    trainer = compiled(
        OdlModel(model, get_method("velocity", budget="50%"), selection_data=subset, seed=3)
    )
    names = [n for n in trainer.sites if n != "separable/depthwise"]
    layer_of = {n: model.get_layer(n.split("/")[0]) for n in names}
    probe = keras.Model(model.input, [layer_of[n].output for n in names])
    outputs = [dict(zip(names, probe(subset), strict=True))]

    class Watch(Recorder):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            outputs.append(dict(zip(names, probe(subset), strict=True)))

    recorder = Watch()
    trainer.fit(x, y, batch_size=8, epochs=3, verbose=0, callbacks=[recorder])

    rng = np.random.default_rng([3, 0])
    random = get_method("random", budget="50%")
    first = random.selector.select(trainer.layers_in_order, random.budget, 0, rng, {})
    for n in trainer.sites:
        np.testing.assert_array_equal(recorder.masks[0][n].kernel, first[n].kernel)

    phi = {n: np.ones(trainer.layer(n).neurons) for n in names}
    change = {n: np.zeros(trainer.layer(n).neurons) for n in names}
    velocity = {n: np.zeros(trainer.layer(n).neurons) for n in names}
    for epoch in (1, 2, 3):
        for n in names:
            new = _cosine(np.asarray(outputs[epoch][n]), np.asarray(outputs[epoch - 1][n]))
            velocity[n] = (new - phi[n]) - change[n] + mu * velocity[n]
            change[n], phi[n] = new - phi[n], new
        if epoch < 3:
            score = {n: np.abs(velocity[n]) / trainer.layer(n).parameters_per_neuron for n in names}
            masks = recorder.masks[epoch]
            # The depthwise half of the separable convolution has no Keras output of its own.
            chosen = np.concatenate([score[n][masks[n].kernel] for n in names])
            left = np.concatenate([score[n][~masks[n].kernel] for n in names])
            assert chosen.size and left.size
            assert chosen.min() >= left.max() - 1e-7, epoch
    for n in names:
        state = trainer.selector_state[f"{n}/velocity"]
        np.testing.assert_allclose(state, velocity[n], atol=1e-5, err_msg=n)
        assert np.abs(state).max() > 1e-4


def test_what_no_mask_covers_is_refused() -> None:
    def build(*more: layers.Layer) -> keras.Model:
        return keras.Sequential([keras.Input((4,)), *more, layers.Dense(3)])

    for more, name in (
        ([layers.LayerNormalization(name="odd")], "odd/gamma"),
        ([layers.BatchNormalization(name="first")], "first/gamma"),
        ([layers.Dense(4), layers.ReLU(), layers.BatchNormalization(name="late")], "late/gamma"),
    ):
        with pytest.raises(UserError, match=name):
            OdlModel(build(*more), get_method("head"))
        OdlModel(build(*more), get_method("tinyprop"))
        more[-1].trainable = False
        OdlModel(build(*more), get_method("head"))
