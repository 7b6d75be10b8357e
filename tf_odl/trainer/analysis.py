"""What selectors measure before the first epoch: Fisher information and short trial trainings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import keras
import numpy as np
import tensorflow as tf

from tf_odl.errors import UserError
from tf_odl.methods import Budget, Dense, Masks, Method, Never, Selector, WeightedLayer
from tf_odl.methods.interfaces import SelectorState, all_neurons
from tf_odl.trainer import effort
from tf_odl.trainer.instrument import Hooks, instrumented

if TYPE_CHECKING:
    from tf_odl.trainer.model import OdlModel

BATCH, CHUNK = 32, 256  # samples per step of a trial, and per call of its evaluation
HELD_OUT = 3  # one of so many support samples
_log = logging.getLogger(__name__)


def support_set(
    x: np.ndarray, y: np.ndarray, count: int, seed: int, labels: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """A labelled subset, with as many samples of every class as there are.

    Args:
        x, y: samples [N, ...] and integer labels [N], or what else is learned [N, ...].
        count: at most so many samples.
        seed: of the draw.
        labels: the classes, int [N], where y is none of them.
    """
    classes = y if labels is None else labels
    rng = np.random.default_rng([seed, count])
    order = rng.permutation(len(y))
    turn = np.zeros(len(y), np.int64)  # the first of every class come first, then the second, ..
    for label in np.unique(classes):
        of_class = np.flatnonzero(classes[order] == label)
        turn[of_class] = np.arange(len(of_class))
    chosen = rng.permutation(order[np.argsort(turn, kind="stable")[:count]])
    return x[chosen], y[chosen]


class _Given(Selector):
    """Masks set from outside."""

    name: ClassVar[str] = "given"
    masks_inputs: ClassVar[bool] = True

    def __init__(self) -> None:
        self.masks: Masks | None = None

    def select(
        self,
        layers: Sequence[WeightedLayer],
        budget: Budget | None,
        epoch: int,
        rng: np.random.Generator,
        state: SelectorState,
    ) -> Masks:
        return self.masks or {x.name: all_neurons(x) for x in layers}


class _WatchOutputs(Hooks):
    """Lets a tape see every site's output."""

    def __init__(self, tape: tf.GradientTape) -> None:
        self.tape = tape
        self.y: dict[str, tf.Tensor] = {}

    def output(self, name: str, y: tf.Tensor) -> None:
        self.tape.watch(y)
        self.y[name] = y


class SupportAnalysis:
    """`tf_odl.methods.interfaces.Analysis` of a compiled `OdlModel`.

    Args:
        owner: whose weights are those of the start before and after every call.
        x, y: labelled support samples.

    `macs` counts what it cost: forward and backward passes of the support pass, of the trial
    trainings and of their evaluations.
    """

    def __init__(self, owner: OdlModel, x: np.ndarray, y: np.ndarray) -> None:
        self.owner, self.x, self.y = owner, np.asarray(x), np.asarray(y)
        self.layers: Sequence[WeightedLayer] = owner.layers_in_order
        self.macs = 0
        self._given = _Given()

    def note(self, message: str) -> None:
        """Log at level INFO."""
        _log.info(message)

    def fisher(self) -> dict[str, np.ndarray]:
        """See `Analysis.fisher`; the network runs as in inference."""
        total = {x.name: np.zeros(x.neurons) for x in self.layers}
        for first in range(0, len(self.x), BATCH):
            x = tf.convert_to_tensor(self.x[first : first + BATCH])
            y = tf.convert_to_tensor(self.y[first : first + BATCH])
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                hooks = _WatchOutputs(tape)
                with instrumented(self.owner.model, hooks):
                    y_pred = self.owner.model(x, training=False)
                loss = self.owner.compute_loss(x, y, y_pred, None, training=False)
                loss *= tf.cast(len(x), loss.dtype)  # a sum: each sample has its own gradient
            gradients = tape.gradient(
                loss, hooks.y, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
            for layer in self.layers:
                product = hooks.y[layer.name] * gradients[layer.name]
                maps = (
                    product.numpy().astype(np.float64).reshape(-1, layer.positions, layer.neurons)
                )
                total[layer.name] += np.square(maps.sum(axis=1)).sum(axis=0)
        self.macs += len(self.x) * self._support_macs()
        return {name: squares / (2 * len(self.x)) for name, squares in total.items()}

    def _support_macs(self) -> int:
        """One sample forward, and its error back to the output of the lowest trainable layer."""
        every = {x.name: all_neurons(x) for x in self.owner.selectable}
        crossed = effort.propagates(self.layers, every)
        back = sum(x.outputs * x.fan_in for x, on in zip(self.layers, crossed, strict=True) if on)
        return effort.forward_macs(self.layers) + back

    def weights(self) -> dict[str, np.ndarray]:
        """See `Analysis.weights`."""
        found = {}
        for name, site in self.owner.sites.items():
            kernel = np.asarray(site.kernel)
            if site.layer.kind == "depthwise":
                found[name] = kernel.reshape(1, -1, site.layer.neurons)
            else:
                windows = kernel.reshape(-1, *kernel.shape[-2:])
                found[name] = windows.transpose(1, 0, 2)
        return found

    def accuracy(self, masks: Masks, epochs: int, learning_rate: float) -> float:
        """See `Analysis.accuracy`: plain SGD in batches of 32 on two of three support samples.

        Raises:
            UserError: the model is no classifier with an output per class.
        """
        classifies = not isinstance(self.owner.loss, keras.losses.MeanSquaredError)
        if not classifies or self.owner.model.output_shape[-1] < 2:
            raise UserError("the analysis measures accuracy: the model needs an output per class")
        held_out = self._held_out
        trial = self._trial
        self._given.masks = masks
        trial.select(0)
        trial.optimizer.learning_rate = learning_rate
        with self._weights_kept():
            history = trial.fit(self._batches, epochs=epochs, shuffle=False, verbose=0).history
            chunks = [
                self.x[i : i + CHUNK] for i in range(len(self.x) - held_out, len(self.x), CHUNK)
            ]
            scores = np.concatenate([self._predict(tf.constant(c)) for c in chunks])
        self.macs += int(sum(history["forward_macs"]) + sum(history["backward_macs"]))
        self.macs += held_out * effort.forward_macs(self.layers)
        labels = self.y[-held_out:]
        if labels.ndim > 1 and labels.shape[-1] > 1:
            labels = labels.argmax(axis=-1)
        return float(np.mean(scores.argmax(axis=-1) == labels.reshape(-1)))

    @property
    def _held_out(self) -> int:
        return max(1, len(self.x) // HELD_OUT)

    @cached_property
    def _predict(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """x [n, ...] to outputs [n, classes]; Keras' own would let every device do all of it."""
        return tf.function(lambda x: self.owner.model(x, training=False), autograph=False)

    @cached_property
    def _batches(self) -> tf.data.Dataset:
        """Once for all trials: building a pipeline takes longer than a trial on a small model."""
        kept = len(self.x) - self._held_out
        return tf.data.Dataset.from_tensor_slices((self.x[:kept], self.y[:kept])).batch(BATCH)

    @cached_property
    def _trial(self) -> OdlModel:
        from tf_odl.trainer.model import OdlModel

        method = Method("trial", self._given, Dense(), Never())
        with self.owner.distribute_strategy.scope():
            trial = OdlModel(self.owner.model, method, seed=self.owner.seed)
            trial.compile(keras.optimizers.SGD(), self.owner.loss, jit_compile=False)
        return trial

    @contextmanager
    def _weights_kept(self) -> Iterator[None]:
        """Whatever happens inside, the model is afterwards as it was before."""
        before = [(v, np.array(v)) for v in self.owner.model.variables]
        try:
            yield
        finally:
            for variable, value in before:
                variable.assign(value)
