"""A head of float32 weights on int8 layers: `export --head float32`."""

from pathlib import Path

import keras
import numpy as np
import pytest
from build_graph import every_neuron
from click.testing import CliRunner
from converter_models import Export, make, samples
from test_tflm_branching import Exported, assert_first_step, joined

from tf_odl.cli import main
from tf_odl.converters.head import Head
from tf_odl.converters.options import FloatHeadOptions
from tf_odl.converters.reference import infer
from tf_odl.converters.reselection import Reselection
from tf_odl.converters.update_rule import UpdateRule
from tf_odl.converters.write_back import variable_tensors, with_variables, write_back
from tf_odl.errors import UserError
from tf_odl.methods import Mask, parse_budget
from tf_odl.methods.random import Random
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available
from tf_odl.verification import Parity, verify

needs_tflm = pytest.mark.skipif(available() is not None, reason=str(available()))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Export:
    folder = tmp_path_factory.mktemp("head") / "e"
    return Export(
        make("mlp"),
        folder,
        head=Head.FLOAT32,
        update_rule=UpdateRule.RESIDUAL,
        learning_rate=0.02,
        provenance={"data": None, "data_dir": None, "shift": None},
    )


def test_only_the_output_layer_is_float_and_starts_from_int8(exported: Export) -> None:
    flat = exported.graph
    tensors = variable_tensors(flat)
    floats = [t for t in tensors if flat.dtype(t) == np.float32]
    last = exported.report.export["layers"][-1]["name"]
    assert [flat.name(t) for t in floats] == [f"{last}/kernel", f"{last}/bias"]
    inputs = [int(i) for i in flat.operators[0].inputs]
    for variable in floats:
        seed = inputs[1 + len(tensors) + tensors.index(variable)]
        plain = exported.plain.constant(exported.plain.find(flat.name(variable)))
        np.testing.assert_array_equal(flat.constant(seed), plain)
    assert exported.report.export["head"] == "float32"


@needs_tflm
def test_the_first_step_is_the_gradient_of_autodiff() -> None:
    exported = Exported(joined)
    # One output in a hundred is another than that of the int8 layer: here none is.
    with TrainingInterpreter(exported.graph(head=Head.FLOAT32)) as board:
        same = (board.infer(exported.samples) == infer(exported.model, exported.samples)).all(1)
    chosen = int(np.flatnonzero(same)[0])
    assert_first_step(
        exported.model,
        lambda **settings: exported.graph(head=Head.FLOAT32, **settings),
        exported.sites,
        exported.samples[chosen],
        int(exported.labels[chosen]),
    )


@needs_tflm
def test_an_export_verifies_and_fits_its_plan(exported: Export) -> None:
    result = verify(exported.folder, exported.codes(samples(exported.model, 200, seed=5)))
    assert result.holds
    assert [p.may_differ_by for p in result.parities if p.must_match] == [0, 1]
    assert not Parity("", True, largest=2, may_differ_by=1).holds
    shown = CliRunner().invoke(main, ["verify", str(exported.folder), "--samples", "200"])
    assert shown.exit_code == 0 and "DIFFERS" not in shown.output


@needs_tflm
def test_what_the_head_learns_goes_back(exported: Export) -> None:
    codes = exported.codes(samples(exported.model, 60, seed=3))
    with TrainingInterpreter(exported.training) as board:
        board.train(codes, np.arange(60) % 4)
        learned, outputs = board.variables(), board.infer(codes)
        board.reset()
        board.set_variables(learned)
        np.testing.assert_array_equal(board.infer(codes), outputs)
    assert learned[0].dtype == np.float32 and (learned[0] != np.round(learned[0])).any()
    plain = infer(with_variables(exported.int8, exported.training, learned), codes)
    # The int8 model has the weights rounded.
    assert np.abs(plain.astype(int) - outputs).max() <= 4
    folded = keras.models.load_model(exported.folder / "model_folded.keras")
    written = write_back(folded, exported.training, learned)
    name = exported.report.export["layers"][-1]["name"]
    scale = exported.graph.scales(variable_tensors(exported.graph)[0])
    kernel = written.get_layer(name).kernel.numpy()
    np.testing.assert_allclose(kernel, (learned[0] * scale.reshape(-1, 1)).T, rtol=1e-6)


@needs_tflm
def test_only_neurons_of_the_mask_move(tmp_path: Path) -> None:
    model = make("mlp")
    units = {layer.name: layer.units for layer in model.layers if hasattr(layer, "units")}
    masks = every_neuron(units)
    last = list(units)[-1]
    chosen = np.array([True, False, True, False])
    masks[last] = Mask(chosen, chosen)
    export = Export(model, tmp_path / "e", masks=masks, head=Head.FLOAT32, learning_rate=0.05)
    codes = export.codes(samples(model, 20))
    with TrainingInterpreter(export.training) as board:
        before = board.variables()
        board.train(codes, np.arange(20) % 4)
        after = board.variables()
    for old, new in zip(before[:2], after[:2], strict=True):
        np.testing.assert_array_equal((old != new).reshape(4, -1).any(1), chosen)


def test_the_options_survive_packing() -> None:
    options = FloatHeadOptions(-3, 7, 2, factors=(0.5, 0.25))
    assert FloatHeadOptions.unpack(options.pack()) == options
    with pytest.raises(ValueError, match="FloatHeadOptions"):
        FloatHeadOptions.unpack(options.pack()[:-4])


def test_other_heads_are_refused(tmp_path: Path) -> None:
    model = make("mlp")
    last = [layer.name for layer in model.layers if hasattr(layer, "units")][-1]
    bias = Mask(np.zeros(4, bool), np.ones(4, bool))
    with pytest.raises(UserError, match="--head float32 is of a model that ends in a Dense layer"):
        Export(model, tmp_path / "a", masks={last: bias}, head=Head.FLOAT32)
    convolution = keras.layers.Conv2D(3, 4)
    image = keras.Sequential([keras.Input((4, 4, 2)), convolution, keras.layers.Flatten()])
    with pytest.raises(UserError, match="--head float32 is of"):
        Export(image, tmp_path / "b", head=Head.FLOAT32)
    with pytest.raises(UserError, match="has no variable mask"):
        Export(model, tmp_path / "c", head=Head.FLOAT32, variable_masks=True)
    chosen = Reselection(Random(), parse_budget("20%"), 10)
    with pytest.raises(UserError, match="--selector"):
        Export(model, tmp_path / "d", head=Head.FLOAT32, reselection=chosen)
