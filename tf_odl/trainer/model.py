"""A Keras model that trains by a method: masks, sparse errors, skipped samples.

`OdlModel(model, method)` wraps any single-input classifier or regressor and is itself a
`keras.Model`: compile, fit, callbacks, metrics, validation and checkpoints work as usual.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.trainers.data_adapters import data_adapter_utils

from tf_odl.errors import UserError
from tf_odl.methods import Mask, Masks, Method, WeightedLayer, method_from_dict
from tf_odl.trainer import effort
from tf_odl.trainer.instrument import Hooks, Site, find_sites, instrumented, outside_neurons
from tf_odl.trainer.meters import EffortMeter

Sparsify = Callable[[tf.Tensor], tf.Tensor]

# In a saved model, beside the variables.
_SELECTOR, _SELECTION_MACS = "selector:", "selection_macs"


def error_gate(z: tf.Tensor, backward: Sparsify) -> tf.Tensor:
    """Identity forward; backward the error dLoss/dz goes through `backward`."""

    @tf.custom_gradient
    def gate(value: tf.Tensor) -> tuple[tf.Tensor, Sparsify]:
        return tf.identity(value), backward

    return gate(z)


class _Sparsification(Hooks):
    """Sparsifies the error at every site and counts what is left.

    Per site: `y_max` (new running maximum), `entries` and `nonzero`: kept per neuron int64
    [neurons], or in all where the masks of whole layers are on or off.
    """

    def __init__(self, owner: OdlModel, batch: tf.Tensor, frozen_statistics: bool) -> None:
        self.owner, self.batch, self.frozen_statistics = owner, batch, frozen_statistics
        self.y_max: dict[str, tf.Tensor] = {}
        self.entries: dict[str, tf.Tensor] = {}
        self.nonzero: dict[str, tf.Tensor] = {}

    def batch_normalization(self, layer: keras.layers.Layer, x: tf.Tensor, training: Any) -> Any:
        return False if self.frozen_statistics else training

    def pre_activation(self, name: str, x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        layer = self.owner.layer(name)

        def backward(error: tf.Tensor) -> tf.Tensor:
            # The loss is a mean over the batch: times B it is the error of each sample.
            rows = tf.reshape(error, [-1, layer.outputs])
            delta = rows * tf.cast(self.batch, rows.dtype)
            kept = self.owner.method.sparsifier.keep(delta, self.owner.y_max_of(name), layer)
            self.y_max[name] = kept.y_max
            used = rows != 0
            if kept.selected is None:
                per_neuron = tf.cast(tf.shape(rows)[0] * layer.positions, tf.int64)
                whole = self.owner.whole_layers
                self.entries[name] = (
                    per_neuron * layer.neurons if whole else tf.fill([layer.neurons], per_neuron)
                )
            else:
                self.entries[name] = self._counted(kept.selected, layer)
                used &= kept.selected
                error = tf.reshape(tf.where(kept.selected, rows, 0.0), tf.shape(error))
            self.nonzero[name] = self._counted(used, layer)
            return error

        return error_gate(z, backward)

    def _counted(self, selected: tf.Tensor, layer: WeightedLayer) -> tf.Tensor:
        """bool [B, positions * neurons] to counts, int64 [neurons] or scalar."""
        if self.owner.whole_layers:
            return tf.cast(tf.reduce_sum(tf.cast(selected, tf.int32)), tf.int64)
        grouped = tf.reshape(selected, [-1, layer.neurons])
        return tf.math.count_nonzero(grouped, axis=0)


class _WatchOutput(Hooks):
    """Lets a tape see the output layer's pre-activation and nothing before it."""

    def __init__(self, name: str, tape: tf.GradientTape) -> None:
        self.name, self.tape = name, tape
        self.z: tf.Tensor | None = None

    def pre_activation(self, name: str, x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        if name == self.name:
            self.tape.watch(z)
            self.z = z
        return z


class _Outputs(Hooks):
    """Collects every site's output."""

    def __init__(self) -> None:
        self.y: dict[str, tf.Tensor] = {}

    def output(self, name: str, y: tf.Tensor) -> None:
        self.y[name] = y


@keras.saving.register_keras_serializable("tf_odl")
class OdlModel(keras.Model):
    """Trains `model` by `method`.

    Args:
        model: a built Keras model with one input; its layers are shared, not copied.
        method: see `tf_odl.methods.get_method`.
        selection_data: inputs on which selectors that watch the neurons' outputs (velocity) do
            so after every epoch, float32 [n, ...]; a fixed subset, no labels needed.
        seed: of random selection.

    With a skip rule, batch normalization normalizes with its moving statistics and leaves them as
    they are (scale and shift still train): the statistics of the few samples kept are not
    those of the data, and on a device batch normalization is folded anyway.

    A skipped sample adds nothing to the batch's gradient: the loss of the kept samples is divided
    by the size of the whole batch, so the learning rate means the same with and without skipping.

    Raises:
        UserError: the model or the method cannot be trained together; names layer and reason.
    """

    def __init__(
        self,
        model: keras.Model,
        method: Method,
        *,
        selection_data: np.ndarray | None = None,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name or f"{model.name}_odl")
        self.model = model
        self.method = method
        self.seed = seed
        self.sites: dict[str, Site] = {site.layer.name: site for site in find_sites(model)}
        self.layers_in_order: list[WeightedLayer] = [s.layer for s in self.sites.values()]
        self.selector_state: dict[str, np.ndarray] = {}
        self.selection_macs = 0  # forward MACs spent on selecting, since construction
        self._selection_data = selection_data
        trainable = {id(v) for v in model.trainable_variables}
        self._selectable = [
            s.layer
            for s in self.sites.values()
            if any(id(v) in trainable for v, _, _ in s.masked())
        ]
        if not self._selectable:
            raise UserError(f"model {model.name!r} has no trainable layer: set trainable=True")
        self._check_method(outside_neurons(list(self.sites.values()), model))

        count = len(self.sites)
        self.y_max = self._state("y_max", [count])
        self.alpha_max = self._state("alpha_max", [])
        self._propagate = self._state("propagate", [count])
        self._updates = self._state("updates", [count])
        self._mask: dict[str, keras.Variable] = {}
        for layer in self.layers_in_order:
            for part in ("kernel", "bias"):
                key = f"{layer.name}/{part}"
                self._mask[key] = self._state(key.replace("/", "_") + "_mask", [layer.neurons])
        self._meter = EffortMeter(
            effort.forward_macs(self.layers_in_order),
            effort.full_backward_macs(self.layers_in_order),
        )
        self.masks: Masks = {}
        self.whole_layers = method.selector.static  # masks are on or off for whole layers
        self._frozen = self._always_frozen()
        self.select(epoch=0)
        self.built = True

    # -- structure ---------------------------------------------------------------------------

    def layer(self, name: str) -> WeightedLayer:
        return self.sites[name].layer

    def y_max_of(self, name: str) -> tf.Tensor:
        return tf.convert_to_tensor(self.y_max)[list(self.sites).index(name)]

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.model(inputs, training=training)

    def build(self, input_shape: Any = None) -> None:
        """Nothing to create: the wrapped model is built."""

    def get_config(self) -> dict[str, Any]:
        return {
            "model": keras.saving.serialize_keras_object(self.model),
            "method": self.method.to_dict(),
            "selection_data": keras.saving.serialize_keras_object(self._selection_data),
            "seed": self.seed,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> OdlModel:
        config = dict(config)
        model, data = (
            keras.saving.deserialize_keras_object(config.pop(key), custom_objects)
            for key in ("model", "selection_data")
        )
        method = method_from_dict(config.pop("method"))
        return cls(model, method, selection_data=data, **config)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """As Keras does it, with an optimizer for the variables that train."""
        self.built = False  # Keras would build the optimizer for all of them
        try:
            super().compile_from_config(config)
        finally:
            self.built = True
        if self.compiled:
            self.optimizer.build(self.trained_variables)

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        for key, value in self.selector_state.items():
            store[_SELECTOR + key.replace("/", "|")] = value
        store[_SELECTION_MACS] = np.array(self.selection_macs)

    def load_own_variables(self, store: Any) -> None:
        own = {k: store[k] for k in store.keys()}  # noqa: SIM118  (not a dict)
        self.selection_macs = int(np.asarray(own.pop(_SELECTION_MACS)))
        self.selector_state = {
            k.removeprefix(_SELECTOR).replace("|", "/"): np.array(own.pop(k))
            for k in list(own)
            if k.startswith(_SELECTOR)
        }
        super().load_own_variables(own)
        self.masks = {
            n: Mask(*(np.asarray(self._mask[f"{n}/{part}"]) > 0 for part in ("kernel", "bias")))
            for n in self.sites
        }

    def _state(self, name: str, shape: Sequence[int]) -> keras.Variable:
        return self.add_weight(
            name=name, shape=tuple(shape), initializer="zeros", trainable=False, dtype="float32"
        )

    def _check_method(self, outside: Sequence[keras.Variable]) -> None:
        selector = self.method.selector
        if selector.name != "full" and outside:
            raise UserError(
                f"selector {selector.name!r} cannot mask {outside[0].path!r}, which belongs to no "
                "neuron of a Dense or convolution layer: set trainable=False on that layer or "
                "use the selector 'full'"
            )
        if selector.needs_outputs and self._selection_data is None:
            raise UserError(f"selector {selector.name!r} needs selection_data")

    def _always_frozen(self) -> set[int]:
        """Variables no epoch will update: the tape need not watch them."""
        selector = self.method.selector
        if not selector.static:
            return set()
        masks = self._complete(
            selector.select(self._selectable, self.method.budget, 0, self._rng(0), {})
        )
        return {
            id(v)
            for site in self.sites.values()
            for v, part, _ in site.masked()
            if not getattr(masks[site.layer.name], part).any()
        }

    # -- selection ---------------------------------------------------------------------------

    def _rng(self, epoch: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, epoch])

    def _complete(self, masks: Masks) -> Masks:
        """Masks of all sites: layers the user froze update nothing."""
        off = {x.name: np.zeros(x.neurons, bool) for x in self.layers_in_order}
        return {n: masks.get(n, Mask(off[n], off[n])) for n in self.sites}

    def select(self, epoch: int) -> None:
        """Choose the neurons that may update in this epoch."""
        selector = self.method.selector
        if epoch == 0 and selector.needs_outputs and not self.selector_state:
            self.observe()
        chosen = selector.select(
            self._selectable, self.method.budget, epoch, self._rng(epoch), self.selector_state
        )
        self.set_masks(self._complete(chosen))

    def set_masks(self, masks: Masks) -> None:
        """Use these masks: bool [neurons] for weights and bias of every site."""
        self.masks = masks
        whole = all(m.kernel.all() or not m.kernel.any() for m in masks.values())
        if self.whole_layers and not whole:
            self.whole_layers, self.train_function = False, None  # counts differently: trace again
        for name, mask in masks.items():
            self._mask[f"{name}/kernel"].assign(mask.kernel.astype(np.float32))
            self._mask[f"{name}/bias"].assign(mask.bias.astype(np.float32))
        self._updates.assign([float(masks[x.name].kernel.any()) for x in self.layers_in_order])
        self._propagate.assign(effort.propagates(self.layers_in_order, masks).astype(np.float32))

    def observe(self) -> None:
        """Let the selector see the neurons' outputs on the fixed subset, after an epoch."""
        if not self.method.selector.needs_outputs:
            return
        assert self._selection_data is not None
        hooks = _Outputs()
        with instrumented(self.model, hooks):
            self.model(tf.convert_to_tensor(self._selection_data), training=False)
        outputs = [
            hooks.y[x.name].numpy().reshape(len(self._selection_data), x.positions, x.neurons)
            for x in self._selectable
        ]
        self.selector_state = dict(
            self.method.selector.observe(self._selectable, outputs, self.selector_state)
        )
        self.selection_macs += len(self._selection_data) * effort.forward_macs(self.layers_in_order)

    def fit(self, *args: Any, callbacks: Any = None, **kwargs: Any) -> keras.callbacks.History:
        """`keras.Model.fit` with the selector run before every epoch."""
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks.append(_Selection())
        else:
            callbacks = [_Selection(), *keras.tree.flatten(callbacks or [])]
        return super().fit(*args, callbacks=callbacks, **kwargs)

    # -- training ----------------------------------------------------------------------------

    @property
    def trained_variables(self) -> list[keras.Variable]:
        """Trainable variables that some epoch may update."""
        return [v for v in self.model.trainable_variables if id(v) not in self._frozen]

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y, weights = data_adapter_utils.unpack_x_y_sample_weight(data)
        batch = tf.shape(x)[0]
        variables = self.trained_variables
        if not self.optimizer.built:
            self.optimizer.build(variables)
        if self.method.skip.always_trains:
            y_pred, loss, macs = self._backward(x, y, weights, batch, batch)
            kept, repeated = batch, tf.constant(0)
        else:
            y_pred, loss, keep = self._decide(x, y, weights)
            places = tf.where(keep)[:, 0]
            kept = repeated = tf.shape(places)[0]
            macs = tf.cond(
                kept > 0,
                lambda: self._backward(
                    tf.gather(x, places),
                    tf.gather(y, places),
                    None if weights is None else tf.gather(weights, places),
                    kept,
                    batch,
                )[2],
                self._no_step,
            )
        self._loss_tracker.update_state(loss, sample_weight=batch)
        self._meter.update_state(macs, batch, kept, repeated)
        return self.compute_metrics(x, y, y_pred, sample_weight=weights)

    def _no_step(self) -> tf.Tensor:
        """A batch of which nothing trains: learning rate schedules move on, nothing else does."""
        self.optimizer.iterations.assign_add(1)
        return tf.zeros([2], tf.int64)

    def test_step(self, data: Any) -> dict[str, Any]:
        logs = super().test_step(data)
        return {k: v for k, v in logs.items() if k not in EffortMeter.LOGS}

    def _decide(self, x: Any, y: Any, weights: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Forward pass without a tape over the network: (y_pred, loss, keep bool [B])."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            hooks = _WatchOutput(self.layers_in_order[-1].name, tape)
            with instrumented(self.model, hooks):
                y_pred = self.model(x, training=False)
            loss = self.compute_loss(x, y, y_pred, weights, training=False)
        error = tape.gradient(loss, hooks.z)
        delta = tf.reshape(error, [tf.shape(x)[0], -1]) * tf.cast(tf.shape(x)[0], error.dtype)
        alpha = tf.reduce_sum(tf.abs(delta), axis=1)
        keep, alpha_max = self.method.skip.decide(alpha, tf.convert_to_tensor(self.alpha_max))
        self.alpha_max.assign(alpha_max)
        return y_pred, loss, keep

    def _backward(
        self, x: Any, y: Any, weights: Any, kept: tf.Tensor, batch: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Forward, sparse backward and masked update: (y_pred, loss, [nominal, non-zero] MACs)."""
        skipping = not self.method.skip.always_trains
        variables = self.trained_variables
        hooks = _Sparsification(self, batch, frozen_statistics=skipping)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for v in variables:
                tape.watch(v.value)
            with instrumented(self.model, hooks):
                y_pred = self.model(x, training=True)
            loss = self.compute_loss(x, y, y_pred, weights, training=True)
            scaled = loss
            if skipping:
                scaled = loss * (tf.cast(kept, loss.dtype) / tf.cast(batch, loss.dtype))
            scaled = self.optimizer.scale_loss(scaled)
        gradients = tape.gradient(scaled, variables)
        self._update(variables, gradients)
        y_max = tf.unstack(tf.convert_to_tensor(self.y_max))
        names = list(self.sites)
        self.y_max.assign(
            tf.stack([hooks.y_max.get(n, y) for n, y in zip(names, y_max, strict=True)])
        )
        return y_pred, loss, tf.stack([self._macs(hooks.entries), self._macs(hooks.nonzero)])

    def _update(
        self, variables: Sequence[keras.Variable], gradients: Sequence[tf.Tensor | None]
    ) -> None:
        """Apply the gradients; frozen neurons keep their values whatever the optimizer does."""
        pairs = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
        if self.method.selector.name == "full":
            self.optimizer.apply_gradients(pairs)
            return
        masks = {
            id(v): tf.reshape(tf.convert_to_tensor(self._mask[f"{s.layer.name}/{part}"]), shape) > 0
            for s in self.sites.values()
            for v, part, shape in s.masked()
        }
        before = [tf.identity(v.value) for _, v in pairs]
        self.optimizer.apply_gradients([(tf.where(masks[id(v)], g, 0.0), v) for g, v in pairs])
        for (_, v), old in zip(pairs, before, strict=True):
            v.assign(tf.where(masks[id(v)], v.value, old))

    # -- effort ------------------------------------------------------------------------------

    def _macs(self, entries: dict[str, tf.Tensor]) -> tf.Tensor:
        """Backward MACs of one step, int64 scalar (`effort.layer_backward_macs`, in the graph)."""
        propagate = tf.cast(tf.convert_to_tensor(self._propagate), tf.int64)
        if self.whole_layers:
            updates = tf.cast(tf.convert_to_tensor(self._updates), tf.int64)
            fan_in = tf.constant([x.fan_in for x in self.layers_in_order], tf.int64)
            none = tf.zeros([], tf.int64)
            counts = tf.stack([entries.get(x.name, none) for x in self.layers_in_order])
            return tf.reduce_sum(counts * fan_in * (updates + propagate))
        total = tf.zeros([], tf.int64)
        for i, layer in enumerate(self.layers_in_order):
            if layer.name not in entries:
                continue
            count = entries[layer.name]
            mask = tf.cast(tf.convert_to_tensor(self._mask[f"{layer.name}/kernel"]), tf.int64)
            total += layer.fan_in * (
                tf.reduce_sum(count * mask) + tf.reduce_sum(count) * propagate[i]
            )
        return total


class _Selection(keras.callbacks.Callback):
    """Runs the selector: masks before an epoch, observation after it."""

    model: OdlModel

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch > 0:
            self.model.select(epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.observe()
