"""Methods by name: the presets, and any triple of selector, sparsifier and skip rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tf_odl.errors import UserError
from tf_odl.methods.bias_only import BiasOnly
from tf_odl.methods.budget import Budget, parse_budget
from tf_odl.methods.dense import Dense
from tf_odl.methods.full import Full
from tf_odl.methods.head import Head
from tf_odl.methods.interfaces import Selector, SkipRule, Sparsifier
from tf_odl.methods.meprop import MeProp
from tf_odl.methods.neq import Neq
from tf_odl.methods.never import Never
from tf_odl.methods.random import Random
from tf_odl.methods.rest import Rest
from tf_odl.methods.settings import kinds, read_setting
from tf_odl.methods.sparse_update import SparseUpdate
from tf_odl.methods.tinyprop import TinyProp
from tf_odl.methods.tinypropv2 import TinyPropV2
from tf_odl.methods.tinytrain import TinyTrain
from tf_odl.methods.velocity import Velocity


@dataclass(frozen=True)
class Part:
    """One building block and what it does in a sentence."""

    build: type[Any]
    summary: str


@dataclass(frozen=True)
class Preset:
    """A named triple."""

    name: str
    selector: str
    sparsifier: str
    skip: str
    summary: str


@dataclass(frozen=True)
class Method:
    """A selector, a sparsifier, a skip rule and the selector's budget."""

    name: str
    selector: Selector
    sparsifier: Sparsifier
    skip: SkipRule
    budget: Budget | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `method_from_dict` turns back into the same method."""
        parts: dict[str, Any] = {
            "selector": self.selector,
            "sparsifier": self.sparsifier,
            "skip": self.skip,
        }
        return {
            "name": self.name,
            **{k: {"name": v.name, **asdict(v)} for k, v in parts.items()},
            "budget": None if self.budget is None else asdict(self.budget),
        }


SELECTORS: dict[str, Part] = {
    "full": Part(Full, "every neuron updates"),
    "head": Part(Head, "only the output layer updates"),
    "bias-only": Part(BiasOnly, "only biases update"),
    "random": Part(Random, "random neurons within the budget, redrawn every epoch"),
    "velocity": Part(Velocity, "the fastest-changing neurons within the budget, every epoch"),
    "sparse-update": Part(SparseUpdate, "a static scheme by contribution analysis and search"),
    "tinytrain": Part(TinyTrain, "neurons by Fisher information on a support set, chosen once"),
    "neq": Part(Neq, "neurons whose output still changes, every epoch"),
}
SPARSIFIERS: dict[str, Part] = {
    "dense": Part(Dense, "the whole error propagates"),
    "meprop": Part(MeProp, "a fixed share of the largest error entries"),
    "tinyprop": Part(TinyProp, "a share that follows the layer's error"),
}
SKIP_RULES: dict[str, Part] = {
    "never": Part(Never, "every sample trains"),
    "tinypropv2": Part(TinyPropV2, "samples with a small output error are not back-propagated"),
    "rest": Part(Rest, "as tinypropv2, and skipped samples rest for 1, 2, 4, .. epochs"),
}
METHODS: dict[str, Preset] = {
    preset.name: preset
    for preset in [
        Preset("full", "full", "dense", "never", "ordinary fine-tuning, the reference"),
        Preset("head", "head", "dense", "never", "the output layer alone"),
        Preset("bias-only", "bias-only", "dense", "never", "biases alone"),
        Preset("random", "random", "dense", "never", "random neurons within a budget"),
        Preset("velocity", "velocity", "dense", "never", "the fastest neurons within a budget"),
        Preset("sparse-update", "sparse-update", "dense", "never", "MIT's static scheme"),
        Preset("tinytrain", "tinytrain", "dense", "never", "Fisher information, chosen once"),
        Preset("neq", "neq", "dense", "never", "neurons at equilibrium rest"),
        Preset("meprop", "full", "meprop", "never", "fixed top-k error"),
        Preset("tinyprop", "full", "tinyprop", "never", "adaptive top-k error"),
        Preset("tinypropv2", "full", "tinyprop", "tinypropv2", "adaptive top-k and skipping"),
        Preset("rest", "full", "tinyprop", "rest", "tinypropv2, and easy samples rest (ours)"),
    ]
}
DEFAULT_BUDGET = "20%"


def _choose(kind: str, table: Mapping[str, Any], name: str) -> Any:
    if name not in table:
        raise UserError(f"unknown {kind} {name!r}: choose one of {', '.join(table)}")
    return table[name]


def get_method(
    name: str = "tinypropv2",
    *,
    selector: str | None = None,
    sparsifier: str | None = None,
    skip: str | None = None,
    budget: str | None = None,
    settings: Mapping[str, str] | None = None,
    squared_errors: bool = False,
) -> Method:
    """A preset, with any of its parts replaced.

    Args:
        name: a key of METHODS.
        selector, sparsifier, skip: keys of SELECTORS, SPARSIFIERS, SKIP_RULES.
        budget: see `parse_budget`; random and velocity take 20 % by default.
        settings: values for fields of the parts, such as {"threshold": "0.05"}; one that several
            parts have goes to all of them.
        squared_errors: the model minimises them, for which some settings have another default.

    Raises:
        UserError: unknown name or setting, a value out of range, or a budget nobody uses.
    """
    preset: Preset = _choose("method", METHODS, name)
    given = dict(settings or {})
    unknown = set(given)
    parts: list[Any] = []
    for kind, table, chosen in (
        ("selector", SELECTORS, selector or preset.selector),
        ("sparsifier", SPARSIFIERS, sparsifier or preset.sparsifier),
        ("skip rule", SKIP_RULES, skip or preset.skip),
    ):
        build = _choose(kind, table, chosen).build
        known = kinds(build)
        defaults = getattr(build, "of_squared_errors", {}) if squared_errors else {}
        chosen_values = {k: read_setting(k, given[k], known[k]) for k in given if k in known}
        parts.append(build(**{**defaults, **chosen_values}))
        unknown -= set(known)
    if unknown:
        left = ", ".join(repr(k) for k in given if k in unknown)
        raise UserError(f"method {name!r} has no setting {left}")
    chosen_selector = parts[0]
    if budget is not None and not chosen_selector.needs_budget:
        raise UserError(
            f"selector {chosen_selector.name!r} takes no budget: use --selector "
            + " or ".join(name for name, part in SELECTORS.items() if part.build.needs_budget)
        )
    limit = None
    if chosen_selector.needs_budget:
        limit = parse_budget(DEFAULT_BUDGET if budget is None else budget)
    return Method(name, parts[0], parts[1], parts[2], limit)


def method_from_dict(data: Mapping[str, Any]) -> Method:
    """The inverse of `Method.to_dict`."""

    def build(table: Mapping[str, Part], part: Mapping[str, Any]) -> Any:
        values = dict(part)
        return table[values.pop("name")].build(**values)

    return Method(
        data["name"],
        build(SELECTORS, data["selector"]),
        build(SPARSIFIERS, data["sparsifier"]),
        build(SKIP_RULES, data["skip"]),
        None if data["budget"] is None else Budget(**data["budget"]),
    )
