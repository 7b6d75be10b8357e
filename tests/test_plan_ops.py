"""What every op keeps and computes, and what a step takes."""

import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from converter_models import MODELS, make, samples

from tf_odl.cli import main
from tf_odl.converters.costs import Work, measured_costs, work_of
from tf_odl.converters.export import export
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.layer_plan import total_instructions
from tf_odl.converters.plan_plot import plot_plan
from tf_odl.converters.planner import Planner
from tf_odl.converters.targets import Processor, get_target
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
    assert forward == plan["inference"]["instructions"]
    backward = sum(op["instructions_backward"] for op in plan["ops"])
    # The loss, the seeding and what joins branches belong to no op.
    assert 0 < backward <= plan["training"]["instructions"] - forward
    assert backward > 0.5 * (plan["training"]["instructions"] - forward)


def test_a_plan_without_data_is_the_exports(small):
    model = keras.models.load_model(small[0] / "small.keras")
    plan = Planner(model).plan(*PLAN)
    exported = small[1].plan
    for part in ("inference", "training"):
        assert plan[part]["arena_bytes"] == exported[part]["arena_bytes"]
        assert plan[part]["instructions"] == exported[part]["instructions"]


def test_costs_by_hand():
    work = Work("CONV_2D", 10, (100,))
    assert work.instructions({"CONV_2D": [5, 2, 0.5]}) == 5 + 20 + 50
    assert work.instructions({}) == 0
    assert Work("X_BWD", 10, (100, 200)).instructions({"X_BWD": [1, 1, 2, 3]}) == 1 + 10 + 800
    processor = Processor(megahertz=64, instructions=2, cycles=1.5, milliwatts=10)
    assert processor.milliseconds(64_000) == pytest.approx(3)
    assert processor.microjoules(64_000) == pytest.approx(30)


def test_kinds_of_convolutions(small):
    flat = FlatModel((small[1].folder / "model.tflite").read_bytes())
    kinds = {flat.name(int(op.outputs[0])): work_of(flat, op) for op in flat.operators}
    assert kinds["conv"] == Work("CONV_2D", 48, (432,))
    assert kinds["head"] == Work("FULLY_CONNECTED", 5, (60,))


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
        assert row["predicted"] == pytest.approx(row["instructions"], rel=0.3), name
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
