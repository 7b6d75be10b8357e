"""A Keras model that trains by a method: masks, sparse errors, skipped samples.

`OdlModel(model, method)` wraps any single-input classifier or regressor and is itself a
`keras.Model`: compile, fit, callbacks, metrics, validation and checkpoints work as usual.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.trainers.data_adapters import data_adapter_utils

from tf_odl.errors import UserError
from tf_odl.methods import Mask, Masks, Method, WeightedLayer, method_from_dict
from tf_odl.methods.rest import Rest
from tf_odl.trainer import batches, effort
from tf_odl.trainer.analysis import SupportAnalysis
from tf_odl.trainer.instrument import (
    Hooks,
    Site,
    find_sites,
    instrumented,
    outside_neurons,
    repeats_forward,
)
from tf_odl.trainer.loop import every_step, no_step, single_samples
from tf_odl.trainer.masks import MaskVariables
from tf_odl.trainer.meters import EffortMeter
from tf_odl.trainer.optimizer_state import state_bytes
from tf_odl.trainer.replicas import position_of_all, replicated_step, visited_by_all
from tf_odl.trainer.rest import RestingSamples, worth_of_epochs
from tf_odl.trainer.step import training_step

KERAS_BATCH_SIZE = 32  # of `fit` without a batch size
_POSITIONAL = 2  # epochs and verbose; what follows in fit's signature decides how data are read

# In a saved model, beside the variables.
_SELECTOR, _RESTING, _SELECTION_MACS = "selector:", "resting:", "selection_macs"


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
        support_data: labelled samples (x [n, ...], y [n, ...]) on which selectors that need an
            analysis (tinytrain, sparse-update) make it before the first epoch.
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
        support_data: tuple[np.ndarray, np.ndarray] | None = None,
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
        self.selection_macs = 0  # MACs spent on selecting, since construction
        self._selection_data, self._support_data = selection_data, support_data
        self._distributed = tf.distribute.has_strategy()  # where it was made, it trains
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
        self.propagate = self._state("propagate", [count])
        self.gradient_macs = self._state("gradient_macs", [count])  # per entry of the error
        self.mask = MaskVariables(self.sites, self._state, method.selector.masks_inputs)
        self._meter = EffortMeter(
            effort.forward_macs(self.layers_in_order),
            effort.full_backward_macs(self.layers_in_order),
        )
        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.resting: RestingSamples | None = None  # since the first fit on stored samples
        self._steps_per_epoch = 0  # with all samples awake; of the last fit on stored samples
        self.masks: Masks = {}
        self.repeats_forward = repeats_forward(model)  # of skipping, for samples that train
        self.whole_layers = method.selector.static  # masks are on or off for whole layers
        self._frozen = self._always_frozen()
        if not method.selector.needs_analysis:
            self.select(epoch=0)
        self.built = True

    # -- structure ---------------------------------------------------------------------------

    def layer(self, name: str) -> WeightedLayer:
        """A weighted layer as methods see it."""
        return self.sites[name].layer

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

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        for key, value in self.selector_state.items():
            store[_SELECTOR + key.replace("/", "|")] = value
        for key, value in self.rest_state.items():
            store[_RESTING + key] = value
        store[_SELECTION_MACS] = np.array(self.selection_macs)

    def load_own_variables(self, store: Any) -> None:
        own = {k: store[k] for k in store.keys()}  # noqa: SIM118  (not a dict)
        self.selection_macs = int(np.asarray(own.pop(_SELECTION_MACS)))
        self.selector_state = {
            k.removeprefix(_SELECTOR).replace("|", "/"): np.array(own.pop(k))
            for k in list(own)
            if k.startswith(_SELECTOR)
        }
        self.rest_state = {
            k.removeprefix(_RESTING): np.array(own.pop(k))
            for k in list(own)
            if k.startswith(_RESTING)
        }
        super().load_own_variables(own)
        self.masks = self.mask.read()

    def _state(self, name: str, shape: Sequence[int]) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=tuple(shape),
            initializer="zeros",
            trainable=False,
            dtype="float32",
            aggregation="only_first_replica",  # all devices agree before they assign
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
        selector.check(self._selectable, self.method.budget)

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
            if not masks[site.layer.name].part(part).any()
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
        """Use these masks, one for every site."""
        self.masks = masks
        whole = all(m.kernel.all() or not m.kernel.any() for m in masks.values())
        if self.whole_layers and not whole:
            self.whole_layers, self.train_function = False, None  # counts differently: trace again
        self.mask.assign(masks)
        self.gradient_macs.assign(
            [
                float(x.fan_in_from(masks[x.name].inputs) * masks[x.name].kernel.any())
                for x in self.layers_in_order
            ]
        )
        self.propagate.assign(effort.propagates(self.layers_in_order, masks).astype(np.float32))

    def begin_epoch(self, epoch: int) -> None:
        """Masks and resting samples of an epoch."""
        self.epoch.assign(epoch)
        if epoch > 0:
            self.select(epoch)
        if self.resting is not None:
            worth = self._worth_of_epochs(epoch + 1)
            self.resting.begin(float(worth[:-1].sum()), float(worth[-1]))
            self._meter.add_resting(int((~self.resting.awake()).sum()))

    def _worth_of_epochs(self, epochs: int) -> np.ndarray:
        """What the first epochs count for who rests, float64 [epochs]."""
        skip = self.method.skip
        if isinstance(skip, Rest) and skip.pace == "learning-rate":
            return worth_of_epochs(self.optimizer, self._steps_per_epoch, epochs)
        return np.ones(epochs)

    @property
    def selectable(self) -> list[WeightedLayer]:
        """The layers a selector chooses from: those the user did not freeze."""
        return self._selectable

    def analyse(self) -> None:
        """Let a selector that needs it measure on the support data, before the first epoch.

        Raises:
            UserError: there are none, or the selector finds nothing to train.
        """
        selector = self.method.selector
        if not selector.needs_analysis:
            return
        if not self.selector_state:
            if self._support_data is None:
                raise UserError(f"selector {selector.name!r} needs support_data")
            analysis = SupportAnalysis(self, *self._support_data)
            state = selector.analyse(self._selectable, self.method.budget, analysis, self._rng(0))
            self.selector_state = dict(state)
            self.selection_macs += analysis.macs
        if not self.masks:
            self.select(epoch=0)

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

    # -- training ----------------------------------------------------------------------------

    def compile(
        self,
        *args: Any,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        """`keras.Model.compile`.

        Args:
            steps_per_execution: batches per call for stored samples, see `fit`.
            jit_compile: ignored. XLA compiles batches of one where that is faster; it cannot
                compile larger ones, which change their shape when samples are skipped.
        """
        self.batches_per_call = steps_per_execution
        super().compile(*args, jit_compile=False, **kwargs)
        self._charge_optimizer()

    def _charge_optimizer(self) -> None:
        """A budget in bytes also pays for what the optimizer keeps of every updated parameter."""
        budget = self.method.budget
        if budget is None or budget.kind != "bytes":
            return
        kept = state_bytes(self.optimizer)
        if kept != budget.state_bytes:
            self.method = replace(self.method, budget=replace(budget, state_bytes=kept))
            self.method.selector.check(self._selectable, self.method.budget)
            if not self.method.selector.needs_analysis:
                self.select(epoch=0)

    def get_compile_config(self) -> dict[str, Any]:
        config = super().get_compile_config()
        return config and config | {"steps_per_execution": self.batches_per_call}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """As Keras does it, with an optimizer for the variables that train."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trained_variables)

    @property
    def rests(self) -> int:
        """Epochs that a skipped sample may rest."""
        return self.method.skip.rests

    @property
    def rest_state(self) -> dict[str, np.ndarray]:
        """`RestingSamples.state` of the stored samples; empty where nobody rests."""
        return self.resting.state() if self.resting is not None and self.rests else {}

    @rest_state.setter
    def rest_state(self, state: dict[str, np.ndarray]) -> None:
        with self.distribute_strategy.scope():
            self.resting = RestingSamples(self.rests, **state) if state else None

    @property
    def trained_variables(self) -> list[keras.Variable]:
        """Trainable variables that some epoch may update."""
        return [v for v in self.model.trainable_variables if id(v) not in self._frozen]

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        *args: Any,
        callbacks: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """`keras.Model.fit` with the selector run before every epoch.

        Arrays x [N, ...] and y [N, ...] without weights or splits are *stored* samples: with
        `steps_per_execution` S > 1 in `compile`, S batches run in one call of a loop in the
        graph, many times faster for small models and batches; their order depends on `seed` and
        the epoch. Only stored samples can rest. Other data, and several devices, take one batch
        per call.

        Raises:
            UserError: the skip rule lets samples rest, and these are not stored.
        """
        self.analyse()
        size = batch_size or KERAS_BATCH_SIZE
        ours = _BeforeAndAfter(size if self.rests and self._distributed else None)
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks.append(ours)
        else:
            callbacks = [ours, *keras.tree.flatten(callbacks or [])]
        storable = self._storable(x, y, args, kwargs)
        if self.rests and not storable:
            raise UserError(
                f"skip rule {self.method.skip.name!r} lets samples rest, so it needs them stored: "
                "give fit arrays x and y without sample weights, class weights or a split"
            )
        if not storable or (self.batches_per_call == 1 and not self.rests):
            return super().fit(x, y, batch_size, *args, callbacks=callbacks, **kwargs)
        if kwargs.get("validation_data") is not None:
            kwargs.setdefault("validation_batch_size", size)
        stored = self._stored(x, y, size, shuffle=kwargs.pop("shuffle", True))
        return super().fit(stored, None, None, *args, callbacks=callbacks, shuffle=False, **kwargs)

    def _storable(self, x: Any, y: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        weighted = any(
            kwargs.get(k) is not None for k in ("sample_weight", "class_weight", "steps_per_epoch")
        )
        return all(isinstance(a, np.ndarray | tf.Tensor) for a in (x, y)) and not (
            weighted or kwargs.get("validation_split") or len(args) > _POSITIONAL
        )

    def _stored(self, x: Any, y: Any, batch_size: int, shuffle: bool) -> tf.data.Dataset:
        if self.resting is None or self.resting.samples != len(x):
            with self.distribute_strategy.scope():
                self.resting = RestingSamples.of(len(x), self.rests)
        resting = self.resting
        self._steps_per_epoch = batches.steps_per_epoch(len(x), batch_size)
        with self.distribute_strategy.scope():
            if not self.optimizer.built:
                self.optimizer.build(self.trained_variables)
            self._symbolic_build(data_batch=(tf.constant(x[:1]), tf.constant(y[:1]), None))

        # TensorFlow keeps Python functions of data sets for good: no reference to the model here.
        samples, seed, now = len(x), self.seed, self.epoch

        def order() -> tuple[int, np.ndarray]:
            epoch = int(now.numpy())
            ids = batches.shuffled(samples, seed, epoch) if shuffle else np.arange(samples)
            return epoch, ids[resting.awake()[ids]]

        shape = {"batch_size": batch_size, "steps": self.batches_per_call}
        if self._distributed:
            return batches.single(x, y, **shape, order=order)
        return batches.stored(x, y, **shape, order=order, static=self._compiles(batch_size))

    def _compiles(self, batch_size: int) -> bool:
        """Whether XLA runs the steps: its 2-D convolutions are slow on CPUs."""
        flat = all(len(site.kernel.shape) < 4 for site in self.sites.values())
        return batch_size == 1 and flat and not self.run_eagerly

    def train_step(self, data: Any) -> dict[str, Any]:
        if not self.masks:
            raise UserError("nothing is selected yet: call fit, or analyse first")
        if not self.optimizer.built:
            self.optimizer.build(self.trained_variables)
        if isinstance(data, batches.Steps):
            return self._train_steps(data)
        if isinstance(data, batches.Batch):
            x, y, weights = data.x, data.y, None
        else:
            x, y, weights = data_adapter_utils.unpack_x_y_sample_weight(data)
        if self.rests:
            self._move_on_to(position_of_all(data.position))
        step = replicated_step if self._distributed else training_step
        done = step(self, x, y, weights)
        if self.resting is not None and self.rests:
            ids, trained = visited_by_all(data.ids, done.trained)
            self.resting.visited(ids, trained)
        self._loss_tracker.update_state(done.loss, sample_weight=tf.shape(x)[0])
        self._meter.update_state(done.counts)
        return self.compute_metrics(x, y, done.y_pred, sample_weight=weights)

    def _train_steps(self, data: batches.Steps) -> dict[str, Any]:
        """Several batches in a loop; metrics and resting samples are updated once for all."""
        if self.rests:
            self._move_on_to(data.position)
        skipping = not self.method.skip.always_trains
        loop = single_samples if skipping and data.x.shape[1] == 1 else every_step
        run = functools.partial(loop, self, data.x, data.y, data.count)
        if data.x.shape[0] is not None:  # padded to one shape, so that XLA can compile it
            done = tf.function(run, autograph=False, jit_compile=True)()
        else:
            done = tf.cond(data.count > 0, run, lambda: no_step(self, data.x))

        def rows(t: tf.Tensor) -> tf.Tensor:
            """[S, B, ...] to [samples, ...]"""
            t = t[: data.count]
            return tf.reshape(t, tf.concat([[-1], tf.shape(t)[2:]], axis=0))

        x, y, y_pred, ids, trained = map(
            rows, (data.x, data.y, done.y_pred, data.ids, done.trained)
        )
        if self.resting is not None and self.rests:
            self.resting.visited(ids, trained)
        samples = tf.shape(ids)[0]
        self._loss_tracker.update_state(
            tf.math.divide_no_nan(done.losses, tf.cast(data.count, tf.float32)), samples
        )
        self._meter.update_state(done.counts)
        return self.compute_metrics(x, y, y_pred)

    def _move_on_to(self, position: tf.Tensor) -> None:
        """Fewer steps cover an epoch's part of the learning rate schedule when samples rest."""
        iterations = self.optimizer.iterations
        iterations.assign(tf.cast(position, iterations.dtype))

    def test_step(self, data: Any) -> dict[str, Any]:
        logs = super().test_step(data)
        return {k: v for k, v in logs.items() if k not in EffortMeter.LOGS}


class _BeforeAndAfter(keras.callbacks.Callback):
    """Before an epoch the selector's masks and who rests; after it the selector's observation.

    Args:
        batch_size: where an epoch ends early because samples rest (`batches.single`), else None.
    """

    model: OdlModel

    def __init__(self, batch_size: int | None = None) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.last, self.stopped = 0, False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.model.begin_epoch(epoch)
        if self.batch_size is not None and self.model.resting is not None:
            awake = int(self.model.resting.awake().sum())
            self.last = max(1, batches.steps_per_epoch(awake, self.batch_size)) - 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.batch_size is not None and batch == self.last and not self.model.stop_training:
            self.stopped = self.model.stop_training = True  # of this epoch, see below

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.stopped:
            self.stopped = self.model.stop_training = False
        self.model.observe()
