"""What a board does with a model, and the training graph of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tf_odl.converters import reference
from tf_odl.converters.error_type import ErrorType
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.head import Head
from tf_odl.converters.losses import default_loss
from tf_odl.converters.own_layers import with_own_layers
from tf_odl.converters.rate import CONSTANT_RATE, RateSettings
from tf_odl.converters.reselection import Reselection
from tf_odl.converters.targets import Target
from tf_odl.converters.training_graph import make_trainable
from tf_odl.converters.update_rule import UpdateRule
from tf_odl.errors import UserError
from tf_odl.methods import Mask, SkipRule, Sparsifier
from tf_odl.task import Loss


@dataclass(frozen=True)
class OnBoard:
    """What the board does with a model.

    `sparsifier` tells which entries of a layer's error it keeps and `skip_rule` which samples it
    trains on; the learning rate is that of plain SGD, per sample, and a sketch may change it;
    `rate` is its schedule. `update_rule` is how int8 weights take steps, after `accumulate` samples
    each; `seed` is that of the stochastic rounding and of the first masks; `loss` None means what
    the model ends in; `head` is what the weights of the output layer are; `errors` is what errors
    are stored as, None for float32 unless only bfloat16 fits; `references` are what a reselection
    observes neurons on, int8 [N, *input].
    """

    target: Target
    sparsifier: Sparsifier
    skip_rule: SkipRule
    learning_rate: float
    seed: int
    loss: Loss | None
    update_rule: UpdateRule
    variable_masks: bool = False
    reselection: Reselection | None = None
    references: np.ndarray | None = None
    rate: RateSettings = CONSTANT_RATE
    accumulate: int = 1
    head: Head = Head.INT8
    errors: ErrorType | None = None

    def with_references(self, model: bytes, samples: np.ndarray | None) -> OnBoard:
        """With the int8 samples that a reselection observes neurons on, where it does.

        Args:
            model: int8, whose input's quantization they get.
            samples: float [N, *input] to choose from.

        Raises:
            UserError: there are none, or too few.
        """
        if self.reselection is None or not self.reselection.observes:
            return self
        if samples is None:
            raise UserError("velocity needs reference samples: give data with --data")
        chosen = self.reselection.reference_samples(np.asarray(samples))
        return replace(self, references=reference.quantize_input(model, chosen))

    def loss_of(self, model: bytes) -> Loss:
        """The loss, or what the model ends in."""
        return self.loss or default_loss(FlatModel(model))

    def training_graph(
        self, model: FlatModel, masks: Mapping[str, Mask], checksum: int
    ) -> FlatModel:
        """The training graph of a model, with convolutions that keep their multipliers in flash.

        Arguments and errors are those of `make_trainable`.
        """
        graph = model.copy()
        make_trainable(
            graph,
            list(masks),
            masks,
            checksum=checksum,
            sparsifier=self.sparsifier,
            skip_rule=self.skip_rule,
            learning_rate=self.learning_rate,
            seed=self.seed,
            loss=self.loss,
            update_rule=self.update_rule,
            variable_masks=self.variable_masks,
            reselection=self.reselection,
            references=self.references,
            rate=self.rate,
            accumulate=self.accumulate,
            head=self.head,
            errors=self.errors or ErrorType.FLOAT32,
        )
        return with_own_layers(graph)
