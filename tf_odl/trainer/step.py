"""One training step: decide who trains, propagate a sparse error, update under masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import tensorflow as tf
from tensorflow.python.eager import record

from tf_odl.methods import WeightedLayer
from tf_odl.trainer.instrument import Hooks, instrumented

if TYPE_CHECKING:
    from tf_odl.trainer.model import OdlModel

Sparsify = Callable[[tf.Tensor], tf.Tensor]
Shared = Callable[[tf.Tensor], tf.Tensor]  # the largest of a value on all devices


class Outcome(NamedTuple):
    """What a step did with its B samples.

    loss: scalar, the mean over the samples. counts: int64 [5], see `EffortMeter.update_state`.
    y_pred: [B, ...]. trained: bool [B].
    """

    loss: tf.Tensor
    counts: tf.Tensor
    y_pred: tf.Tensor
    trained: tf.Tensor


class Decision(NamedTuple):
    """What the skip rule says of B samples.

    y_pred: [B, ...]. loss: scalar. trained: bool [samples]. alpha_max: the new running maximum.
    z: the pre-activations of every site as rows, [B, outputs], where training needs the same
    (`OdlModel.repeats_forward`), else none.
    """

    y_pred: tf.Tensor
    loss: tf.Tensor
    trained: tf.Tensor
    alpha_max: tf.Tensor
    z: dict[str, tf.Tensor]

    def z_of(self, places: tf.Tensor) -> dict[str, tf.Tensor]:
        """The pre-activations of these samples, int64 [n]."""
        return {name: tf.gather(rows, places) for name, rows in self.z.items()}


def error_gate(z: tf.Tensor, backward: Sparsify, known: tf.Tensor | None = None) -> tf.Tensor:
    """Identity forward; backward the error dLoss/dz [batch, ...] goes through `backward`.

    Where z is `known` as rows, float [batch, entries], a graph does not compute it again: gradients
    need its inputs only.

    tf.custom_gradient would do, but in a graph it keeps what it gets, and with it the whole graph
    and its model, until the process ends.
    """
    with record.stop_recording():
        value = tf.identity(z) if known is None else tf.reshape(known, [-1, *z.shape[1:]])
    record.record_operation("ErrorGate", [value], [z], lambda error: [backward(error)])
    return value


class _Sparsification(Hooks):
    """Sparsifies the error at every site and counts what is left.

    Per site: `y_max` (new running maximum), `entries` and `nonzero`: kept per neuron int64
    [neurons], or in all where the masks of whole layers are on or off.
    """

    def __init__(
        self,
        owner: OdlModel,
        batch: tf.Tensor,
        frozen_statistics: bool,
        shared: Shared | None,
        known: Mapping[str, tf.Tensor],
    ) -> None:
        self.owner, self.batch, self.frozen_statistics = owner, batch, frozen_statistics
        self.shared, self.known = shared, known
        before = tf.unstack(tf.convert_to_tensor(owner.y_max))
        self.y_max = dict(zip(owner.sites, before, strict=True))
        self.entries: dict[str, tf.Tensor] = {}
        self.nonzero: dict[str, tf.Tensor] = {}
        self.dense_bias: dict[int, tf.Tensor] = {}  # gradients, by id of the bias

    def batch_normalization(self, layer: keras.layers.Layer, x: tf.Tensor, training: Any) -> Any:
        return False if self.frozen_statistics else training

    def pre_activation(self, name: str, x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        layer = self.owner.layer(name)

        def backward(error: tf.Tensor) -> tf.Tensor:
            # The loss is a mean over the batch: times B it is the error of each sample.
            rows = tf.reshape(error, [-1, layer.outputs])
            delta = rows * tf.cast(self.batch, rows.dtype)
            sparsifier = self.owner.method.sparsifier
            if self.shared is not None and sparsifier.follows_error:
                mine = tf.reduce_max(tf.reduce_sum(tf.abs(delta), axis=1))
                self.y_max[name] = self.shared(tf.maximum(self.y_max[name], mine))
            kept = sparsifier.keep(delta, self.y_max[name], layer)
            self.y_max[name] = kept.y_max
            bias = self.owner.sites[name].bias
            if kept.dense_bias and bias is not None:
                per_neuron = tf.reshape(error, [-1, layer.neurons])
                self.dense_bias[id(bias)] = tf.reduce_sum(per_neuron, axis=0)
            if kept.selected is None:
                self.nonzero[name] = self._counted(rows != 0, layer)
                per_neuron = tf.cast(tf.shape(rows)[0] * layer.positions, tf.int64)
                whole = self.owner.whole_layers
                self.entries[name] = (
                    per_neuron * layer.neurons if whole else tf.fill([layer.neurons], per_neuron)
                )
            else:
                if kept.entries is not None and self.owner.whole_layers:
                    self.entries[name] = tf.reduce_sum(tf.cast(kept.entries, tf.int64))
                else:
                    self.entries[name] = self._counted(kept.selected.mask, layer)
                used = kept.selected.nonzero
                if self.owner.whole_layers:
                    self.nonzero[name] = tf.reduce_sum(tf.cast(kept.selected.count, tf.int64))
                else:
                    self.nonzero[name] = self._counted(used, layer)
                rows = tf.math.multiply_no_nan(rows, tf.cast(used, rows.dtype))
            return tf.reshape(rows, tf.shape(error))

        return error_gate(z, backward, self.known.get(name))

    def _counted(self, selected: tf.Tensor, layer: WeightedLayer) -> tf.Tensor:
        """bool [B, positions * neurons] to counts, int64 [neurons] or scalar."""
        if self.owner.whole_layers:
            return tf.cast(tf.reduce_sum(tf.cast(selected, tf.int32)), tf.int64)
        grouped = tf.reshape(selected, [-1, layer.neurons])
        return tf.math.count_nonzero(grouped, axis=0)


class _WatchOutput(Hooks):
    """Lets a tape see the output layer's pre-activation and nothing before it; notes all."""

    def __init__(self, name: str, tape: tf.GradientTape) -> None:
        self.name, self.tape = name, tape
        self.z: dict[str, tf.Tensor] = {}

    def pre_activation(self, name: str, x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        if name == self.name:
            self.tape.watch(z)
        self.z[name] = z
        return z


def training_step(owner: OdlModel, x: Any, y: Any, weights: Any = None) -> Outcome:
    """Train on one batch: x [B, ...], y [B, ...], sample weights [B] or None."""
    batch = tf.shape(x)[0]
    if owner.method.skip.always_trains:
        taped = Taped(owner, x, y, weights, batch)
        counts = counts_of(taped.train(), batch, batch, 0)
        return Outcome(taped.loss, counts, taped.y_pred, tf.ones([batch], tf.bool))
    decision = decide(owner, x, y, weights, owner.alpha_max)
    owner.alpha_max.assign(decision.alpha_max)
    places = tf.where(decision.trained)[:, 0]
    kept = tf.shape(places)[0]

    def train() -> tf.Tensor:
        chosen = [None if t is None else tf.gather(t, places) for t in (x, y, weights)]
        return train_on(owner, *chosen, batch=batch, known=decision.z_of(places))

    macs = tf.cond(kept > 0, train, lambda: _no_step(owner))
    counts = counts_of(macs, batch, kept, kept if owner.repeats_forward else 0)
    return Outcome(decision.loss, counts, decision.y_pred, decision.trained)


def counts_of(macs: tf.Tensor, batch: tf.Tensor, kept: tf.Tensor, again: Any) -> tf.Tensor:
    """What `EffortMeter.update_state` takes, int64 [5]."""
    return tf.concat([macs, tf.cast(tf.stack([batch, kept, again]), tf.int64)], axis=0)


def _no_step(owner: OdlModel) -> tf.Tensor:
    """A batch of which nothing trains: learning rate schedules move on, nothing else does."""
    owner.optimizer.iterations.assign_add(1)
    return tf.zeros([2], tf.int64)


def decide(
    owner: OdlModel,
    x: Any,
    y: Any,
    weights: Any,
    alpha_max: tf.Tensor,
    replicas: int = 1,
    shared: Shared | None = None,
    samples: tf.Tensor | None = None,
) -> Decision:
    """Forward pass without a tape over the network, and the skip rule's answer.

    Args:
        x, y, weights: a batch [B, ...], as `fit` gives it.
        alpha_max: float32 scalar, the largest alpha so far.
        replicas: devices that share the batch, see `replicated_step`.
        shared: where several do.
        samples: who counts, the first so many; all by default.
    """
    batch = tf.shape(x)[0]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        hooks = _WatchOutput(owner.layers_in_order[-1].name, tape)
        with instrumented(owner.model, hooks):
            y_pred = owner.model(x, training=False)
        loss = owner.compute_loss(x, y, y_pred, weights, training=False)
    error = tape.gradient(loss, hooks.z[hooks.name])
    delta = tf.reshape(error, [batch, -1]) * tf.cast(batch * replicas, error.dtype)
    alpha = tf.reduce_sum(tf.abs(delta), axis=1)[:samples]
    if shared is not None:
        alpha_max = shared(tf.maximum(alpha_max, tf.reduce_max(alpha)))
    trained, alpha_max = owner.method.skip.decide(alpha, tf.convert_to_tensor(alpha_max))
    z = {} if owner.repeats_forward else hooks.z
    rows = {name: tf.reshape(t, [-1, owner.layer(name).outputs]) for name, t in z.items()}
    return Decision(y_pred, loss, trained, alpha_max, rows)


def train_on(
    owner: OdlModel,
    x: Any,
    y: Any,
    weights: Any = None,
    *,
    batch: Any,
    known: Mapping[str, tf.Tensor],
) -> tf.Tensor:
    """Backward on the samples of a batch that train, after what a tape needs of the forward pass.

    Args:
        batch: samples of the whole batch, which the loss is a mean of, int32.
        known: their pre-activations, `Decision.z`; all of the forward pass is run without.

    Returns:
        Nominal and non-zero backward MACs, int64 [2].
    """
    taped = Taped(owner, x, y, weights, batch, known=known)
    share = tf.cast(tf.shape(x)[0], taped.loss.dtype) / tf.cast(batch, taped.loss.dtype)
    return taped.train(share)


class Backward(NamedTuple):
    """What a backward pass found.

    gradients: of `trained_variables`, None where nothing depends on one. y_max: the running
    maxima, float32 [layers]. macs: nominal and non-zero, int64 [2].
    """

    gradients: list[tf.Tensor | None]
    y_max: tf.Tensor
    macs: tf.Tensor


class Taped:
    """A forward pass with what its backward pass needs.

    Args:
        batch: samples the loss is a mean of, int32; more than those of x when some are skipped.
        shared: where several devices share the batch.
        known: pre-activations as rows, see `Decision`.
    """

    def __init__(
        self,
        owner: OdlModel,
        x: Any,
        y: Any,
        weights: Any,
        batch: tf.Tensor,
        shared: Shared | None = None,
        known: Mapping[str, tf.Tensor] | None = None,
    ) -> None:
        self.owner = owner
        self.variables = owner.trained_variables
        skipping = not owner.method.skip.always_trains
        self.hooks = _Sparsification(owner, batch, skipping, shared, known or {})
        self.tape = tf.GradientTape(watch_accessed_variables=False)
        with self.tape:
            for v in self.variables:
                self.tape.watch(v.value)
            with instrumented(owner.model, self.hooks):
                self.y_pred = owner.model(x, training=True)
            self.loss = owner.compute_loss(x, y, self.y_pred, weights, training=True)

    def train(self, share: tf.Tensor | None = None) -> tf.Tensor:
        """Sparse backward pass of share * loss and masked update: MACs, int64 [2]."""
        found = self.backward(share)
        update(self.owner, self.variables, found.gradients)
        self.owner.y_max.assign(found.y_max)
        return found.macs

    def backward(self, share: tf.Tensor | None = None) -> Backward:
        """Sparse backward pass of share * loss; share is a float scalar, 1 by default."""
        owner, hooks = self.owner, self.hooks
        weight = owner.optimizer.scale_loss(tf.ones_like(self.loss) if share is None else share)
        gradients = self.tape.gradient(self.loss, self.variables, output_gradients=weight)
        gradients = [
            hooks.dense_bias.get(id(v), g) for v, g in zip(self.variables, gradients, strict=True)
        ]
        # Gradients read weights, all before the first update: with a forward pass that nobody needs
        # (`error_gate`), TensorFlow's dependency optimizer drops the order of reads and updates.
        gradients = tf.tuple(gradients)
        macs = tf.stack([_macs(owner, hooks.entries), _macs(owner, hooks.nonzero)])
        return Backward(gradients, tf.stack(list(hooks.y_max.values())), macs)


def update(
    owner: OdlModel,
    variables: Sequence[keras.Variable],
    gradients: Sequence[tf.Tensor | None],
) -> None:
    """Apply the gradients; frozen neurons keep their values whatever the optimizer does.

    Args:
        variables: that train, each with its gradient of the same shape, or None.
    """
    pairs = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
    if owner.method.selector.name == "full":
        owner.optimizer.apply_gradients(pairs)
        return
    masks = owner.mask.of_variables()
    before = [tf.identity(v.value) for _, v in pairs]
    owner.optimizer.apply_gradients([(tf.where(masks[id(v)], g, 0.0), v) for g, v in pairs])
    for (_, v), old in zip(pairs, before, strict=True):
        v.assign(tf.where(masks[id(v)], v.value, old))


def _macs(owner: OdlModel, entries: dict[str, tf.Tensor]) -> tf.Tensor:
    """Backward MACs of one step, int64 scalar (`effort.layer_backward_macs`, in the graph)."""
    propagate = tf.cast(tf.convert_to_tensor(owner.propagate), tf.int64)
    gradient = tf.cast(tf.convert_to_tensor(owner.gradient_macs), tf.int64)
    layers = owner.layers_in_order
    if owner.whole_layers:
        fan_in = tf.constant([x.fan_in for x in layers], tf.int64)
        none = tf.zeros([], tf.int64)
        counts = tf.stack([entries.get(x.name, none) for x in layers])
        return tf.reduce_sum(counts * (gradient + fan_in * propagate))
    total = tf.zeros([], tf.int64)
    for i, layer in enumerate(layers):
        if layer.name not in entries:
            continue
        count = entries[layer.name]
        mask = tf.cast(owner.mask.kernel(layer.name), tf.int64)
        total += tf.reduce_sum(count * mask) * gradient[i]
        total += tf.reduce_sum(count) * layer.fan_in * propagate[i]
    return total
