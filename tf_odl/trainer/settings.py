"""What a fine-tuning run was asked to do: everything needed to repeat it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tf_odl.errors import UserError
from tf_odl.methods import Method, get_method
from tf_odl.task import LOSSES, SQUARED, Loss

FILES = (".keras", ".h5", ".npz", ".csv")
STRATEGIES = ("none", "mirrored")
SCHEDULES = ("cosine", "constant")
MOST = 2**31 - 1  # epochs, or samples of a batch: TensorFlow counts the steps of a run in 64 bits
# An output that is 10 off has 10 times the gradient of a class that is missed. An autoencoder's is
# divided by its many outputs.
LEARNING_RATES: Mapping[Loss, float] = {**dict.fromkeys(Loss, 0.1), Loss.MSE: 0.01}


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
    learning_rate: float | None = None  # None: that of LEARNING_RATES
    schedule: str = "cosine"
    warmup: float = 0.5
    seed: int = 0
    strategy: str = "none"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            what, value = name.replace("_", " "), getattr(self, name)
            if value < 1:
                raise UserError(f"{what} must be at least 1, got {value}")
            if value > MOST:
                raise UserError(f"{what} must be at most {MOST}, got {value}")
        if self.samples is not None and self.samples < 1:
            raise UserError(f"samples must be at least 1, got {self.samples}")
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise UserError(f"learning rate must be positive and finite, got {self.learning_rate}")
        if not 0 <= self.warmup <= self.epochs:
            raise UserError(f"warm-up must be 0 to {self.epochs} epochs, got {self.warmup}")
        if self.schedule not in SCHEDULES:
            raise UserError(f"unknown schedule {self.schedule!r}: choose {' or '.join(SCHEDULES)}")
        if self.strategy not in STRATEGIES:
            raise UserError(f"unknown strategy {self.strategy!r}: choose {' or '.join(STRATEGIES)}")
        if self.loss is not None and self.loss not in LOSSES:
            raise UserError(f"unknown loss {self.loss!r}: choose {', '.join(LOSSES)}")
        if not 0 <= self.seed < 2**32:
            raise UserError(f"seed must be 0 to {2**32 - 1}, got {self.seed}")

    def check_names(self) -> None:
        """Raises UserError if model or data are missing, as far as their names tell."""
        for what, name in (("--model", self.model), ("--data", self.data)):
            if name == "":
                raise UserError(f"{what} is empty")
        if self.model is not None and self.data is None:
            raise UserError(
                "--model needs --data: a built-in name, an .npz or .csv file, or a folder"
            )
        if self.data is not None and self.model is None:
            raise UserError(
                "--data needs --model: a .keras file or a name that tf-odl finetune --help lists"
            )
        if self.weights is not None and self.model is None:
            raise UserError("--weights are for a built-in model: name one with --model")
        for path in (Path(name) for name in (self.model, self.data) if name is not None):
            if path.suffix in FILES and not path.is_file():
                raise UserError(f"{path} does not exist")

    def resolved(self, loss: Loss) -> Settings:
        """With the learning rate that suits the loss, if none was chosen."""
        if self.learning_rate is not None:
            return self
        return replace(self, learning_rate=LEARNING_RATES[loss])

    def build_method(self, loss: Loss | None = None) -> Method:
        """The method these settings name, with the defaults for what is minimised."""
        return get_method(
            self.method,
            selector=self.selector,
            sparsifier=self.sparsifier,
            skip=self.skip,
            budget=self.budget,
            settings=self.set,
            squared_errors=loss in SQUARED,
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
