"""What every op keeps and computes, and what a step takes."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from converter_models import MODELS, make, samples

from tf_odl.cli import main
from tf_odl.converters.costs import Work, measured_costs
from tf_odl.converters.export import export
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.head import Head
from tf_odl.converters.layer_plan import total_instructions
from tf_odl.converters.plan_plot import plot_plan
from tf_odl.converters.planner import Planner
from tf_odl.converters.targets import Processor, get_target
from tf_odl.converters.training_graph import STATE
from tf_odl.converters.update_rule import UpdateRule
from tf_odl.converters.work import work_of
from tf_odl.methods import get_method

METHOD = get_method("tinypropv2")
RULE = ("--update-rule", "stochastic")
PLAN = (get_target("nano33"), METHOD.sparsifier, METHOD.skip)
SETTINGS = {
    "target": get_target("nano33"),
    "sparsifier": METHOD.sparsifier,
    "skip_rule": METHOD.skip,
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A convolution of 4x4x1 to 4x4x3, a pool to 2x2x3, a head of 12 to 5."""
    layers = keras.layers
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Conv2D(3, 3, padding="same", activation="relu", name="conv"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(),
            layers.Dense(5, name="head"),
        ]
    )
    folder = tmp_path_factory.mktemp("plan")
    model.save(folder / "small.keras")
    x = np.random.default_rng(0).normal(size=(20, 4, 4, 1)).astype(np.float32)
    report = export(
        model, x, out_dir=folder / "export", provenance={"data": None}, test=None, **SETTINGS
    )
    return folder, report


def test_ops_by_hand(small):
    ops = {op["name"]: op for op in small[1].plan["ops"]}
    conv, head = ops["conv"], ops["head"]
    assert conv["macs_forward"] == 16 * 3 * 9
    assert conv["macs_backward"] == 16 * 3 * 9  # nothing below needs an error
    assert head["macs_forward"] == 60 and head["macs_backward"] == 2 * 60
    assert conv["trainable_bytes"] == 27 + 3 * 4 and head["trainable_bytes"] == 60 + 5 * 4
    # The pool needs to know where its maxima were, the convolution what its ReLU cut off.
    assert conv["saved_bytes"] == 48 and conv["error_bytes"] == 48 * 4
    assert head["error_bytes"] == 5 * 4


def test_a_frozen_layer_keeps_nothing(small):
    model = keras.models.load_model(small[0] / "small.keras")
    plan = Planner(model).plan(*PLAN, train_layers=1)
    ops = {op["name"]: op for op in plan["ops"]}
    for key in ("trainable_bytes", "macs_backward", "error_bytes", "instructions_backward"):
        assert ops["conv"][key] == 0 and ops["head"][key] > 0
    assert ops["head"]["macs_backward"] == 60


@pytest.mark.parametrize("name", MODELS)
def test_the_parts_add_up(name, tmp_path):
    model = make(name)
    report = export(model, samples(model, 10), out_dir=tmp_path / "e", **SETTINGS)
    plan = report.plan
    assert sum(op["trainable_bytes"] for op in plan["ops"]) == plan["trainable_bytes"]
    forward = sum(op["instructions_forward"] for op in plan["ops"])
    assert forward == plan["training"]["inference"]["instructions"]
    # The training graph's layers are faster than those of model.tflite.
    assert forward < plan["inference"]["instructions"]
    backward = sum(op["instructions_backward"] for op in plan["ops"])
    # The loss, the seeding and what joins branches belong to no op.
    assert 0 < backward <= plan["training"]["instructions"] - forward
    assert backward > 0.5 * (plan["training"]["instructions"] - forward)


def expanding(stride):
    """A depthwise layer behind a wider one; both only run forward where the head trains."""
    layers = keras.layers
    inputs = keras.Input((12, 12, 4))
    x = layers.Conv2D(24, 1, name="expand")(inputs)
    x = layers.DepthwiseConv2D(3, strides=stride, padding="same", name="depthwise")(x)
    x = layers.Conv2D(3, 1, name="head")(x)
    return Planner(keras.Model(inputs, layers.GlobalAveragePooling2D()(x)))


def test_a_layer_that_is_overwritten_keeps_its_name_and_saves_nothing():
    plan = expanding(1).plan(*PLAN, layers=["head"])
    assert "expand" not in {t["name"] for t in plan["training"]["tensors"]}
    expand, depthwise, *_ = plan["ops"]
    assert (expand["name"], depthwise["name"]) == ("expand", "depthwise")
    assert expand["macs_forward"] == 144 * 4 * 24 and depthwise["macs_forward"] == 144 * 9 * 24
    # The head's weights need the output.
    assert (expand["saved_bytes"], depthwise["saved_bytes"]) == (0, 144 * 24)


def test_groups_that_share_an_output_have_names_and_their_part_of_it():
    planner = expanding(2)
    whole = planner.plan(*PLAN, layers=["head"])["training"]["arena_bytes"]
    small = replace(PLAN[0], arena_bytes=whole - 500)
    plan = planner.plan(small, *PLAN[1:], layers=["head"])
    assert plan["channel_groups"] == {"depthwise": 2}
    ops = {op["name"]: op for op in plan["ops"]}
    groups = [f"{layer}/part{i}" for i in range(2) for layer in ("expand", "depthwise")]
    assert list(ops)[:4] == groups and len(ops) == len(plan["ops"])
    for i in range(2):
        assert ops[f"expand/part{i}"]["macs_forward"] == 144 * 4 * 12
        assert ops[f"depthwise/part{i}"]["saved_bytes"] == 36 * 12
        assert ops[f"depthwise/part{i}"]["macs_backward"] == 0


def test_a_plan_without_data_is_the_exports(small):
    model = keras.models.load_model(small[0] / "small.keras")
    plan = Planner(model).plan(*PLAN)
    exported = small[1].plan
    for part in ("inference", "training"):
        assert plan[part]["arena_bytes"] == exported[part]["arena_bytes"]
        assert plan[part]["instructions"] == exported[part]["instructions"]


def test_costs_by_hand():
    work = Work("CONV_2D", 100, {"call": 1, "outputs": 10, "MACs": 100})
    assert work.instructions({"CONV_2D": {"call": 5, "MACs": 0.5, "other": 7}}) == 5 + 50
    assert work.instructions({}) == 0
    processor = Processor(megahertz=64, instructions=2, cycles=1.5, milliwatts=10)
    assert processor.milliseconds(64_000) == pytest.approx(3)
    assert processor.microjoules(64_000) == pytest.approx(30)


def works(data):
    """By the op's name and its first input's: a backward op's is the error it reads."""
    flat = FlatModel(data)
    return {
        (flat.op_name(op), flat.name(int(op.inputs[0]))): work_of(flat, op) for op in flat.operators
    }


def test_the_work_of_forward_ops_by_hand(small):
    found = works((small[1].folder / "model.tflite").read_bytes())
    by_kind = {kind: work for (kind, _), work in found.items()}
    conv, head, pool = (by_kind[k] for k in ("CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D"))
    assert conv.macs == 16 * 3 * 9
    assert conv.sizes == {
        "call": 1,
        "pixels": 16,
        "outputs": 48,
        "MACs": 432,
        "taps": 16 * 9,
        "widened": 16 * 9,
        "single": 48,  # 9 = 2 * 4 + 1
    }
    assert head == Work("FULLY_CONNECTED", 60, {"call": 1, "outputs": 5, "MACs": 60})
    assert pool.sizes == {"call": 1, "pixels": 4, "outputs": 12, "taps": 16, "reads": 48}


def test_the_work_of_own_forward_ops_by_hand(small):
    found = works((small[1].folder / "model_train.tflite").read_bytes())
    by_kind = {kind: work for (kind, _), work in found.items()}
    conv, head = by_kind["TFODL_CONV_2D"], by_kind["TFODL_FULLY_CONNECTED"]
    assert conv.macs == 16 * 3 * 9
    assert conv.sizes == {
        "call": 1,
        "pixels": 16,
        "outputs": 48,
        "MACs": 16 * 4 * 12,  # of 3 channels with 9 weights each
        "taps": 16 * 9,
        "widened": 16 * 9,
    }
    assert head.macs == 60
    sizes = {"call": 1, "outputs": 5, "MACs": 4 * 12, "pairs": 12, "single": 0}
    assert head.sizes == sizes, "four neurons, and one that is left"


def test_the_work_of_backward_ops_by_hand(small):
    found = works((small[1].folder / "model_train.tflite").read_bytes())
    conv = found["TFODL_CONV_2D_BWD", "conv/error"]
    # A window of the pool hands one error to one of its four inputs: 12 of 48. Of a row of four
    # windows the two in the middle are whole and taken in pairs, those at the edges have two
    # columns; rows of windows: 2 + 3 + 3 + 2 = 10.
    spans = 3 / 4 * (2 / 2 + 2)  # per row of windows
    assert conv.macs == 432
    assert conv.sizes == {
        "call": 1,
        "errors": 48,
        "learning": 48,
        "inputs": 0,
        "windows": 3 / 4 * 4 * 2,
        "spans": 4 * spans,
        "rows": 10 * spans,
        "words": 0,
        "bytes": 10 * 3 / 4 * (2 * 3 / 2 + 2 * 2),
        "neurons": 3,
        "weights": 27,
    }
    head = found["TFODL_FULLY_CONNECTED_BWD", "head/error"]
    sizes = {"call": 1, "errors": 5, "inputs": 12, "propagated": 60, "weights": 60}
    assert head == Work("TFODL_FULLY_CONNECTED_BWD", 120, sizes)
    pool = next(work for (kind, _), work in found.items() if kind == "TFODL_MAX_POOL_2D_BWD")
    wanted = {"call": 1, "windows": 4, "errors": 12, "rows": 24, "inside": 48, "inputs": 48}
    assert pool.sizes == wanted


def test_the_work_of_other_ways_to_train_by_hand(small, tmp_path):
    model = keras.models.load_model(small[0] / "small.keras")
    x = np.random.default_rng(0).normal(size=(20, 4, 4, 1)).astype(np.float32)

    def of(name, **how):
        folder = export(model, x, out_dir=tmp_path / name, **SETTINGS, **how).folder
        return works((folder / "model_train.tflite").read_bytes())

    # What is left of a step is kept with residuals, and in the sums of several samples.
    for name, how in (("r", {"update_rule": UpdateRule.RESIDUAL}), ("a", {"accumulate": 4})):
        found = of(name, **how)
        conv = found["TFODL_CONV_2D_BWD", "conv/error"].sizes
        assert conv["kept"] == 27 and "weights" not in conv
        assert found["TFODL_FULLY_CONNECTED_BWD", "head/error"].sizes["kept"] == 60
    # 87 sums change the weights once in four samples.
    assert found["TFODL_ACCUMULATE", STATE].sizes == {"call": 1, "weights": 87 / 4}
    found = of("ra", update_rule=UpdateRule.RESIDUAL, accumulate=4)
    assert found["TFODL_ACCUMULATE", STATE].sizes == {"call": 1, "kept": 87 / 4}
    found = of("f", head=Head.FLOAT32)
    back = found["TFODL_FLOAT_HEAD_BWD", "head/error"]
    assert back.macs == 120
    assert back.sizes == {"call": 1, "errors": 5, "inputs": 24, "MACs": 120}
    forward = next(work for (kind, _), work in found.items() if kind == "TFODL_FLOAT_HEAD")
    assert forward.macs == 60 and forward.sizes["MACs"] == 60


def test_an_error_that_several_readers_add_to_is_dense(tmp_path):
    """Behind a pool, but also behind a convolution beside it."""
    layers = keras.layers
    inputs = keras.Input((4, 4, 1))
    x = layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
    left = layers.Flatten()(layers.MaxPooling2D(2)(x))
    right = layers.Flatten()(layers.Conv2D(1, 3, name="beside")(x))
    x = layers.Dense(3)(layers.Concatenate()([left, right]))
    x_train = np.random.default_rng(0).normal(size=(20, 4, 4, 1)).astype(np.float32)
    folder = export(keras.Model(inputs, x), x_train, out_dir=tmp_path / "e", **SETTINGS).folder
    found = works((folder / "model_train.tflite").read_bytes())
    spans = {
        name: work.sizes["spans"] for (kind, name), work in found.items() if "CONV_2D_BWD" in kind
    }
    assert spans["conv/error"] == 4 * 4 * (2 / 2 + 2)  # not a quarter of that


def test_accumulation_and_a_float_head_take_time(small):
    model = keras.models.load_model(small[0] / "small.keras")
    planner = Planner(model)
    plain = planner.plan(*PLAN)["training"]["instructions"]
    for how in ({"accumulate": 4}, {"head": Head.FLOAT32}, {"update_rule": UpdateRule.RESIDUAL}):
        plan = planner.plan(*PLAN, **how)
        assert plan["training"]["instructions"] > plain, how
        # An op that was not measured would cost nothing.
        head = plan["ops"][-1]
        assert head["instructions_forward"] > 0 and head["instructions_backward"] > 0


def test_every_op_of_the_small_models_was_measured():
    known = measured_costs()
    for name in MODELS:
        plan = Planner(make(name)).plan(*PLAN)
        for op in plan["ops"]:
            assert op["instructions_forward"] > 0, (name, op["op"])
    assert {"TFODL_SOFTMAX_XENT", "TFODL_SEED", "TFODL_ADD_BWD"} <= set(known)


def test_estimates_and_counts_agree():
    """Each model predicted from the others' ops; benchmarks/mcu/op_costs.py made the file."""
    from tf_odl.converters import costs

    models = json.loads(costs._file().read_text())["models"]
    assert len(models) >= 20
    for name, row in models.items():
        # How many weights have moved, and are stored, follows from no shape.
        off = 0.45 if name.endswith(".training-changes") else 0.1
        assert row["predicted"] == pytest.approx(row["instructions"], rel=off), name
        assert row["arena_used"] <= row["arena_planned"] <= 1.02 * row["arena_used"] + 16, name


def test_the_command(small, tmp_path):
    source = str(small[0] / "small.keras")
    picture = tmp_path / "plan.png"
    result = CliRunner().invoke(main, ["plan", source, "--plot", str(picture)])
    assert result.exit_code == 0 and "it fits" in result.stdout and "head" in result.stdout
    assert picture.stat().st_size > 10_000
    as_json = json.loads(CliRunner().invoke(main, ["plan", source, *RULE, "--json"]).stdout)
    assert as_json["training"]["arena_bytes"] == small[1].plan["training"]["arena_bytes"]
    tflite = str(small[1].folder / "model.tflite")
    result = CliRunner().invoke(main, ["plan", tflite, *RULE, "--train-layers", "1", "--json"])
    assert (
        json.loads(result.stdout)["training"]["instructions"] < as_json["training"]["instructions"]
    )
    for more in (["--accumulate", "4"], ["--head", "float32"]):
        result = CliRunner().invoke(main, ["plan", source, *RULE, *more, "--json"])
        needs = json.loads(result.stdout)["training"]
        for key in ("arena_bytes", "instructions"):
            assert needs[key] > as_json["training"][key], more
    for arguments in (["nothing.keras"], [source, "--train-layers", "9"], ["no.tflite"]):
        assert CliRunner().invoke(main, ["plan", *arguments]).exit_code == 2
    missing = str(tmp_path / "no" / "plan.png")
    assert CliRunner().invoke(main, ["plan", source, "--plot", missing]).exit_code == 2


def test_the_plot_and_the_total_of_an_export(small):
    assert (small[1].folder / "plan.png").stat().st_size > 10_000
    graph = FlatModel((small[1].folder / "model_train.tflite").read_bytes())
    assert total_instructions(graph) == small[1].plan["training"]["instructions"]
    with pytest.raises(OSError):
        plot_plan(small[1].plan, small[0] / "missing" / "x.png")
