"""How a model is changed so that its training graph fits a board, or why it does not."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tf_odl.converters.error_type import ErrorType
from tf_odl.converters.flatbuffer import FlatModel, Packed, packed, parsed
from tf_odl.converters.head import Head
from tf_odl.converters.memory import Memory, plan_memory
from tf_odl.converters.on_board import OnBoard
from tf_odl.converters.plan import make_plan
from tf_odl.converters.split import least_bytes, narrow, split_to_fit
from tf_odl.converters.trainable import last_layers, trains
from tf_odl.converters.update_rule import with_less_memory
from tf_odl.errors import UserError
from tf_odl.methods import Mask


@dataclass(frozen=True)
class Fitted:
    """A model, its training graph, and their plan for a board, which tells whether they fit."""

    model: bytes
    training: bytes
    plan: dict[str, Any]
    errors: ErrorType

    @property
    def arena_bytes(self) -> int:
        """What training needs."""
        return int(self.plan["training"]["arena_bytes"])


def fit_to_board(model: Packed, masks: Mapping[str, Mask], board: OnBoard) -> Fitted:
    """Windows of neurons where only some train; where the board is too small groups of channels,
    and last errors of half the size.

    Args:
        model: int8.
        masks: of every weighted layer.
        board: what it does with the model.
    """
    if not board.variable_masks and board.reselection is None:  # any neuron may train there
        narrowed, masks = narrow(model.flat, masks)
        if narrowed is not model.flat:
            model = packed(narrowed)
    graphs = _Graphs(masks, board, board.errors or ErrorType.FLOAT32)
    grouped = graphs.in_groups(model, graphs.fitted(model))
    is_too_large = grouped.arena_bytes > board.target.arena_bytes
    if not is_too_large or board.errors is not None or board.head is not Head.INT8:
        return grouped
    # Rounded errors are other results, so they come last.
    halved = replace(graphs, errors=ErrorType.BFLOAT16)
    smallest = halved.in_groups(model, halved.fitted(model))
    return smallest if smallest.arena_bytes < grouped.arena_bytes else grouped


@dataclass(frozen=True)
class _Graphs:
    """Builds the training graphs of a model, and plans them."""

    masks: Mapping[str, Mask]
    board: OnBoard
    errors: ErrorType

    def fitted(self, model: Packed, **notes: Any) -> Fitted:
        training = packed(self._graph(model))
        if self.errors is ErrorType.BFLOAT16 and self.board.errors is None:
            notes["bfloat16_errors"] = True
        plan = make_plan(model, training, self.board.target)
        return Fitted(model.data, training.data, plan | notes, self.errors)

    def in_groups(self, model: Packed, fitted: Fitted) -> Fitted:
        """With as many groups of channels as it takes; as it is where it fits, or never will."""
        room = self.board.target.arena_bytes
        # Groups of channels need less for activations, nothing else.
        fixed = fitted.arena_bytes - fitted.plan["training"]["planned_bytes"]
        if not fixed + least_bytes(model.flat) <= room < fitted.arena_bytes:
            return fitted
        trainable = [site for site, mask in self.masks.items() if trains(mask)]
        flat, groups = split_to_fit(model.flat, trainable, self._memory, room)
        return self.fitted(packed(flat), channel_groups=groups) if groups else fitted

    def _memory(self, flat: FlatModel) -> Memory:
        return plan_memory(self._graph(Packed(flat, b"")))

    def _graph(self, model: Packed) -> FlatModel:
        board = replace(self.board, errors=self.errors)
        return board.training_graph(model.flat, self.masks, zlib.crc32(model.data))


def fit_or_refuse(model: bytes, masks: Mapping[str, Mask], board: OnBoard) -> Fitted:
    """Like `fit_to_board`.

    Raises:
        UserError: the board is too small; the message has the smallest remedy.
    """
    whole = parsed(model)
    fitted = fit_to_board(whole, masks, board)
    if not fitted.plan["fits"]:
        raise UserError(_too_large(fitted.plan, whole, masks, board))
    return fitted


def _too_large(
    plan: dict[str, Any], model: Packed, masks: Mapping[str, Mask], board: OnBoard
) -> str:
    """What is too large, by how much, and the smallest remedy."""
    target = board.target
    arena, flash = plan["training"]["arena_bytes"], plan["flash"]["total_bytes"]
    if flash > target.flash_bytes:
        sizes = f"the sketch needs about {flash:,} B of flash, of {target.flash_bytes:,} B"
    else:
        sizes = f"training needs an arena of {arena:,} B, of {target.arena_bytes:,} B"
    message = f"the model does not fit {target.board}: {sizes}. "
    for rule in with_less_memory(board.update_rule, board.accumulate):
        smaller = fit_to_board(model, masks, replace(board, update_rule=rule)).plan
        if smaller["fits"]:
            needs = smaller["training"]["arena_bytes"]
            return message + f"With --update-rule {rule.value} it needs {needs:,} B and fits"
    # Fewer layers never need more: the most that fit are found by bisection.
    fits, smallest = 0, None
    low, high = 1, len(masks) - 1
    while low <= high:
        count = (low + high) // 2
        fewer = last_layers(masks, count)
        if any(trains(mask) for mask in fewer.values()):
            plan = fit_to_board(model, fewer, board).plan
            if not plan["fits"]:
                high = count - 1
                continue
            fits, smallest = count, plan
        low = count + 1
    if smallest is None:
        return message + "Training fewer layers is not enough: use a smaller model or input"
    needs = smallest["training"]["arena_bytes"]
    return message + f"With --train-layers {fits} it needs {needs:,} B and fits"
