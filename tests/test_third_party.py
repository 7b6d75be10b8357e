"""Exports of .tflite files that are not ours, and the messages where one cannot be used."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from build_graph import build_training_graph, every_neuron
from click.testing import CliRunner
from test_tflm_branching import assert_first_step

from tf_odl.cli import main
from tf_odl.contract import Flags
from tf_odl.converters.export import export_tflite
from tf_odl.converters.flatbuffer import FlatModel, schema
from tf_odl.converters.int8_model import with_biases
from tf_odl.converters.layers import WEIGHTED_OPS
from tf_odl.converters.mask_file import read_masks
from tf_odl.converters.memory import HOST, plan_memory
from tf_odl.converters.options import LayerOptions
from tf_odl.converters.reference import infer, watch
from tf_odl.converters.targets import get_target
from tf_odl.converters.third_party import adapt, single_scale
from tf_odl.errors import UserError
from tf_odl.methods import Mask, get_method
from tf_odl.quiet import quiet
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

L = keras.layers
needs_tflm = pytest.mark.skipif(available() is not None, reason=str(available()))


def convert(model: keras.Model, ends: Any = tf.int8, quantizes: bool = True) -> bytes:
    """As TensorFlow's documentation tells to: nothing of ours."""
    random = np.random.default_rng(0)
    shape = (1, *model.input_shape[1:])

    def samples() -> Iterator[list[np.ndarray]]:
        for _ in range(30):
            yield [random.normal(size=shape).astype(np.float32)]

    with quiet():
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if quantizes:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = samples
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = ends
        return converter.convert()


def convolutional(end: Callable[[Any], Any] | None = None) -> keras.Model:
    """Batch normalization, a residual sum, a layer without bias; Dense with a scale per row."""
    keras.utils.set_random_seed(3)
    x = keras.Input((8, 8, 2), batch_size=1)
    h = L.Conv2D(6, 3, padding="same", use_bias=False, name="stem")(x)
    h = L.ReLU(6.0)(L.BatchNormalization()(h))
    branch = L.DepthwiseConv2D(3, padding="same", name="wise")(h)
    branch = L.Conv2D(6, 1, use_bias=False, name="pointwise")(branch)
    h = L.ReLU()(L.Add()([h, branch]))
    h = L.Flatten()(L.AveragePooling2D(2)(h))
    h = L.Dense(7, activation="relu", name="hidden")(h)
    model = keras.Model(x, end(h) if end else L.Dense(4, activation="softmax", name="head")(h))
    random = np.random.default_rng(3)
    for variable in model.weights:
        if "bias" in variable.path:  # the converter drops those that are all zero
            variable.assign(random.normal(0, 0.1, variable.shape))
    return model


@pytest.fixture(scope="module")
def keras_model() -> keras.Model:
    return convolutional()


@pytest.fixture(scope="module")
def file(keras_model: keras.Model) -> bytes:
    return convert(keras_model)


def exported(data: bytes, folder: Path, **settings: Any) -> Any:
    method = get_method("full")
    given: dict[str, Any] = {
        "name": "theirs",
        "target": get_target("nano33"),
        "out_dir": folder,
        "sparsifier": method.sparsifier,
        "skip_rule": method.skip,
    }
    return export_tflite(data, **(given | settings))


def codes(count: int = 4) -> np.ndarray:
    return np.random.default_rng(1).integers(-100, 101, (count, 8, 8, 2)).astype(np.int8)


# -- what becomes of the file ---------------------------------------------------------------


def test_layers_are_named_as_in_keras(file: bytes) -> None:
    """Keras 3 adds a number to every name when it is converted."""
    names = {name.removesuffix("_1"): count for name, count in adapt(file)[1].items()}
    assert names == {"stem": 6, "wise": 6, "pointwise": 6, "hidden": 7, "head": 4}


def test_convolutions_keep_every_number(keras_model: keras.Model) -> None:
    """Inference is that of the file, bit for bit; so are scales and zero points."""
    data = convert(keras.Model(keras_model.input, keras_model.get_layer("pointwise").output))
    adapted, _ = adapt(data)
    x = codes()
    np.testing.assert_array_equal(infer(adapted, x), infer(data, x))
    theirs, ours = FlatModel(data), FlatModel(adapted)
    for a, b in zip(theirs.operators, ours.operators, strict=True):
        for i, j in zip((*a.inputs, *a.outputs), (*b.inputs, *b.outputs), strict=True):
            np.testing.assert_array_equal(theirs.scales(i), ours.scales(j))
    assert len(adapted) < len(data)


def test_a_dense_layer_gets_one_scale(file: bytes) -> None:
    """Which costs at most half a step of the widest row, so the outputs stay close."""
    theirs, adapted = FlatModel(file), adapt(file)[0]
    ours = FlatModel(adapted)
    rows = 0
    for a, b in zip(theirs.operators, ours.operators, strict=True):
        if theirs.op_name(a) != "FULLY_CONNECTED":
            continue
        kernel, single = int(a.inputs[1]), int(b.inputs[1])
        rows = max(rows, len(theirs.scales(kernel)))
        real = theirs.constant(kernel) * theirs.scales(kernel).reshape(-1, 1)
        step = ours.scales(single)
        assert step.shape == (1,) and step[0] == theirs.scales(kernel).max()
        assert np.abs(ours.constant(single) * step - real).max() <= 0.501 * step[0]
        bias, moved = int(a.inputs[2]), int(b.inputs[2])
        unit = ours.scales(moved)[0]
        kept = theirs.constant(bias) * theirs.scales(bias)
        np.testing.assert_allclose(ours.constant(moved) * unit, kept, atol=0.51 * unit)
    assert rows > 1, "this converter gives a Dense layer one scale: the test shows nothing"
    difference = infer(adapted, codes(20)).astype(int) - infer(file, codes(20))
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize("ends", [tf.float32, tf.uint8], ids=["float32", "uint8"])
def test_other_types_at_the_ends_are_cut_off(
    keras_model: keras.Model, file: bytes, ends: Any
) -> None:
    adapted, _ = adapt(convert(keras_model, ends))
    flat = FlatModel(adapted)
    assert flat.dtype(flat.inputs[0]) == flat.dtype(flat.outputs[0]) == np.int8
    assert {flat.op_name(op) for op in flat.operators}.isdisjoint({"QUANTIZE", "DEQUANTIZE"})
    x = codes()
    np.testing.assert_array_equal(infer(adapted, x), infer(adapt(file)[0], x))
    mentioned = {int(i) for op in flat.operators for i in (*op.inputs, *op.outputs)}
    assert mentioned >= set(range(len(flat.tensors)))


def built(*layers: Callable[[Any], Any], shape: tuple[int, ...], batch: int | None = 1) -> Any:
    """A classifier of such layers and a softmax, its weights and biases not zero."""
    keras.utils.set_random_seed(3)
    h = x = keras.Input(shape, batch_size=batch)
    for layer in layers:
        h = layer(h)
    model = keras.Model(x, L.Dense(4, activation="softmax", name="head")(h))
    random = np.random.default_rng(3)
    for variable in model.weights:
        if "bias" in variable.path:
            variable.assign(random.normal(0, 0.1, variable.shape))
    return model


def kinds(data: bytes) -> list[str]:
    flat = FlatModel(data)
    return [flat.op_name(op) for op in flat.operators]


def any_codes(data: bytes, count: int = 6) -> np.ndarray:
    flat = FlatModel(data)
    shape = (count, *flat.shape(flat.inputs[0])[1:])
    return np.random.default_rng(2).integers(-128, 128, shape).astype(np.int8)


def one_scale_heads(data: bytes) -> bytes:
    """The file with a single scale per Dense layer, the one thing `adapt` rounds again."""
    flat = FlatModel(data)
    for op in flat.operators:
        if flat.op_name(op) == "FULLY_CONNECTED":
            single_scale(flat, op)
    return flat.pack()


@pytest.mark.parametrize(
    "model",
    [
        lambda: built(L.Conv2D(5, 3, activation="relu"), L.Flatten(), shape=(6, 6, 2), batch=None),
        lambda: built(L.Reshape((4, 4, 3)), L.Conv2D(5, 3), L.Flatten(), shape=(48,), batch=None),
        lambda: built(
            *(L.Conv1D(5, 3, activation="relu"), L.MaxPooling1D(), L.Conv1D(4, 3), L.Flatten()),
            shape=(16, 3),
            batch=None,
        ),
        lambda: built(*(L.Dense(5, "relu"), L.Dense(4), L.Flatten()), shape=(3, 2, 4), batch=None),
    ],
    ids=["flatten", "reshape", "conv1d", "dense"],
)
def test_a_dynamic_batch_becomes_one(model: Callable[[], keras.Model]) -> None:
    data = convert(model())
    assert {"SHAPE", "PACK"} <= set(kinds(data)), "nothing is computed: the test shows nothing"
    adapted, _ = adapt(data)
    assert set(kinds(adapted)) <= {*WEIGHTED_OPS, "RESHAPE", "MAX_POOL_2D", "ADD", "SOFTMAX"}
    x = any_codes(data)
    np.testing.assert_array_equal(infer(adapted, x), infer(one_scale_heads(data), x))


def relu6_behind_a_join() -> keras.Model:
    def join(h: Any) -> Any:
        return L.Concatenate()([L.Conv2D(3, 1, name="a")(h), L.Conv2D(3, 3, padding="same")(h)])

    layers = [L.Conv2D(5, 3), join, L.ReLU(6.0), L.GlobalAveragePooling2D()]
    model = built(*layers, shape=(6, 6, 2))
    kernel, bias = model.get_layer("a").get_weights()
    model.get_layer("a").set_weights([6 * kernel, bias])  # so that some outputs exceed 6
    return model


def test_a_relu6_of_its_own_becomes_a_relu_with_its_bits() -> None:
    """The bits of TFLite's RELU6, which the reference kernels compute right."""
    data = convert(relu6_behind_a_join())
    assert "RELU6" in kinds(data)
    adapted, _ = adapt(data)
    assert "RELU" in kinds(adapted) and "RELU6" not in kinds(adapted)
    x = any_codes(data)
    np.testing.assert_array_equal(infer(adapted, x), infer(one_scale_heads(data), x))
    flat = FlatModel(adapted)
    cut = next(int(op.outputs[0]) for op in flat.operators if flat.op_name(op) == "RELU")
    values = np.concatenate([v for (v,) in watch(adapted, x, [cut])])
    assert (values == 127).any() and flat.scales(cut)[0] == pytest.approx(6 / 255)


def test_a_relu6_that_reaches_beyond_6_is_refused() -> None:
    flat = FlatModel(convert(relu6_behind_a_join()))
    op = next(op for op in flat.operators if flat.op_name(op) == "RELU6")
    flat.tensors[int(op.outputs[0])].quantization.scale = np.array([7 / 255], np.float32)
    with pytest.raises(UserError, match=r"op RELU6 .*let the converter fuse it"):
        adapt(flat.pack())


@needs_tflm
@pytest.mark.parametrize("count", [1, 6])
@pytest.mark.parametrize("kind", ["SPLIT", "UNPACK", "RESHAPE"])
def test_ops_of_other_files_run_and_are_planned_for(kind: str, count: int) -> None:
    def step(h: Any) -> Any:
        if kind == "SPLIT":
            return L.Concatenate()(keras.ops.split(h, 2, axis=-1)[::-1])
        if kind == "UNPACK":
            return L.Concatenate()(keras.ops.unstack(L.Reshape((2, 6))(h), axis=1)[::-1])
        return L.Conv1D(3, 3, padding="same")(h)

    if kind == "RESHAPE":  # one around each convolution, of a batch of any size
        layers = [*[step] * count, L.Flatten()]
        data = convert(built(*layers, shape=(4, 3), batch=None))
    else:
        data = convert(built(L.Dense(12), *[step] * count, shape=(7,)))
    adapted, _ = adapt(data)
    assert kinds(adapted).count(kind) >= count
    x = any_codes(data)
    with TrainingInterpreter(adapted) as board:
        np.testing.assert_array_equal(board.infer(x), infer(adapted, x))
        used = board.arena_used_bytes
    assert used <= plan_memory(adapted, HOST).used_bytes <= 1.02 * used + 16


@needs_tflm
@pytest.mark.parametrize("kind", ["conv", "dense"])
def test_layers_that_share_weights_stay_as_they_are(kind: str, tmp_path: Path) -> None:
    if kind == "conv":
        twice: Any = L.Conv2D(4, 3, padding="same", activation="relu")
        layers = [L.Conv2D(4, 3), twice, twice, L.GlobalAveragePooling2D()]
    else:
        twice = L.Dense(8, activation="relu")
        layers = [L.Flatten(), L.Dense(8), twice, twice]
    data = convert(built(*layers, shape=(6, 6, 2)))
    exported(data, tmp_path / "export", train_layers=1)
    with TrainingInterpreter((tmp_path / "export" / "model_train.tflite").read_bytes()) as board:
        x = any_codes(data)
        np.testing.assert_array_equal(board.infer(x), infer(one_scale_heads(data), x))
    with pytest.raises(UserError, match="shares its weights with another one"):
        exported(data, tmp_path / "more", train_layers=2)


def test_layers_are_named_without_what_surrounds_them() -> None:
    layers = [L.Conv1D(4, 3, name="c"), L.BatchNormalization(), L.ReLU()]
    layers += [L.DepthwiseConv1D(3, name="d", use_bias=False), L.BatchNormalization(), L.ReLU()]
    model = built(*layers, L.GlobalAveragePooling1D(), shape=(12, 2))
    assert [name.removesuffix("_1") for name in adapt(convert(model))[1]] == ["c", "d", "head"]


# -- training ---------------------------------------------------------------------------------


@needs_tflm
def test_the_first_step_is_the_gradient_of_autodiff(file: bytes, tmp_path: Path) -> None:
    report = exported(file, tmp_path / "export")
    data = (tmp_path / "export" / "model.tflite").read_bytes()
    neurons = {layer["name"]: layer["neurons"] for layer in report.export["layers"]}

    def graph(learning_rate: float) -> bytes:
        return build_training_graph(
            data, list(neurons), every_neuron(neurons), learning_rate=learning_rate, seed=0
        )

    assert_first_step(data, graph, list(neurons), codes()[0], 2)


REDUCTIONS: dict[str, Callable[[Any], Any]] = {
    "average 1-D": lambda h: L.GlobalAveragePooling1D()(L.Reshape((36, 5))(h)),
    "average of rows": lambda h: L.Flatten()(keras.ops.mean(h, axis=1)),
    "average of columns": lambda h: L.Flatten()(keras.ops.mean(h, axis=-2, keepdims=True)),
    "average of channels": lambda h: L.Flatten()(keras.ops.mean(h, axis=3)),
    "average of columns and channels": lambda h: keras.ops.mean(h, axis=(2, 3)),
    "maximum": lambda h: L.GlobalMaxPooling2D()(h),
    "maximum 1-D": lambda h: L.GlobalMaxPooling1D()(L.Reshape((36, 5))(h)),
    "maximum of columns": lambda h: L.Flatten()(keras.ops.max(h, axis=2)),
}


@needs_tflm
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_errors_cross_any_average_or_maximum(reduction: str) -> None:
    layers = [L.Conv2D(5, 3, name="conv"), REDUCTIONS[reduction]]
    data, neurons = adapt(convert(built(*layers, shape=(8, 8, 2))))
    assert {"MEAN", "REDUCE_MAX"} & set(kinds(data))
    masks = every_neuron(neurons)
    data = with_biases(data, masks)

    def graph(learning_rate: float) -> bytes:
        return build_training_graph(data, list(neurons), masks, learning_rate=learning_rate, seed=0)

    x = any_codes(data)
    assert_first_step(data, graph, list(neurons), x[0], 2)
    with TrainingInterpreter(graph(0.01)) as board:
        np.testing.assert_array_equal(board.infer(x), infer(data, x))


@needs_tflm
def test_inference_through_the_training_graph_is_the_same_bits(file: bytes, tmp_path: Path) -> None:
    exported(file, tmp_path / "export")
    plain = (tmp_path / "export" / "model.tflite").read_bytes()
    with TrainingInterpreter((tmp_path / "export" / "model_train.tflite").read_bytes()) as board:
        np.testing.assert_array_equal(board.infer(codes()), infer(plain, codes()))


def updating(folder: Path) -> list[str]:
    flat = FlatModel((folder / "model_train.tflite").read_bytes())
    flags = {}
    for op in flat.operators:
        kind = flat.op_name(op)
        if kind.endswith("_BWD") and kind.split("_")[1] in ("FULLY", "CONV", "DEPTHWISE"):
            options = LayerOptions.unpack(bytes(bytearray(op.customOptions)))
            flags[flat.name(int(op.inputs[3]))] = Flags(options.flags)
    return [name for name, flag in flags.items() if flag & Flags.UPDATE_WEIGHTS]


def test_layers_are_chosen_by_number_name_or_file(file: bytes, tmp_path: Path) -> None:
    _, neurons = adapt(file)
    stem, _, middle, hidden, head = neurons
    exported(file, tmp_path / "a", train_layers=2)
    assert updating(tmp_path / "a") == [head, hidden]
    exported(file, tmp_path / "b", layers=[middle, head])
    assert updating(tmp_path / "b") == [head, middle]
    some = np.array([True, False, True, False, False, False])
    np.savez(tmp_path / "masks.npz", **{f"{stem}/kernel": some})
    report = exported(file, tmp_path / "c", masks=read_masks(tmp_path / "masks.npz"))
    assert updating(tmp_path / "c") == [stem]
    assert [x["trainable_weights"] for x in report.export["layers"]] == [2, 0, 0, 0, 0]
    assert [x["trainable_biases"] for x in report.export["layers"]] == [2, 0, 0, 0, 0]


def test_a_missing_bias_is_added_where_it_trains(tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.Input((6,), batch_size=1), L.Dense(5, use_bias=False, name="a"), L.Dense(3)]
    )
    data = convert(model)
    first = FlatModel(data).operators[0]
    assert len(first.inputs) == 2 or first.inputs[2] == -1, "it has one: the test shows nothing"
    exported(data, tmp_path / "export")
    flat = FlatModel((tmp_path / "export" / "model.tflite").read_bytes())
    bias = int(flat.operators[0].inputs[2])
    assert flat.shape(bias) == (5,) and not flat.constant(bias).any()


def test_biases_with_the_dimension_of_their_kernel(file: bytes) -> None:
    """As in tflite-micro's person_detect.tflite, which today's TensorFlow Lite does not load."""
    flat = FlatModel(file)
    for op in flat.operators:
        if flat.op_name(op) == "DEPTHWISE_CONV_2D":
            flat.tensors[int(op.inputs[2])].quantization.quantizedDimension = 3
    x = np.random.default_rng(0).integers(-128, 128, (4, 8, 8, 2), np.int8)
    with pytest.raises(UserError, match="cannot be run"):
        infer(flat.pack(), x)
    wanted = infer(adapt(file)[0], x)
    np.testing.assert_array_equal(infer(adapt(flat.pack())[0], x), wanted)


# -- refusals -----------------------------------------------------------------------------------


def edited(data: bytes, edit: Callable[[FlatModel], None]) -> bytes:
    flat = FlatModel(data)
    edit(flat)
    return flat.pack()


def two_outputs(flat: FlatModel) -> None:
    flat.graph.outputs = np.array([*flat.outputs, int(flat.operators[0].outputs[0])], np.int32)


def larger_batch(flat: FlatModel) -> None:
    flat.tensors[flat.inputs[0]].shape = np.array([2, 8, 8, 2], np.int32)


def int8_lstm(flat: FlatModel) -> None:
    """The op and the state of one; as in tflite-micro's examples, tensors may have no names."""
    op = flat.operators[1]
    op.opcodeIndex = flat.builtin_op("UNIDIRECTIONAL_SEQUENCE_LSTM", [], [], 1).opcodeIndex
    state = flat.add_tensor("", (1, 4), np.int8)
    flat.tensors[state].type = schema().TensorType.INT16
    op.inputs = np.array([*op.inputs, state], np.int32)
    flat.tensors[int(op.outputs[0])].name = ""


def dequantized_weights(flat: FlatModel) -> None:
    """As in a file with float16 weights."""
    kernel = int(flat.operators[0].inputs[1])
    flat.operators.insert(0, flat.builtin_op("DEQUANTIZE", [kernel], [kernel], 1))
    flat.tensors[kernel].type = schema().TensorType.FLOAT16


def filled(h: Any) -> Any:
    """Joined with numbers, as many as the batch is large."""
    return tf.concat([h, tf.fill([tf.shape(h)[0], 2], 0.5)], axis=1)


def test_files_that_are_no_int8_models_are_refused(keras_model: keras.Model, file: bytes) -> None:
    for data, message in (
        (b"PK\3\4 a zip file", "not a .tflite model"),
        (file[:400], "damaged"),
        (convert(keras_model, quantizes=False), "works on float32 .*not fully quantized to int8"),
        (edited(file, two_outputs), "2 outputs"),
        (edited(file, larger_batch), "batch size of 1"),
        (edited(file, int8_lstm), r"op UNIDIRECTIONAL_SEQUENCE_LSTM \(number 1\) .*common int8"),
        (edited(file, dequantized_weights), "works on float16 .*not fully quantized to int8"),
        # Casts around the layer are not what has no int8 form.
        (convert(built(L.Dense(5, activation="elu"), shape=(6,))), r"^op ELU .*Replace the layer"),
        (
            convert(built(L.Lambda(filled), shape=(6,), batch=None)),
            "^op SHAPE .*size of 1",
        ),
        (
            convert(built(lambda h: h[:, 1], L.Flatten(), shape=(3, 4, 4, 2))),
            "^op STRIDED_SLICE .*5 dimensions, .*at most 4",
        ),
        (
            convert(
                keras.Sequential(
                    [keras.Input((6,), 1), L.Dense(4, "softmax", kernel_initializer="zeros")]
                )
            ),
            "^op SOFTMAX .*all the same",
        ),
    ):
        with pytest.raises(UserError, match=message):
            adapt(data)


def swapped(h: Any) -> Any:
    return L.Concatenate()(keras.ops.split(L.Concatenate()([h, h]), 2, axis=-1)[::-1])


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (lambda h: L.Dense(3)(L.Dense(5, activation="tanh")(h)), r"\(TANH\).*--train-layers 1$"),
        (lambda h: L.Dense(3)(L.LeakyReLU()(h)), r"\(LEAKY_RELU\).*--train-layers 1$"),
        (lambda h: L.Dense(3)(swapped(h)), r"\(SPLIT\).*--train-layers 1$"),
        (lambda h: L.Dense(3)(keras.ops.sum(L.Reshape((7, 1))(h), 2)), r"op SUM .*common int8"),
    ],
    ids=["TANH", "LEAKY_RELU", "SPLIT", "SUM"],
)
def test_the_op_that_stops_it_is_named(
    end: Callable[[Any], Any], message: str, tmp_path: Path
) -> None:
    data = convert(convolutional(end))
    with pytest.raises(UserError, match=message):
        exported(data, tmp_path / "export")
    assert not (tmp_path / "export").exists()
    if "SUM" not in message:
        exported(data, tmp_path / "export", train_layers=1)


def test_the_error_of_a_second_output_is_not_forgotten(tmp_path: Path) -> None:
    def leave_out_the_first(flat: FlatModel) -> None:
        join = [op for op in flat.operators if flat.op_name(op) == "CONCATENATION"][-1]
        second = int(join.inputs[0])
        assert second == next(
            int(o.outputs[1]) for o in flat.operators if flat.op_name(o) == "SPLIT"
        )
        join.inputs = np.array([second, second], np.int32)

    data = edited(convert(convolutional(lambda h: L.Dense(3)(swapped(h)))), leave_out_the_first)
    with pytest.raises(UserError, match=r"\(SPLIT\)"):
        exported(data, tmp_path / "export")


def test_wrong_choices_are_refused(file: bytes, tmp_path: Path) -> None:
    for settings, message in (
        ({"layers": ["nose"]}, "--layers names a layer 'nose', the model has"),
        ({"train_layers": 6}, "the model has 5 layers"),
        ({"learning_rate": 0.0}, "learning rate"),
        ({"masks": {"nose": Mask(np.ones(2, bool), np.ones(2, bool))}}, "masks name a layer"),
        ({"target": replace(get_target("nano33"), arena_bytes=100)}, "does not fit"),
    ):
        with pytest.raises(UserError, match=message):
            exported(file, tmp_path / "export", **settings)
    assert not (tmp_path / "export").exists()


def test_mask_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "masks.npz"
    for arrays, message in (
        ({}, "no masks"),
        ({"a/kernel": np.ones(3)}, "'a/kernel' is not a list of true and false"),
        ({"kernel": np.ones(3, bool)}, "not named LAYER/kernel"),
        ({"a/bias": np.ones(3, bool)}, "no a/kernel"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(UserError, match=message):
            read_masks(path)
    path.write_text("text")
    with pytest.raises(UserError, match=r"no \.npz file"):
        read_masks(path)
    with pytest.raises(UserError, match=r"no \.npz file"):
        read_masks(tmp_path / "nothing.npz")


# -- the command ----------------------------------------------------------------------------------


def test_the_command_takes_the_file(file: bytes, tmp_path: Path) -> None:
    source = tmp_path / "theirs.tflite"
    source.write_bytes(file)
    x = np.random.default_rng(2).normal(size=(12, 8, 8, 2)).astype(np.float32)
    labels = np.arange(12) % 4
    np.savez(tmp_path / "data.npz", x_train=x, y_train=labels, x_test=x, y_test=labels)
    arguments = ["export", str(source), "--train-layers", "1", "--json"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["export_dir"] == str(tmp_path / "theirs-nano33")
    assert result["export"]["accuracy"] is None and result["export"]["model"] == "theirs"
    assert updating(tmp_path / "theirs-nano33") == [list(adapt(file)[1])[-1]]
    done = CliRunner().invoke(
        main, [*arguments, "--overwrite", "--data", str(tmp_path / "data.npz")]
    )
    assert done.exit_code == 0, done.output
    accuracy = json.loads(done.stdout)["export"]["accuracy"]
    assert accuracy["samples"] == 12 and 0 <= accuracy["int8"] <= 1
    for option in (["--quantize", "qat"], ["--calibration", "mse"]):
        done = CliRunner().invoke(main, ["export", str(source), *option, "--overwrite"])
        assert done.exit_code == 2 and "int8 already and keeps its scales" in done.stderr
    done = CliRunner().invoke(main, ["export", str(tmp_path / "none.tflite")])
    assert done.exit_code == 2 and "none.tflite does not exist" in done.stderr


@needs_tflm
def test_the_export_learns_in_the_simulation(file: bytes, tmp_path: Path) -> None:
    """Effort counts from the file: each layer's MACs twice, the lowest layer's once."""
    source = tmp_path / "theirs.tflite"
    source.write_bytes(file)
    random = np.random.default_rng(4)
    patterns = random.normal(size=(4, 8, 8, 2))
    labels = random.integers(0, 4, 120)
    x = (patterns[labels] + random.normal(0, 0.3, (120, 8, 8, 2))).astype(np.float32)
    np.savez(tmp_path / "data.npz", x_train=x, y_train=labels, x_test=x, y_test=labels)

    def run(*arguments: object) -> dict[str, Any]:
        done = CliRunner().invoke(main, [*map(str, arguments), "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    folder = run("export", source, "--method", "full", "--lr", "0.01")["export_dir"]
    data = ["--data", tmp_path / "data.npz"]
    found = run("simulate", folder, *data, "--passes", 3, "--save", tmp_path / "learned")
    assert found["accuracy_after"] > 0.9 > 0.6 > found["accuracy_before"]
    assert found["effort"] == 1.0
    learned = (tmp_path / "learned" / "learned.tflite").read_bytes()
    codes_of_x = np.round(x / _input_scale(learned)) + FlatModel(learned).zero_point(
        FlatModel(learned).inputs[0]
    )
    classes = infer(learned, np.clip(codes_of_x, -128, 127).astype(np.int8)).argmax(1)
    assert (classes == labels).mean() == found["accuracy_after"]
    assert [p.name for p in (tmp_path / "learned").iterdir()] == ["learned.tflite"]
    done = CliRunner().invoke(main, ["simulate", folder])
    assert done.exit_code == 2 and "--data" in done.stderr


def _input_scale(model: bytes) -> np.float32:
    flat = FlatModel(model)
    return flat.scales(flat.inputs[0])[0]
