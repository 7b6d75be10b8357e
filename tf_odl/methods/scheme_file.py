"""Sparse Update schemes as YAML, to be read, edited and used for other data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_odl.errors import UserError
from tf_odl.methods.contribution import Contributions
from tf_odl.methods.scheme import RATIOS, Scheme

HEADER = """\
# A Sparse Update scheme. Use it again, also for other data, with
#   --method sparse-update --set scheme=FILE
# biases: so many layers from the end update their bias; the last one updates whole.
# weights: share of the channels whose weights update. gains: accuracy, as measured.
"""


@dataclass(frozen=True)
class SchemeFile:
    """A scheme and what it was made from; budget is its kind and value."""

    scheme: Scheme
    channels: str
    scope: str
    budget: Mapping[str, Any]
    contributions: Contributions | None = None
    analysis_macs: int = 0


def write_scheme(content: SchemeFile) -> str:
    """As YAML."""
    import yaml

    data: dict[str, Any] = {
        "channels": content.channels,
        "scope": content.scope,
        "budget": dict(content.budget),
        "biases": content.scheme.biases,
        "weights": dict(content.scheme.weights),
        "analysis_macs": content.analysis_macs,
    }
    found = content.contributions
    if found is not None:
        data["gains"] = {
            "classifier": float(found.classifier),
            "biases": {name: float(gain) for name, gain in found.biases.items()},
            "weights": {name: [float(g) for g in row] for name, row in found.weights.items()},
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
        raise UserError(f"scheme {path} cannot be read: {error.strerror}") from error
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
    biases = data["biases"]
    if type(biases) is not int or biases < 1:
        raise ValueError(f"biases is a number of layers, at least 1, got {biases!r}")
    weights = {str(name): float(ratio) for name, ratio in (data.get("weights") or {}).items()}
    for name, ratio in weights.items():
        if not 0 < ratio <= 1:
            raise ValueError(f"weights of {name!r} are a share in (0, 1], got {ratio}")
    found = None
    if data.get("gains") is not None:
        gains = data["gains"]
        found = Contributions(
            float(gains["classifier"]),
            {str(n): float(g) for n, g in gains["biases"].items()},
            {str(n): tuple(float(g) for g in row) for n, row in gains["weights"].items()},
        )
        if any(len(row) != len(RATIOS) for row in found.weights.values()):
            raise ValueError(f"gains of weights are {len(RATIOS)} numbers, for shares {RATIOS}")
    return SchemeFile(
        Scheme(biases, weights),
        str(data.get("channels", "input")),
        str(data.get("scope", "all")),
        dict(data.get("budget") or {}),
        found,
        int(data.get("analysis_macs", 0)),
    )
