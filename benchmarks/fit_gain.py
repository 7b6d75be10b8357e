"""What more memory buys on a device: the head, what `--fit` chooses, other choices, every layer.

    python benchmarks/fit_gain.py --data-dir DATA [--only NAME ...] [--seeds 3] [--work DIR]

A model learns upright digits (MNIST), then meets digits rotated by 40 degrees inside TensorFlow
Lite Micro and learns from one pass over some of them, at a rate that falls along a cosine. Results
are kept one by one: killed half-way, the same command continues. Writes the table of docs/plan.md.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from pretraining import Recipe, pretrained
from results import Row, fill_table, read_rows, write_rows

from tf_odl.converters import reference
from tf_odl.converters.export import export
from tf_odl.converters.fit import Plan, fit_layers
from tf_odl.converters.planner import Planner
from tf_odl.converters.rate import RateSettings, Schedule
from tf_odl.converters.targets import Target, get_target
from tf_odl.converters.update_rule import UpdateRule
from tf_odl.data import load
from tf_odl.data.dataset import Dataset
from tf_odl.fitting import layers_that_fit
from tf_odl.methods import get_method
from tf_odl.tflm_port.interpreter import TrainingInterpreter
from tf_odl.trainer.analysis import SupportAnalysis, support_set
from tf_odl.trainer.model import OdlModel

PAGE = Path(__file__).resolve().parents[1] / "docs" / "plan.md"
RESULTS = PAGE.with_suffix("") / "fit-gain.csv"
FIELDS = (
    *("model", "arena", "seed", "trains", "layers"),
    *("arena_bytes", "flash_bytes", "milliseconds", "before", "after"),
)
METHOD = get_method("tinypropv2")
RULE = UpdateRule.RESIDUAL
PRETRAINING, SUPPORT, LEARN, TEST = 12_000, 2_000, 1_000, 1_000  # samples
HEAD, WHOLE, ALIKE, FISHER, BLIND, FIT, ALL = TRAINS = (
    "the output layer",
    "whole layers, from the output down",
    "as many layers as fit",
    "the most Fisher information",
    "`--fit` without data",
    "`--fit`",
    "everything",
)


@dataclass(frozen=True)
class Case:
    model: str
    recipe: Recipe
    arena: int  # KB
    rate: float


DIGITS = Recipe(3, "Adam", 2e-3)
CASES = {
    "resnet8": Case("resnet8", DIGITS, 120, 0.002),
    "resnet8-small": Case("resnet8", DIGITS, 72, 0.002),
    "cnn5": Case("cnn5", DIGITS, 32, 0.005),
}


def fisher(model: keras.Model, data: Dataset) -> dict[str, np.ndarray]:
    """The squares of output times gradient of every neuron: TinyTrain's potential."""
    owner = OdlModel(keras.models.clone_model(model), get_method("full"))
    owner.model.set_weights(model.get_weights())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    owner.compile(keras.optimizers.SGD(), loss)
    return SupportAnalysis(owner, *support_set(data.x_train, data.y_train, 200, seed=0)).fisher()


def choices(model: keras.Model, support: Dataset, board: Target) -> dict[str, list[str] | None]:
    """The layers that train, by the way of choosing them."""
    planner = Planner(model)
    sites = list(planner.neurons)

    def plan_of(layers: Sequence[str]) -> Plan:
        return planner.plan(board, METHOD.sparsifier, METHOD.skip, layers=layers, update_rule=RULE)

    whole = sites[-1:]
    for site in reversed(sites[:-1]):
        if plan_of([site, *whole])["fits"]:
            whole = [site, *whole]
    alike = {site: np.full(count, 1 / count) for site, count in planner.neurons.items()}

    def fit(data: Dataset | None) -> list[str]:
        return list(layers_that_fit(model, METHOD, board, data, update_rule=RULE).best.layers)

    return {
        HEAD: sites[-1:],
        WHOLE: whole,
        ALIKE: list(fit_layers(alike, plan_of).best.layers),
        FISHER: list(fit_layers(fisher(model, support), plan_of, planner.narrowable).best.layers),
        BLIND: fit(None),
        FIT: fit(support),
        ALL: None,
    }


def learn(
    model: keras.Model, layers: list[str] | None, data: Dataset, board: Target, rate: float
) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        report = export(
            model,
            data.x_train[:300],
            target=replace(board, arena_bytes=1 << 30) if layers is None else board,
            out_dir=Path(folder) / "export",
            sparsifier=METHOD.sparsifier,
            skip_rule=METHOD.skip,
            layers=layers,
            learning_rate=rate,
            update_rule=RULE,
            # At a constant rate the last samples alone move the accuracy by several points.
            rate=RateSettings(Schedule.COSINE, len(data.x_train)),
        )
        plain = (report.folder / "model.tflite").read_bytes()
        x = reference.quantize_input(plain, data.x_train)
        test = reference.quantize_input(plain, data.x_test)
        with TrainingInterpreter(
            (report.folder / "model_train.tflite").read_bytes()
        ) as interpreter:

            def accuracy() -> str:
                outputs = interpreter.infer(test).reshape(len(test), -1)
                return f"{(outputs.argmax(1) == data.y_test).mean():.4f}"

            before = accuracy()
            interpreter.train(x, data.y_train)
            after = accuracy()
    training = report.plan["training"]
    return {
        "arena_bytes": str(training["arena_bytes"]),
        "flash_bytes": str(report.plan["flash"]["total_bytes"]),
        "milliseconds": f"{training['milliseconds']:.1f}",
        "before": before,
        "after": after,
    }


def measure(case: Case, seed: int, data_dir: Path, work: Path, rows: list[Row]) -> None:
    upright = load("mnist", data_dir=data_dir)
    turned = load("mnist", data_dir=data_dir, shift="rotate:40")
    known = replace(
        upright, x_train=upright.x_train[:PRETRAINING], y_train=upright.y_train[:PRETRAINING]
    )
    model = pretrained(case.model, known, case.recipe, seed, work, f"mnist-{PRETRAINING}")
    order = PRETRAINING + np.random.default_rng(seed).permutation(len(turned.x_train) - PRETRAINING)
    parts = np.split(order[: SUPPORT + LEARN], [SUPPORT])
    support, stream = (
        replace(
            turned,
            x_train=turned.x_train[part],
            y_train=turned.y_train[part],
            x_test=turned.x_test[:TEST],
            y_test=turned.y_test[:TEST],
        )
        for part in parts
    )
    board = replace(get_target("nano33"), arena_bytes=case.arena * 1024)
    for trains, layers in choices(model, support, board).items():
        key = {"model": case.model, "arena": str(case.arena), "seed": str(seed), "trains": trains}
        if any(key.items() <= row.items() for row in rows):
            continue
        found = learn(model, layers, stream, board, case.rate)
        rows.append(key | {"layers": " ".join(layers or ["all"])} | found)
        print(*rows[-1].values(), flush=True)
        write_rows(RESULTS, FIELDS, rows)


def table(rows: list[Row]) -> list[str]:
    """Means over the seeds; standard deviation of the accuracy."""
    lines = [
        "| model, board | trains | seeds | arena, B | flash, B | step, ms | before, % | after, % |",
        "|---" * 8 + "|",
    ]
    for case in CASES.values():
        for trains in TRAINS:
            key = case.model, str(case.arena), trains
            found = [r for r in rows if (r["model"], r["arena"], r["trains"]) == key]
            if not found:
                continue
            sizes = [np.mean([float(r[k]) for r in found]) for k in FIELDS[5:8]]
            before, after = (100 * np.array([float(r[k]) for r in found]) for k in FIELDS[8:])
            cells = [f"`{case.model}`, {case.arena} KB", trains, str(len(found))]
            cells += [f"{size:,.0f}" for size in sizes]
            for x in (before, after):
                deviation = x.std(ddof=1) if len(x) > 1 else 0.0
                cells.append(f"{x.mean():.1f} ± {deviation:.1f}")
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("runs/fit-gain"))
    arguments = parser.parse_args()
    rows = read_rows(RESULTS)
    for name in arguments.only:
        for seed in range(arguments.seeds):
            measure(CASES[name], seed, arguments.data_dir, arguments.work, rows)
    lines = table(rows)
    fill_table(PAGE, lines, "fit gain")
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
