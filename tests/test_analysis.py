"""What selectors measure before the first epoch, against plain Keras and autodiff."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tf_odl.errors import UserError
from tf_odl.methods import Mask, Masks, Method, get_method
from tf_odl.trainer.analysis import SupportAnalysis, support_set
from tf_odl.trainer.model import OdlModel
from tf_odl.trainer.optimizer_state import state_bytes

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# MACs of `network` by hand. Entries N^l * fan_in^l of conv, depthwise, pointwise, hidden, head.
FORWARD = (6 * 6 * 4 * 18, 3 * 3 * 8 * 9, 3 * 3 * 5 * 8, 7 * 45, 3 * 7)


def network(seed: int = 0) -> keras.Sequential:
    """6x6x2 -> conv 4 -> depthwise 8, stride 2 -> normalization -> pointwise 5 -> 7 -> 3."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="conv"),
            layers.DepthwiseConv2D(
                3, strides=2, padding="same", depth_multiplier=2, use_bias=False, name="depthwise"
            ),
            layers.BatchNormalization(name="normalization"),
            layers.ReLU(),
            layers.Conv2D(5, 1, activation="tanh", name="pointwise"),
            layers.Flatten(),
            layers.Dense(7, activation="relu", name="hidden"),
            layers.Dense(3, name="head"),
        ]
    )
    rng = np.random.default_rng(seed)
    for v in model.get_layer("normalization").weights:
        v.assign(rng.uniform(0.5, 1.5, v.shape))
    return model


def data(samples: int = 45, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, 6, 6, 2)).astype(np.float32), rng.integers(0, 3, samples)


def trainer_of(model: keras.Model, method: Method | None = None, samples: int = 45) -> OdlModel:
    trainer = OdlModel(model, method or get_method("full"), support_data=data(samples))
    trainer.compile(keras.optimizers.SGD(0.05), LOSS, metrics=["accuracy"])
    return trainer


def analysis_of(trainer: OdlModel, samples: int = 45) -> SupportAnalysis:
    return SupportAnalysis(trainer, *data(samples))


# -- Fisher information -------------------------------------------------------------------------


def fisher_by_autodiff(model: keras.Sequential, x: np.ndarray, y: np.ndarray) -> dict:
    """Sample by sample: cut the network behind a layer, differentiate the rest."""
    found = {}
    for cut, layer in enumerate(model.layers):
        if not layer.weights or layer.name == "normalization":
            continue
        total = np.zeros(layer.output.shape[-1])
        for sample, label in zip(x, y, strict=True):
            a = tf.constant(sample[None])
            for part in model.layers[: cut + 1]:
                a = part(a, training=False) if part.name == "normalization" else part(a)
            with tf.GradientTape() as tape:
                tape.watch(a)
                z = a
                for part in model.layers[cut + 1 :]:
                    z = part(z, training=False) if part.name == "normalization" else part(z)
                loss = tf.nn.sparse_softmax_cross_entropy_with_logits([label], z)[0]
            product = (a * tape.gradient(loss, a)).numpy().reshape(-1, len(total))
            total += product.sum(axis=0) ** 2
        found[layer.name] = total / (2 * len(x))
    return found


def test_fisher_information_is_that_of_a_loop_over_samples() -> None:
    model = network()
    analysis = analysis_of(trainer_of(model))
    fisher = analysis.fisher()
    expected = fisher_by_autodiff(model, *data())
    assert set(fisher) == set(expected) == {"conv", "depthwise", "pointwise", "hidden", "head"}
    for name, values in expected.items():
        np.testing.assert_allclose(fisher[name], values, rtol=2e-4, atol=1e-9, err_msg=name)
        assert values.max() > 0


def test_the_support_pass_costs_a_forward_pass_and_the_errors_way_back() -> None:
    """To the output of conv: through all layers but conv, and no weight gradient."""
    model = network()
    analysis = analysis_of(trainer_of(model))
    analysis.fisher()
    assert analysis.macs == 45 * (sum(FORWARD) + sum(FORWARD[1:]))
    for name in ("conv", "depthwise", "normalization"):
        model.get_layer(name).trainable = False
    analysis = analysis_of(trainer_of(model))
    analysis.fisher()
    assert analysis.macs == 45 * (sum(FORWARD) + sum(FORWARD[3:]))


# -- trial trainings ----------------------------------------------------------------------------


def masks_of(trainer: OdlModel, *on: str) -> Masks:
    return {n: Mask(*(np.full(s.layer.neurons, n in on),) * 2) for n, s in trainer.sites.items()}


def test_a_trial_is_plain_training_of_the_selected_layers() -> None:
    """30 samples in batches of 32, two epochs, 15 held out; batch normalization as in training."""
    model, twin = network(3), network(3)
    analysis = analysis_of(trainer_of(model))
    found = analysis.accuracy(masks_of(trainer_of(model), "hidden", "head"), 20, 0.2)
    for layer in twin.layers:
        layer.trainable = layer.name in ("hidden", "head")
    twin.get_layer("normalization").trainable = True  # its statistics move, its factors do not
    frozen = [v.numpy() for v in twin.get_layer("normalization").trainable_variables]
    twin.compile(keras.optimizers.SGD(0.2), LOSS, jit_compile=False)
    x, y = data()
    for _ in range(20):
        twin.fit(x[:30], y[:30], batch_size=32, shuffle=False, verbose=0)
        variables = twin.get_layer("normalization").trainable_variables
        for v, old in zip(variables, frozen, strict=True):
            v.assign(old)
    expected = np.mean(twin.predict(x[30:], verbose=0).argmax(axis=1) == y[30:])
    assert found == pytest.approx(expected)
    before = np.mean(network(3).predict(x[30:], verbose=0).argmax(axis=1) == y[30:])
    assert found != before


def test_a_trial_leaves_no_trace_but_its_cost() -> None:
    model = network()
    trainer = trainer_of(model)
    before = [np.array(v) for v in model.variables]
    state = [np.array(v) for v in trainer.variables]
    analysis = analysis_of(trainer)
    analysis.accuracy(masks_of(trainer, "hidden", "head"), 2, 0.1)
    # two layers' weight gradients, the error once through head
    hidden, head = FORWARD[3:]
    assert analysis.macs == 2 * 30 * (sum(FORWARD) + hidden + head + head) + 15 * sum(FORWARD)
    for old, new in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, new)
    for old, new in zip(state, trainer.variables, strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_same_trial_twice_is_the_same() -> None:
    trainer = trainer_of(network())
    analysis = analysis_of(trainer)
    masks = [masks_of(trainer, "head"), masks_of(trainer, "conv", "hidden", "head")]
    first = [analysis.accuracy(m, 3, 0.1) for m in masks]
    assert [analysis.accuracy(m, 3, 0.1) for m in reversed(masks)] == first[::-1]


def test_an_interrupted_trial_restores_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    trainer = trainer_of(model)
    before = [np.array(v) for v in model.variables]
    analysis = analysis_of(trainer)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(vars(analysis), "_predict", interrupted)
    with pytest.raises(KeyboardInterrupt):
        analysis.accuracy(masks_of(trainer, "head"), 1, 0.5)
    for old, new in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, new)


def test_kernels_are_given_by_input_channel_window_and_neuron() -> None:
    model = network()
    weights = analysis_of(trainer_of(model)).weights()
    conv = model.get_layer("conv").kernel.numpy()  # [3, 3, 2, 4]
    depthwise = model.get_layer("depthwise").kernel.numpy()  # [3, 3, 4, 2]
    assert {n: w.shape for n, w in weights.items()} == {
        "conv": (2, 9, 4),
        "depthwise": (1, 9, 8),
        "pointwise": (8, 1, 5),
        "hidden": (45, 1, 7),
        "head": (7, 1, 3),
    }
    assert weights["conv"][1, 5, 2] == conv[1, 2, 1, 2]
    assert weights["depthwise"][0, 5, 2 * 2 + 1] == depthwise[1, 2, 2, 1]
    assert weights["hidden"][6, 0, 3] == model.get_layer("hidden").kernel.numpy()[6, 3]


def test_a_model_without_classes_is_refused() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="a"), layers.Dense(1)])
    trainer = OdlModel(
        model,
        get_method("sparse-update", budget="100%"),
        support_data=(np.zeros((30, 4), np.float32), np.zeros(30)),
    )
    trainer.compile(keras.optimizers.SGD(0.1), "mse")
    with pytest.raises(UserError, match="needs an output per class"):
        trainer.fit(np.zeros((30, 4), np.float32), np.zeros(30), verbose=0)


# -- the trainer's hook -------------------------------------------------------------------------

METHODS = {
    "tinytrain": get_method("tinytrain", budget="30%"),
    "sparse-update": get_method("sparse-update", budget="30%", settings={"samples": "45"}),
    "outputs": get_method("sparse-update", budget="30%", settings={"channels": "output"}),
}


@pytest.mark.parametrize("name", METHODS)
def test_the_analysis_runs_once_before_the_first_epoch_and_is_counted(name: str) -> None:
    trainer = trainer_of(network(), METHODS[name])
    assert trainer.selection_macs == 0 and not trainer.masks
    x, y = data(60, 5)
    trainer.fit(x, y, epochs=2, batch_size=16, verbose=0)
    macs, masks = trainer.selection_macs, trainer.masks
    assert macs > 45 * sum(FORWARD)
    budget = METHODS[name].budget
    assert 0 < budget.cost(trainer.layers_in_order, masks) <= budget.limit(trainer.layers_in_order)
    trainer.fit(x, y, epochs=2, batch_size=16, verbose=0)
    assert trainer.selection_macs == macs
    for n, mask in masks.items():
        np.testing.assert_array_equal(mask.kernel, trainer.masks[n].kernel)


@pytest.mark.parametrize("name", METHODS)
def test_what_the_masks_freeze_does_not_move(name: str) -> None:
    trainer = trainer_of(network(), METHODS[name])
    trainer.analyse()
    before = {v.path: np.array(v) for v in trainer.model.trainable_variables}
    trainer.fit(*data(60, 5), epochs=2, batch_size=16, verbose=0)
    moved = 0
    for site_name, site in trainer.sites.items():
        mask = trainer.masks[site_name]
        kernel = np.array(site.kernel) != before[site.kernel.path]
        kernel = kernel.reshape(-1, *kernel.shape[-2:])
        if site.layer.kind == "depthwise":
            kernel = kernel.reshape(len(kernel), -1)
            assert not kernel[:, ~mask.kernel].any()
        else:
            assert not kernel[:, :, ~mask.kernel].any()
            if mask.inputs is not None:
                assert not kernel[:, ~mask.inputs].any()
                assert kernel[:, mask.inputs].any()
        moved += int(kernel.sum())
        for variable, part in [(site.bias, "bias"), *((v, "scale") for v in site.scales)]:
            if variable is not None:
                changed = np.array(variable) != before[variable.path]
                assert not changed[~mask.part(part)].any(), (site_name, part)
    assert moved > 0


def test_a_saved_model_keeps_what_was_found(tmp_path) -> None:
    trainer = trainer_of(network(), METHODS["sparse-update"])
    trainer.fit(*data(60, 5), epochs=1, batch_size=16, verbose=0)
    trainer.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert copy.selection_macs == trainer.selection_macs
    assert copy.method.selector.files(copy.selector_state) == trainer.method.selector.files(
        trainer.selector_state
    )
    for name, mask in trainer.masks.items():
        for part in ("kernel", "bias", "scale", "shift"):
            np.testing.assert_array_equal(mask.part(part), copy.masks[name].part(part))
        every = np.ones(trainer.layer(name).in_channels, bool)
        inputs = [every if m.inputs is None else m.inputs for m in (mask, copy.masks[name])]
        np.testing.assert_array_equal(*inputs)
    x, y = data(60, 5)
    for t in (trainer, copy):
        t.fit(x, y, epochs=2, initial_epoch=1, batch_size=16, shuffle=False, verbose=0)
    for one, other in zip(trainer.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_support_data_are_asked_for() -> None:
    trainer = OdlModel(network(), get_method("tinytrain"))
    trainer.compile(keras.optimizers.SGD(0.1), LOSS, run_eagerly=True)
    with pytest.raises(UserError, match="selector 'tinytrain' needs support_data"):
        trainer.fit(*data(), verbose=0)
    with pytest.raises(UserError, match="nothing is selected yet"):
        trainer.train_on_batch(*data())


def test_a_budget_too_small_is_refused_at_once() -> None:
    for name in ("tinytrain", "sparse-update"):
        with pytest.raises(UserError, match="has no room for"):
            OdlModel(network(), get_method(name, budget="3"))


# -- support sets -------------------------------------------------------------------------------


def test_a_support_set_has_as_many_of_every_class_as_there_are() -> None:
    y = np.repeat([0, 1, 2], [100, 50, 3])
    x = np.arange(len(y), dtype=np.float32)[:, None]
    chosen, labels = support_set(x, y, 43, seed=1)
    assert np.bincount(labels).tolist() == [20, 20, 3]
    np.testing.assert_array_equal(y[chosen[:, 0].astype(int)], labels)
    assert len(np.unique(chosen)) == 43
    again, _ = support_set(x, y, 43, seed=1)
    other, _ = support_set(x, y, 43, seed=2)
    np.testing.assert_array_equal(chosen, again)
    assert not np.array_equal(chosen, other)
    assert len(np.unique(labels[:9])) > 1, "they are mixed"
    assert len(support_set(x, y, 1000, seed=1)[1]) == len(y)


# -- what optimizers keep -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "kept"),
    [
        (keras.optimizers.SGD(0.1), 0),
        (keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 5)), 0),
        (keras.optimizers.SGD(0.1, momentum=0.9), 4),
        (keras.optimizers.Adam(), 8),
        (keras.optimizers.AdamW(), 8),
        (keras.optimizers.Adam(amsgrad=True), 12),
    ],
)
def test_state_of_optimizers(optimizer: keras.optimizers.Optimizer, kept: int) -> None:
    assert state_bytes(optimizer) == kept


def test_a_budget_in_bytes_pays_for_the_optimizer() -> None:
    """Adam keeps 8 bytes per updated parameter: fewer neurons fit."""
    updated = {}
    for name, optimizer in (
        ("sgd", keras.optimizers.SGD(0.1)),
        ("adam", keras.optimizers.Adam(0.1)),
    ):
        trainer = OdlModel(network(), get_method("random", budget="2KiB"))
        trainer.compile(optimizer, LOSS)
        kept = 8 if name == "adam" else 0
        total = 0
        for site_name, site in trainer.sites.items():
            count, layer = int(trainer.masks[site_name].kernel.sum()), site.layer
            values = count * (layer.fan_in + 1)
            total += count * layer.fan_in + 4 * count + kept * values
            total += int(np.prod(trainer.model.get_layer(site_name).input.shape[1:])) * (count > 0)
        assert total <= 2048
        updated[name] = sum(int(m.kernel.sum()) for m in trainer.masks.values())
    assert updated["adam"] < updated["sgd"]
