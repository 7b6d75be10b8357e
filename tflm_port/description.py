"""What a program has to know of a model to run it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Description:
    """Shapes have the batch of 1 in front.

    `masked` names the layers whose masks can be changed, in the order of the forward pass.
    `classes` is None where the loss has no classes; `target_shape` is that of the wanted
    outputs, None where none are given.
    """

    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    trains: bool
    classes: int | None
    target_shape: tuple[int, ...] | None
    masked: tuple[str, ...]
