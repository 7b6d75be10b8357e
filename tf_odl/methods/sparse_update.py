"""Sparse Update: a static scheme found by contribution analysis and search (Lin et al., 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tf_odl.errors import UserError
from tf_odl.methods.contribution import Contributions, measure_contributions
from tf_odl.methods.interfaces import Analysis, Mask, Masks, Selector, SelectorState, WeightedLayer
from tf_odl.methods.scheme import Channels, Scheme, masks_of, scheme_cost
from tf_odl.methods.scheme_file import (
    SchemeFile,
    check_layers,
    contributions_in,
    entries_of,
    read_scheme,
    scheme_in,
    write_scheme,
)
from tf_odl.methods.scheme_search import Search, TooLarge, problem_of, scheme_of, search
from tf_odl.methods.scope import Scope, in_scope, with_what_is_free
from tf_odl.methods.settings import check_choices

if TYPE_CHECKING:
    from tf_odl.methods.budget import Budget

FILE = "scheme.yaml"


def _bits(mask: Mask) -> list[np.ndarray]:
    return [np.zeros(0, bool) if part is None else part for part in mask]


@dataclass(frozen=True)
class SparseUpdate(Selector):
    """The biases of the last layers and a share of some layers' weights, chosen once.

    Before the first epoch the accuracy gains of single parts are measured by short trainings on
    `samples` training samples, `epochs` long with plain SGD at `rate`. Gains are taken as
    additive, and the scheme of largest sum within the budget is searched. With `scheme`, a file
    this selector has written, the scheme or its gains are used again and nothing is measured.

    channels "input" is MIT's: weights that read the chosen channels update, which saves the other
    channels' activations. "output" updates whole neurons, as Velocity does.
    """

    name: ClassVar[str] = "sparse-update"
    needs_budget: ClassVar[bool] = True
    needs_analysis: ClassVar[bool] = True
    masks_inputs: ClassVar[bool] = True
    channels: Channels = "input"
    scope: Scope = "all"
    search: Search = "auto"
    scheme: str = ""
    samples: int = 1000
    epochs: int = 2
    rate: float = 0.05

    def __post_init__(self) -> None:
        check_choices(self)
        if self.samples < 10:
            raise UserError(f"sparse-update: samples must be at least 10, got {self.samples}")
        if self.epochs < 1:
            raise UserError(f"sparse-update: epochs must be at least 1, got {self.epochs}")
        if not self.rate > 0:
            raise UserError(f"sparse-update: rate must be positive, got {self.rate}")

    @property
    def support_samples(self) -> int:
        """`samples`"""
        return self.samples

    @property
    def needs_classes(self) -> bool:
        """Unless the scheme is known."""
        return not self.scheme

    def check(self, layers: Sequence[WeightedLayer], budget: Budget | None) -> None:
        """Refuse a budget without room for the classifier, or a scheme that does not fit."""
        assert budget is not None
        searched = self._searched(layers)
        price = scheme_cost(Scheme(1), searched, self.channels, budget)
        limit = budget.limit(searched)
        if price > limit:
            raise UserError(
                f"the budget of {budget} ({limit:.0f}) has no room for the classifier "
                f"{layers[-1].name!r}, which always updates and costs {price}: raise --budget"
            )
        if self.scheme:
            self._from_file(searched, budget, np.random.default_rng(0))

    def analyse(
        self,
        layers: Sequence[WeightedLayer],
        budget: Budget | None,
        analysis: Analysis,
        rng: np.random.Generator,
    ) -> SelectorState:
        """Measure, search, choose channels; the state holds the masks and the scheme as YAML."""
        assert budget is not None
        searched = self._searched(layers)
        kernels = analysis.weights()
        if self.scheme:
            scheme, found = self._from_file(searched, budget, rng)
        else:
            known: dict[bytes, float] = {}  # few channels: different shares are the same masks

            def measure(scheme: Scheme) -> float:
                masks = self._masks(scheme, layers, kernels)
                key = b"|".join(np.packbits(p).tobytes() for m in masks.values() for p in _bits(m))
                if key not in known:
                    known[key] = analysis.accuracy(masks, self.epochs, self.rate)
                return known[key]

            found = measure_contributions(searched, measure, analysis)
            scheme = self._search(found, searched, budget, rng)
        analysis.note(f"{scheme}")
        text = write_scheme(self._content(scheme, searched, budget, found, analysis.macs))
        state = {"scheme": np.frombuffer(text.encode(), np.uint8)}
        for name, mask in self._masks(scheme, layers, kernels).items():
            parts = mask._asdict().items()
            state |= {f"{name}/{part}": value for part, value in parts if value is not None}
        return state

    def select(
        self,
        layers: Sequence[WeightedLayer],
        budget: Budget | None,
        epoch: int,
        rng: np.random.Generator,
        state: SelectorState,
    ) -> Masks:
        """The same masks in every epoch."""
        parts = {
            layer.name: {
                part: np.asarray(state[f"{layer.name}/{part}"], bool)
                for part in Mask._fields
                if f"{layer.name}/{part}" in state
            }
            for layer in layers
        }
        return {name: Mask(**values) for name, values in parts.items()}

    def files(self, state: SelectorState) -> dict[str, str]:
        """The scheme, for `--set scheme=FILE`."""
        if "scheme" not in state:
            return {}
        return {FILE: bytes(np.asarray(state["scheme"], np.uint8)).decode()}

    def _searched(self, layers: Sequence[WeightedLayer]) -> list[WeightedLayer]:
        """The layers of a scheme, the classifier last; a free classifier has no neurons."""
        scoped = in_scope(layers, self.scope)
        if scoped[-1].name == layers[-1].name:
            return scoped
        return [*scoped, replace(layers[-1], neurons=0)]

    def _masks(
        self, scheme: Scheme, layers: Sequence[WeightedLayer], kernels: Mapping[str, np.ndarray]
    ) -> Masks:
        searched = self._searched(layers)
        masks = masks_of(scheme, searched, kernels, self.channels)
        real = {x.name: masks[x.name] for x in searched if x.neurons}
        return with_what_is_free(layers, real, self.scope)

    def _search(
        self,
        found: Contributions,
        searched: Sequence[WeightedLayer],
        budget: Budget,
        rng: np.random.Generator,
    ) -> Scheme:
        problem = problem_of(searched, found, self.channels, budget)
        try:
            return scheme_of(searched, search(problem, self.search, rng))
        except TooLarge:
            raise UserError(
                "sparse-update: the space is too large for search=exact: use search=evolution"
            ) from None

    def _content(
        self,
        scheme: Scheme,
        searched: Sequence[WeightedLayer],
        budget: Budget,
        found: Contributions | None,
        macs: int = 0,
    ) -> SchemeFile:
        entries = entries_of(scheme, searched, found)
        accuracy = None if found is None else float(found.classifier)
        return SchemeFile(entries, self.channels, self.scope, asdict(budget), accuracy, macs)

    def _from_file(
        self, searched: Sequence[WeightedLayer], budget: Budget, rng: np.random.Generator
    ) -> tuple[Scheme, Contributions | None]:
        """The file's scheme for its own budget; for another budget searched again in its gains.

        Raises:
            UserError: it belongs to other settings or another model, or exceeds the budget.
        """
        content = read_scheme(Path(self.scheme))
        for key in ("channels", "scope"):
            if getattr(content, key) != getattr(self, key):
                raise UserError(
                    f"scheme {self.scheme} is for {key}={getattr(content, key)}: "
                    f"use --set {key}={getattr(content, key)}"
                )
        try:
            check_layers(content, searched)
        except ValueError as error:
            raise UserError(f"scheme {self.scheme} is of another model: {error}") from None
        found = contributions_in(content, searched)
        if found is not None and dict(content.budget) != asdict(budget):
            return self._search(found, searched, budget, rng), found
        scheme = scheme_in(content, searched)
        cost, limit = scheme_cost(scheme, searched, self.channels, budget), budget.limit(searched)
        if cost > limit:
            raise UserError(
                f"scheme {self.scheme} costs {cost}, more than the budget of {budget} "
                f"({limit:.0f}): raise --budget"
            )
        return scheme, found
