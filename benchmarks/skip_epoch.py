"""Time of an epoch in which 75 % of the samples are skipped, against plain Keras `fit`.

Both train the same CNN on data of MNIST's size in batches of 32; epochs alternate so that a
machine that slows down slows both. Time runs from the beginning to the end of the epoch: building
and discarding the input pipeline, which every call of `fit` does once, is left out. A skip rule
that keeps every fourth sample stands in for one that decides by the error: it costs the same
forward pass, and the share is exact.

    python benchmarks/skip_epoch.py [--model MODEL] [--data-dir DIR] [--json]
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tf_odl import models
from tf_odl.methods import Method, get_method
from tf_odl.trainer.model import OdlModel

BATCH = 32
KEEP_EVERY = 4
TARGET = 0.75


@dataclass(frozen=True)
class EveryFourth:
    """Trains one sample in four, whatever its error."""

    name: ClassVar[str] = "every-fourth"
    always_trains: ClassVar[bool] = False

    def decide(self, alpha: tf.Tensor, alpha_max: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """From alpha, float32 [B], to (trains bool [B], new alpha_max)."""
        alpha_max = tf.maximum(alpha_max, tf.reduce_max(alpha))
        return tf.equal(tf.range(tf.shape(alpha)[0]) % KEEP_EVERY, 0), alpha_max


class Clock(keras.callbacks.Callback):
    """Seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self.start)


def cnn5() -> keras.Model:
    """The built-in cnn5: 0.4 million MACs forward, so small that TensorFlow's overhead shows."""
    return models.build("cnn5", (28, 28, 1), 10, seed=0)


def keras_example() -> keras.Model:
    """Keras' MNIST example without its dropout: conv32 - pool - conv64 - pool - dense10."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


MODELS = {"cnn5": cnn5, "keras-example": keras_example}


def compiled(model: keras.Model) -> keras.Model:
    model.compile(
        keras.optimizers.SGD(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def images(data_dir: Path | None, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """MNIST's training files if a folder is named, noise of the same size otherwise."""
    if data_dir is None:
        rng = np.random.default_rng(0)
        x = rng.random((samples, 28, 28, 1), np.float32)
        return x, rng.integers(0, 10, samples)

    def read(name: str, header: int) -> np.ndarray:
        path = data_dir / name
        if path.exists():
            raw = path.read_bytes()
        else:
            raw = gzip.decompress(path.with_name(f"{name}.gz").read_bytes())
        return np.frombuffer(raw, np.uint8, offset=header)

    x = read("train-images-idx3-ubyte", 16).reshape(-1, 28, 28, 1)[:samples]
    y = read("train-labels-idx1-ubyte", 8)[:samples]
    return x.astype(np.float32) / 255, y.astype(np.int64)


def measure(
    build: Callable[[], keras.Model], x: np.ndarray, y: np.ndarray, repeats: int
) -> dict[str, list[float]]:
    """Seconds per epoch of each variant, after one epoch of warm-up each."""
    variants = {"keras": compiled(build())}
    preset = get_method("tinypropv2")
    for name, sparsifier in (
        ("skipping", get_method("full").sparsifier),
        ("skipping, sparse", preset.sparsifier),
    ):
        method = Method(name, preset.selector, sparsifier, EveryFourth())
        variants[name] = compiled(OdlModel(build(), method))
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for repeat in range(-1, repeats):
        for name, model in variants.items():
            clock = Clock()
            fitted = model.fit(x, y, batch_size=BATCH, verbose=0, callbacks=[clock])
            history = fitted.history
            if name != "keras":
                assert history["skipped"] == [1 - 1 / KEEP_EVERY]
            if repeat >= 0:
                seconds[name] += clock.seconds
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", choices=MODELS, default="cnn5")
    parser.add_argument("--data-dir", type=Path, help="folder of MNIST's idx files")
    parser.add_argument("--samples", type=int, default=19200, help="whole batches (19200)")
    parser.add_argument("--repeats", type=int, default=7, help="epochs of each (7)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.samples % BATCH:
        parser.error(f"--samples must be a multiple of {BATCH}")
    x, y = images(options.data_dir, options.samples)
    seconds = measure(MODELS[options.model], x, y, options.repeats)
    plain = median(seconds["keras"])
    rows = [
        {
            "variant": name,
            "median_seconds": median(values),
            "fastest_seconds": min(values),
            "slowest_seconds": max(values),
            "microseconds_per_step": 1e6 * median(values) / (len(x) // BATCH),
            "ratio": median(values) / plain,
        }
        for name, values in seconds.items()
    ]
    if options.json:
        about = {
            "model": options.model,
            "samples": len(x),
            "batch": BATCH,
            "skipped": 1 - 1 / KEEP_EVERY,
            "repeats": options.repeats,
            "target_ratio": TARGET,
            "cpus": os.cpu_count(),
            "machine": platform.machine(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        }
        print(json.dumps({**about, "seconds": seconds, "variants": rows}, indent=2))
        return
    print(
        f"{options.model}, {len(x)} samples, batches of {BATCH}, {1 - 1 / KEEP_EVERY:.0%} skipped,",
        end=" ",
    )
    print(f"median of {options.repeats} epochs, {os.cpu_count()} CPUs")
    print(f"{'':18}{'s/epoch':>9}{'fastest':>9}{'slowest':>9}{'us/step':>9}{'ratio':>8}")
    for row in rows:
        print(
            f"{row['variant']:18}{row['median_seconds']:9.2f}{row['fastest_seconds']:9.2f}"
            f"{row['slowest_seconds']:9.2f}{row['microseconds_per_step']:9.0f}{row['ratio']:8.2f}"
        )
    print(f"target: skipping at most {TARGET} of keras")


if __name__ == "__main__":
    main()
