"""Layers in groups of channels: the same bits in less memory."""

import keras
import numpy as np
import pytest

from tf_odl.converters import reference
from tf_odl.converters.export import export
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.memory import HOST, plan_memory
from tf_odl.converters.split import split_channels, split_to_fit
from tf_odl.converters.targets import get_target
from tf_odl.errors import UserError
from tf_odl.methods import get_method
from tf_odl.models import build
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

X = np.random.default_rng(0).uniform(-1, 1, (8, 24, 24, 3)).astype(np.float32)


def mobile_block(stride: int, use_bias: bool = True) -> keras.Model:
    """An expanding convolution and a depthwise one, and a head that reads them."""
    layers = keras.layers
    inputs = keras.Input((24, 24, 3))
    x = layers.Conv2D(20, 1, activation="relu6", use_bias=use_bias, name="expand")(inputs)
    x = layers.DepthwiseConv2D(
        3, stride, "same", activation="relu6", use_bias=use_bias, name="depthwise"
    )(x)
    x = layers.Conv2D(6, 1, name="project")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(4, name="head")(x), name="mobile_block")


def exported(model, folder, x=X, arena_bytes=None, train_layers=1):
    target = get_target("nano33")
    if arena_bytes is not None:
        target = type(target)(**{**vars(target), "arena_bytes": arena_bytes})
    method = get_method("tinypropv2")
    return export(
        model,
        x,
        target=target,
        out_dir=folder,
        sparsifier=method.sparsifier,
        skip_rule=method.skip,
        train_layers=train_layers,
    )


def codes(model: bytes, x: np.ndarray) -> np.ndarray:
    return reference.infer(model, reference.quantize_input(model, x))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("groups", [2, 3, 7, 20])
def test_groups_give_the_same_bits_in_less_memory(stride, use_bias, groups, tmp_path):
    report = exported(mobile_block(stride, use_bias), tmp_path / "e")
    model = (report.folder / "model.tflite").read_bytes()
    flat = FlatModel(model)
    assert split_channels(flat, "depthwise", groups)
    grouped = flat.pack()
    kinds = [flat.op_name(op) for op in flat.operators]
    assert kinds.count("DEPTHWISE_CONV_2D") == groups
    np.testing.assert_array_equal(codes(grouped, X), codes(model, X))
    assert plan_memory(grouped).planned_bytes < plan_memory(model).planned_bytes


def test_what_cannot_be_grouped_is_left_alone(tmp_path):
    report = exported(mobile_block(1), tmp_path / "e")
    model = (report.folder / "model.tflite").read_bytes()
    for name, groups in (("depthwise", 21), ("project", 2), ("nothing", 2)):
        flat = FlatModel(model)
        before = len(flat.operators)
        assert not split_channels(flat, name, groups)
        assert len(flat.operators) == before


def test_a_shared_tensor_is_not_grouped(tmp_path):
    layers = keras.layers
    inputs = keras.Input((24, 24, 3))
    x = layers.Conv2D(16, 1, activation="relu", name="expand")(inputs)
    y = layers.DepthwiseConv2D(3, 1, "same", name="depthwise")(x)
    x = layers.GlobalAveragePooling2D()(layers.Add()([x, y]))
    model = keras.Model(inputs, layers.Dense(4)(x))
    report = exported(model, tmp_path / "e")
    flat = FlatModel((report.folder / "model.tflite").read_bytes())
    assert not split_channels(flat, "depthwise", 2)


def test_layers_that_train_and_those_behind_them_are_left_alone(tmp_path):
    report = exported(mobile_block(2), tmp_path / "e")
    model = (report.folder / "model.tflite").read_bytes()
    assert split_to_fit(model, ["expand"], plan_memory, 1000) == (model, {})
    assert split_to_fit(model, ["depthwise"], plan_memory, 1000) == (model, {})
    grouped, groups = split_to_fit(model, ["project", "head"], plan_memory, 1000)
    assert grouped != model and set(groups) == {"depthwise"}


def test_nothing_is_grouped_when_the_model_fits(tmp_path):
    report = exported(mobile_block(2), tmp_path / "e")
    model = (report.folder / "model.tflite").read_bytes()
    assert split_to_fit(model, ["head"], plan_memory, 10**6) == (model, {})
    assert "channel_groups" not in report.plan


def test_an_export_that_does_not_fit_is_grouped_until_it_does(tmp_path):
    plain = exported(mobile_block(2), tmp_path / "plain")
    limit = plain.plan["training"]["arena_bytes"] - 1
    grouped = exported(mobile_block(2), tmp_path / "grouped", arena_bytes=limit)
    assert grouped.plan["fits"] and grouped.plan["training"]["arena_bytes"] <= limit
    assert set(grouped.plan["channel_groups"]) == {"depthwise"}
    with pytest.raises(UserError, match="does not fit"):
        exported(mobile_block(2), tmp_path / "small", arena_bytes=4000)
    assert not (tmp_path / "small").exists()


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory):
    x = np.random.default_rng(1).uniform(-1, 1, (4, 96, 96, 3)).astype(np.float32)
    model = build("mobilenetv2-0.35", (96, 96, 3), 10, 0)
    return exported(model, tmp_path_factory.mktemp("mobilenet") / "e", x), x


def test_mobilenet_fits_the_nano(mobilenet):
    """Its inference alone needs more than the arena of the board without groups."""
    report, _ = mobilenet
    assert report.plan["channel_groups"]
    assert report.plan["training"]["arena_bytes"] <= get_target("nano33").arena_bytes


@pytest.mark.skipif(available() is not None, reason=str(available()))
def test_grouped_mobilenet_in_tflm(mobilenet):
    """The real TFLM infers as TensorFlow Lite's reference kernels do, learns, and uses the arena
    that was planned: never more, and no more than 2 % less."""
    report, x = mobilenet
    model = (report.folder / "model.tflite").read_bytes()
    graph = (report.folder / "model_train.tflite").read_bytes()
    samples = reference.quantize_input(model, x)
    planned = plan_memory(graph, HOST).arena_bytes
    with TrainingInterpreter(graph) as board:
        np.testing.assert_array_equal(board.infer(samples), reference.infer(model, samples))
        assert 0.98 * planned <= board.arena_used_bytes <= planned
        _, reports = board.train(np.repeat(samples[:1], 12, axis=0), [3] * 12)
    assert reports[-1, 0] < reports[0, 0]
