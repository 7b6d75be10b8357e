"""One training step on each of several devices (`tf.distribute.MirroredStrategy`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tf_odl.trainer.step import Outcome, Taped, counts_of, decide, update

if TYPE_CHECKING:
    from tf_odl.trainer.model import OdlModel


def replicated_step(owner: OdlModel, x: Any, y: Any, weights: Any = None) -> Outcome:
    """Train on this device's part of a batch: x [B, ...], y [B, ...], sample weights [B] or None.

    Together the devices do what one does with the whole batch: running maxima are shared before
    anything is decided by them, and the optimizer steps only if a sample of any device trains.
    Devices can only talk to each other outside conditions. So a device of which no sample trains,
    or that got none, goes through the motions with one sample of weight zero.
    """
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    batch = tf.shape(x)[0]
    whole = context.all_reduce(tf.distribute.ReduceOp.SUM, batch)
    x, y = _not_empty(x), _not_empty(y)
    weights = None if weights is None else _not_empty(weights)
    if owner.method.skip.always_trains:
        taped = Taped(owner, x, y, weights, whole, _largest)
        y_pred, loss, trained = taped.y_pred, taped.loss, tf.ones([batch], tf.bool)
        kept, again = batch, tf.constant(0)
    else:
        decision = decide(
            owner, x, y, weights, owner.alpha_max, replicas, shared=_largest, samples=batch
        )
        y_pred, loss, trained = decision.y_pred, decision.loss, decision.trained
        owner.alpha_max.assign(decision.alpha_max)
        places = tf.where(trained)[:, 0]
        kept = tf.shape(places)[0]
        again = kept if owner.repeats_forward else tf.constant(0)
        places = tf.pad(places, [[0, tf.cast(tf.equal(kept, 0), tf.int32)]])
        chosen = [None if t is None else tf.gather(t, places) for t in (x, y, weights)]
        known = decision.z_of(places)
        taped = Taped(owner, chosen[0], chosen[1], chosen[2], whole, _largest, known)
    # Losses are means over a device's samples, divided by the number of devices.
    dtype = taped.loss.dtype
    share = tf.math.divide_no_nan(tf.cast(kept * replicas, dtype), tf.cast(whole, dtype))
    found = taped.backward(share)
    anything = context.all_reduce(tf.distribute.ReduceOp.SUM, kept) > 0
    _update_if(anything, owner, found.gradients)
    owner.y_max.assign(found.y_max)
    macs = tf.where(kept > 0, found.macs, tf.zeros_like(found.macs))
    loss = loss * tf.cast(replicas, loss.dtype)
    return Outcome(loss, counts_of(macs, batch, kept, again), y_pred[:batch], trained)


def position_of_all(position: tf.Tensor) -> tf.Tensor:
    """Of a batch, int64 scalar, from each device's part of `batches.Batch.position`."""
    return _largest(tf.reduce_max(tf.pad(position, [[0, 1]])))


def visited_by_all(ids: tf.Tensor, trained: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Samples int64 [n] and who trained bool [n] of all devices, from those of each, [B]."""
    # Gathering needs numbers, and at least one.
    ids = _gathered(tf.pad(ids, [[0, 1]], constant_values=-1))
    trained = _gathered(tf.pad(tf.cast(trained, tf.int32), [[0, 1]])) > 0
    return tf.boolean_mask(ids, ids >= 0), tf.boolean_mask(trained, ids >= 0)


def _gathered(value: tf.Tensor) -> tf.Tensor:
    """The parts [B, ...] of all devices, one after the other."""
    return tf.distribute.get_replica_context().all_gather(value, axis=0)


def _largest(value: tf.Tensor) -> tf.Tensor:
    """Entry by entry over all devices."""
    return tf.reduce_max(_gathered(value[None]), axis=0)


def _not_empty(t: tf.Tensor) -> tf.Tensor:
    """[B, ...], or one row of zeros if B is 0, which some kernels do not survive."""
    shape = tf.shape(t)
    missing = tf.cast(tf.equal(shape[:1], 0), tf.int32)
    # Not tf.pad: TensorFlow fuses that into a convolution, which then pads nothing.
    return tf.concat([t, tf.zeros(tf.concat([missing, shape[1:]], axis=0), t.dtype)], axis=0)


def _update_if(anything: tf.Tensor, owner: OdlModel, gradients: list[tf.Tensor | None]) -> None:
    """Update, and undo it unless `anything` trains: optimizers also step without a gradient."""
    counter = owner.optimizer.iterations
    state = [v for v in owner.optimizer.variables if v is not counter]
    before = [(v, tf.identity(v.value)) for v in [*owner.trained_variables, *state]]
    update(owner, owner.trained_variables, gradients)
    for variable, value in before:
        variable.assign(tf.where(anything, variable.value, value))
