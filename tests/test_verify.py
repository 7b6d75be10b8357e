"""`tf-odl verify`: the same bits in every runtime, and the arena that was planned."""

import json
import shutil

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from converter_models import Export, make, samples

from tf_odl.cli import main
from tf_odl.converters import reference
from tf_odl.converters.export import export
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.head import Head
from tf_odl.converters.targets import get_target
from tf_odl.methods import get_method
from tf_odl.tflm_port.interpreter import available
from tf_odl.verification import Arena, Parity, verify

needs_tflm = pytest.mark.skipif(available() is not None, reason=str(available()))


@pytest.fixture(scope="module")
def export_dir(tmp_path_factory):
    model = make("cnn")
    method = get_method("tinypropv2")
    out = tmp_path_factory.mktemp("verify") / "export"
    export(
        model,
        samples(model, 50),
        target=get_target("nano33"),
        out_dir=out,
        sparsifier=method.sparsifier,
        skip_rule=method.skip,
    )
    return out


@pytest.fixture
def damaged(export_dir, tmp_path):
    return shutil.copytree(export_dir, tmp_path / "export")


def codes(export_dir):
    model = (export_dir / "model.tflite").read_bytes()
    return reference.quantize_input(model, samples(make("cnn"), 40, seed=5))


@needs_tflm
def test_an_export_is_the_same_everywhere(export_dir):
    result = verify(export_dir, codes(export_dir))
    assert result.holds
    exact = [p for p in result.parities if p.must_match]
    assert len(exact) == 2 and all(p.largest == 0 and p.same_class == 1 for p in exact)
    assert [a.model for a in result.arenas] == ["inference", "training"]


@needs_tflm
def test_other_weights_in_the_training_graph_are_found(damaged):
    path = damaged / "model_train.tflite"
    flat = FlatModel(path.read_bytes())
    seeds = [i for i, t in enumerate(flat.tensors) if flat.constant(i) is not None]
    largest = max(seeds, key=lambda i: int(np.prod(flat.shape(i))))
    flat.set_constant(largest, np.roll(flat.constant(largest).ravel(), 1))
    path.write_bytes(flat.pack())
    result = verify(damaged, codes(damaged))
    assert [p.holds for p in result.parities if p.must_match] == [True, False]
    output = CliRunner().invoke(main, ["verify", str(damaged), "--json"])
    assert output.exit_code == 1 and json.loads(output.stdout)["holds"] is False
    output = CliRunner().invoke(main, ["verify", str(damaged)])
    assert output.exit_code == 1 and "DIFFERS" in output.stdout


@needs_tflm
@pytest.mark.parametrize("end", ["softmax", "sigmoid"])
def test_probabilities_behind_a_float_head_may_differ_by_what_a_logit_makes_of_them(tmp_path, end):
    """They are steep where the logits have large steps."""
    L = keras.layers
    keras.utils.set_random_seed(0)
    head = L.Dense(4 if end == "softmax" else 1, activation=end)
    model = keras.Sequential([keras.Input((12,)), L.Dense(9, activation="relu"), head])
    kernel, bias = head.get_weights()
    head.set_weights([4 * kernel, bias])
    made = Export(model, tmp_path / "export", head=Head.FLOAT32)
    result = verify(made.folder, made.codes(samples(model, 1000, seed=5)))
    plain, training = (p for p in result.parities if p.must_match)
    assert plain.may_differ_by == plain.largest == 0
    assert result.holds and 1 < training.largest <= training.may_differ_by < 20
    assert training.mean < 0.1


@needs_tflm
def test_a_wrong_plan_is_found(damaged):
    plan = json.loads((damaged / "plan.json").read_text())
    plan["training"]["arena_bytes_host"] -= 64
    (damaged / "plan.json").write_text(json.dumps(plan))
    result = verify(damaged, codes(damaged))
    assert [a.holds for a in result.arenas] == [True, False] and not result.holds


def test_only_a_classifier_has_classes(damaged):
    def same_class():
        return [p.same_class for p in verify(damaged, codes(damaged)).parities if not p.skipped]

    assert None not in same_class()
    record = json.loads((damaged / "export.json").read_text())
    (damaged / "export.json").write_text(json.dumps(record | {"loss": "mse"}))
    assert set(same_class()) == {None}


def test_what_holds():
    assert Parity("x", True, differing=0.0, largest=0).holds
    assert not Parity("x", True, differing=0.1, largest=1).holds
    assert Parity("x", False, differing=0.1, largest=1).holds
    assert Parity("x", True, skipped="not there").holds
    assert Arena("a", planned=10_000, used=9_900).holds
    assert not Arena("a", planned=10_000, used=9_780).holds
    assert not Arena("a", planned=10_000, used=10_001).holds
    assert Arena("a", planned=420, used=400).holds


def test_the_table(export_dir):
    output = CliRunner().invoke(main, ["verify", str(export_dir), "--samples", "10"])
    assert output.exit_code == 0 and "10 samples of random codes" in output.stdout
    output = CliRunner().invoke(main, ["verify", str(export_dir), "--samples", "0"])
    assert output.exit_code == 2
    output = CliRunner().invoke(main, ["verify", str(export_dir / "nothing")])
    assert output.exit_code == 2
