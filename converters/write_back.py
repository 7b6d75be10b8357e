"""What a training graph has learned, as a plain int8 model and as a Keras model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.fold_sites import layer_name
from tf_odl.converters.head import to_steps
from tf_odl.converters.layers import KERNEL, along_axis, kernel_from_op
from tf_odl.converters.split import parse_window
from tf_odl.converters.training_graph import MASKS, SEED_OP
from tf_odl.converters.update_rule import RESIDUAL_STEPS, is_of_accumulation, is_residual
from tf_odl.converters.weight_changes import changed, weights_of
from tf_odl.errors import UserError

if TYPE_CHECKING:
    import keras


def variable_tensors(flat: FlatModel) -> list[int]:
    """The variables of a training graph, in the order of its TFODL_SEED.

    Raises:
        UserError: the model is no training graph.
    """
    seeds = [op for op in flat.operators if flat.op_name(op) == SEED_OP]
    if not seeds:
        raise UserError("this model has no training ops; use the exported model_train.tflite")
    inputs = [int(i) for i in seeds[0].inputs]
    return inputs[1 : 1 + (len(inputs) - 1) // 2]


def _checked(
    flat: FlatModel, tensors: list[int], variables: Sequence[np.ndarray]
) -> list[np.ndarray]:
    values = [np.asarray(v) for v in variables]
    expected = [(flat.shape(t), flat.dtype(t)) for t in tensors]
    if [(v.shape, v.dtype) for v in values] != expected:
        raise UserError("the variables do not fit this model: number, shape or dtype differs")
    return values


def with_variables(model: bytes, graph: bytes, variables: Sequence[np.ndarray]) -> bytes:
    """The plain int8 model with learned weights.

    Args:
        model: model.tflite.
        graph: the model_train.tflite made from it.
        variables: int8 weights with their residuals, or changes of weights, and int32 biases in
            the order and the shapes of TFODL_SEED.

    Raises:
        UserError: the three do not belong together.
    """
    training, plain = FlatModel(graph), FlatModel(model)
    tensors = variable_tensors(training)
    for variable, codes in zip(tensors, _checked(training, tensors, variables), strict=True):
        name = training.name(variable)
        if is_residual(name) or is_of_accumulation(name) or name == MASKS:
            continue
        tensor, values = _whole(training, variable, codes)
        name = training.name(tensor)
        target = plain.find(name)
        if target is None or plain.shape(target) != values.shape:
            raise UserError(f"the model has no tensor {name!r} of this shape")
        if not np.array_equal(plain.scales(target), training.scales(tensor)):
            raise UserError(
                f"{name!r} has other scales in the model: it does not come from the same export"
            )
        if values.dtype == np.float32:
            values = to_steps(values, plain.dtype(target))
        plain.set_constant(target, values)
    return plain.pack()


def _learned(
    flat: FlatModel, tensors: list[int], values: list[np.ndarray]
) -> Iterator[tuple[int, np.ndarray]]:
    """Weights and biases, with their residuals or changes, in steps of their scales."""
    for i, (tensor, codes) in enumerate(zip(tensors, values, strict=True)):
        if is_residual(flat.name(tensor)) or is_of_accumulation(flat.name(tensor)):
            continue
        if i + 1 < len(tensors) and is_residual(flat.name(tensors[i + 1])):
            yield tensor, codes + values[i + 1] / RESIDUAL_STEPS
        else:
            yield _whole(flat, tensor, codes)


def _whole(flat: FlatModel, variable: int, values: np.ndarray) -> tuple[int, np.ndarray]:
    """The weights whose changes a variable holds, and any other variable as it is."""
    name = weights_of(flat.name(variable))
    if name is None:
        return variable, values
    weights = flat.find(name)
    exported = None if weights is None else flat.constant(weights)
    if weights is None or exported is None:
        raise UserError(f"the training graph has no weights {name!r}: it is damaged, export again")
    return weights, changed(exported, values)


def write_back(folded: keras.Model, graph: bytes, variables: Sequence[np.ndarray]) -> keras.Model:
    """A copy of the folded Keras model with the weights a board has learned.

    Args:
        folded: model_folded.keras of the export.
        graph: model_train.tflite of the export; it has the scales.
        variables: int8 weights with their residuals, or changes of weights, and int32 biases in
            the order and the shapes of TFODL_SEED. Residuals are part of the learned weights; sums
            that have changed no weight are not.

    Raises:
        UserError: the three do not belong together.
    """
    import keras

    flat = FlatModel(graph)
    tensors = variable_tensors(flat)
    copy = keras.models.clone_model(folded)
    copy.set_weights(folded.get_weights())
    for tensor, codes in _learned(flat, tensors, _checked(flat, tensors, variables)):
        if flat.name(tensor) == MASKS:
            continue
        name, part = flat.name(tensor).rsplit("/", 1)
        site, first, end = parse_window(name)
        try:
            layer = copy.get_layer(layer_name(site))
        except ValueError as error:
            raise UserError(f"the Keras model has no layer {layer_name(site)!r}") from error
        if part == KERNEL:
            steps = along_axis(flat.scales(tensor), codes.ndim, flat.scale_axis(tensor))
            values = kernel_from_op(layer, codes * steps)
            variable = layer.kernel
        else:
            values = codes * flat.scales(tensor).astype(np.float64)
            variable = layer.bias
        if variable is None:
            raise UserError(f"layer {layer.name!r} of the Keras model has no {part}")
        whole = np.array(variable)
        if whole[..., first:end].shape != values.shape:
            raise UserError(f"layer {layer.name!r} of the Keras model has another {part}")
        whole[..., first:end] = values
        variable.assign(whole)
    return copy
