"""Trains by several methods on one and on two logical devices; prints what came out as JSON.

Run by test_trainer_strategy.py: logical devices have to be made before TensorFlow starts.
"""

from __future__ import annotations

import json
import sys

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tf_odl.methods import get_method
from tf_odl.trainer.model import OdlModel
from tf_odl.trainer.strategy import strategy

SAMPLES, BATCH, EPOCHS = 57, 8, 8  # of the last batch one device gets nothing


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, SAMPLES)
    x = rng.normal(0, 1, (SAMPLES, 6, 6, 2)) + 0.7 * y[:, None, None, None]
    return x.astype(np.float32), y


def model() -> keras.Model:
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(8, activation="relu"),
            layers.Dense(3),
        ]
    )


def train(method: str, devices: str) -> tuple[list[np.ndarray], dict[str, list[float]]]:
    x, y = data()
    if method == "asleep":  # nobody ever trains, in some epochs nobody is awake
        chosen = get_method("rest", settings={"threshold": "2"})
    else:
        needs_budget = get_method(method).selector.needs_budget
        chosen = get_method(method, budget="50%" if needs_budget else None)
    with strategy(devices).scope():
        trainer = OdlModel(model(), chosen, selection_data=x[:5], support_data=(x, y), seed=1)
        trainer.compile(
            keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.03, 40), momentum=0.9),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            steps_per_execution=3,
        )
    history = trainer.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0).history
    return trainer.model.get_weights(), {k: [float(v) for v in h] for k, h in history.items()}


def main(methods: list[str]) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    assert strategy("mirrored").num_replicas_in_sync == 2
    found = {}
    for method in methods:
        one, two = (train(method, devices) for devices in ("none", "mirrored"))
        apart = max(float(np.abs(a - b).max()) for a, b in zip(one[0], two[0], strict=True))
        found[method] = {"apart": apart, "one": one[1], "two": two[1]}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
