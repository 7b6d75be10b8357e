"""Built-in models, models from files, and files that hold none."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tf_odl import models
from tf_odl.data import load
from tf_odl.errors import UserError
from tf_odl.methods import get_method
from tf_odl.task import Loss
from tf_odl.trainer.instrument import find_sites
from tf_odl.trainer.model import OdlModel

L = keras.layers


@pytest.mark.parametrize(
    ("name", "shape"),
    [("mlp5", (12,)), ("mlp5", (8, 8, 1)), ("cnn5", (9, 8, 3)), ("cnn5-1d", (30, 3))],
)
def test_built_in_models_have_five_layers_and_logits(name, shape):
    model = models.build(name, shape, 4, seed=1)
    assert model.output_shape == (None, 4) and len(find_sites(model)) == 5
    assert model.layers[-1].activation is keras.activations.linear
    again = models.build(name, shape, 4, seed=1)
    pairs = zip(model.get_weights(), again.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("cnn5", (12,)), ("cnn5", (3, 9, 1)), ("cnn5-1d", (8, 8, 1)), ("cnn5-1d", (2, 3))],
)
def test_built_in_models_say_which_samples_they_need(name, shape):
    with pytest.raises(UserError, match=f"{name} needs .*{shape[0]}"):
        models.build(name, shape, 4, seed=0)


def test_the_demonstrations_model_knows_upright_digits_and_not_rotated_ones():
    model = models.pretrain_digits(0)
    assert model.count_params() < 10_000

    def accuracy(shift: str | None) -> float:
        data = load("digits", shift=shift)
        return float((model.predict(data.x_test, verbose=0).argmax(1) == data.y_test).mean())

    assert accuracy(None) >= 0.97
    assert accuracy("rotate:30") < 0.75, "there has to be something to learn"


def test_a_saved_model_comes_back_and_of_a_trainer_the_model_inside(tmp_path):
    model = models.build("mlp5", (6,), 3, seed=0)
    x = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "plain.keras")
    OdlModel(model, get_method("tinypropv2")).save(tmp_path / "trainer.keras")
    for name in ("plain.keras", "trainer.keras"):
        loaded = models.load(tmp_path / name)
        assert not isinstance(loaded, OdlModel)
        assert np.array_equal(loaded.predict(x, verbose=0), expected)


class Unknown(L.Layer):
    def call(self, x):
        return 2 * x


def _functional(make) -> keras.Model:
    inputs = keras.Input((6,))
    return keras.Model(inputs, make(inputs))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: _functional(lambda x: L.Dense(3)(Unknown()(x))), "'Unknown' is not part of Keras"),
        (lambda: _functional(lambda x: L.Lambda(lambda v: 2 * v)(L.Dense(3)(x))), "Lambda"),
        (lambda: _functional(lambda x: [L.Dense(3)(x), L.Dense(2)(x)]), "1 input and 2 outputs"),
        (lambda: keras.Sequential([keras.Input((None, 2)), L.GlobalAveragePooling1D(), L.Dense(3)]),
         "must be fixed"),
        (lambda: keras.Sequential([L.Dense(3)]), "no weights"),
        (lambda: keras.Sequential([keras.Input((3,)), L.ReLU()]), "no weights"),
    ],
)  # fmt: skip
def test_models_that_cannot_be_used(tmp_path, build, message):
    build().save(tmp_path / "model.keras")
    with pytest.raises(UserError, match=message):
        models.load(tmp_path / "model.keras")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 damaged"])
def test_files_that_hold_no_model(tmp_path, content):
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.keras"):
        models.load(path)


def test_a_truncated_model(tmp_path):
    path = tmp_path / "model.keras"
    models.build("mlp5", (6,), 3, seed=0).save(path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UserError, match=r"model\.keras"):
        models.load(path)


def test_missing_files_and_other_suffixes(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        models.load(tmp_path / "model.keras")
    with pytest.raises(UserError, match=r"\.keras file"):
        models.load(tmp_path / "model.pt")


@pytest.mark.parametrize(
    "make",
    [lambda x: L.Reshape((3, 2))(L.Dense(6)(x)), lambda x: L.Dense(1)(x)],
    ids=["a map", "one output"],
)
def test_a_classifier_has_an_output_for_each_class(make):
    data = load("digits")
    with pytest.raises(UserError, match="two or more classes"):
        models.check_learns(_functional(make), data, Loss.CROSS_ENTROPY)


def test_data_and_model_must_fit():
    digits = load("digits")
    models.check_fits_data(models.build("cnn5", (8, 8, 1), 12, seed=0), digits)
    with pytest.raises(UserError, match=r"\(9, 8, 1\).*\(8, 8, 1\)"):
        models.check_fits_data(models.build("cnn5", (9, 8, 1), 10, seed=0), digits)
    with pytest.raises(UserError, match=r"7 outputs.*out of range"):
        models.check_fits_data(models.build("cnn5", (8, 8, 1), 7, seed=0), digits)


def test_statistics_of_batch_normalization_come_from_data():
    model = models.build("resnet8", (8, 8, 3), 4, seed=0)
    momenta = {x.momentum for x in model.layers if isinstance(x, L.BatchNormalization)}
    x = np.random.default_rng(0).normal(3, 2, (40, 8, 8, 3)).astype(np.float32)
    models.set_statistics(model, x)
    for layer in (v for v in model.layers if isinstance(v, L.BatchNormalization)):
        before = keras.Model(model.input, layer.input).predict(x, batch_size=40, verbose=0)
        np.testing.assert_allclose(layer.moving_mean, before.mean((0, 1, 2)), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(layer.moving_variance, before.var((0, 1, 2)), rtol=1e-3)
    assert {x.momentum for x in model.layers if isinstance(x, L.BatchNormalization)} == momenta
    plain = models.build("mlp5", (6,), 3, seed=0)
    weights = plain.get_weights()
    models.set_statistics(plain, x[:, 0, :2, 0])
    assert all(np.array_equal(a, b) for a, b in zip(weights, plain.get_weights(), strict=True))


def test_a_model_without_a_name_has_that_of_its_file(tmp_path):
    """As TensorFlow takes it; it runs and is saved under it. A name of its own stays."""
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    plain.save(tmp_path / "my sensor (2).keras")
    model = models.load(tmp_path / "my sensor (2).keras")
    assert model.name == "my_sensor__2_"
    x = np.ones((1, 4), np.float32)
    np.testing.assert_array_equal(model.predict(x, verbose=0), plain.predict(x, verbose=0))
    model.save(tmp_path / "copy.keras")
    assert models.load(tmp_path / "copy.keras").name == "my_sensor__2_"
    named = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="thermometer")
    named.save(tmp_path / "model.keras")
    assert models.load(tmp_path / "model.keras").name == "thermometer"
