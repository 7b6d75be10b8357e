"""Pretrained weights: every kind of file, replaced heads, preprocessing, files that do not fit."""

from __future__ import annotations

import json
import urllib.error
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from tf_odl import models
from tf_odl.cli import main
from tf_odl.errors import UserError
from tf_odl.methods import get_method
from tf_odl.trainer.instrument import find_sites
from tf_odl.trainer.model import OdlModel

SHAPE = (32, 32, 3)


def trained(name: str, classes: int, shape: tuple[int, ...] = SHAPE) -> keras.Model:
    """A model of which no weight is as it was built."""
    model = models.build(name, shape, classes, seed=11)
    rng = np.random.default_rng(5)
    model.set_weights([w + rng.uniform(0.01, 0.05, w.shape) for w in model.get_weights()])
    return model


def images(count: int = 3, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(1).random((count, *shape), np.float32)


def features(model: keras.Model) -> keras.Model:
    """The model without its output layer."""
    return keras.Model(model.inputs[0], model.layers[-1].input)


def run(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return model(x, training=False).numpy()


def save_legacy(model: keras.Model, path: Path, without: str | None = None) -> None:
    """The HDF5 layout of keras.applications' weight files, which Keras 3 reads but cannot write."""
    layers = [x for x in model.layers if x.name != without]
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [x.name.encode() for x in layers]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.2.4"
        for layer in layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{w.name}:0" for w in layer.weights]
            group.attrs["weight_names"] = [n.encode() for n in names]
            for name, value in zip(names, layer.get_weights(), strict=True):
                group.create_dataset(name, data=value)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5"])
@pytest.mark.parametrize(
    ("name", "shape"),
    [("cnn5", SHAPE), ("cnn5-1d", (30, 3)), ("ds-cnn", (16, 10)), ("resnet8", SHAPE)],
)
def test_all_weights_come_back(tmp_path, name, shape, suffix):
    source = trained(name, 4, shape)
    path = tmp_path / f"model{suffix}"
    (source.save_weights if suffix == ".weights.h5" else source.save)(path)
    model = models.load_weights(models.build(name, shape, 4, seed=0), str(path))
    for a, b in zip(model.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5"])
@pytest.mark.parametrize("name", ["cnn5", "resnet8"])
def test_another_number_of_classes_gets_a_fresh_head(tmp_path, name, suffix):
    source = trained(name, 4)
    path = tmp_path / f"model{suffix}"
    (source.save_weights if suffix == ".weights.h5" else source.save)(path)
    model = models.load_weights(models.build(name, SHAPE, 6, seed=3), str(path))
    fresh = models.build(name, SHAPE, 6, seed=3)
    x = images()
    np.testing.assert_array_equal(run(features(model), x), run(features(source), x))
    for a, b in zip(model.layers[-1].get_weights(), fresh.layers[-1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_trainers_file_and_another_resolution(tmp_path):
    source = trained("resnet8", 4)
    OdlModel(source, get_method("tinypropv2")).save(tmp_path / "trainer.keras")
    model = models.build("resnet8", (24, 40, 3), 4, seed=0)
    model = models.load_weights(model, str(tmp_path / "trainer.keras"))
    assert model.input_shape == (None, 24, 40, 3)
    for a, b in zip(model.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# -- keras.applications -------------------------------------------------------------------------

APPLICATIONS = {
    "mobilenetv2-0.35": (
        lambda: keras.applications.MobileNetV2(
            SHAPE, 0.35, include_top=False, weights=None, pooling="avg"
        ),
        keras.applications.mobilenet_v2.preprocess_input,
    ),
    "resnet50": (
        lambda: keras.applications.ResNet50(
            include_top=False, weights=None, input_shape=SHAPE, pooling="avg"
        ),
        keras.applications.resnet50.preprocess_input,
    ),
}


def application(name: str) -> keras.Model:
    """keras.applications' own model without output layer; no weight is as it was built."""
    keras.utils.set_random_seed(7)
    model = APPLICATIONS[name][0]()
    rng = np.random.default_rng(5)
    model.set_weights([w * rng.uniform(0.9, 1.1, w.shape) for w in model.get_weights()])
    return model


def expected_features(name: str, donor: keras.Model) -> np.ndarray:
    """What the application makes of the images by its documented preprocessing of 0..255."""
    return run(donor, APPLICATIONS[name][1](255 * images()))


@pytest.mark.parametrize("name", APPLICATIONS)
def test_notop_files_with_the_preprocessing_they_expect(tmp_path, name):
    donor = application(name)
    save_legacy(donor, tmp_path / "notop.h5")
    model = models.load_weights(models.build(name, SHAPE, 5, seed=0), str(tmp_path / "notop.h5"))
    want = expected_features(name, donor)
    found = run(features(model), images())
    np.testing.assert_allclose(found, want, rtol=1e-3, atol=1e-4 * np.abs(want).max())
    assert model.name == name and model.output_shape == (None, 5)
    assert model.layers[-1].activation is keras.activations.linear


def test_the_preprocessing_stays_with_the_model(tmp_path):
    """In a saved model, and in a model that takes its weights from there."""
    name = "mobilenetv2-0.35"
    save_legacy(application(name), tmp_path / "notop.h5")
    model = models.load_weights(models.build(name, SHAPE, 5, seed=0), str(tmp_path / "notop.h5"))
    assert len(find_sites(model)) == len(find_sites(models.build(name, SHAPE, 5, seed=0)))
    want = run(features(model), images())
    model.save(tmp_path / "tuned.keras")
    other = models.build(name, SHAPE, 9, seed=2)
    for again in (
        models.load(tmp_path / "tuned.keras"),
        models.load_weights(other, str(tmp_path / "tuned.keras")),
    ):
        np.testing.assert_array_equal(run(features(again), images()), want)
    sequential = models.build("cnn5", SHAPE, 4, seed=0)
    rescaled = keras.Sequential(
        [keras.Input(SHAPE), keras.layers.Rescaling(2.0), *sequential.layers]
    )
    rescaled.save(tmp_path / "rescaled.keras")
    with pytest.raises(UserError, match=r"begins with 'rescaling.*give that file as --model"):
        models.load_weights(models.build("cnn5", SHAPE, 4, 0), str(tmp_path / "rescaled.keras"))


def test_files_with_top(tmp_path):
    """1,000 classes are replaced; where the numbers agree, the classifier is kept."""
    source = trained("mobilenetv2-0.35", 10)
    save_legacy(source, tmp_path / "top.h5")
    for classes, same in ((10, True), (7, False)):
        model = models.build("mobilenetv2-0.35", SHAPE, classes, seed=0)
        fresh = model.layers[-1].get_weights()
        model = models.load_weights(model, str(tmp_path / "top.h5"))
        want = source.layers[-1].get_weights() if same else fresh
        for a, b in zip(model.layers[-1].get_weights(), want, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.fixture
def keras_folder(tmp_path, monkeypatch) -> Path:
    """Keras' folder for downloads; the network is down."""
    from keras.src.backend import config
    from keras.src.utils import file_utils

    def down(url, *args):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(config, "_KERAS_DIR", str(tmp_path / "keras"))
    monkeypatch.setattr(file_utils, "urlretrieve", down)
    (tmp_path / "keras/models").mkdir(parents=True)
    return tmp_path / "keras/models"


MOBILENETV2_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
RESNET50_FILE = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"


def test_imagenet_weights_from_keras_folder(keras_folder, capsys):
    name = "mobilenetv2-0.35"
    donor = application(name)
    save_legacy(donor, keras_folder / MOBILENETV2_FILE)
    model = models.load_weights(models.build(name, SHAPE, 5, seed=0), "imagenet")
    want = expected_features(name, donor)
    found = run(features(model), images())
    np.testing.assert_allclose(found, want, rtol=1e-3, atol=1e-4 * np.abs(want).max())


def test_models_that_enlarge_take_the_weights_of_their_size(keras_folder):
    """96 pixels have weights of their own; small images are rescaled, then enlarged."""
    donor = application("mobilenetv2-0.35")
    save_legacy(donor, keras_folder / MOBILENETV2_FILE.replace("224", "96"))
    model = models.build("mobilenetv2-0.35@96", SHAPE, 5, seed=0)
    model = models.load_weights(model, "imagenet")
    large = keras.applications.MobileNetV2(
        (96, 96, 3), 0.35, include_top=False, weights=None, pooling="avg"
    )
    large.set_weights(donor.get_weights())
    scaled = tf.image.resize(images(), (96, 96))
    want = run(large, keras.applications.mobilenet_v2.preprocess_input(255 * scaled))
    found = run(features(model), images())
    np.testing.assert_allclose(found, want, rtol=1e-3, atol=1e-4 * np.abs(want).max())


@pytest.mark.parametrize(
    ("name", "file"), [("mobilenetv2-0.35", MOBILENETV2_FILE), ("resnet50", RESNET50_FILE)]
)
def test_without_network_it_says_what_to_fetch_and_where_to_put_it(
    keras_folder, name, file, capsys
):
    model = models.build(name, SHAPE, 5, seed=0)
    with pytest.raises(UserError, match=r"not known.*elsewhere.*--weights.*/models") as refusal:
        models.load_weights(model, "imagenet")
    assert f"https://storage.googleapis.com/tensorflow/keras-applications/{name[:6]}" in str(
        refusal.value
    )
    assert str(refusal.value).count(file) == 2
    assert capsys.readouterr().out == "", "standard output belongs to --json"


def test_a_damaged_file_in_keras_folder(keras_folder):
    (keras_folder / MOBILENETV2_FILE).write_bytes(b"half a download")
    with pytest.raises(UserError, match="ImageNet weights cannot be loaded"):
        models.load_weights(models.build("mobilenetv2-0.35", SHAPE, 5, seed=0), "imagenet")


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("resnet18", SHAPE, "no ImageNet weights of resnet18, only of mobilenetv2 and resnet50"),
        ("cnn5", SHAPE, "no ImageNet weights of cnn5"),
        ("mobilenetv2-0.4", SHAPE, r"of mobilenetv2-0\.4, only of mobilenetv2-0\.35, "),
        ("mobilenetv2", (32, 32, 1), r"3 channels.*\(32, 32, 1\)"),
        ("resnet50", (32, 32, 4), r"3 channels.*\(32, 32, 4\)"),
    ],
)
def test_models_without_imagenet_weights(keras_folder, name, shape, message):
    with pytest.raises(UserError, match=message):
        models.load_weights(models.build(name, shape, 5, seed=0), "imagenet")


# -- files that do not fit ----------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5"])
@pytest.mark.parametrize(
    ("donor", "shape", "name", "layer"),
    [
        ("ds-cnn", (32, 32, 1), "ds-cnn", "conv"),
        ("cnn5", (16, 16, 3), "cnn5", "dense"),
        ("resnet8", SHAPE, "resnet18", "stem_conv"),
    ],
)
def test_mismatches_name_the_layer(tmp_path, donor, shape, name, layer, suffix):
    source = trained(donor, 4, shape)
    path = tmp_path / f"model{suffix}"
    (source.save_weights if suffix == ".weights.h5" else source.save)(path)
    model = models.build(name, SHAPE, 4, seed=0)
    with pytest.raises(UserError, match=rf"model{suffix} does not fit {name}: .*layer '{layer}"):
        models.load_weights(model, str(path))


def test_too_few_and_too_many_layers(tmp_path):
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(8, 3, padding="same")(inputs)
    short = keras.Model(inputs, keras.layers.Flatten()(x))
    short.save(tmp_path / "short.keras")
    with pytest.raises(UserError, match=r"does not fit cnn5: it has 1 layers with weights, cnn5 5"):
        models.load_weights(models.build("cnn5", SHAPE, 4, seed=0), str(tmp_path / "short.keras"))


def test_another_width_names_the_first_layer_of_another_shape(tmp_path):
    save_legacy(trained("mobilenetv2-0.35", 4), tmp_path / "narrow.h5")
    with pytest.raises(UserError, match=r"does not fit mobilenetv2-0\.5: .*'block_1_project'"):
        models.load_weights(
            models.build("mobilenetv2-0.5", SHAPE, 4, seed=0), str(tmp_path / "narrow.h5")
        )


def test_a_legacy_file_of_another_model_names_the_first_layer_it_lacks(tmp_path):
    save_legacy(trained("resnet8", 4), tmp_path / "resnet8.h5")
    with pytest.raises(UserError, match=r"does not fit mobilenetv2-0\.35: .*layer 'Conv1'"):
        models.load_weights(
            models.build("mobilenetv2-0.35", SHAPE, 4, seed=0), str(tmp_path / "resnet8.h5")
        )


@pytest.mark.parametrize("name", ["x.keras", "x.weights.h5", "x.h5"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 damaged"])
def test_damaged_files(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        models.load_weights(models.build("cnn5", SHAPE, 4, seed=0), str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.keras", "does not exist"), ("x.pt", r"give \.keras, .*imagenet"), ("imagnet", "give")],
)
def test_no_such_weights(tmp_path, name, message):
    (tmp_path / "x.pt").write_bytes(b"torch")
    path = name if name == "imagnet" else str(tmp_path / name)
    with pytest.raises(UserError, match=message):
        models.load_weights(models.build("cnn5", SHAPE, 4, seed=0), path)


# -- tf-odl finetune ----------------------------------------------------------------------------


def finetune(*arguments: object):
    return CliRunner().invoke(main, ["finetune", *map(str, arguments)])


def test_a_run_starts_from_pretrained_weights(tmp_path):
    """Digits 0..9, then only 0..4: the body comes from the first run, the head is fresh."""
    from tf_odl.data import load

    digits = load("digits")
    first, few = digits.y_train < 5, digits.y_test < 5
    np.savez(
        tmp_path / "few.npz",
        x_train=digits.x_train[first][:200],
        y_train=digits.y_train[first][:200],
        x_test=digits.x_test[few][:50],
        y_test=digits.y_test[few][:50],
    )
    short = ("--epochs", 1, "--method", "head", "--json")
    source = tmp_path / "source"
    model = ("--model", "resnet8")
    assert finetune(*model, "--data", "digits", "--out", source, *short).exit_code == 0
    weights = ("--weights", source / "model.keras")
    out = tmp_path / "run"
    result = finetune(*model, *weights, "--data", tmp_path / "few.npz", "--out", out, *short)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["settings"]["weights"] == str(source / "model.keras")
    assert record["model"]["pretrained"]
    before, start = (
        models.load(p / f) for p, f in ((source, "model.keras"), (out, "initial.keras"))
    )
    for a, b in zip(before.get_weights()[:-2], start.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(a, b)
    assert before.output_shape == (None, 10) and start.output_shape == (None, 5)


def test_a_fresh_run_starts_from_the_statistics_of_its_data(tmp_path):
    result = finetune(
        *("--model", "resnet8", "--data", "digits", "--samples", 64, "--epochs", 1),
        *("--method", "head", "--out", tmp_path / "run", "--json"),
    )
    assert result.exit_code == 0, result.output
    assert not json.loads(result.stdout)["model"]["pretrained"]
    start = models.load(tmp_path / "run/initial.keras")
    assert np.abs(np.array(start.get_layer("block3_conv2_bn").moving_mean)).max() > 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--weights", "imagenet"), "--weights are for a built-in model"),
        (("--weights", "x.h5", "--model", "m.keras", "--data", "digits"), "for a built-in model"),
        (("--weights", "no.keras", "--model", "mlp5", "--data", "digits"), "does not exist"),
        (("--weights", "imagenet", "--model", "mlp5", "--data", "digits"), "no ImageNet weights"),
        (("--model", "resnet18", "--data", "digits"), "of at least 32x32"),
    ],
)  # fmt: skip
def test_wrong_weights_are_refused_in_a_sentence(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("m.keras").touch()
    result = finetune(*arguments, "--out", "run")
    assert result.exit_code == 2, result.output
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()
