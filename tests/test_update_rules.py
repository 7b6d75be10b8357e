"""Update rules from the export to the learned model: residuals are variables like the weights."""

from pathlib import Path

import keras
import numpy as np
import pytest
from converter_models import Export, make

from tf_odl.contract import Flags
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.options import LayerOptions
from tf_odl.converters.reference import infer
from tf_odl.converters.update_rule import UpdateRule, is_residual
from tf_odl.converters.write_back import variable_tensors, with_variables, write_back
from tf_odl.methods import Mask
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

needs_tflm = pytest.mark.skipif(available() is not None, reason=str(available()))


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[UpdateRule, Export]:
    """The same model with either rule."""
    folder = tmp_path_factory.mktemp("rules")
    return {
        rule: Export(make("separable"), folder / rule.value, update_rule=rule, learning_rate=0.01)
        for rule in UpdateRule
    }


def layer_options(flat: FlatModel) -> list[LayerOptions]:
    blobs = [
        np.asarray(op.customOptions, np.uint8).tobytes()
        for op in flat.operators
        if flat.op_name(op).endswith(("CONNECTED_BWD", "CONV_2D_BWD"))
    ]
    return [LayerOptions.unpack(blob) for blob in blobs]


def test_every_weight_that_trains_has_a_residual(exports: dict[UpdateRule, Export]) -> None:
    flat = exports[UpdateRule.RESIDUAL].graph
    tensors = variable_tensors(flat)
    layers = len(tensors) // 3
    flags = [o.flags & Flags.RESIDUAL for o in layer_options(flat)]
    assert flags == [Flags.RESIDUAL] * layers
    names = [flat.name(t) for t in tensors]
    assert [n.rsplit("/", 1)[-1] for n in names] == ["kernel", "residual", "bias"] * layers
    seeds = [int(i) for i in flat.operators[0].inputs][1 + len(tensors) :]
    for weights, residual, seed in zip(tensors[::3], tensors[1::3], seeds[1::3], strict=True):
        assert flat.shape(residual) == flat.shape(weights)
        assert flat.dtype(residual) == np.int8 and flat.tensors[residual].isVariable
        assert seed == -1, "zeros take no flash"
    other = exports[UpdateRule.STOCHASTIC].graph
    assert not any(is_residual(other.name(t)) for t in variable_tensors(other))
    assert not any(o.flags & Flags.RESIDUAL for o in layer_options(other))


def test_a_residual_costs_a_byte_per_trainable_weight(exports: dict[UpdateRule, Export]) -> None:
    plans = {rule: export.report.plan for rule, export in exports.items()}
    flat = exports[UpdateRule.RESIDUAL].graph
    residuals = [t for t in variable_tensors(flat) if is_residual(flat.name(t))]
    weights = sum(int(np.prod(flat.shape(t))) for t in residuals)
    trainable = [plans[rule]["trainable_bytes"] for rule in UpdateRule]
    assert trainable[1] - trainable[0] == weights
    flash = [plans[rule]["flash"]["training_model_bytes"] for rule in UpdateRule]
    assert 0 < flash[1] - flash[0] < 250 * len(residuals), "names and shapes only"
    assert exports[UpdateRule.RESIDUAL].report.export["update_rule"] == "residual"


def test_a_layer_of_which_only_the_bias_trains_needs_none(tmp_path: Path) -> None:
    model = make("mlp")
    mask = Mask(np.zeros(9, bool), np.ones(9, bool))
    masks = {model.layers[0].name: mask}
    export = Export(model, tmp_path / "e", masks=masks, update_rule=UpdateRule.RESIDUAL)
    assert len(variable_tensors(export.graph)) == 1


@needs_tflm
def test_residuals_are_learned_saved_restored_and_reset(exports: dict[UpdateRule, Export]) -> None:
    export = exports[UpdateRule.RESIDUAL]
    codes = export.codes(np.random.default_rng(1).normal(size=(40, *export.model.input_shape[1:])))
    labels = np.arange(40) % 4
    with TrainingInterpreter(export.training) as board:
        residuals = board.variables()[1::3]
        assert not any(r.any() for r in residuals), "zero at the start"
        board.train(codes[:20], labels[:20])
        saved = board.variables()
        assert all(r.any() for r in saved[1::3])
        board.train(codes[20:], labels[20:])
        learned = board.variables()
        board.reset()
        assert not any(r.any() for r in board.variables()[1::3])
        # Weights draw no random numbers, so with the biases' generator the rest repeats exactly.
        board.train(codes[:20], labels[:20])
        board.set_variables(saved)
        board.train(codes[20:], labels[20:])
        for now, before in zip(board.variables(), learned, strict=True):
            np.testing.assert_array_equal(now, before)


@needs_tflm
def test_weights_do_not_depend_on_the_seed(tmp_path: Path) -> None:
    """Up to the biases, which round at random: with those frozen nothing does."""
    model = make("mlp")
    shapes = {layer.name: layer.units for layer in model.layers if hasattr(layer, "units")}
    masks = {name: Mask(np.ones(n, bool), np.zeros(n, bool)) for name, n in shapes.items()}
    learned = []
    for seed in (1, 2):
        settings = {"masks": masks, "seed": seed, "update_rule": UpdateRule.RESIDUAL}
        export = Export(model, tmp_path / str(seed), **settings)
        x = np.random.default_rng(0).normal(size=(30, *model.input_shape[1:]))
        with TrainingInterpreter(export.training) as board:
            board.train(export.codes(x), np.arange(30) % 4)
            learned.append(board.variables())
    for one, other in zip(*learned, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_residual_goes_back_into_the_keras_model(exports: dict[UpdateRule, Export]) -> None:
    """The int8 model has the weights rounded, the Keras model what they have learned."""
    export = exports[UpdateRule.RESIDUAL]
    flat, random = export.graph, np.random.default_rng(2)
    tensors = variable_tensors(flat)
    plain = [np.zeros(flat.shape(t), flat.dtype(t)) for t in tensors]
    with_rest = [
        random.integers(-128, 128, v.shape).astype(np.int8) if i % 3 == 1 else v
        for i, v in enumerate(plain)
    ]
    folded = keras.models.load_model(export.folder / "model_folded.keras")
    written = write_back(folded, export.training, with_rest)
    output = flat.name(tensors[0]).rsplit("/", 1)[0]
    expected = with_rest[1].T / 256 * flat.scales(tensors[0])
    np.testing.assert_allclose(written.get_layer(output).kernel.numpy(), expected, rtol=1e-6)
    codes = export.codes(random.normal(size=(5, *export.model.input_shape[1:])))
    int8 = [with_variables(export.int8, export.training, v) for v in (plain, with_rest)]
    np.testing.assert_array_equal(infer(int8[0], codes), infer(int8[1], codes))
