"""DS-CNN and ResNet8 against the published figures of Hello Edge and MLPerf Tiny."""

from __future__ import annotations

import math

import keras
import pytest
from model_counts import forward_macs, full_backward_macs, weighted

from tf_odl import models
from tf_odl.errors import UserError
from tf_odl.methods import get_method
from tf_odl.trainer import effort
from tf_odl.trainer.model import OdlModel


def parameters(model: keras.Model) -> dict[str, int]:
    """All; kernels alone; kernels and biases as they are after folding batch normalization."""
    kernels = sum(math.prod(x.kernel.shape) for x in weighted(model))
    neurons = sum(x.output.shape[-1] for x in weighted(model))
    return {"all": model.count_params(), "kernels": kernels, "folded": kernels + neurons}


def test_ds_cnn_has_the_published_size():
    """Hello Edge, DS-CNN S: 38.6 KB, int8 weights and two activation buffers; 5.4 M operations."""
    model = models.build("ds-cnn", (49, 10, 1), 12, seed=0)
    assert model.output_shape == (None, 12)
    counts = parameters(model)
    # convolution 10x4, 4 x (depthwise 3x3, pointwise), dense; biases.
    assert counts["kernels"] == 40 * 64 + 4 * (9 * 64 + 64 * 64) + 64 * 12
    assert counts["folded"] == 22_604
    assert counts["all"] == 24_908
    assert model.get_layer("conv").output.shape == (None, 25, 5, 64)
    assert counts["folded"] + 2 * 25 * 5 * 64 == 38_604
    macs = sum(map(forward_macs, weighted(model)))
    assert macs == 125 * 64 * (40 + 4 * (9 + 64)) + 64 * 12 == 2_656_768
    assert round(2 * macs / 1e6, 1) == 5.3  # two operations per MAC; they count pooling as well


def test_resnet8_has_the_published_size():
    """MLPerf Tiny, image classification: 78,666 parameters (77,360 weights), 12.5 M MACs."""
    model = models.build("resnet8", (32, 32, 3), 10, seed=0)
    counts = parameters(model)
    assert counts["all"] == 78_666
    assert counts["kernels"] == 77_360
    macs = {x.name: forward_macs(x) for x in weighted(model)}
    assert macs == {
        "conv": 32 * 32 * 16 * 27,
        "block1_conv1": 32 * 32 * 16 * 144,
        "block1_conv2": 32 * 32 * 16 * 144,
        "block2_conv1": 16 * 16 * 32 * 144,
        "block2_conv2": 16 * 16 * 32 * 288,
        "block2_shortcut": 16 * 16 * 32 * 16,
        "block3_conv1": 8 * 8 * 64 * 288,
        "block3_conv2": 8 * 8 * 64 * 576,
        "block3_shortcut": 8 * 8 * 64 * 32,
        "head": 640,
    }
    assert sum(macs.values()) == 12_501_632


@pytest.mark.parametrize(("name", "shape"), [("ds-cnn", (49, 10, 1)), ("resnet8", (32, 32, 3))])
def test_the_trainer_counts_the_same(name, shape):
    model = models.build(name, shape, 10, seed=0)
    layers = OdlModel(model, get_method("full")).layers_in_order
    assert {x.name: x.outputs * x.fan_in for x in layers} == {
        x.name: forward_macs(x) for x in weighted(model)
    }
    first = forward_macs(model.get_layer("conv"))
    backward = effort.full_backward_macs(layers)
    assert backward == full_backward_macs(model) == 2 * effort.forward_macs(layers) - first


def test_ds_cnn_takes_spectra_with_and_without_channels():
    for shape in ((49, 10), (49, 10, 1), (60, 13, 2)):
        model = models.build("ds-cnn", shape, 5, seed=0)
        assert model.input_shape == (None, *shape) and model.output_shape == (None, 5)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("ds-cnn", (49,)),
        ("ds-cnn", (9, 10)),
        ("ds-cnn", (49, 3, 1)),
        ("ds-cnn", (2, 49, 10, 1)),
        ("resnet8", (7, 32, 3)),
        ("resnet8", (32, 32)),
    ],
)
def test_they_say_which_samples_they_need(name, shape):
    with pytest.raises(UserError, match=rf"{name} needs .* at least .*\({shape[0]},"):
        models.build(name, shape, 4, seed=0)


@pytest.mark.parametrize("name", ["ds-cnn", "resnet8"])
def test_logits_named_layers_and_a_seed(name):
    model, again = (models.build(name, (16, 16, 1), 4, seed=3) for _ in range(2))
    assert model.layers[-1].activation is keras.activations.linear
    assert [x.name for x in model.layers[1:]] == [x.name for x in again.layers[1:]]
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        assert (a == b).all()
