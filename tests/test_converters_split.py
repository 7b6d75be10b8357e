"""Layers in groups of channels: the same bits in less memory."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from build_graph import build_training_graph

from tf_odl.converters import reference
from tf_odl.converters.export import export
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.memory import HOST, plan_memory
from tf_odl.converters.split import parse_window, split_channels, split_to_fit
from tf_odl.converters.targets import get_target
from tf_odl.converters.write_back import with_variables, write_back
from tf_odl.errors import UserError
from tf_odl.methods import Mask, get_method
from tf_odl.methods.dense import Dense
from tf_odl.methods.never import Never
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
    model = FlatModel((report.folder / "model.tflite").read_bytes())
    assert split_to_fit(model, ["expand"], plan_memory, 1000) == (model, {})
    assert split_to_fit(model, ["depthwise"], plan_memory, 1000) == (model, {})
    grouped, groups = split_to_fit(model, ["project", "head"], plan_memory, 1000)
    assert len(grouped.operators) > len(model.operators) and set(groups) == {"depthwise"}


def test_nothing_is_grouped_when_the_model_fits(tmp_path):
    report = exported(mobile_block(2), tmp_path / "e")
    model = FlatModel((report.folder / "model.tflite").read_bytes())
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


@pytest.mark.skipif(available() is not None, reason=str(available()))
def test_the_error_of_a_mean_exists_for_one_group_at_a_time(tmp_path):
    """Below a wide convolution that does not train: the same bits forwards, nearly the same update
    of what trains, and less memory."""
    layers = keras.layers
    keras.utils.set_random_seed(4)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, activation="relu", name="low")(inputs)
    x = layers.Conv2D(64, 1, activation="relu6", name="wide")(x)
    x = layers.Dense(4, name="head")(layers.GlobalAveragePooling2D()(x))
    model, samples = keras.Model(inputs, x), X[:, :8, :8]
    method = {"sparsifier": Dense(), "skip_rule": Never(), "layers": ["low", "head"]}
    plain = export(
        model, samples, target=get_target("nano33"), out_dir=tmp_path / "plain", **method
    )
    arena = plain.plan["training"]["arena_bytes"] - 4000
    target = replace(get_target("nano33"), arena_bytes=arena)
    grouped = export(model, samples, target=target, out_dir=tmp_path / "grouped", **method)
    assert list(grouped.plan["channel_groups"].values()) != [] and grouped.plan["fits"]
    codes_in = reference.quantize_input((plain.folder / "model.tflite").read_bytes(), samples)
    learned = []
    for report in (plain, grouped):
        with TrainingInterpreter((report.folder / "model_train.tflite").read_bytes()) as board:
            before = board.infer(codes_in)
            board.train(codes_in, np.arange(len(codes_in)) % 4)
            state = board.variables()
        learned.append((before, [v for v in state if v.dtype == np.int8]))
    np.testing.assert_array_equal(learned[0][0], learned[1][0])
    for one, other in zip(learned[0][1], learned[1][1], strict=True):
        assert np.abs(one.astype(int) - other).max() <= 2


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory):
    x = np.random.default_rng(1).uniform(-1, 1, (4, 96, 96, 3)).astype(np.float32)
    model = build("mobilenetv2-0.35", (96, 96, 3), 10, 0)
    return exported(model, tmp_path_factory.mktemp("mobilenet") / "e", x, 90_000), x


def test_mobilenet_fits_a_small_board(mobilenet):
    """Its inference alone needs 206 KB as it is."""
    report, _ = mobilenet
    assert report.plan["channel_groups"]
    assert report.plan["training"]["arena_bytes"] <= 90_000
    graph = FlatModel((report.folder / "model_train.tflite").read_bytes())
    kinds = [graph.op_name(op) for op in graph.operators]
    assert "CONCATENATION" not in kinds, "groups write their channels side by side"


@pytest.mark.skipif(available() is not None, reason=str(available()))
def test_grouped_mobilenet_in_tflm(mobilenet):
    """The real TFLM infers as TensorFlow Lite's reference kernels do, learns, and uses the arena
    that was planned: never more, and no more than 2 % less."""
    report, x = mobilenet
    model = (report.folder / "model.tflite").read_bytes()
    graph = (report.folder / "model_train.tflite").read_bytes()
    samples = reference.quantize_input(model, x)
    planned = plan_memory(graph, HOST).used_bytes
    with TrainingInterpreter(graph) as board:
        np.testing.assert_array_equal(board.infer(samples), reference.infer(model, samples))
        assert 0.98 * planned <= board.arena_used_bytes <= planned
        _, reports = board.train(np.repeat(samples[:1], 12, axis=0), [3] * 12)
    assert reports[-1, 0] < reports[0, 0]


# -- windows of neurons ---------------------------------------------------------------------


def wide_model() -> keras.Model:
    layers = keras.layers
    keras.utils.set_random_seed(3)
    inputs = keras.Input((12, 12, 2))
    x = layers.Conv2D(24, 3, strides=2, activation="relu", name="conv1")(inputs)
    x = layers.Conv2D(40, 3, activation="relu", name="conv2")(x)
    y = layers.Conv2D(40, 1, name="branch")(x)
    x = layers.Flatten()(layers.Add()([x, y]))
    x = layers.Dense(48, activation="relu", name="wide")(x)
    return keras.Model(inputs, layers.Dense(5, name="head")(x), name="wide_model")


NEURONS = {"conv1": 24, "conv2": 40, "branch": 40, "wide": 48, "head": 5}
X12 = np.random.default_rng(5).normal(size=(40, 12, 12, 2)).astype(np.float32)


def board_export(folder, layers=None, masks=None):
    return export(
        wide_model(),
        X12,
        target=get_target("nano33"),
        out_dir=folder,
        sparsifier=Dense(),
        skip_rule=Never(),
        layers=layers,
        masks=masks,
        learning_rate=0.02,
    )


def test_a_window_of_neurons_gives_the_same_bits_and_keeps_the_others_in_flash(tmp_path):
    whole = board_export(tmp_path / "whole", ["conv2", "branch", "wide", "head"])
    part = board_export(tmp_path / "part", ["conv2[8:20]", "branch[0:4]", "wide[40:48]", "head"])
    models = [(r.folder / "model.tflite").read_bytes() for r in (whole, part)]
    np.testing.assert_array_equal(codes(models[0], X12), codes(models[1], X12))
    fan_in = {"conv2": 9 * 24, "branch": 40, "wide": 9 * 40, "head": 48}
    neurons = {"conv2": 12, "branch": 4, "wide": 8, "head": 5}
    expected = sum(neurons[n] * (fan_in[n] + 4) for n in fan_in)
    assert part.plan["trainable_bytes"] == expected < whole.plan["trainable_bytes"] / 2
    assert part.plan["training"]["arena_bytes"] < whole.plan["training"]["arena_bytes"] - 10_000


@pytest.mark.skipif(available() is not None, reason=str(available()))
def test_only_the_window_learns_and_goes_back_into_keras(tmp_path):
    report = board_export(tmp_path / "e", ["conv2[8:20]", "wide[40:48]", "head"])
    model, graph = (
        (report.folder / name).read_bytes() for name in ("model.tflite", "model_train.tflite")
    )
    samples = reference.quantize_input(model, X12)
    labels = np.arange(40) % 5
    with TrainingInterpreter(graph) as board:
        _, reports = board.train(np.repeat(samples, 4, axis=0), np.repeat(labels, 4))
        variables, learned = board.variables(), board.infer(samples)
    assert reports[-40:, 0].mean() < reports[:40, 0].mean()
    np.testing.assert_array_equal(
        reference.infer(with_variables(model, graph, variables), samples), learned
    )
    folded = keras.models.load_model(report.folder / "model_folded.keras")
    back = write_back(folded, graph, variables)
    for name, window in (("conv2", slice(8, 20)), ("wide", slice(40, 48))):
        before, after = (m.get_layer(name).get_weights() for m in (folded, back))
        for old, new in zip(before, after, strict=True):
            moved = old != new
            assert moved[..., window].any()
            moved[..., window] = False
            assert not moved.any()
    for old, new in zip(
        folded.get_layer("conv1").get_weights(), back.get_layer("conv1").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(old, new)


@pytest.mark.skipif(available() is not None, reason=str(available()))
def test_a_window_learns_what_a_mask_does(tmp_path):
    """Of the lowest layer that trains, where no error is handed on: the same bits."""
    chosen = np.zeros(48, bool)
    chosen[10:20] = True
    every, nothing = np.ones(5, bool), {n: np.zeros(c, bool) for n, c in NEURONS.items()}
    masks = {n: Mask(m, m) for n, m in (nothing | {"wide": chosen, "head": every}).items()}
    report = board_export(tmp_path / "e", masks=masks)
    assert any(op["name"] == "wide[10:20]" for op in report.plan["ops"])
    model = (report.folder / "model.tflite").read_bytes()
    graph = (report.folder / "model_train.tflite").read_bytes()
    assert FlatModel(model).find("wide[10:20]") is not None
    whole = board_export(tmp_path / "whole", ["wide", "head"])
    plain = (whole.folder / "model.tflite").read_bytes()
    masked = build_training_graph(plain, list(NEURONS), masks, learning_rate=0.02, seed=0)
    samples = reference.quantize_input(plain, X12)
    labels = np.arange(40) % 5
    learned = {}
    for name, data in (("window", graph), ("mask", masked)):
        with TrainingInterpreter(data) as board:
            board.train(samples, labels)
            shapes = {v.shape: v for v in board.variables() if v.dtype == np.int8}
            learned[name] = shapes
    np.testing.assert_array_equal(learned["window"][(10, 360)], learned["mask"][(48, 360)][10:20])


def test_windows_that_do_not_exist_are_refused(tmp_path):
    for wrong, message in (
        ("wide[40:49]", "0 to 47"),
        ("wide[9:9]", "FIRST < END"),
        ("narrow[0:2]", "the model has"),
    ):
        with pytest.raises(UserError, match=message):
            board_export(tmp_path / "e", [wrong, "head"])
    assert parse_window("a/b[3:7]") == ("a/b", 3, 7)
    assert parse_window("a[b]") == ("a[b]", None, None)


def test_scattered_neurons_stay_a_mask(tmp_path):
    chosen = np.zeros(48, bool)
    chosen[[0, 47]] = True
    masks = {n: Mask(np.ones(c, bool), np.ones(c, bool)) for n, c in NEURONS.items()}
    report = board_export(tmp_path / "e", masks=masks | {"wide": Mask(chosen, chosen)})
    assert all("[" not in op["name"] for op in report.plan["ops"])
