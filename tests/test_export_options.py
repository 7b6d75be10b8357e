"""The options of `tf-odl export`, any two of them together, learning inside TFLM."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from cli_calls import invoke
from click.testing import Result
from option_pairs import Pair, Row, covering_rows, pairs_in, pairs_of

from tf_odl import learned
from tf_odl.converters.reference import infer, quantize_input, real_outputs
from tf_odl.converters.state_layout import state_layout
from tf_odl.converters.training_graph import MASKS
from tf_odl.converters.update_rule import is_of_accumulation
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

L = keras.layers
needs_tflm = pytest.mark.skipif(available() is not None, reason=str(available()))

SHAPE, CLASSES, SAMPLES, PASSES = (4, 4, 2), 3, 60, 5
#: What is given on the command line for each value; {masks} is a file.
OPTIONS: dict[str, dict[str, str]] = {
    "rule": {
        "stochastic": "--update-rule stochastic",
        "residual": "--update-rule residual",
        "changes": "--update-rule changes",
    },
    "errors": {"float32": "--errors float32", "bfloat16": "--errors bfloat16"},
    "accumulate": {"1": "", "4": "--accumulate 4"},
    "head": {"int8": "", "float32": "--head float32"},
    "neurons": {
        "all": "",
        "masks": "--masks {masks}",
        "variable": "--variable-masks",
        "random": "--selector random --budget 60% --reselect 7",
        "velocity": "--selector velocity --budget 60% --reselect 7 --references 4",
        "upper layers": "--train-layers 2",
        "window": "--layers wise,hidden[3:9],head",
    },
    "schedule": {
        "constant": "",
        "step": "--schedule step --schedule-samples 150 --schedule-factor 0.5",
        "cosine": "--schedule cosine --schedule-samples 300",
    },
    "warm-up": {"none": "", "6": "--warm-up 6"},
    "clip": {"none": "", "0.8": "--clip 0.8"},
    "method": {m: f"--method {m}" for m in ("full", "meprop", "tinyprop", "tinypropv2")},
    "loss": {
        loss: f"--loss {loss}"
        for loss in ("cross-entropy", "binary-cross-entropy", "mse", "reconstruction")
    },
    "source": {"keras": "", "tflite": ""},
}
CHOSEN_ANEW = ("variable", "random", "velocity")


def refused(name: str, value: str, other: str, *values: str) -> list[Pair]:
    return [frozenset({(name, value), (other, v)}) for v in values]


REFUSED = {
    **dict.fromkeys(refused("accumulate", "4", "rule", "changes"), "leave one of them out"),
    **dict.fromkeys(refused("accumulate", "4", "neurons", *CHOSEN_ANEW), "leave out --variable"),
    **dict.fromkeys(refused("head", "float32", "errors", "bfloat16"), "leave out --errors"),
    **dict.fromkeys(refused("head", "float32", "neurons", *CHOSEN_ANEW), "leave out --variable"),
}
ROWS = covering_rows({name: list(values) for name, values in OPTIONS.items()}, REFUSED)


def test_the_rows_have_every_pair_that_is_not_refused() -> None:
    covered = set().union(*map(pairs_in, ROWS))
    assert covered == set(pairs_of(OPTIONS)) - set(REFUSED)


def model(loss: str, x: np.ndarray, wanted: np.ndarray) -> keras.Model:
    """A convolution, a depthwise one and two Dense layers, the last as the loss needs it."""
    keras.utils.set_random_seed(5)
    ends = {
        "cross-entropy": (
            L.Dense(CLASSES, "softmax", name="head"),
            "sparse_categorical_crossentropy",
        ),
        "binary-cross-entropy": (L.Dense(1, "sigmoid", name="head"), "binary_crossentropy"),
        "mse": (L.Dense(2, name="head"), "mse"),
        "reconstruction": (L.Dense(32, name="head"), "mse"),
    }
    end, minimised = ends[loss]
    layers = [keras.Input(SHAPE), L.Conv2D(6, 3, activation="relu", name="conv")]
    layers += [L.DepthwiseConv2D(2, name="wise", activation="relu"), L.Flatten()]
    made = keras.Sequential([*layers, L.Dense(12, activation="relu", name="hidden"), end])
    made.compile(keras.optimizers.Adam(0.01), minimised)
    made.fit(x, wanted, batch_size=4, epochs=10, verbose=0)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .keras file, its int8 .tflite file and data for each loss, and masks.

    What the models know is one class, or pattern, away from what the data say.
    """
    folder = tmp_path_factory.mktemp("options")
    random = np.random.default_rng(2)
    patterns = random.normal(size=(CLASSES, *SHAPE)).astype(np.float32)
    classes = random.integers(0, CLASSES, SAMPLES)
    noise = random.normal(0, 0.2, (SAMPLES, *SHAPE)).astype(np.float32)
    x, points = patterns[classes] + noise, random.normal(size=(CLASSES, 2)).astype(np.float32)
    known, told = (classes + 1) % CLASSES, {}
    told["cross-entropy"] = (x, known, classes)
    told["binary-cross-entropy"] = (x, (known > 0).astype(int), (classes > 0).astype(int))
    told["mse"] = (x, points[known], points[classes])
    told["reconstruction"] = (-x, -x.reshape(SAMPLES, -1), None)
    for loss, (inputs, before, wanted) in told.items():
        model(loss, inputs, before).save(folder / f"{loss}.keras")
        arrays = {"x_train": x, "x_test": x[:12]}
        if wanted is not None:
            arrays |= {"y_train": wanted, "y_test": wanted[:12]}
        np.savez(folder / f"{loss}.npz", **arrays)
        done = export(folder, {"loss": loss, "source": "keras"}, folder / loss)
        assert done.exit_code == 0, done.output
        (folder / loss / "model.tflite").rename(folder / f"{loss}.tflite")
    neurons = {"conv": 6, "wise": 6, "hidden": 12}
    masks = {f"{name}/kernel": np.arange(n) % 2 == 0 for name, n in neurons.items()}
    size = {"cross-entropy": CLASSES, "binary-cross-entropy": 1, "mse": 2, "reconstruction": 32}
    for loss, count in size.items():
        np.savez(folder / f"{loss}.masks.npz", **masks, **{"head/kernel": np.ones(count, bool)})
    return folder


def export(folder: Path, row: Row, out: Path) -> Result:
    """The command with the options of a row; those it does not name are left out."""
    loss = row.get("loss", "cross-entropy")
    arguments = [folder / f"{loss}.{row.get('source', 'keras')}", "--data", folder / f"{loss}.npz"]
    for name, value in row.items():
        given = OPTIONS[name][value].format(masks=folder / f"{loss}.masks.npz")
        arguments += given.split()
    return invoke("export", *arguments, "--lr", "0.02", "--out", out)


@needs_tflm
@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: ", ".join(row.values()))
def test_any_two_options_work_together(row: Row, folder: Path, tmp_path: Path) -> None:
    """Weights move, the loss falls, and what was learned comes back in every form."""
    out = tmp_path / "export"
    done = export(folder, row, out)
    assert done.exit_code == 0, done.output
    verified = invoke("verify", out, "--samples", 12)
    assert verified.exit_code == 0, verified.output
    record = json.loads((out / "export.json").read_text())
    graph = (out / "model_train.tflite").read_bytes()
    data = np.load(folder / f"{row['loss']}.npz")
    x = quantize_input(graph, data["x_train"])
    labels, targets = np.zeros(SAMPLES, np.int32), None
    if row["loss"] == "mse":
        targets = data["y_train"]
    elif row["loss"] != "reconstruction":
        labels = data["y_train"].astype(np.int32)
    with TrainingInterpreter(graph) as board, TrainingInterpreter(graph) as other:
        before = board.variables()
        losses = [board.train(x, labels, targets=targets)[1][:, 0] for _ in range(PASSES)]
        assert losses[-1].mean() < 0.8 * losses[0].mean()
        state, after = board.state(), board.variables()
        assert state.non_finite == 0 and state.samples == PASSES * SAMPLES
        assert (state.reselections > 0) == (row["neurons"] in ("random", "velocity"))
        if row["clip"] == "none":
            assert (state.rate_factor < 1) == (row["schedule"] != "constant")
        layout = record["state_image"]
        assert layout == state_layout(graph)
        for variable, old, new in zip(layout["variables"], before, after, strict=True):
            assert (list(new.shape), new.dtype.name) == (variable["shape"], variable["dtype"])
            if is_of_accumulation(variable["name"]):
                continue  # they may just have changed the weights
            is_fixed = variable["name"] == MASKS and row["neurons"] == "variable"
            assert (old != new).any() != is_fixed, variable["name"]
        # As a state image, through which `pull` and `push` go.
        body = bytes(layout["state_bytes"]) + b"".join(v.tobytes() for v in after)
        arrays = learned.variables_of(body, layout)
        assert learned.with_arrays(body, layout, arrays) == body
        other.set_variables(list(arrays.values()))
        np.testing.assert_array_equal(other.infer(x), board.infer(x))
        learned.write_models(tmp_path, out, after)
        outputs = infer((tmp_path / learned.LEARNED_INT8).read_bytes(), x)
        apart = np.abs(outputs.astype(int) - board.infer(x))
        # The weights of a float head are rounded.
        assert apart.max() == 0 or (row["head"] == "float32" and apart.mean() < 1)
    assert (tmp_path / learned.LEARNED).is_file() == (row["source"] == "keras")


@needs_tflm
def test_simulate_counts_the_errors_that_are_clipped(folder: Path, tmp_path: Path) -> None:
    """By the probabilities of the model, whose weights stay where they are at such a rate."""
    out = tmp_path / "export"
    assert export(folder, {"clip": "0.8", "method": "full"}, out).exit_code == 0
    data, model = np.load(folder / "cross-entropy.npz"), (out / "model.tflite").read_bytes()
    x, labels = data["x_train"], np.where(np.arange(SAMPLES) % 3, 1, 0) + data["y_train"]
    labels %= CLASSES  # one in three as in the data, of which the model is wrong
    np.savez(tmp_path / "mixed.npz", x_train=x, y_train=labels, x_test=x, y_test=labels)
    mixed = ["--data", tmp_path / "mixed.npz"]
    done = invoke("simulate", out, *mixed, "--lr", "1e-30", "--json")
    probabilities = real_outputs(model, infer(model, quantize_input(model, x)))
    alpha = 2 * (1 - probabilities[np.arange(SAMPLES), labels])
    assert (np.abs(alpha - 0.8) > 0.02).all() and 0.1 < (alpha > 0.8).mean() < 1
    assert json.loads(done.stdout)["clipped"] == pytest.approx((alpha > 0.8).mean())
    assert "clipped errors" in invoke("simulate", out, "--samples", 5).stdout
    assert export(folder, {}, tmp_path / "plain").exit_code == 0
    done = invoke("simulate", tmp_path / "plain", "--samples", 5, "--json")
    assert json.loads(done.stdout)["clipped"] is None


@pytest.mark.parametrize("pair", REFUSED, ids=lambda pair: ", ".join(sorted(map("=".join, pair))))
def test_what_does_not_go_together_is_refused(pair: Pair, folder: Path, tmp_path: Path) -> None:
    done = export(folder, dict(pair), tmp_path / "export")
    assert done.exit_code == 2 and REFUSED[pair] in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
