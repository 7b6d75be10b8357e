"""Thresholds of TinyPropv2 where squared errors are minimised: the table of docs/models.md.

    python benchmarks/squared_errors.py [--data-dir DIR] > table.md

Regressions that scikit-learn holds or makes, and with DIR one on HAPT (`hapt_windows_9x128.npz`):
how much the gyroscope turns, by statistics of the accelerometer. About ten minutes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

METHODS: dict[str, dict[str, str] | None] = {  # settings of tinypropv2, None for others
    "full": None,
    "tinyprop": None,
    **{f"tinypropv2, {t}": {"threshold": t} for t in ("0.1", "0.05", "0.02", "0.01")},
}


class Arrays(NamedTuple):
    """float32 [N, features] and [N, targets]."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


class Case(NamedTuple):
    """hidden: of the network, none for a fresh mlp5; pretrained: on `data` before they drift."""

    name: str
    data: Arrays
    epochs: int
    rate: float = 0.01
    hidden: tuple[int, ...] = ()
    drifts: bool = False


def standardised(x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> Arrays:
    """Features and targets with mean 0 and deviation 1 over the training part."""
    x, y = ((a - a[train].mean(0)) / a[train].std(0) for a in (x, y))
    return Arrays(*(a[rows].astype(np.float32) for rows in (train, test) for a in (x, y)))


def split(x: np.ndarray, y: np.ndarray) -> Arrays:
    """80 : 20, mixed."""
    rows = np.random.default_rng(0).permutation(len(x))
    count = int(0.8 * len(x))
    return standardised(x, y[:, None], rows[:count], rows[count:])


def friedman() -> Arrays:
    """Friedman #1."""
    from sklearn.datasets import make_friedman1

    return split(*make_friedman1(2000, noise=1.0, random_state=0))


def diabetes() -> Arrays:
    """Progression of the disease in 442 persons."""
    from sklearn.datasets import load_diabetes

    return split(*load_diabetes(return_X_y=True, scaled=False))


def hapt(folder: Path) -> Arrays:
    """Root mean square of the gyroscope's axes, by five statistics of each of the accelerometer."""
    with np.load(folder / "hapt_windows_9x128.npz") as file:
        windows, parts = file["x"].astype(np.float64), file["split"]
    gyroscope, acceleration = windows[:, 3:6], windows[:, 6:9]
    statistics = [getattr(acceleration, name)(axis=2) for name in ("mean", "std", "min", "max")]
    x = np.concatenate([*statistics, np.abs(np.diff(acceleration, axis=2)).mean(2)], axis=1)
    y = np.sqrt((gyroscope**2).mean(2))
    return standardised(x, y, *(np.flatnonzero(parts == name) for name in ("train", "test")))


def calibration() -> Arrays:
    """Six features, and a target around 32."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 6))
    y = x @ rng.normal(size=6) + np.tanh(2 * x[:, 0]) + rng.normal(0, 0.2, 500)
    data = split(x, y)
    return data._replace(y_train=data.y_train + 32, y_test=data.y_test + 32)


def drifted(data: Arrays) -> Arrays:
    """What a sensor says later: more, and with an offset."""
    return data._replace(y_train=1.3 * data.y_train + 2, y_test=1.3 * data.y_test + 2)


def save_model(case: Case, path: Path) -> None:
    """A network of the case's hidden layers, trained by plain Keras if its data drift."""
    import keras

    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(n, activation="relu") for n in case.hidden]
    output = keras.layers.Dense(case.data.y_train.shape[1])
    model = keras.Sequential([keras.Input(case.data.x_train.shape[1:]), *layers, output])
    if case.drifts:
        model.compile(keras.optimizers.Adam(0.005), "mse")
        model.fit(case.data.x_train, case.data.y_train, epochs=15, verbose=0)
    model.save(path)


def figures(case: Case, folder: Path) -> list[str]:
    """Root mean squared errors and shares of skipped samples: before, then of every method."""
    from tf_odl.trainer import finetune
    from tf_odl.trainer.settings import Settings

    model = "mlp5"
    if case.hidden:
        model = str(folder / "model.keras")
        save_model(case, Path(model))
    data = drifted(case.data) if case.drifts else case.data
    np.savez(folder / "data.npz", **data._asdict())
    column = []
    for name, settings in METHODS.items():
        chosen = Settings(
            model=model,
            data=str(folder / "data.npz"),
            loss="mse",
            method=name.partition(",")[0],
            set=settings or {},
            epochs=case.epochs,
            learning_rate=case.rate,
        )
        run = folder / name
        finetune.start(chosen, run)
        result = finetune.resume(run)["result"]
        skipped = f" ({result['skipped']:.0%})" if settings else ""
        column = column or [f"{result['rmse_before']:.3f}"]
        column.append(f"{result['rmse']:.3f}{skipped}")
        print(f"{case.name}, {name}: {column[-1]}", file=sys.stderr, flush=True)
    return column


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-dir", type=Path)
    data_dir = parser.parse_args().data_dir
    cases = [
        Case("Friedman #1", friedman(), 20),
        Case("diabetes", diabetes(), 20),
        Case("Friedman #1, drifted", friedman(), 10, hidden=(32, 16), drifts=True),
        Case("32 off", calibration(), 20, 0.003, hidden=(16,)),
    ]
    if data_dir is not None:
        data = hapt(data_dir)
        cases[1:1] = [Case("HAPT", data, 10)]
        cases[4:4] = [Case("HAPT, drifted", data, 5, hidden=(32, 16), drifts=True)]
    columns = []
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            columns.append(figures(case, Path(folder)))
    print("|".join(["", "", *(case.name for case in cases), ""]))
    print("|".join(["", *["---"] * (len(cases) + 1), ""]))
    for name, *row in zip(["before", *METHODS], *columns, strict=True):
        print("|".join(["", name, *row, ""]))


if __name__ == "__main__":
    main()
