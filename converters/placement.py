"""How a model is changed so that its training graph fits a board, or why it does not."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tf_odl.converters.flatbuffer import FlatModel, Packed, packed, parsed
from tf_odl.converters.memory import Memory, plan_memory
from tf_odl.converters.on_board import OnBoard
from tf_odl.converters.own_convolutions import with_own_convolutions
from tf_odl.converters.plan import make_plan
from tf_odl.converters.split import least_bytes, narrow, split_to_fit
from tf_odl.converters.trainable import last_layers, trains
from tf_odl.converters.update_rule import UpdateRule
from tf_odl.errors import UserError
from tf_odl.methods import Mask


@dataclass(frozen=True)
class Fitted:
    """A model, its training graph, and their plan for a board, which tells whether they fit."""

    model: bytes
    training: bytes
    plan: dict[str, Any]


def fit_to_board(model: Packed, masks: Mapping[str, Mask], board: OnBoard) -> Fitted:
    """Windows of neurons where only some train; where the board is too small convolutions that
    keep their multipliers in flash, and then groups of channels.

    Args:
        model: int8.
        masks: of every weighted layer.
        board: what it does with the model.
    """
    if not board.variable_masks and board.reselection is None:  # any neuron may train there
        narrowed, masks = narrow(model.flat, masks)
        if narrowed is not model.flat:
            model = packed(narrowed)

    def training_graph(model: Packed) -> FlatModel:
        return board.training_graph(model.flat, masks, zlib.crc32(model.data))

    training = packed(training_graph(model))
    plan = make_plan(model, training, board.target)
    if plan["fits"]:
        return Fitted(model.data, training.data, plan)
    # They cost nothing but the flash of two ops, so they come first.
    own = packed(with_own_convolutions(training.flat))
    smaller = make_plan(model, own, board.target)
    notes: dict[str, Any] = {}
    if smaller["training"]["arena_bytes"] < plan["training"]["arena_bytes"]:
        training, plan, notes = own, smaller, {"own_convolutions": True}

    def grouped(model: Packed) -> FlatModel:
        graph = training_graph(model)
        return with_own_convolutions(graph) if "own_convolutions" in notes else graph

    def memory(flat: FlatModel) -> Memory:
        return plan_memory(grouped(Packed(flat, b"")))

    arena = plan["training"]["arena_bytes"]
    fixed = arena - plan["training"]["planned_bytes"]
    # Groups of channels need less for activations, nothing else.
    if fixed + least_bytes(model.flat) <= board.target.arena_bytes < arena:
        trainable = [site for site, mask in masks.items() if trains(mask)]
        flat, groups = split_to_fit(model.flat, trainable, memory, board.target.arena_bytes)
        if groups:
            model = packed(flat)
            training = packed(grouped(model))
            plan = make_plan(model, training, board.target)
            notes["channel_groups"] = groups
    return Fitted(model.data, training.data, plan | notes)


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
    if board.update_rule is UpdateRule.RESIDUAL:
        rounded = fit_to_board(model, masks, replace(board, update_rule=UpdateRule.STOCHASTIC)).plan
        if rounded["fits"]:
            needs = rounded["training"]["arena_bytes"]
            return message + f"With --update-rule stochastic it needs {needs:,} B and fits"
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
