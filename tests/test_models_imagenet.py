"""MobileNetV2, ResNet18 and ResNet50 against published counts and the Velocity poster's budgets."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_counts import forward_macs, full_backward_macs, upstream, weighted

from tf_odl import models
from tf_odl.errors import UserError
from tf_odl.methods import get_method
from tf_odl.trainer import effort
from tf_odl.trainer.instrument import find_sites
from tf_odl.trainer.model import OdlModel

SHAPE, CLASSES = (224, 224, 3), 1000
NAMES = ("mobilenetv2", "resnet18", "resnet50")

# Velocity poster, Table 1: budgets in parameters.
MOBILENETV2_BUDGETS = (192_311, 464_639, 675_540)
RESNET18_BUDGET = 3_444_987
RESNET50_BUDGETS = (2_059_888, 4_976_842)


@pytest.fixture(scope="module")
def built() -> dict[str, keras.Model]:
    return {name: models.build(name, SHAPE, CLASSES, seed=0) for name in NAMES}


def convolutions(model: keras.Model) -> list[keras.layers.Layer]:
    return [x for x in weighted(model) if not isinstance(x, keras.layers.Dense)]


def convolution_weights(model: keras.Model) -> int:
    return sum(math.prod(x.kernel.shape) for x in convolutions(model))


def trainable(model: keras.Model) -> int:
    return sum(math.prod(v.shape) for v in model.trainable_variables)


def test_parameters_are_the_published_ones(built):
    # torchvision's counts, which leave out the moving statistics.
    assert trainable(built["mobilenetv2"]) == 3_504_872
    assert trainable(built["resnet18"]) == 11_689_512
    # ResNet50 of keras.applications has a bias on every convolution, torchvision's has none.
    biases = sum(x.bias.shape[0] for x in convolutions(built["resnet50"]))
    assert trainable(built["resnet50"]) - biases == 25_557_032
    assert built["resnet50"].count_params() == 25_636_712  # keras.io/api/applications


def test_convolution_weights_are_the_velocity_posters(built):
    counts = {name: convolution_weights(model) for name, model in built.items()}
    assert counts == {"mobilenetv2": 2_189_760, "resnet18": 11_166_912, "resnet50": 23_454_912}


def test_the_posters_budgets(built):
    """One set of shares for all models, rounded down; ResNet50's are 11 parameters more."""
    counts = {name: convolution_weights(model) for name, model in built.items()}
    shares = [b / counts["mobilenetv2"] for b in MOBILENETV2_BUDGETS]
    assert [round(s, 4) for s in shares] == [0.0878, 0.2122, 0.3085]
    assert math.floor(shares[2] * counts["resnet18"]) == RESNET18_BUDGET
    of_resnet50 = [math.floor(s * counts["resnet50"]) for s in shares[:2]]
    assert [p - b for p, b in zip(RESNET50_BUDGETS, of_resnet50, strict=True)] == [11, 11]


@pytest.mark.parametrize(
    ("name", "published"),
    [("mobilenetv2", 300e6), ("resnet18", 1.81e9), ("resnet50", 3.86e9)],
)
def test_multiply_accumulates(built, name, published):
    """The papers' figures: 300 M, 1.8 G and 3.8 G; the trainer and Keras' graph agree exactly."""
    model = built[name]
    layers = [site.layer for site in find_sites(model)]
    assert {x.name: x.outputs * x.fan_in for x in layers} == {
        x.name: forward_macs(x) for x in weighted(model)
    }
    names = {x.name for x in layers}
    assert all(x.upstream == upstream(model.get_layer(x.name)) & names for x in layers)
    forward = effort.forward_macs(layers)
    assert forward == pytest.approx(published, rel=5e-3)
    first = forward_macs(weighted(model)[0])
    assert effort.full_backward_macs(layers) == full_backward_macs(model) == 2 * forward - first


@pytest.mark.parametrize("name", ["mobilenetv2-0.35", "resnet18", "resnet50"])
def test_every_parameter_has_a_neuron(name):
    """Also those of batch normalization: all selectors can mask these models."""
    model = models.build(name, (32, 32, 3), 10, seed=0)
    sites = find_sites(model)
    owned = [v for site in sites for v, *_ in site.masked()]
    assert {id(v) for v in owned} == {id(v) for v in model.trainable_variables}
    assert len(owned) == len(model.trainable_variables)
    per_neuron = sum(s.layer.neurons * s.layer.parameters_per_neuron for s in sites)
    assert per_neuron == trainable(model)


@pytest.mark.parametrize("scope", ["all", "authors"])
@pytest.mark.parametrize(
    ("name", "budget"),
    [
        *(("mobilenetv2", b) for b in MOBILENETV2_BUDGETS),
        ("resnet18", RESNET18_BUDGET),
        *(("resnet50", b) for b in RESNET50_BUDGETS),
    ],
)
def test_random_masks_stay_within_the_posters_budgets(name, budget, scope):
    """`authors`: convolutions compete, normalization and the classifier train at no cost."""
    model = models.build(name, (32, 32, 3), 10, seed=0)
    method = get_method("random", budget=str(budget), settings={"scope": scope})
    trainer = OdlModel(model, method)
    spent = 0
    for name, site in trainer.sites.items():
        for v, part, _ in site.masked():
            chosen = trainer.masks[name].part(part)
            if scope == "authors" and (site.layer.kind == "dense" or part in ("scale", "shift")):
                assert chosen.all()
                continue
            depthwise = v is site.kernel and site.layer.kind == "depthwise"
            spent += math.prod(v.shape[: -2 if depthwise else -1]) * int(chosen.sum())
    dearest = max(x.parameters_per_neuron for x in trainer.layers_in_order)
    assert budget - dearest < spent <= budget


def test_widths_of_mobilenetv2():
    # Parameters of keras.applications' MobileNetV2 without the classifier, keras.io.
    for name, alpha, body in (
        ("mobilenetv2-0.35", 0.35, 410_208),
        ("mobilenetv2-0.5", 0.5, 706_224),
        ("mobilenetv2-1", 1.0, 2_257_984),
        ("mobilenetv2-1.4", 1.4, 4_363_712),
    ):
        model = models.build(name, (32, 48, 3), 7, seed=0)
        head = weighted(model)[-1]
        assert head.kernel.shape[0] == (1280 if alpha <= 1 else 1792)
        assert model.count_params() - head.count_params() == body
    grey = models.build("mobilenetv2-0.35", (64, 64, 1), 7, seed=0)
    assert grey.input_shape == (None, 64, 64, 1)


def test_images_can_be_enlarged_by_the_model():
    """NAME@SIZE: the model for that size, with the weights it has without, after tf.image's."""
    x = np.random.default_rng(0).random((2, 32, 16, 3), np.float32)
    for name in ("mobilenetv2-0.35", "resnet18"):
        model = models.build(f"{name}@64", (32, 16, 3), 5, seed=2)
        plain = models.build(name, (64, 64, 3), 5, seed=2)
        assert model.name == name and model.input_shape == (None, 32, 16, 3)
        np.testing.assert_allclose(
            model(x), plain(tf.image.resize(x, (64, 64))), rtol=1e-4, atol=1e-5
        )
        layers, others = ([s.layer for s in find_sites(m)] for m in (model, plain))
        assert layers == others
    same = models.build("resnet18@64", (64, 64, 3), 5, seed=2)
    assert len(same.layers) == len(plain.layers)
    with pytest.raises(UserError, match=r"resnet18@72: 72 is no multiple of the samples' 32x16"):
        models.build("resnet18@72", (32, 16, 3), 5, seed=0)
    with pytest.raises(UserError, match=r"resnet18 needs images .* at least 32x32"):
        models.build("resnet18@16", (16, 8, 3), 5, seed=0)
    with pytest.raises(UserError, match=r"resnet18@64 needs images .*\(49, 10\)"):
        models.build("resnet18@64", (49, 10), 5, seed=0)


def test_names():
    known = ("mobilenetv2-0.35", "mobilenetv2-1.4@96", "mobilenetv2@160", "resnet50@224")
    assert all(models.is_built_in(n) for n in (*models.MODELS, *known))
    unknown = (
        "mobilenetv3",
        "resnet50-0.5",
        "mobilenetv2-",
        "my.keras",
        "cnn5@32",
        "resnet18@",
        "",
    )
    assert not any(models.is_built_in(n) for n in unknown)
    for name in ("mobilenetv2-0", "mobilenetv2-3"):
        with pytest.raises(UserError, match=r"width of MobileNetV2 is 0\.1 to 2\.0"):
            models.is_built_in(name)
    with pytest.raises(UserError, match=r"no model 'resnet'.*resnet18"):
        models.build("resnet", SHAPE, 10, seed=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(31, 32, 3), (32, 31, 1), (224, 224), (49, 10, 1)])
def test_small_images_are_refused(name, shape):
    with pytest.raises(UserError, match=rf"{name} needs images .* of at least 32x32.*\({shape[0]}"):
        models.build(name, shape, 10, seed=0)


def test_resnet18_pads_alike_on_all_sides():
    """Mirrored images give mirrored maps where the last column is not dropped by the strides."""
    model = models.build("resnet18", (65, 65, 3), 4, seed=0)
    body = keras.Model(model.input, model.get_layer("stage4_block2_relu2").output)
    for layer in weighted(model)[:-1]:  # mirror-symmetric kernels
        kernel = np.array(layer.kernel)
        layer.kernel.assign((kernel + kernel[:, ::-1]) / 2)
    x = np.random.default_rng(0).random((1, 65, 65, 3), np.float32)
    plain, mirrored = (body.predict(v, verbose=0) for v in (x, x[:, :, ::-1]))
    assert plain.shape[1:3] == (3, 3)
    np.testing.assert_allclose(plain[:, :, ::-1], mirrored, rtol=1e-3, atol=1e-4 * plain.max())
