"""Sparse Update schemes as YAML, to be read, edited and used for other data.

Layers are known by their order: names that Keras makes up differ from one model to the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tf_odl.errors import UserError, reason_of
from tf_odl.methods.contribution import Contributions
from tf_odl.methods.interfaces import WeightedLayer
from tf_odl.methods.scheme import RATIOS, Scheme

HEADER = """\
# A Sparse Update scheme. Use it again, also for other data, with
#   --method sparse-update --set scheme=FILE
# layers: all trainable layers in their order but the classifier, which always updates.
# weights: share of the channels whose weights update; bias: from some layer on all update.
# gains: of accuracy, as measured: of all biases from here on, and of these weights for
# shares of 1/8, 1/4, 1/2 and 1.
"""


@dataclass(frozen=True)
class LayerEntry:
    """One layer before the classifier."""

    name: str
    neurons: int
    bias: bool
    weights: float
    bias_gain: float | None = None
    weight_gains: tuple[float, ...] = ()


@dataclass(frozen=True)
class SchemeFile:
    """A scheme and what it was made from; `budget` is its kind, value and state_bytes."""

    layers: tuple[LayerEntry, ...]
    channels: str
    scope: str
    budget: Mapping[str, Any]
    classifier: float | None = None  # accuracy when it alone trains
    analysis_macs: int = 0


def entries_of(
    scheme: Scheme, layers: Sequence[WeightedLayer], found: Contributions | None
) -> tuple[LayerEntry, ...]:
    """A scheme and the gains it was searched in, by the order of layers; the last is no entry."""
    return tuple(
        LayerEntry(
            x.name,
            x.neurons,
            len(layers) - i <= scheme.biases,
            float(scheme.weights.get(x.name, 0)),
            None if found is None else float(found.biases[x.name]),
            () if found is None else tuple(float(g) for g in found.weights[x.name]),
        )
        for i, x in enumerate(layers[:-1])
    )


def scheme_in(content: SchemeFile, layers: Sequence[WeightedLayer]) -> Scheme:
    """The scheme in the names of these layers, which `check_layers` has accepted."""
    pairs = list(zip(content.layers, layers[:-1], strict=True))
    return Scheme(
        1 + sum(entry.bias for entry, _ in pairs),
        {x.name: entry.weights for entry, x in pairs if entry.weights},
    )


def contributions_in(content: SchemeFile, layers: Sequence[WeightedLayer]) -> Contributions | None:
    """The gains in the names of these layers; None if any is missing."""
    pairs = list(zip(content.layers, layers[:-1], strict=True))
    biases = {x.name: entry.bias_gain for entry, x in pairs if entry.bias_gain is not None}
    weights = {x.name: entry.weight_gains for entry, x in pairs if entry.weight_gains}
    if content.classifier is None or not len(biases) == len(weights) == len(pairs):
        return None
    return Contributions(content.classifier, biases, weights)


def check_layers(content: SchemeFile, layers: Sequence[WeightedLayer]) -> None:
    """Refuse a scheme of a model with other layers.

    Raises:
        ValueError: says which.
    """
    before = layers[:-1]
    if len(content.layers) != len(before):
        raise ValueError(
            f"it has {len(content.layers)} layers before the classifier, this model has "
            f"{len(before)}"
        )
    for number, (entry, x) in enumerate(zip(content.layers, before, strict=True), start=1):
        if entry.neurons != x.neurons:
            raise ValueError(
                f"layer {number} ({entry.name!r}) has {entry.neurons} neurons in it, "
                f"{x.name!r} of this model has {x.neurons}"
            )


def write_scheme(content: SchemeFile) -> str:
    """As YAML."""
    import yaml

    rows = []
    for entry in content.layers:
        row: dict[str, Any] = {
            "name": entry.name,
            "neurons": entry.neurons,
            "bias": entry.bias,
            "weights": entry.weights,
        }
        if entry.bias_gain is not None:
            row["gains"] = {"bias": entry.bias_gain, "weights": list(entry.weight_gains)}
        rows.append(row)
    data = {
        "channels": content.channels,
        "scope": content.scope,
        "budget": dict(content.budget),
        "analysis_macs": content.analysis_macs,
        "classifier_accuracy": content.classifier,
        "layers": rows,
    }
    return HEADER + yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def read_scheme(path: Path) -> SchemeFile:
    """Read what `write_scheme` wrote, or a person.

    Raises:
        UserError: no such file, no YAML, or not of that form; names the entry.
    """
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"scheme {path} cannot be read: {reason_of(error)}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"scheme {path} is no text: {error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"scheme {path} is no YAML: {' '.join(str(error).split())}") from error
    try:
        return _parse(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(f"scheme {path} is not understood: {reason}") from error


def _parse(data: Any) -> SchemeFile:
    if not isinstance(data, dict):
        raise ValueError("it is no mapping of entries")
    if not isinstance(data["layers"], list):
        raise ValueError("layers is no list")
    layers = tuple(_parse_layer(i, row) for i, row in enumerate(data["layers"], start=1))
    for first, second in pairwise(layers):
        if first.bias and not second.bias:
            raise ValueError(
                f"the bias of {first.name!r} updates but not that of {second.name!r} after it"
            )
    classifier = data.get("classifier_accuracy")
    return SchemeFile(
        layers,
        str(data.get("channels", "input")),
        str(data.get("scope", "all")),
        dict(data.get("budget") or {}),
        None if classifier is None else float(classifier),
        int(data.get("analysis_macs", 0)),
    )


def _parse_layer(number: int, row: Any) -> LayerEntry:
    if not isinstance(row, dict):
        raise ValueError(f"layer {number} is no mapping of entries")
    name = str(row.get("name", f"layer {number}"))
    bias, weights = row["bias"], float(row.get("weights", 0))
    if not isinstance(bias, bool):
        raise ValueError(f"bias of {name!r} is true or false, got {bias!r}")
    if not 0 <= weights <= 1:
        raise ValueError(f"weights of {name!r} are a share from 0 to 1, got {weights:g}")
    if weights and not bias:
        raise ValueError(f"weights of {name!r} update but not its bias")
    gains = row.get("gains")
    if gains is None:
        return LayerEntry(name, int(row["neurons"]), bias, weights)
    shares = tuple(float(g) for g in gains["weights"])
    if len(shares) != len(RATIOS):
        raise ValueError(f"gains of the weights of {name!r} are {len(RATIOS)} numbers")
    return LayerEntry(name, int(row["neurons"]), bias, weights, float(gains["bias"]), shares)
