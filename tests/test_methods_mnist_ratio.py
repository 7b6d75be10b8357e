"""The one series the authors of TinyProp published: mean ratios per epoch on MNIST.

Their notebook trains a LeNet of which conv2 and fc1 are sparse: S 0..1, zeta 1, SGD 0.01 with
momentum 0.5, batches of 20, normalized inputs, and the softmax's output given to a cross entropy
that applies softmax again, which slows the first epoch down. Nothing of it is left out here.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tf_odl.methods import Method, TinyProp, WeightedLayer, get_method
from tf_odl.methods.interfaces import Sparse
from tf_odl.trainer.model import OdlModel

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist"
PUBLISHED = {
    "conv2": [0.3734, 0.0332, 0.0306, 0.0213, 0.0175],
    "fc1": [0.3797, 0.0440, 0.0374, 0.0241, 0.0195],
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not MNIST.is_dir(), reason="the MNIST archives are not in shared/data/mnist"
    ),
]


class Logged:
    """TinyProp as the authors have it, in two layers; sums k / N over the samples."""

    name = "logged"

    def __init__(self) -> None:
        self.inner = TinyProp(0.0, 1.0, 1.0, variant="authors", dense_bias=True)
        self.shares = {name: tf.Variable(0.0, trainable=False) for name in PUBLISHED}

    def keep(self, delta: tf.Tensor, y_max: tf.Tensor, layer: WeightedLayer) -> Sparse:
        if layer.name not in self.shares:
            return Sparse(None, y_max)
        kept = self.inner.keep(delta, y_max, layer)
        count = tf.reduce_sum(tf.cast(kept.selected.mask, tf.float32))
        self.shares[layer.name].assign_add(count / layer.outputs)
        return kept


def notebook_model() -> keras.Model:
    """PyTorch's initial values: uniform within 1 / sqrt(fan-in)."""
    keras.utils.set_random_seed(0)

    def start(fan_in: int) -> dict[str, keras.initializers.Initializer]:
        bound = fan_in**-0.5
        uniform = keras.initializers.RandomUniform
        return {
            "kernel_initializer": uniform(-bound, bound),
            "bias_initializer": uniform(-bound, bound),
        }

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(6, 5, activation="relu", name="conv1", **start(25)),
            layers.MaxPooling2D(),
            layers.Conv2D(12, 5, activation="relu", name="conv2", **start(150)),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(120, activation="relu", name="fc1", **start(192)),
            layers.Dense(60, activation="relu", name="fc2", **start(120)),
            layers.Dense(10, activation="softmax", name="fc3", **start(60)),
        ]
    )


def softmax_twice(y: tf.Tensor, p: tf.Tensor) -> tf.Tensor:
    labels = tf.cast(tf.reshape(y, [-1]), tf.int32)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, tf.identity(p))


def test_the_mean_ratios_of_the_authors_notebook() -> None:
    """Every epoch within a factor of 1.6 of theirs, and falling as theirs do."""
    from tf_odl.data import load

    data = load("mnist", data_dir=MNIST)
    x = (data.x_train - 0.1307) / 0.3081
    full, logged = get_method("full"), Logged()
    trainer = OdlModel(notebook_model(), Method("notebook", full.selector, logged, full.skip))
    trainer.compile(keras.optimizers.SGD(0.01, momentum=0.5), softmax_twice)
    found: dict[str, list[float]] = {name: [] for name in PUBLISHED}
    for _ in range(5):
        for total in logged.shares.values():
            total.assign(0.0)
        trainer.fit(x, data.y_train, batch_size=20, verbose=0)
        for name, total in logged.shares.items():
            found[name].append(float(total) / len(x))
    print({name: np.round(series, 4).tolist() for name, series in found.items()})
    for name, series in PUBLISHED.items():
        ratio = np.array(found[name]) / series
        assert (ratio > 1 / 1.6).all() and (ratio < 1.6).all(), (name, found[name])
        assert (np.diff(found[name]) < 0).all()
