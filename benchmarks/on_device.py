"""Learning on the device against float training: docs/on-device-learning.md.

    python benchmarks/on_device.py --data-dir DIR [STREAM ...] [--seeds 3] [--work runs/on-device]

A trained model meets new data: every sample of a stream once, in one order, one by one. Plain Keras
in float32 and the exported int8 model inside TensorFlow Lite Micro learn from the same samples in
the same order at the same rate, by every variant of the update. Results are kept one by one: killed
half-way, the same command continues. Writes results.csv, the plot and the tables of the page.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from matplotlib.figure import Figure
from pretraining import Recipe, pretrained
from results import Row, fill_table, read_rows, write_rows

from tf_odl.converters.error_type import ErrorType
from tf_odl.converters.head import Head
from tf_odl.converters.rate import RateSettings, Schedule
from tf_odl.converters.update_rule import UpdateRule

if TYPE_CHECKING:
    import keras

    from tf_odl.data import Dataset

PAGE = Path(__file__).resolve().parents[1] / "docs" / "on-device-learning.md"
FOLDER = PAGE.with_suffix("")
CALIBRATION_SAMPLES = 300
STEPS_PER_CALL = 50
FLOAT = "float Keras"
#: Plain Keras that adds up the gradients of several samples, and of how many.
BATCHES = {"float, sums of 8": 8}
#: What the export is told beside the learning rate, for a stream of so many samples.
VARIANTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "stochastic": lambda samples: {"update_rule": UpdateRule.STOCHASTIC},
    "residual": lambda samples: {"update_rule": UpdateRule.RESIDUAL},
    "residual, cosine": lambda samples: {
        "update_rule": UpdateRule.RESIDUAL,
        "rate": RateSettings(Schedule.COSINE, samples),
    },
    "residual, clip 1": lambda samples: {
        "update_rule": UpdateRule.RESIDUAL,
        "rate": RateSettings(clip=1.0),
    },
    "stochastic, sums of 8": lambda samples: {
        "update_rule": UpdateRule.STOCHASTIC,
        "accumulate": 8,
    },
    "residual, bfloat16 errors": lambda samples: {
        "update_rule": UpdateRule.RESIDUAL,
        "errors": ErrorType.BFLOAT16,
    },
    "residual, sums of 8": lambda samples: {"update_rule": UpdateRule.RESIDUAL, "accumulate": 8},
    "stochastic, float head": lambda samples: {
        "update_rule": UpdateRule.STOCHASTIC,
        "head": Head.FLOAT32,
    },
    "residual, float head": lambda samples: {
        "update_rule": UpdateRule.RESIDUAL,
        "head": Head.FLOAT32,
    },
    "changes": lambda samples: {"update_rule": UpdateRule.CHANGES},
}


@dataclass(frozen=True)
class Stream:
    """What a model was trained on, and what it meets then. Persons None: one stream per seed.

    The last `train_layers` layers learn, None for all.
    """

    title: str
    data: str
    model: str
    recipe: Recipe
    learning_rate: float
    shift: str | None = None
    persons: tuple[int | None, ...] = (None,)
    samples: int | None = None
    standardise: bool = False
    train_layers: int | None = None


HAPT = (2, 4, 9, 10, 12, 13, 18, 20, 24)
SPEAKERS = (3, 4, 10, 14, 26, 28)
TURNED = "rotate3d:20,30,40"
STREAMS = {
    "mnist": Stream(
        "MNIST, digits turned by 40°", "mnist", "mlp5", Recipe(6), 0.005, "rotate:40", samples=5000
    ),
    "mnist-slow": Stream(
        "the same at a fifth of the rate",
        "mnist",
        "mlp5",
        Recipe(6),
        0.001,
        "rotate:40",
        samples=5000,
    ),
    "hapt": Stream("HAPT, a new person", "hapt", "mlp5", Recipe(20), 0.002, persons=HAPT),
    "hapt-turned": Stream(
        "HAPT, a new person, phone turned",
        "hapt-raw",
        "mlp5",
        Recipe(20),
        0.002,
        TURNED,
        persons=HAPT,
        standardise=True,
    ),
    "speech": Stream(
        "Arabic speech, a new speaker",
        "arabic-speech",
        "cnn5-1d",
        Recipe(40),
        0.002,
        persons=SPEAKERS,
    ),
    "cnn5": Stream(
        "MNIST, digits turned by 40°, `cnn5`",
        "mnist",
        "cnn5",
        Recipe(8, "Adam", 2e-3, 64),
        0.005,
        "rotate:40",
        samples=5000,
    ),
    "ds-cnn": Stream(
        "Arabic speech, a new speaker, `ds-cnn`",
        "arabic-speech",
        "ds-cnn",
        Recipe(60, "Adam", 2e-3, 64),
        0.002,
        persons=SPEAKERS,
    ),
    "mobilenet": Stream(
        "CIFAR-10, images turned by 30°, last 5 layers of `mobilenetv2-0.35`",
        "cifar10",
        "mobilenetv2-0.35",
        Recipe(30, "Adam", 2e-3, 64, flip=True),
        0.002,
        "rotate:30",
        samples=3000,
        train_layers=5,
    ),
}
FIELDS = ("stream", "seed", "person", "samples", "variant", "before", "after")


class Results:
    """results.csv, written after every run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = read_rows(path)

    def has(self, stream: str, seed: int, person: int | None, variant: str) -> bool:
        key = (stream, str(seed), str(person or ""), variant)
        return any((r["stream"], r["seed"], r["person"], r["variant"]) == key for r in self.rows)

    def add(self, *values: object) -> None:
        self.rows.append(dict(zip(FIELDS, map(str, values), strict=True)))
        order = list(STREAMS)
        self.rows.sort(
            key=lambda r: (order.index(r["stream"]), int(r["seed"]), int(r["person"] or 0))
        )
        write_rows(self.path, FIELDS, self.rows)


def _compile(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    import keras

    from tf_odl.trainer.loss import gives_logits

    model.compile(
        optimizer,
        keras.losses.SparseCategoricalCrossentropy(from_logits=gives_logits(model)),
        metrics=["accuracy"],
        steps_per_execution=STEPS_PER_CALL,
        jit_compile=False,
    )


def in_float(
    model: keras.Model, data: Dataset, rate: float, train_layers: int | None, batch: int = 1
) -> tuple[float, float]:
    """Test accuracy before and after plain Keras has seen every sample once.

    Batch normalization is folded into the layers first, as it is on the device. Keras takes the
    mean over a batch, so its rate is that of a sample times the size of a batch.
    """
    import keras

    from tf_odl.converters.fold import fold
    from tf_odl.converters.trainable import allowed_masks, trains

    found = fold(model)
    folded = found.model
    for site, mask in allowed_masks(found.neurons, None, None, train_layers).items():
        folded.get_layer(found.sites[site]).trainable = trains(mask)
    _compile(folded, keras.optimizers.SGD(rate * batch))

    def accuracy() -> float:
        return float(folded.evaluate(data.x_test, data.y_test, 256, verbose=0)[1])

    before = accuracy()
    folded.fit(data.x_train, data.y_train, batch_size=batch, shuffle=False, verbose=0)
    return before, accuracy()


def on_device(
    model: keras.Model, calibration: np.ndarray, data: Dataset, settings: dict[str, Any]
) -> tuple[float, float]:
    """Test accuracy before and after the exported model has seen every sample once, in TFLM."""
    from tf_odl import simulation
    from tf_odl.converters.export import export
    from tf_odl.converters.targets import get_target
    from tf_odl.methods import get_method

    method = get_method("full")
    target = replace(get_target("esp32"), arena_bytes=1 << 24)  # the models are larger than boards
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "export"
        export(
            model,
            calibration,
            target=target,
            out_dir=out,
            sparsifier=method.sparsifier,
            skip_rule=method.skip,
            **settings,
        )
        result = simulation.simulate(out, data)
    return result.accuracy_before, result.accuracy_after


def one_pass(stream: Stream, data: Dataset, seed: int) -> Dataset:
    """The samples of a stream in the order of a seed."""
    rows = np.random.default_rng(seed).permutation(len(data.x_train))[: stream.samples]
    return replace(data, x_train=data.x_train[rows], y_train=data.y_train[rows])


def streams_of(
    name: str, seeds: int, data_dir: Path, work: Path
) -> Iterator[tuple[int, int | None, keras.Model, np.ndarray, Dataset]]:
    """(seed, person, model, calibration samples, samples) of one stream after the other."""
    from tf_odl.data import load

    stream = STREAMS[name]
    common: dict[str, Any] = {"data_dir": data_dir, "standardise": stream.standardise}
    known = load(stream.data, **common)
    for person in stream.persons:
        met = load(stream.data, shift=stream.shift, person=person, **common)
        for seed in range(seeds):
            model = pretrained(stream.model, known, stream.recipe, seed, work, stream.data)
            yield (
                seed,
                person,
                model,
                known.x_train[:CALIBRATION_SAMPLES],
                one_pass(stream, met, seed),
            )


def measure(
    names: Sequence[str], variants: Sequence[str], seeds: int, data_dir: Path, work: Path
) -> Results:
    results = Results(FOLDER / "results.csv")
    for name in names:
        rate, layers = STREAMS[name].learning_rate, STREAMS[name].train_layers
        for seed, person, model, calibration, data in streams_of(name, seeds, data_dir, work):
            for variant in (FLOAT, *variants):
                if results.has(name, seed, person, variant):
                    continue
                if variant == FLOAT or variant in BATCHES:
                    batch = BATCHES.get(variant, 1)
                    before, after = in_float(model, data, rate, layers, batch)
                else:
                    settings = {"learning_rate": rate, "seed": seed, "train_layers": layers}
                    settings |= VARIANTS[variant](len(data.x_train))
                    before, after = on_device(model, calibration, data, settings)
                count = len(data.x_train)
                results.add(
                    name, seed, person or "", count, variant, f"{before:.4f}", f"{after:.4f}"
                )
                print(name, seed, person, variant, f"{before:.4f} {after:.4f}", flush=True)
    return results


def accuracies(rows: Sequence[Row], stream: str, variant: str, column: str) -> np.ndarray:
    """In percent, of every seed and person in the same order."""
    return np.array(
        [100 * float(r[column]) for r in rows if (r["stream"], r["variant"]) == (stream, variant)]
    )


def table(rows: Sequence[Row]) -> list[str]:
    """Mean accuracy, and the difference to float Keras with its standard error."""
    known = [v for v in (*VARIANTS, *BATCHES) if any(r["variant"] == v for r in rows)]
    lines = [
        "| | streams | samples each | rate | before | float Keras | " + " | ".join(known) + " |",
        "|---" * (6 + len(known)) + "|",
    ]
    for name, stream in STREAMS.items():
        reference = accuracies(rows, name, FLOAT, "after")
        if not len(reference):
            continue
        counts = [int(r["samples"]) for r in rows if (r["stream"], r["variant"]) == (name, FLOAT)]
        span = f"{min(counts):,}"
        if min(counts) != max(counts):
            span += f" to {max(counts):,}"
        cells = [stream.title, str(len(counts)), span, f"{stream.learning_rate:g}"]
        cells += [
            f"{accuracies(rows, name, FLOAT, 'before').mean():.1f}",
            f"{reference.mean():.1f}",
        ]
        for variant in known:
            found = accuracies(rows, name, variant, "after")
            cells.append(difference(found - reference) if len(found) == len(reference) else "")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def difference(points: np.ndarray) -> str:
    error = points.std(ddof=1) / np.sqrt(len(points)) if len(points) > 1 else 0.0
    return f"{points.mean():+.2f} ± {error:.2f}"


def draw(rows: Sequence[Row], path: Path) -> None:
    """The difference to float of every stream, and their means."""
    known = [v for v in (*VARIANTS, *BATCHES) if any(r["variant"] == v for r in rows)]
    names = [n for n in STREAMS if len(accuracies(rows, n, FLOAT, "after"))]
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(known)
    for k, variant in enumerate(known):
        colour = "black" if variant in BATCHES else f"C{k}"
        for i, name in enumerate(names):
            found = accuracies(rows, name, variant, "after")
            reference = accuracies(rows, name, FLOAT, "after")
            if len(found) != len(reference):
                continue
            points = found - reference
            x = i - 0.4 + (k + 0.5) * width
            label = variant if i == 0 else None
            axes.plot([x] * len(points), points, ".", color=colour, alpha=0.35, markersize=4)
            axes.plot(
                [x - width / 3, x + width / 3], [points.mean()] * 2, color=colour, lw=3, label=label
            )
    axes.axhline(0, color="0.3", linewidth=1)
    axes.axhspan(-1, 1, color="0.85", zorder=0)
    titles = [textwrap.fill(STREAMS[n].title.replace("`", ""), 18) for n in names]
    axes.set_xticks(range(len(names)), titles)
    axes.tick_params(axis="x", labelsize=7)
    axes.set_ylabel("test accuracy against float, points")
    axes.set_yscale("symlog", linthresh=2)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", frameon=False, ncols=5, fontsize=8)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("streams", nargs="*", metavar="STREAM", help=", ".join(STREAMS))
    parser.add_argument("--variants", nargs="*", metavar="VARIANT", default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/on-device"))
    arguments = parser.parse_args()
    names = arguments.streams or list(STREAMS)
    results = measure(
        names, arguments.variants, arguments.seeds, arguments.data_dir, arguments.work
    )
    draw(results.rows, FOLDER / "accuracy.png")
    fill_table(PAGE, table(results.rows))
    print("\n".join(table(results.rows)))


if __name__ == "__main__":
    main()
