"""Plans of a model that is not exported yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_odl.converters.error_type import ErrorType
from tf_odl.converters.flatbuffer import parsed
from tf_odl.converters.fold import fold
from tf_odl.converters.head import Head
from tf_odl.converters.int8_model import Room, int8_model, with_biases
from tf_odl.converters.on_board import OnBoard
from tf_odl.converters.placement import fit_to_board
from tf_odl.converters.split import NARROWABLE
from tf_odl.converters.targets import Target
from tf_odl.converters.third_party import adapt
from tf_odl.converters.trainable import allowed_masks
from tf_odl.converters.update_rule import UpdateRule
from tf_odl.methods import Mask, SkipRule, Sparsifier
from tf_odl.task import Loss

if TYPE_CHECKING:
    import keras


class Planner:
    """Plans exports of one model, without data, whether or not they fit.

    Neither memory nor instructions depend on the values of weights and activations, so a Keras
    model is calibrated with random samples, once.

    Args:
        model: a Keras model, or the contents of an int8 .tflite file.

    Raises:
        UserError: the model cannot be exported.
    """

    def __init__(self, model: keras.Model | bytes) -> None:
        self._from_file = isinstance(model, bytes)
        if isinstance(model, bytes):
            data, self._neurons = adapt(model)
            self._model = parsed(data)
            self._frozen: frozenset[str] = frozenset()
            return
        folded = fold(model)
        self._neurons, self._frozen = folded.neurons, folded.frozen
        x = np.random.default_rng(0).normal(size=(4, *model.input_shape[1:])).astype(np.float32)
        everything = allowed_masks(self._neurons, None, None, None)
        self._model = parsed(int8_model(folded, x, everything, Room(1, 1, "min-max"), None))

    @property
    def neurons(self) -> dict[str, int]:
        """How many neurons each layer with weights has, in the order of the forward pass."""
        return dict(self._neurons)

    @property
    def narrowable(self) -> set[str]:
        """The layers of which a window of neurons can train while the others stay in flash."""
        flat = self._model.flat
        names = {flat.name(int(op.outputs[0])): flat.op_name(op) for op in flat.operators}
        return {site for site in self._neurons if names.get(site) in NARROWABLE}

    def plan(
        self,
        target: Target,
        sparsifier: Sparsifier,
        skip_rule: SkipRule,
        *,
        masks: Mapping[str, Mask] | None = None,
        layers: Sequence[str] | None = None,
        train_layers: int | None = None,
        loss: Loss | None = None,
        update_rule: UpdateRule = UpdateRule.STOCHASTIC,
        accumulate: int = 1,
        head: Head = Head.INT8,
        errors: ErrorType | None = None,
    ) -> dict[str, Any]:
        """The plan.json of an export; arguments and errors are those of `export`."""
        board = OnBoard(
            target,
            sparsifier,
            skip_rule,
            0.005,
            0,
            loss,
            update_rule,
            accumulate=accumulate,
            head=head,
            errors=errors,
        )
        allowed = allowed_masks(self._neurons, masks, layers, train_layers, self._frozen)
        model = self._model
        if self._from_file:
            model = parsed(with_biases(model.data, allowed))
        return fit_to_board(model, allowed, board).plan
