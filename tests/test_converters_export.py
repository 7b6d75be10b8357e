"""Exports: which files with what in them, and what happens when something is wrong."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from converter_models import Export, make, samples

from tf_odl.converters import export as export_module
from tf_odl.converters.error_type import ErrorType
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.fold import fold
from tf_odl.converters.header import model_header
from tf_odl.converters.memory import plan_memory
from tf_odl.converters.reference import infer, quantize_input
from tf_odl.converters.targets import get_target
from tf_odl.converters.update_rule import UpdateRule
from tf_odl.errors import UserError
from tf_odl.methods import Mask, get_method
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

L = keras.layers
FILES = [
    "arduino",
    "export.json",
    "model.tflite",
    "model_data.h",
    "model_folded.keras",
    "model_train.tflite",
    "plan.json",
    "plan.png",
]
needs_tflm = pytest.mark.skipif(available() is not None, reason=str(available()))


def blobs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Four well separated classes of images float32 [count, 9, 8, 2]."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, count)
    patterns = np.random.default_rng(77).normal(size=(4, 9, 8, 2))
    x = patterns[labels] + rng.normal(0, 0.6, (count, 9, 8, 2))
    return x.astype(np.float32), labels


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    """A CNN that has learned the four classes."""
    model = make("cnn")
    x, labels = blobs(600, 1)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x, labels, epochs=4, verbose=0)
    return model


@pytest.fixture(scope="module")
def exported(trained: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Export:
    return Export(
        trained,
        tmp_path_factory.mktemp("export") / "export",
        calibration_x=blobs(60, 2)[0],
        test=blobs(200, 3),
        provenance={"data": "blobs"},
    )


def contents(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


# -- what is in the folder ------------------------------------------------------------------


def test_exactly_these_files_and_the_records_are_the_report(exported: Export) -> None:
    assert left(exported.folder) == FILES
    for name, content in (
        ("plan.json", exported.report.plan),
        ("export.json", exported.report.export),
    ):
        text = (exported.folder / name).read_text()
        assert json.loads(text) == json.loads(json.dumps(content))
        assert not re.search(r"NaN|Infinity", text), "not JSON"
    assert exported.report.folder == exported.folder


def test_the_keras_file_is_the_folded_model(exported: Export) -> None:
    loaded = keras.models.load_model(exported.folder / "model_folded.keras")
    x, _ = blobs(20, 4)
    folded = fold(exported.model).model.predict(x, verbose=0)
    np.testing.assert_allclose(loaded.predict(x, verbose=0), folded, rtol=1e-6)
    np.testing.assert_allclose(exported.model.predict(x, verbose=0), folded, atol=1e-4)
    assert not any(isinstance(layer, L.BatchNormalization) for layer in loaded.layers)


def test_both_models_are_int8_with_batch_one(exported: Export) -> None:
    for flat in (exported.plain, exported.graph):
        x, y = flat.inputs[0], flat.outputs[0]
        assert flat.shape(x) == (1, 9, 8, 2) and flat.shape(y) == (1, 4)
        assert flat.dtype(x) == flat.dtype(y) == np.int8
        assert flat.root.signatureDefs in (None, []) and flat.root.metadata in (None, [])
    assert {exported.plain.dtype(i).name for i in range(len(exported.plain.tensors))} == {
        "int8",
        "int32",
    }


def test_the_record_is_enough_to_use_the_model(exported: Export) -> None:
    """Quantize by hand with export.json, read the answer by hand: the classes come out."""
    record = json.loads((exported.folder / "export.json").read_text())
    x, labels = blobs(100, 5)
    assert record["input"]["shape"] == [1, 9, 8, 2]
    codes = np.clip(
        np.rint(x / record["input"]["scale"]) + record["input"]["zero_point"], -128, 127
    ).astype(np.int8)
    outputs = infer(exported.int8, codes).astype(float)
    shares = (outputs - record["output"]["zero_point"]) * record["output"]["scale"]
    assert record["output"]["softmax"] and record["output"]["classes"] == 4
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=0.02)
    assert (shares.argmax(axis=1) == labels).mean() > 0.95


def test_the_record_says_how_it_was_made(exported: Export, trained: keras.Model) -> None:
    record = exported.report.export
    assert record["target"] == "nano33" and record["model"] == trained.name
    assert record["provenance"] == {"data": "blobs"} and record["calibration_samples"] == 60
    assert record["sparsifier"]["name"] == "dense" and record["skip_rule"]["name"] == "never"
    weighted = [layer for layer in trained.layers if isinstance(layer, (L.Conv2D, L.Dense))]
    assert record["layers"] == [
        {
            "name": layer.name,
            "neurons": layer.kernel.shape[-1],
            "trainable_weights": layer.kernel.shape[-1],
            "trainable_biases": layer.kernel.shape[-1],
        }
        for layer in weighted
    ]


def test_int8_is_as_good_as_float(exported: Export) -> None:
    """Both accuracies counted again: by Keras, and by the int8 model in its own runtime."""
    x, labels = blobs(200, 3)
    accuracy = exported.report.export["accuracy"]
    in_keras = (exported.model.predict(x, verbose=0).argmax(axis=1) == labels).mean()
    codes = infer(exported.int8, quantize_input(exported.int8, x))
    assert accuracy["samples"] == 200
    assert accuracy["float"] == in_keras > 0.97
    assert accuracy["int8"] == (codes.argmax(axis=1) == labels).mean()
    assert abs(accuracy["int8"] - accuracy["float"]) <= 0.01


def test_progress_is_told(trained: keras.Model, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    Export(
        trained,
        tmp_path / "export",
        calibration_x=blobs(7, 2)[0],
        test=blobs(40, 3),
        progress=lambda what, done, total: told.append((what, done, total)),
    )
    calibrated = [(done, total) for what, done, total in told if what == "calibrate"]
    assert calibrated[-1] == (7, 7)
    tested = [(done, total) for what, done, total in told if what == "test int8"]
    assert tested[-1] == (40, 40) and tested == sorted(tested)


# -- the header -----------------------------------------------------------------------------

PROGRAM = """\
#include <stdint.h>
#include <stdio.h>
#include "model_data.h"
int main(void) {
  if ((uintptr_t)model_tflite % 16 != 0) return 1;
  if ((uintptr_t)model_train_tflite % 16 != 0) return 2;
  fwrite(model_tflite, 1, model_tflite_len, stdout);
  fwrite(model_train_tflite, 1, model_train_tflite_len, stdout);
  return sizeof(model_tflite) == model_tflite_len ? 0 : 3;
}
"""


@pytest.mark.parametrize(
    ("compiler", "standard", "name"),
    [("g++", "c++14", "main.cpp"), ("gcc", "c11", "main.c")],
)
def test_the_header_compiles_to_the_bytes_of_the_files(
    exported: Export, tmp_path: Path, compiler: str, standard: str, name: str
) -> None:
    (tmp_path / name).write_text(PROGRAM)
    flags = [f"-std={standard}", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    command = [compiler, *flags, f"-I{exported.folder}", name, "-o", "program"]
    subprocess.run(command, cwd=tmp_path, check=True)
    result = subprocess.run([tmp_path / "program"], capture_output=True, check=True)
    assert result.stdout == exported.int8 + exported.training


def test_the_header_aligns_what_would_not_lie_so_by_chance(tmp_path: Path) -> None:
    """Odd lengths, one after the other; the type alone asks for an alignment of 1."""
    header = model_header({"a": b"x", "b": b"yz", "c": bytes(range(33))})
    (tmp_path / "model_data.h").write_text(header)
    (tmp_path / "main.cpp").write_text(
        '#include <cstdint>\n#include "model_data.h"\n#include "model_data.h"\n'
        "static bool ok(const unsigned char* p) {\n"
        "  return reinterpret_cast<std::uintptr_t>(p) % 16 == 0;\n}\n"
        "int main() { return ok(a) && ok(b) && ok(c) && c[32] == 32 && c_len == 33 ? a_len + b_len"
        " - 3 : 1; }\n"
    )
    flags = ["-std=c++14", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run(["g++", *flags, "main.cpp", "-o", "program"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "program"], check=False).returncode == 0


# -- all or nothing -------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["model_header", "fit_or_refuse", "check_known_to_tflm"])
@pytest.mark.parametrize("error", [OSError("no space left on device"), KeyboardInterrupt()])
def test_a_failure_in_the_middle_leaves_nothing_or_what_was_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str, error: BaseException
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    model = make("mlp")
    Export(model, tmp_path / "earlier", learning_rate=0.01)
    before = contents(tmp_path / "earlier")
    monkeypatch.setattr(export_module, step, fail)
    with pytest.raises(type(error)):
        Export(model, tmp_path / "new")
    with pytest.raises(type(error)):
        Export(model, tmp_path / "earlier", overwrite=True)
    assert left(tmp_path) == ["earlier"]
    assert contents(tmp_path / "earlier") == before


def test_a_failure_while_the_last_file_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write = Path.write_text

    def full(path: Path, *args: Any, **options: Any) -> int:
        if path.name == "export.json":
            raise OSError("no space left on device")
        return write(path, *args, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space"):
        Export(make("mlp"), tmp_path / "export")
    assert left(tmp_path) == []


def test_an_earlier_export_is_replaced_only_when_asked(tmp_path: Path) -> None:
    model, out = make("mlp"), tmp_path / "export"
    Export(model, out, learning_rate=0.01)
    (out / "stale").write_text("from the earlier export")
    with pytest.raises(UserError, match="earlier export: use --overwrite"):
        Export(model, out, learning_rate=0.02)
    assert json.loads((out / "export.json").read_text())["learning_rate"] == 0.01
    Export(model, out, learning_rate=0.02, overwrite=True)
    assert json.loads((out / "export.json").read_text())["learning_rate"] == 0.02
    assert left(out) == FILES and left(tmp_path) == ["export"]


def test_what_is_no_export_is_never_replaced(tmp_path: Path) -> None:
    model = make("mlp")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis").write_text("precious")
    (tmp_path / "file").write_text("precious")
    for place in ("mine", "file"):
        for overwrite in (False, True):
            with pytest.raises(UserError, match="exists and is not empty"):
                Export(model, tmp_path / place, overwrite=overwrite)
    assert (tmp_path / "mine" / "thesis").read_text() == (tmp_path / "file").read_text()
    assert left(tmp_path) == ["file", "mine"]
    (tmp_path / "empty").mkdir()
    Export(model, tmp_path / "empty")
    assert left(tmp_path / "empty") == FILES


# -- what is refused ------------------------------------------------------------------------


def broken(value: float) -> np.ndarray:
    x = np.zeros((5, 9, 8, 2), np.float32)
    x[3, 2, 1, 0] = value
    return x


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"calibration_x": broken(np.nan)}, "calibration data: some values are not finite"),
        ({"calibration_x": broken(np.inf)}, "calibration data: some values are not finite"),
        ({"calibration_x": np.zeros((5, 8, 9, 2))}, r"reads samples of shape \[9, 8, 2\]"),
        ({"calibration_x": np.zeros((9, 8, 2))}, r"got an array of shape \[9, 8, 2\]"),
        ({"calibration_x": np.zeros((0, 9, 8, 2))}, "calibration data"),
        ({"test": (broken(np.nan), np.zeros(5, int))}, "test data: some values are not finite"),
        ({"test": (broken(0), np.zeros(4, int))}, "test data: 5 samples need as many class"),
        ({"train_layers": 0}, "--train-layers 0: the model has 4 layers"),
        ({"train_layers": 5}, "--train-layers 5: the model has 4 layers"),
        ({"masks": {"ghost": Mask(np.ones(4, bool), np.ones(4, bool))}}, "layer 'ghost'"),
        ({"masks": {}}, "every mask is empty"),
        ({"learning_rate": 0.0}, "learning rate must be positive"),
        ({"learning_rate": -1.0}, "learning rate must be positive"),
        ({"learning_rate": float("nan")}, "learning rate must be positive"),
        ({"learning_rate": 1e39}, "learning rate must be positive and finite"),
        ({"learning_rate": 1e-60}, "learning rate must be positive"),
        ({"headroom": 0.99}, "headroom must be at least 1"),
        ({"margin": float("inf")}, "margin must be at least 1"),
    ],
)
def test_bad_settings_are_refused_and_leave_nothing_behind(
    trained: keras.Model, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Export(trained, tmp_path / "export", **options)
    assert left(tmp_path) == []


@keras.saving.register_keras_serializable("tests")
class Ripple(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return keras.ops.sin(x)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: L.LayerNormalization(name="norm"), r"'norm' \(LayerNormalization\) has no int8"),
        (lambda: Ripple(name="ripple"), r"'ripple' \(Ripple\)"),
        (lambda: L.Lambda(lambda x: x * 2, name="own"), r"'own' \(Lambda\) cannot be made again"),
        (lambda: L.Conv2D(4, 3, dilation_rate=2, name="holes"), "'holes' .*it is dilated"),
        (lambda: L.Conv2D(4, 3, activation="tanh", name="curve"), r"\(TANH\): there is no"),
        (lambda: L.LeakyReLU(name="leaky"), r"'leaky_relu_\d' \(LEAKY_RELU\): there is no"),
        (lambda: L.ConvLSTM1D(3, 2, name="memory"), r"'memory' \(ConvLSTM1D\)"),
    ],
)
def test_unknown_layers_are_refused_by_name_and_reason(
    tmp_path: Path, layer: Callable[[], Any], message: str
) -> None:
    layers = [keras.Input((8, 8, 2)), L.Conv2D(3, 3)]
    if "ConvLSTM" in message:
        layers.append(L.Reshape((3, 4, 9)))
    model = keras.Sequential([*layers, layer(), L.Flatten(), L.Dense(2)])
    with pytest.raises(UserError, match=message):
        Export(model, tmp_path / "export")
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (L.Dense(2, activation="sigmoid"), "binary cross-entropy needs one output"),
        (L.Dense(1), r"shape \[1, 1\], which is no classification"),
        (L.Reshape((2, 9)), r"shape \[1, 2, 9\], which is no classification"),
    ],
)
def test_what_is_no_classifier_is_refused(tmp_path: Path, last: Any, message: str) -> None:
    layers = [keras.Input((6,)), L.Dense(18), last]
    with pytest.raises(UserError, match=message):
        Export(keras.Sequential(layers), tmp_path / "export")


def test_a_layer_below_an_op_without_training_can_stay_frozen(tmp_path: Path) -> None:
    """The remedy in the refusal is the right number, and works."""
    x = keras.Input((6, 6, 2))
    hidden = L.Conv2D(3, 3, activation="tanh")(x)
    hidden = L.Dense(5, activation="relu")(L.Flatten()(hidden))
    model = keras.Model(x, L.Dense(3)(hidden))
    with pytest.raises(UserError, match="--train-layers 2"):
        Export(model, tmp_path / "export")
    with pytest.raises(UserError, match="--train-layers 2"):
        Export(model, tmp_path / "export", train_layers=3)
    export = Export(model, tmp_path / "export", train_layers=2)
    frozen, *others = export.report.export["layers"]
    assert frozen["trainable_weights"] == frozen["trainable_biases"] == 0
    assert [layer["trainable_weights"] for layer in others] == [5, 3]


def least_arena(model: keras.Model, folder: Path, **settings: object) -> int:
    """The arena with all that an export does where the board is too small."""
    exports = (Export(model, folder / e.value, errors=e, **settings) for e in ErrorType)
    return min(plan_memory(export.training).arena_bytes for export in exports)


def test_a_model_that_is_too_large_is_refused_with_the_largest_part_that_fits(
    tmp_path: Path,
) -> None:
    model, board = make("cnn"), get_target("nano33")
    arenas = {
        count: least_arena(model, tmp_path / str(count), train_layers=count)
        for count in (1, 2, 3, 4)
    }
    assert sorted(arenas.values()) == list(arenas.values())
    for count in (1, 2, 3):
        exactly = replace(board, arena_bytes=arenas[count])
        message = (
            rf"does not fit Arduino Nano 33 BLE: training needs an arena of {arenas[4]:,} B, of "
            rf"{arenas[count]:,} B. With --train-layers {count} it needs {arenas[count]:,} B"
        )
        with pytest.raises(UserError, match=message):
            Export(model, tmp_path / "refused", target=exactly)
        Export(model, tmp_path / f"fits{count}", target=exactly, train_layers=count)
    with pytest.raises(UserError, match="not enough: use a smaller model"):
        Export(model, tmp_path / "refused", target=replace(board, arena_bytes=arenas[1] - 1))
    with pytest.raises(UserError, match=r"the sketch needs about .* B of flash, of 1,000 B"):
        Export(model, tmp_path / "refused", target=replace(board, flash_bytes=1000))
    assert not (tmp_path / "refused").exists()


def test_a_model_too_large_with_residuals_may_fit_without(tmp_path: Path) -> None:
    model = make("cnn")
    fits = least_arena(model, tmp_path / "fits")
    exactly = replace(get_target("nano33"), arena_bytes=fits)
    with pytest.raises(UserError, match=rf"With --update-rule stochastic it needs {fits:,} B"):
        Export(model, tmp_path / "refused", target=exactly, update_rule=UpdateRule.RESIDUAL)
    smaller = replace(exactly, arena_bytes=fits - 1)
    with pytest.raises(UserError, match=r"With --train-layers \d it needs"):
        Export(model, tmp_path / "refused", target=smaller, update_rule=UpdateRule.RESIDUAL)


# -- what may learn -------------------------------------------------------------------------


@needs_tflm
def test_only_what_may_learn_moves(trained: keras.Model, tmp_path: Path) -> None:
    """Half of a convolution, only the bias of a Dense layer; all others are frozen."""
    conv, _, hidden, _ = (x for x in trained.layers if isinstance(x, (L.Conv2D, L.Dense)))
    half, none, every = np.arange(5) % 2 == 0, np.zeros(8, bool), np.ones(8, bool)
    masks = {conv.name: Mask(half, half), hidden.name: Mask(none, every)}
    x, labels = blobs(60, 6)
    export = Export(trained, tmp_path / "export", calibration_x=x, masks=masks)
    records = [
        (layer["trainable_weights"], layer["trainable_biases"])
        for layer in export.report.export["layers"]
    ]
    assert records == [(3, 3), (0, 0), (0, 8), (0, 0)]
    with TrainingInterpreter(export.training) as board:
        board.set_learning_rate(0.3)
        before = board.variables()
        board.train(export.codes(x), (labels + 1) % 4)
        after = board.variables()
    assert [v.shape for v in before] == [(8,), (5, 3, 3, 2), (5,)]
    assert (before[0] != after[0]).sum() > 4, "a dead ReLU may stand still"
    for old, new in zip(before[1:], after[1:], strict=True):
        moved = (old != new).reshape(5, -1).any(axis=1)
        assert not moved[~half].any() and moved[half].any()


def test_masks_and_train_layers_together(trained: keras.Model, tmp_path: Path) -> None:
    """train_layers freezes whatever the masks say about the layers below."""
    sites = fold(trained).sites
    masks = {
        name: Mask(*[np.ones(trained.get_layer(name).kernel.shape[-1], bool)] * 2) for name in sites
    }
    export = Export(trained, tmp_path / "export", masks=masks, train_layers=1)
    trainable = [layer["trainable_weights"] for layer in export.report.export["layers"]]
    assert trainable == [0, 0, 0, 4]


def test_headroom_and_margin_leave_room_and_the_function_as_it_is(
    trained: keras.Model, tmp_path: Path
) -> None:
    x, _ = blobs(60, 2)
    exports = {
        factor: Export(
            trained,
            tmp_path / str(factor),
            calibration_x=x,
            headroom=factor,
            margin=factor,
            train_layers=2,
        )
        for factor in (1.0, 2.0)
    }
    name = exports[1.0].report.export["layers"][-1]["name"]
    frozen = exports[1.0].report.export["layers"][0]["name"]

    def tensor(export: Export, name: str) -> tuple[np.ndarray, np.ndarray]:
        index = export.plain.find(name)
        assert index is not None
        constant = export.plain.constant(index)
        return export.plain.scales(index), np.zeros(0) if constant is None else constant

    tight, wide = (tensor(exports[f], f"{name}/kernel") for f in (1.0, 2.0))
    np.testing.assert_allclose(wide[0], 2 * tight[0], rtol=1e-6)
    assert np.abs(tight[1]).max() == 127 and np.abs(wide[1]).max() in (63, 64)
    for part in ("kernel", "bias"):
        one, two = (tensor(exports[f], f"{frozen}/{part}") for f in (1.0, 2.0))
        np.testing.assert_array_equal(one[1], two[1])
    np.testing.assert_allclose(
        tensor(exports[2.0], name)[0], 2 * tensor(exports[1.0], name)[0], rtol=1e-6
    )
    outputs = [e.real(infer(e.int8, e.codes(x))) for e in exports.values()]
    np.testing.assert_allclose(outputs[0], outputs[1], atol=0.25)
    assert (outputs[0].argmax(1) == outputs[1].argmax(1)).mean() > 0.95


def test_the_method_is_recorded_with_its_settings(tmp_path: Path) -> None:
    method = get_method("tinypropv2")
    parts = {"sparsifier": method.sparsifier, "skip_rule": method.skip}
    record = Export(make("mlp"), tmp_path / "export", **parts).report.export
    assert record["sparsifier"] == {"name": "tinyprop", **vars(method.sparsifier)}
    assert record["skip_rule"] == {"name": "tinypropv2", **vars(method.skip)}


@pytest.mark.parametrize("seed", [-1, 2**200, -(2**127) - 1])
def test_any_integer_is_a_seed(tmp_path: Path, seed: int) -> None:
    assert Export(make("mlp"), tmp_path / "export", seed=seed).report.export["seed"] == seed


def test_the_same_export_twice_is_the_same_bytes(tmp_path: Path) -> None:
    model = make("separable")
    one, two = (Export(model, tmp_path / name) for name in "ab")
    assert one.int8 == two.int8 and one.training == two.training
    other = Export(model, tmp_path / "c", seed=1)
    assert other.int8 == one.int8 and other.training != one.training


def test_no_samples_have_no_outputs(exported: Export) -> None:
    assert infer(exported.int8, np.zeros((0, 9, 8, 2), np.int8)).shape == (0, 4)


def test_files_are_read_as_they_were_written(exported: Export) -> None:
    """Reading and writing a model again changes nothing but the layout of the file."""
    again = FlatModel(exported.plain.pack())
    x = exported.codes(blobs(10, 8)[0])
    np.testing.assert_array_equal(infer(again.pack(), x), infer(exported.int8, x))


def test_calibration_sets_the_input_range(tmp_path: Path) -> None:
    model = make("mlp")
    x = samples(model, 40)
    for factor in (1.0, 10.0):
        export = Export(model, tmp_path / str(factor), calibration_x=factor * x)
        span = np.float32(factor) * (x.max() - x.min())
        assert export.report.export["input"]["scale"] == pytest.approx(span / 255, rel=0.02)
