"""Many training steps in one call: a loop in the graph instead of one in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from tf_odl.trainer.step import decide, train_on, training_step

if TYPE_CHECKING:
    from tf_odl.trainer.model import OdlModel


_Rows = dict[str, tf.Tensor]  # pre-activations, see `Decision`


class Outcomes(NamedTuple):
    """What S steps of B samples did.

    losses: sum over the steps. counts: int64 [5], see `EffortMeter.update_state`.
    y_pred: [S, B, ...]. trained: bool [S, B].
    """

    losses: tf.Tensor
    counts: tf.Tensor
    y_pred: tf.Tensor
    trained: tf.Tensor


class _Records(NamedTuple):
    """Outcomes on their way through a loop."""

    losses: tf.Tensor
    counts: tf.Tensor
    y_pred: tf.TensorArray
    trained: tf.TensorArray

    def add(self, i: tf.Tensor, loss: Any, counts: Any, y_pred: Any, trained: Any) -> _Records:
        return _Records(
            self.losses + loss,
            self.counts + counts,
            self.y_pred.write(i, y_pred),
            self.trained.write(i, trained),
        )

    def stack(self) -> Outcomes:
        return Outcomes(self.losses, self.counts, self.y_pred.stack(), self.trained.stack())


def _no_records(owner: OdlModel, x: tf.Tensor) -> _Records:
    size = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
    output = owner.model.outputs[0]
    shape = tf.TensorShape([x.shape[1], *output.shape[1:]])
    return _Records(
        tf.constant(0.0),
        tf.zeros([5], tf.int64),
        tf.TensorArray(output.dtype, size, element_shape=shape),
        tf.TensorArray(tf.bool, size, element_shape=[x.shape[1]]),
    )


def no_step(owner: OdlModel, x: tf.Tensor) -> Outcomes:
    """What no step does: x [0, B, ...]."""
    output = owner.model.outputs[0]
    return Outcomes(
        tf.constant(0.0),
        tf.zeros([5], tf.int64),
        tf.zeros([0, tf.shape(x)[1], *output.shape[1:]], output.dtype),
        tf.zeros([0, tf.shape(x)[1]], tf.bool),
    )


def every_step(owner: OdlModel, x: tf.Tensor, y: tf.Tensor, count: tf.Tensor) -> Outcomes:
    """Train on the first `count` batches of x [S, B, ...] and y [S, B, ...]."""

    def body(i: tf.Tensor, records: _Records) -> tuple[tf.Tensor, _Records]:
        done = training_step(owner, x[i], y[i])
        return i + 1, records.add(i, *done)

    start = tf.constant(0), _no_records(owner, x)
    return tf.while_loop(lambda i, _: i < count, body, start)[1].stack()


def single_samples(owner: OdlModel, x: tf.Tensor, y: tf.Tensor, count: tf.Tensor) -> Outcomes:
    """The same for batches of one under a skip rule: x [S, 1, ...], y [S, 1, ...].

    An inner loop runs forward to the next sample that trains. Nothing in it can change a weight,
    so XLA copies none; behind a condition it would copy them all for every sample.
    """
    one = tf.constant(1)

    def skip(
        i: tf.Tensor, found: tf.Tensor, alpha_max: tf.Tensor, z: _Rows, records: _Records
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, _Rows, _Records]:
        y_pred, loss, trains, alpha_max, z = decide(owner, x[i], y[i], None, alpha_max)
        found = trains[0]
        kept = tf.cast(found, tf.int64)
        counts = tf.stack([0, 0, 1, kept, kept if owner.repeats_forward else 0])
        records = records.add(i, loss, tf.cast(counts, tf.int64), y_pred, trains)
        return tf.where(found, i, i + 1), found, alpha_max, z, records

    def next_to_train(
        i: tf.Tensor, z: _Rows, records: _Records
    ) -> tuple[tf.Tensor, _Rows, _Records]:
        start = i, tf.constant(False), tf.convert_to_tensor(owner.alpha_max), z, records
        j, _, alpha_max, z, records = tf.while_loop(
            lambda i, found, *_: ~found & (i < count), skip, start
        )
        owner.alpha_max.assign(alpha_max)
        owner.optimizer.iterations.assign_add(tf.cast(j - i, owner.optimizer.iterations.dtype))
        return j, z, records

    def body(i: tf.Tensor, z: _Rows, records: _Records) -> tuple[tf.Tensor, _Rows, _Records]:
        macs = train_on(owner, x[i], y[i], batch=one, known=z)
        counts = records.counts + tf.concat([macs, tf.zeros([3], tf.int64)], axis=0)
        return next_to_train(i + 1, z, records._replace(counts=counts))

    noted = [] if owner.repeats_forward else owner.layers_in_order
    z = {layer.name: tf.zeros([1, layer.outputs]) for layer in noted}
    start = next_to_train(tf.constant(0), z, _no_records(owner, x))
    return tf.while_loop(lambda i, *_: i < count, body, start)[2].stack()
