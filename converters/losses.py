"""What a training graph minimises, and the tensor it starts from."""

from __future__ import annotations

import math

from tf_odl.converters.backward_path import logits_of
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.errors import UserError
from tf_odl.task import Form, Loss


def form_of(flat: FlatModel, name: str) -> Form:
    """The shapes of a sample and its output, and the softmax or sigmoid at the end."""
    producer = flat.producer(flat.outputs[0])
    kind = None if producer is None else flat.op_name(producer)
    end = {"SOFTMAX": "softmax", "LOGISTIC": "sigmoid"}.get(kind or "")
    return Form(name, flat.shape(flat.inputs[0])[1:], flat.shape(flat.outputs[0])[1:], end)


def ends_in_sigmoid(flat: FlatModel) -> bool:
    """Whether the model's output is that of a LOGISTIC."""
    return form_of(flat, "").end == "sigmoid"


def default_loss(flat: FlatModel) -> Loss:
    """Binary cross-entropy behind a sigmoid, else cross-entropy."""
    return Loss.BINARY if ends_in_sigmoid(flat) else Loss.CROSS_ENTROPY


def tensor_of(flat: FlatModel, loss: Loss) -> int:
    """The tensor whose error the loss gives: logits, or the output itself.

    Raises:
        UserError: the model's output does not suit the loss.
    """
    output = flat.outputs[0]
    shape = flat.shape(output)
    size = math.prod(shape)
    if loss is Loss.CROSS_ENTROPY:
        return logits_of(flat)
    if loss is Loss.BINARY:
        if size != 1:
            raise UserError(
                f"binary cross-entropy needs one output, the model has the shape {list(shape)}; "
                "for several classes use a softmax"
            )
        producer = flat.producer(output)
        return int(producer.inputs[0]) if producer and ends_in_sigmoid(flat) else output
    given = flat.shape(flat.inputs[0])
    if loss is Loss.RECONSTRUCTION and size != math.prod(given):
        raise UserError(
            f"reconstruction needs an output as large as the input, the model has {list(given)} "
            f"and {list(shape)}"
        )
    return output
