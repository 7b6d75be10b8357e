"""One training step on each of several devices (`tf.distribute.MirroredStrategy`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tf_odl.trainer.step import Backward, Outcome, Taped, counts_of, decide, update

if TYPE_CHECKING:
    from tf_odl.trainer.model import OdlModel


def replicated_step(owner: OdlModel, x: Any, y: Any, weights: Any = None) -> Outcome:
    """Train on this device's part of a batch: x [B, ...], y [B, ...], sample weights [B] or None.

    Gradients are computed behind the condition that any sample trains, and applied by all devices
    together outside it, because devices decide differently. An optimizer with momentum therefore
    also steps when no sample of any device trains. Running maxima are those of all devices after
    the step; within it each device knows its own samples.
    """
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    batch = tf.shape(x)[0]
    whole = context.all_reduce(tf.distribute.ReduceOp.SUM, batch)

    def backward(taped: Taped, samples: tf.Tensor) -> Backward:
        """Of a mean over this device's samples, divided by the number of devices."""
        share = tf.cast(samples * replicas, taped.loss.dtype) / tf.cast(whole, taped.loss.dtype)
        return taped.backward(share)

    if owner.method.skip.always_trains:
        taped = Taped(owner, x, y, weights, whole)
        found, kept, again = backward(taped, batch), batch, tf.constant(0)
        y_pred, loss, trained = taped.y_pred, taped.loss, tf.ones([batch], tf.bool)
    else:
        y_pred, loss, trained, alpha_max = decide(
            owner, x, y, weights, owner.alpha_max, replicas=replicas
        )
        owner.alpha_max.assign(_largest(alpha_max))
        places = tf.where(trained)[:, 0]
        kept = again = tf.shape(places)[0]

        def train() -> Backward:
            some = [None if t is None else tf.gather(t, places) for t in (x, y, weights)]
            taped = Taped(owner, some[0], some[1], some[2], whole)
            return _without_gaps(owner, backward(taped, kept))

        found = tf.cond(kept > 0, train, lambda: _nothing(owner))
    update(owner, owner.trained_variables, found.gradients)
    owner.y_max.assign(_largest(found.y_max))
    # Losses are divided by the number of devices, so that gradients add up to a mean.
    loss = loss * tf.cast(replicas, loss.dtype)
    return Outcome(loss, counts_of(found.macs, batch, kept, again), y_pred, trained)


def _largest(value: tf.Tensor) -> tf.Tensor:
    """Entry by entry over all devices."""
    context = tf.distribute.get_replica_context()
    return tf.reduce_max(context.all_gather(value[None], axis=0), axis=0)


def _nothing(owner: OdlModel) -> Backward:
    return Backward(
        [tf.zeros_like(v.value) for v in owner.trained_variables],
        tf.convert_to_tensor(owner.y_max),
        tf.zeros([2], tf.int64),
    )


def _without_gaps(owner: OdlModel, found: Backward) -> Backward:
    """Both ways of a condition give the same tensors: zeros where there is no gradient."""
    pairs = zip(found.gradients, owner.trained_variables, strict=True)
    return found._replace(gradients=[tf.zeros_like(v.value) if g is None else g for g, v in pairs])
