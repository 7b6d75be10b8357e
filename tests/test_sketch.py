"""The Arduino project that an export contains."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from converter_models import Export
from cpp.toolchain import PORT

from tf_odl.cli import main
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.quantize import TFLM_OPS
from tf_odl.converters.sample_header import sample_header
from tf_odl.converters.sketch import forward_ops, resolver_method, sketch_name
from tf_odl.converters.targets import TARGETS
from tf_odl.models.digits_cnn import digits_cnn

#: Read off micro_mutable_op_resolver.h, for every op an export may have.
METHODS = {
    "ABS": "AddAbs",
    "ADD": "AddAdd",
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "CONCATENATION": "AddConcatenation",
    "CONV_2D": "AddConv2D",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "FULLY_CONNECTED": "AddFullyConnected",
    "GATHER": "AddGather",
    "HARD_SWISH": "AddHardSwish",
    "LEAKY_RELU": "AddLeakyRelu",
    "LOGISTIC": "AddLogistic",
    "MAXIMUM": "AddMaximum",
    "MAX_POOL_2D": "AddMaxPool2D",
    "MEAN": "AddMean",
    "MINIMUM": "AddMinimum",
    "MIRROR_PAD": "AddMirrorPad",
    "MUL": "AddMul",
    "PACK": "AddPack",
    "PAD": "AddPad",
    "PADV2": "AddPadV2",
    "PRELU": "AddPrelu",
    "QUANTIZE": "AddQuantize",
    "REDUCE_MAX": "AddReduceMax",
    "RELU": "AddRelu",
    "RELU6": "AddRelu6",
    "RESHAPE": "AddReshape",
    "RESIZE_BILINEAR": "AddResizeBilinear",
    "RESIZE_NEAREST_NEIGHBOR": "AddResizeNearestNeighbor",
    "SOFTMAX": "AddSoftmax",
    "SQUARED_DIFFERENCE": "AddSquaredDifference",
    "STRIDED_SLICE": "AddStridedSlice",
    "SUB": "AddSub",
    "TANH": "AddTanh",
    "TRANSPOSE": "AddTranspose",
    "TRANSPOSE_CONV": "AddTransposeConv",
}

#: The library's own ops in the demonstration's model.
OWN = ["AddFullyConnected", "AddConv2D", "AddDepthwiseConv2D"]


@pytest.fixture(scope="module")
def exports(tmp_path_factory) -> dict[str, Path]:
    """The demonstration's model, exported for every board."""
    folder = tmp_path_factory.mktemp("exports")
    model = digits_cnn()
    model.save(folder / "digits.keras")
    made = {}
    for target in TARGETS:
        made[target] = folder / f"export-{target}"
        source = [str(folder / "digits.keras"), "--data", "digits", "--out", str(made[target])]
        result = CliRunner().invoke(main, ["export", *source, "--target", target])
        assert result.exit_code == 0, result.output
    return made


def project(export: Path) -> tuple[Path, str]:
    (sketch,) = (p for p in (export / "arduino").iterdir() if list(p.glob("*.ino")))
    return export / "arduino", sketch.name


def test_every_op_has_its_method():
    assert set(METHODS) >= TFLM_OPS
    assert {op: resolver_method(op) for op in METHODS} == METHODS


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("digits_cnn", "digits_cnn"),
        ("my model (v2)!", "my_model_v2"),
        ("über/größe", "ber_gr_e"),
        ("_x", "x"),
        ("???", "model"),
        ("a" * 100, "a" * 63),
    ],
)
def test_names_of_sketches(model, name):
    assert sketch_name(model) == name
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", name)


@pytest.mark.parametrize("target", TARGETS)
def test_a_project_is_complete(exports, target):
    folder, name = project(exports[target])
    sketch = folder / name
    assert {p.name for p in sketch.iterdir()} == {
        f"{name}.ino",
        "model_data.h",
        "model_ops.h",
        "sample.h",
        "sketch.yaml",
    }
    profile = yaml.safe_load((sketch / "sketch.yaml").read_text())["profiles"][target]
    assert profile["fqbn"] == TARGETS[target].fqbn
    platform = profile["platforms"][0]
    assert platform["platform"].split(" ")[0] == TARGETS[target].platform
    assert ("platform_index_url" in platform) == (target == "esp32")
    assert profile["libraries"][0] == "Chirale_TensorFLowLite (2.0.0)"
    library = sketch / profile["libraries"][1]["dir"]
    for part in ("src/TfOdl.h", "library.properties", "LICENSE"):
        assert (library / part).read_bytes() == (PORT / part).read_bytes()
    copied = {p.relative_to(library) for p in library.rglob("*") if p.is_file()}
    assert {p.relative_to(PORT) for p in (PORT / "src").rglob("*") if p.is_file()} <= copied
    assert not list(folder.rglob("*.so")) and not list(folder.rglob("*.py"))
    assert (folder / "hardware/tfodl/qemu/boards.txt").is_file() == (target == "qemu")
    assert "tf-odl deploy" in (folder / "README.md").read_text()
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in (".md", ".yaml", ".ino", ".h"):
            assert str(exports[target]) not in path.read_text(), "the folder can be moved"


def test_the_resolver_lists_exactly_the_ops_of_the_model(exports):
    folder, name = project(exports["nano33"])
    header = (folder / name / "model_ops.h").read_text()
    flat = FlatModel((exports["nano33"] / "model.tflite").read_bytes())
    ops = {flat.op_name(op) for op in flat.operators}
    builtin = ops - {"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D"}
    assert len(ops) == len(builtin) + 3
    listed = re.findall(r"resolver\.(Add\w+)\(\);", header)
    assert sorted(listed) == sorted(METHODS[op] for op in builtin)
    assert re.findall(r"  tfodl::(\w+)\(resolver\);", header) == OWN
    assert f"kForwardOps = {len(ops)};" in header
    assert set(forward_ops((exports["nano33"] / "model_train.tflite").read_bytes())) == builtin


@pytest.mark.parametrize(
    ("options", "method"),
    [
        ("--selector random --budget 20% --reselect 50 --target qemu", "AddReselection"),
        ("--warm-up 20", "AddRateSchedule"),
        ("--accumulate 4", "AddAccumulation"),
        ("--head float32", "AddFloatHead AddFloatHeadBackward"),
        ("--update-rule changes", "AddLoadWeights AddStoreWeights"),
    ],
)
def test_ops_that_few_models_have_are_registered_where_they_are_used(
    exports, tmp_path, options, method
):
    source = [str(exports["nano33"].parent / "digits.keras"), "--data", "digits"]
    source += ["--out", str(tmp_path / "e")]
    result = CliRunner().invoke(main, ["export", *source, *options.split()])
    assert result.exit_code == 0, result.output
    folder, name = project(tmp_path / "e")
    header = (folder / name / "model_ops.h").read_text()
    listed = re.findall(r"resolver\.(Add\w+)\(\);", header)
    assert re.findall(r"  tfodl::(\w+)\(resolver\);", header) == [*method.split(), *OWN]
    assert f"kForwardOps = {len(listed) + len(method.split()) + len(OWN)};" in header


def test_a_convolution_that_stays_builtin_is_registered_beside_the_others(tmp_path):
    """The library has no dilated ones."""
    layers = [keras.Input((9, 9, 2)), keras.layers.Conv2D(3, 3, dilation_rate=2)]
    layers += [keras.layers.Conv2D(4, 2), keras.layers.Flatten(), keras.layers.Dense(3)]
    export = Export(keras.Sequential(layers), tmp_path / "e", train_layers=1)
    folder, name = project(export.folder)
    header = (folder / name / "model_ops.h").read_text()
    listed = re.findall(r"resolver\.(Add\w+)\(\);", header)
    assert sorted(listed) == ["AddConv2D", "AddReshape"]
    own = ["AddFullyConnected", "AddConv2D"]
    assert re.findall(r"  tfodl::(\w+)\(resolver\);", header) == own
    assert "kForwardOps = 4;" in header


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is missing (Debian: g++)")
def test_the_header_of_a_sample_standardises_as_the_data_were(tmp_path):
    rng = np.random.default_rng(0)
    mean, deviation = rng.normal(3, 100, 3), rng.uniform(1e-4, 50, 3)
    sample = rng.normal(0, 100, (4, 3)).astype(np.float32)
    names = ["cat", 'a "dog"', "öwl"]
    provenance = {"mean": mean.tolist(), "deviation": deviation.tolist(), "class_names": names}
    header = sample_header({"input": {"shape": [1, 4, 3]}, "provenance": provenance})
    (tmp_path / "sample.h").write_text(header, encoding="utf-8")
    numbers = ", ".join(f"{v!r}f" for v in sample.reshape(-1).tolist())
    (tmp_path / "main.cpp").write_text(
        f"""#include <cstdio>
        #include "sample.h"
        int main() {{
          float sample[kSampleSize] = {{{numbers}}};
          Standardise(sample);
          for (float v : sample) std::printf("%.9g\\n", v);
          for (const char* name : kClassNames) std::puts(name);
        }}"""
    )
    command = ["g++", "-std=c++14", "-Wall", "-Wextra", "-Werror", "main.cpp", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    lines = subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout
    found = lines.decode().splitlines()
    np.testing.assert_allclose(
        np.array(found[:12], float).reshape(4, 3), (sample - mean) / deviation, rtol=1e-4, atol=1e-4
    )
    assert found[12:] == names


def test_a_header_with_targets_and_one_that_tells_anomalies(tmp_path):
    base = {"input": {"shape": [1, 3]}}
    header = sample_header(
        {**base, "loss": "mse", "provenance": {"target_names": ["ppm", 'the "K"']}}
    )
    (tmp_path / "regression.h").write_text(header)
    header = sample_header({**base, "loss": "reconstruction", "error": {"int8": 0.25}})
    assert "The mean of the test samples was 0.25." in " ".join(header.split())
    (tmp_path / "autoencoder.h").write_text(header)
    for name, body in (
        ("regression", "for (const char* name : kTargetNames) std::puts(name);"),
        (
            "autoencoder",
            """struct { float output(unsigned i) const { return 2.0f * i; } } device;
            const float sample[kSampleSize] = {1.0f, 2.0f, 6.0f};
            std::printf("%g\\n", 3 * SquaredError(device, sample));""",
        ),
    ):
        source = f'#include <cstdio>\n#include "{name}.h"\nint main() {{ {body} }}\n'
        (tmp_path / f"{name}.cpp").write_text(source)
        command = ["g++", "-std=c++14", "-Wall", "-Wextra", "-Werror", f"{name}.cpp", "-o", name]
        subprocess.run(command, cwd=tmp_path, check=True)
    said = [
        subprocess.run([tmp_path / name], capture_output=True, check=True, text=True).stdout
        for name in ("regression", "autoencoder")
    ]
    assert said == ['ppm\nthe "K"\n', "5\n"]  # (0 - 1)^2 + (2 - 2)^2 + (4 - 6)^2


@pytest.mark.parametrize(
    ("loss", "call"),
    [("mse", "device.learnTargets(sample, targets)"), ("reconstruction", "SquaredError(device")],
)
def test_a_sketch_says_what_its_loss_needs(tmp_path, loss, call):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    model.save(tmp_path / "mine.keras")
    np.savez(tmp_path / "mine.npz", x=np.random.default_rng(0).normal(size=(40, 4)))
    options = ["--data", str(tmp_path / "mine.npz"), "--loss", loss, "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, ["export", str(tmp_path / "mine.keras"), *options])
    assert result.exit_code == 0, result.output
    folder, name = project(tmp_path / "out")
    sketch = (folder / name / f"{name}.ino").read_text()
    assert call in sketch and "where you know the class" not in sketch


def test_the_sketch_is_the_example_of_the_library(exports):
    """The library's example is compiled and run in other tests."""

    def code(path: Path) -> str:
        return path.read_text().split("#include", 1)[1]

    folder, name = project(exports["nano33"])
    assert code(folder / name / f"{name}.ino") == code(PORT / "examples/Teach/Teach.ino")


def test_the_model_is_in_the_header(exports):
    folder, name = project(exports["esp32"])
    header = (folder / name / "model_data.h").read_text()
    values = bytes(int(v, 16) for v in re.findall(r"0x([0-9a-f]{2})", header))
    assert values == (exports["esp32"] / "model_train.tflite").read_bytes()
    assert "model_tflite[]" not in header, "a board needs the training graph only"


def test_an_export_that_replaces_another_leaves_no_old_sketch(exports, tmp_path):
    export = tmp_path / "export"
    shutil.copytree(exports["nano33"], export)
    (export / "arduino/other").mkdir()
    source = exports["nano33"].parent / "digits.keras"
    arguments = ["export", str(source), "--data", "digits", "--out", str(export), "--overwrite"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert not (export / "arduino/other").exists()
