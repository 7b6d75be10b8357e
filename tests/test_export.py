"""Exports: the same int8 numbers everywhere, a true plan, nothing half-written."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from converter_models import MODELS, make, samples

from tf_odl.converters import memory
from tf_odl.converters.error_type import ErrorType
from tf_odl.converters.export import export
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.plan import summary_rows
from tf_odl.converters.reference import infer, quantize_input
from tf_odl.converters.targets import TARGETS, get_target
from tf_odl.converters.write_back import variable_tensors, with_variables, write_back
from tf_odl.errors import UserError
from tf_odl.methods import Mask, get_method
from tf_odl.models.digits_cnn import digits_cnn
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

L = keras.layers
METHOD = get_method("tinypropv2")
FILES = {
    "model.tflite",
    "model_train.tflite",
    "model_data.h",
    "model_folded.keras",
    "plan.json",
    "plan.png",
    "arduino",
    "export.json",
}
needs_tflm = pytest.mark.skipif(available() is not None, reason=str(available()))


def run_export(model: keras.Model, out: Path, **options: object):
    settings = {
        "target": get_target("nano33"),
        "out_dir": out,
        "sparsifier": METHOD.sparsifier,
        "skip_rule": METHOD.skip,
    } | options
    calibration = settings.pop("calibration_x", samples(model, 50))
    return export(model, calibration, **settings)


class Exported:
    def __init__(self, name: str, folder: Path) -> None:
        self.model = make(name)
        self.report = run_export(self.model, folder)
        self.folder = folder
        self.int8 = (folder / "model.tflite").read_bytes()
        self.training = (folder / "model_train.tflite").read_bytes()
        self.codes = quantize_input(self.int8, samples(self.model, 40, seed=9))


@pytest.fixture(scope="module", params=MODELS)
def exported(request, tmp_path_factory) -> Exported:
    return Exported(request.param, tmp_path_factory.mktemp(request.param) / "export")


@pytest.fixture(scope="module")
def a_cnn(tmp_path_factory) -> Exported:
    return Exported("cnn", tmp_path_factory.mktemp("a_cnn") / "export")


# -- the same numbers everywhere ------------------------------------------------------------


@needs_tflm
def test_int8_inference_is_the_same_bit_for_bit_in_all_runtimes(exported):
    """TFLite's reference kernels, TFLM, and TFLM with the training ops in the graph."""
    reference = infer(exported.int8, exported.codes)
    assert len(np.unique(reference)) > 10, "constant outputs would prove nothing"
    for model in (exported.int8, exported.training):
        with TrainingInterpreter(model) as tflm:
            np.testing.assert_array_equal(tflm.infer(exported.codes), reference)


@needs_tflm
def test_learned_weights_go_back_into_tflite_and_keras(exported):
    labels = np.arange(40) % 4
    with TrainingInterpreter(exported.training) as board:
        board.set_learning_rate(0.05)
        board.train(exported.codes, labels)
        variables, learned = board.variables(), board.infer(exported.codes)
    plain = with_variables(exported.int8, exported.training, variables)
    np.testing.assert_array_equal(infer(plain, exported.codes), learned)
    assert (infer(exported.int8, exported.codes) != learned).any()
    folded = keras.models.load_model(exported.folder / "model_folded.keras")
    keras_outputs = write_back(folded, exported.training, variables).predict(
        samples(exported.model, 40, seed=9), verbose=0
    )
    output = exported.report.export["output"]
    floats = (learned.astype(float) - output["zero_point"]) * output["scale"]
    keras_outputs = np.clip(
        keras_outputs,
        (-128 - output["zero_point"]) * output["scale"],
        (127 - output["zero_point"]) * output["scale"],
    )
    span = floats.max() - floats.min()
    assert np.abs(floats - keras_outputs).mean() < 0.05 * span


def test_quantization_follows_the_float_model(exported):
    x = samples(exported.model, 40, seed=9)
    output = exported.report.export["output"]
    expected = exported.model.predict(x, verbose=0)
    floats = (infer(exported.int8, exported.codes).astype(float) - output["zero_point"]) * output[
        "scale"
    ]
    assert np.abs(floats - expected).mean() < 0.05 * (expected.max() - expected.min())


# -- the training graph ---------------------------------------------------------------------


def test_trainable_tensors_are_variables_seeded_from_the_plain_models_weights(exported):
    graph, plain = FlatModel(exported.training), FlatModel(exported.int8)
    tensors = variable_tensors(graph)
    assert len(tensors) == 2 * len(exported.report.export["layers"])
    seed = next(op for op in graph.operators if graph.op_name(op) == "TFODL_SEED")
    assert graph.operators[0] is seed, "nothing may read a variable before it is seeded"
    seeds = [int(i) for i in seed.inputs][1 + len(tensors) :]
    for tensor, source in zip(tensors, seeds, strict=True):
        assert graph.tensors[tensor].isVariable and graph.constant(tensor) is None
        name = graph.name(tensor)
        np.testing.assert_array_equal(graph.constant(source), plain.constant(plain.find(name)))


def test_weights_are_stored_once(exported):
    plain, training = len(exported.int8), len(exported.training)
    weights = sum(FlatModel(exported.int8).constant(t).nbytes for t in _weights(exported.int8))
    structure = training - weights
    assert training < plain + 0.9 * weights + structure * 0.75


def _weights(model: bytes) -> list[int]:
    flat = FlatModel(model)
    return [
        int(op.inputs[1])
        for op in flat.operators
        if flat.op_name(op) in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    ]


def test_frozen_layers_cost_no_backward_op(tmp_path):
    model = make("cnn")
    kinds = {}
    for count in (4, 2, 1):
        report = run_export(model, tmp_path / str(count), train_layers=count)
        flat = FlatModel((tmp_path / str(count) / "model_train.tflite").read_bytes())
        kinds[count] = [
            flat.op_name(op) for op in flat.operators if flat.op_name(op)[:5] == "TFODL"
        ]
        assert sum(x["trainable_weights"] > 0 for x in report.export["layers"]) == count
        assert len(variable_tensors(flat)) == 2 * count
    assert [len([k for k in kinds[n] if k.endswith("_BWD")]) for n in (1, 2)] == [1, 2]
    assert "TFODL_CONV_2D_BWD" not in kinds[2] and "TFODL_MAX_POOL_2D_BWD" in kinds[4]


@needs_tflm
def test_masked_neurons_do_not_move(tmp_path):
    model = make("mlp")
    mask = np.arange(9) % 3 == 0
    masks = {model.layers[0].name: Mask(mask, mask)}
    run_export(model, tmp_path / "e", masks=masks, skip_rule=get_method("full").skip)
    graph = (tmp_path / "e" / "model_train.tflite").read_bytes()
    codes = quantize_input(graph, samples(model, 40))
    with TrainingInterpreter(graph) as board:
        board.set_learning_rate(0.5)
        before = board.variables()
        board.train(codes, np.arange(40) % 4)
        after = board.variables()
    assert len(after) == 2, "the output layer is frozen: it has no mask"
    for old, new in zip(before, after, strict=True):
        moved = (old != new).reshape(9, -1).any(axis=1)
        assert not moved[~mask].any() and moved[mask].any()


@needs_tflm
def test_activations_at_the_end_of_int8_do_not_drive_weights_away(tmp_path):
    """Training from scratch leaves the calibrated ranges; int8 has to follow float all the same.

    With errors passing through stuck activations such a model ended at a loss of 0.86, after
    172,000 saturated updates.
    """
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 4, 200)
    x = rng.normal(size=(4, 6, 6, 2))[labels] + rng.normal(0, 0.3, (200, 6, 6, 2))
    x = x.astype(np.float32)
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            L.Conv2D(5, 3, padding="same", activation="relu"),
            L.Flatten(),
            L.Dense(7, activation="relu"),
            L.Dense(4),
        ]
    )
    full = get_method("full")
    parts = {"sparsifier": full.sparsifier, "skip_rule": full.skip}
    run_export(model, tmp_path / "e", calibration_x=x, learning_rate=0.01, **parts)
    graph = (tmp_path / "e" / "model_train.tflite").read_bytes()
    codes = quantize_input(graph, x)
    with TrainingInterpreter(graph) as board:
        losses = [board.train(codes, labels)[1][:, 0].mean() for _ in range(6)]
        assert (board.infer(codes).argmax(1) == labels).all()
        assert losses[-1] < 0.25 and board.state().saturated < 50


# -- the plan -------------------------------------------------------------------------------


@needs_tflm
def test_the_planned_arena_is_what_tflm_uses_and_never_less(exported):
    for model in (exported.int8, exported.training):
        planned = memory.plan_memory(model, memory.HOST).used_bytes
        with TrainingInterpreter(model) as tflm:
            used = tflm.arena_used_bytes
        assert used <= planned <= 1.02 * used + 16


def test_the_plan_names_every_tensor_with_bytes_and_lifetime(a_cnn):
    plan = json.loads((a_cnn.folder / "plan.json").read_text())
    assert plan == json.loads(json.dumps(a_cnn.report.plan)) and plan["fits"]
    flat = FlatModel(a_cnn.training)
    tensors = [t for t in plan["training"]["tensors"] if not t["name"].endswith("/op_scratch")]
    assert len(tensors) == len(flat.tensors)
    for index, tensor in enumerate(tensors):
        assert tensor["name"] == flat.name(index)
        count = int(np.prod(flat.shape(index)))
        assert tensor["bytes"] == count * flat.dtype(index).itemsize
        users = [i for i, op in enumerate(flat.operators) if index in (*op.inputs, *op.outputs)]
        if tensor["kind"] == "activation":
            assert tensor["first"] <= users[0] and users[-1] <= tensor["last"]
    placed = [t for t in plan["training"]["tensors"] if t["offset"] is not None]
    for one in placed:
        for other in placed:
            together = one["first"] <= other["last"] and other["first"] <= one["last"]
            apart = (
                one["offset"] + one["bytes"] <= other["offset"]
                or other["offset"] + other["bytes"] <= one["offset"]
            )
            assert one is other or not together or apart, (one, other)
    variables = sum(
        int(np.prod(flat.shape(t))) * flat.dtype(t).itemsize for t in variable_tensors(flat)
    )
    assert plan["trainable_bytes"] == variables
    assert plan["flash"]["training_model_bytes"] == len(a_cnn.training)
    assert all(len(row) == 3 for row in summary_rows(plan))


def test_what_does_not_fit_is_refused_with_the_smallest_remedy(tmp_path):
    model = digits_cnn()
    narrow = run_export(model, tmp_path / "whole", errors=ErrorType.BFLOAT16)
    whole = narrow.plan["training"]["arena_bytes"]
    last = run_export(model, tmp_path / "last", train_layers=1).plan["training"]["arena_bytes"]
    small = replace(get_target("nano33"), arena_bytes=(whole + last) // 2)
    with pytest.raises(UserError, match=rf"{whole:,} B.*With --train-layers \d"):
        run_export(model, tmp_path / "refused", target=small)
    tiny = replace(small, arena_bytes=500)
    with pytest.raises(UserError, match="use a smaller model"):
        run_export(model, tmp_path / "refused", target=tiny)
    with pytest.raises(UserError, match="flash"):
        run_export(model, tmp_path / "refused", target=replace(small, flash_bytes=1000))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last", "whole"]


def test_targets():
    assert set(TARGETS) == {"nano33", "esp32", "qemu"}
    with pytest.raises(UserError, match="nano33, esp32, qemu"):
        get_target("cray")


# -- files ----------------------------------------------------------------------------------


def test_an_export_holds_these_files_and_the_header_compiles_to_the_same_bytes(a_cnn, tmp_path):
    assert {p.name for p in a_cnn.folder.iterdir()} == FILES
    (tmp_path / "main.cpp").write_text(
        '#include <cstdint>\n#include <cstdio>\n#include "model_data.h"\n'
        "int main() {\n"
        "  if (reinterpret_cast<std::uintptr_t>(model_train_tflite) % 16 != 0) return 1;\n"
        "  std::fwrite(model_tflite, 1, model_tflite_len, stdout);\n"
        "  std::fwrite(model_train_tflite, 1, model_train_tflite_len, stdout);\n"
        "  return 0;\n}\n"
    )
    flags = ["-std=c++14", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{a_cnn.folder}"]
    program = tmp_path / "program"
    subprocess.run(["g++", *flags, str(tmp_path / "main.cpp"), "-o", str(program)], check=True)
    output = subprocess.run([str(program)], capture_output=True, check=True).stdout
    assert output == a_cnn.int8 + a_cnn.training


def test_int8_accuracy_is_reported_beside_float(tmp_path):
    """On classes a linear model separates, int8 is as good."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 400)
    x = (np.eye(4)[labels] @ rng.normal(0, 2, (4, 12)) + rng.normal(0, 0.3, (400, 12))).astype("f4")
    keras.utils.set_random_seed(0)
    model = MODELS["mlp"]()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss)
    model.fit(x[:300], labels[:300], epochs=15, verbose=0)
    report = run_export(model, tmp_path / "e", calibration_x=x[:100], test=(x[300:], labels[300:]))
    accuracy = report.export["accuracy"]
    truth = (model.predict(x[300:], verbose=0).argmax(1) == labels[300:]).mean()
    assert accuracy["float"] == truth and truth > 0.95
    assert abs(accuracy["int8"] - accuracy["float"]) <= 0.02 and accuracy["samples"] == 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"calibration_x": np.full((5, 9, 8, 2), np.nan, np.float32)}, "calibration"),
        ({"calibration_x": np.zeros((5, 9, 8, 3), np.float32)}, r"\[9, 8, 2\]"),
        ({"calibration_x": np.zeros((0, 9, 8, 2), np.float32)}, "calibration"),
        ({"train_layers": 0}, "--train-layers 0"),
        ({"train_layers": 9}, "4 layers"),
        ({"masks": {"wonder": Mask(np.ones(3, bool), np.ones(3, bool))}}, "wonder"),
        ({"learning_rate": 0.0}, "learning rate"),
        ({"headroom": 0.5}, "headroom"),
        ({"margin": float("nan")}, "margin"),
        ({"test": (np.zeros((3, 9, 8, 2)), np.zeros(2))}, "3 samples"),
    ],
)
def test_bad_settings_leave_nothing_behind(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        run_export(make("cnn"), tmp_path / "export", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: L.LayerNormalization(name="norm"), r"'norm' \(LayerNormalization\)"),
        (lambda: L.Conv2D(4, 3, dilation_rate=2, name="holes"), "dilated"),
        (lambda: L.UpSampling2D(name="up"), "no training op"),
        (lambda: L.LeakyReLU(name="leaky"), "'leaky"),
    ],
)
def test_layers_that_cannot_be_trained_are_named(tmp_path, layer, message):
    model = keras.Sequential(
        [keras.Input((8, 8, 2)), L.Conv2D(3, 3), layer(), L.GlobalAveragePooling2D(), L.Dense(2)]
    )
    with pytest.raises(UserError, match=message):
        run_export(model, tmp_path / "export")
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_export_is_replaced_only_when_asked(tmp_path):
    model, out = make("mlp"), tmp_path / "export"
    run_export(model, out, learning_rate=0.01)
    before = (out / "export.json").read_text()
    with pytest.raises(UserError, match="--overwrite"):
        run_export(model, out, learning_rate=0.02)
    assert (out / "export.json").read_text() == before
    run_export(model, out, learning_rate=0.02, overwrite=True)
    assert json.loads((out / "export.json").read_text())["learning_rate"] == 0.02
    assert [p.name for p in tmp_path.iterdir()] == ["export"]
    other = tmp_path / "precious"
    other.mkdir()
    (other / "file").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        run_export(model, other, overwrite=True)
    assert (other / "file").read_text() == "mine"
