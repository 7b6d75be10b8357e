"""Time of a training epoch against plain Keras `fit`, with and without skipping.

All train the same model on data of MNIST's size; epochs alternate so that a machine that slows
down slows all. Time runs from the beginning to the end of the epoch: building and discarding the
input pipeline, which every call of `fit` does once, is left out. TinyPropv2 skips what it finds
easy, which needs real data (`--data-dir`); the rows with an exact share train one sample in so
many instead, at the cost of the same forward pass.

    python benchmarks/epoch_time.py [--model MODEL] [--batch B] [--data-dir DIR] [--json]
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
from tf_odl.trainer import batches
from tf_odl.trainer.model import OdlModel

SKIPPED = (0.5, 0.75, 0.95)
SAMPLES = {1: 6000, 32: 19200}  # per epoch, by batch size


@dataclass(frozen=True)
class OneIn:
    """Trains one sample in `every`, whatever its error; alpha_max counts the samples."""

    name: ClassVar[str] = "one-in"
    always_trains: ClassVar[bool] = False
    rests: ClassVar[int] = 0
    every: int

    def decide(self, alpha: tf.Tensor, alpha_max: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """From alpha, float32 [B], to (trains bool [B], new count)."""
        place = alpha_max + tf.range(tf.shape(alpha)[0], dtype=tf.float32)
        count = tf.math.floormod(alpha_max + tf.cast(tf.shape(alpha)[0], tf.float32), self.every)
        return tf.equal(tf.math.floormod(place, float(self.every)), 0.0), count


class Clock(keras.callbacks.Callback):
    """Seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self.start)


def mlp5() -> keras.Model:
    """The papers' perceptron, 784-128-96-64-48-10."""
    return models.build("mlp5", (28, 28, 1), 10, seed=0)


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


MODELS = {"mlp5": mlp5, "cnn5": cnn5, "keras-example": keras_example}


def compiled(model: keras.Model, steps_per_execution: int = 1) -> keras.Model:
    model.compile(
        keras.optimizers.SGD(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=steps_per_execution,
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


def variants(build: Callable[[], keras.Model], batch: int) -> dict[str, keras.Model]:
    """Plain Keras twice, then ours: dense, sparse, and skipping."""
    steps = batches.steps_per_call(28 * 28 * 4, batch)
    full, tinyprop = get_method("full"), get_method("tinyprop")
    ways = {
        "ours, full": full,
        "ours, tinyprop": tinyprop,
        "ours, tinypropv2": get_method("tinypropv2"),
        **{
            f"ours, {name}, {share:.0%} skipped": Method(
                name, part.selector, part.sparsifier, OneIn(round(1 / (1 - share)))
            )
            for name, part in (("dense", full), ("tinyprop", tinyprop))
            for share in SKIPPED
        },
    }
    return {
        "keras": compiled(build()),
        f"keras, {steps} steps per call": compiled(build(), steps),
        **{name: compiled(OdlModel(build(), way), steps) for name, way in ways.items()},
    }


def measure(
    build: Callable[[], keras.Model], x: np.ndarray, y: np.ndarray, batch: int, repeats: int
) -> dict[str, list[float]]:
    """Seconds per epoch of each variant, after one epoch of warm-up each."""
    trained = variants(build, batch)
    seconds: dict[str, list[float]] = {name: [] for name in trained}
    for repeat in range(-1, repeats):
        for name, model in trained.items():
            clock = Clock()
            model.fit(x, y, batch_size=batch, verbose=0, callbacks=[clock])
            if repeat >= 0:
                seconds[name] += clock.seconds
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", choices=MODELS, default="cnn5")
    parser.add_argument("--batch", type=int, choices=SAMPLES, default=32)
    parser.add_argument("--data-dir", type=Path, help="folder of MNIST's idx files")
    parser.add_argument("--repeats", type=int, default=5, help="epochs of each (5)")
    parser.add_argument("--threads", type=int, default=1, help="of TensorFlow (1); 0 for all")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    x, y = images(options.data_dir, SAMPLES[options.batch])
    seconds = measure(MODELS[options.model], x, y, options.batch, options.repeats)
    plain = median(seconds["keras"])
    rows = [
        {
            "variant": name,
            "microseconds_per_sample": 1e6 * median(values) / len(x),
            "ratio": median(values) / plain,
        }
        for name, values in seconds.items()
    ]
    if options.json:
        about = {
            "model": options.model,
            "samples": len(x),
            "batch": options.batch,
            "repeats": options.repeats,
            "threads": options.threads or os.cpu_count(),
            "machine": platform.machine(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        }
        print(json.dumps({**about, "seconds": seconds, "variants": rows}, indent=2))
        return
    print(
        f"{options.model}, batches of {options.batch}, {len(x)} samples an epoch, "
        f"median of {options.repeats} epochs, {options.threads or os.cpu_count()} threads"
    )
    print(f"{'':32}{'us/sample':>10}{'of keras':>10}")
    for row in rows:
        print(f"{row['variant']:32}{row['microseconds_per_sample']:10.1f}{row['ratio']:10.2f}")


if __name__ == "__main__":
    main()
