"""What a fine-tuning run was asked to do: everything needed to repeat it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from tf_odl.errors import UserError
from tf_odl.methods import Method, get_method
from tf_odl.task import LOSSES

STRATEGIES = ("none", "mirrored")
SCHEDULES = ("cosine", "constant")


@dataclass(frozen=True)
class Settings:
    """The settings of `tf-odl finetune`; `model` and `data` None mean the digits demonstration."""

    model: str | None = None
    weights: str | None = None  # of a built-in model: a file, or "imagenet"
    data: str | None = None
    data_dir: str | None = None
    shift: str | None = None
    person: int | None = None
    person_split: str = "recorded"
    validation: str | None = None  # K/N: test on that part of the training samples
    data_size: int | None = None
    features: str | None = None
    standardise: bool = False
    samples: int | None = None  # at most so many training samples; None takes all
    loss: str | None = None  # what is minimised; None: what model and data suggest
    method: str = "tinypropv2"
    selector: str | None = None
    sparsifier: str | None = None
    skip: str | None = None
    budget: str | None = None
    set: dict[str, str] = field(default_factory=dict)
    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 0.1
    schedule: str = "cosine"
    warmup: float = 0.5
    seed: int = 0
    strategy: str = "none"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.samples is not None and self.samples < 1:
            raise UserError(f"samples must be at least 1, got {self.samples}")
        if not self.learning_rate > 0:
            raise UserError(f"learning rate must be positive, got {self.learning_rate}")
        if not 0 <= self.warmup <= self.epochs:
            raise UserError(f"warm-up must be 0 to {self.epochs} epochs, got {self.warmup}")
        if self.schedule not in SCHEDULES:
            raise UserError(f"unknown schedule {self.schedule!r}: choose {' or '.join(SCHEDULES)}")
        if self.strategy not in STRATEGIES:
            raise UserError(f"unknown strategy {self.strategy!r}: choose {' or '.join(STRATEGIES)}")
        if self.loss is not None and self.loss not in LOSSES:
            raise UserError(f"unknown loss {self.loss!r}: choose {', '.join(LOSSES)}")
        if self.seed < 0:
            raise UserError(f"seed must not be negative, got {self.seed}")

    def build_method(self) -> Method:
        """The method these settings name."""
        return get_method(
            self.method,
            selector=self.selector,
            sparsifier=self.sparsifier,
            skip=self.skip,
            budget=self.budget,
            settings=self.set,
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
