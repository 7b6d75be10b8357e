"""Contribution analysis: what every part of a network adds to the accuracy (Lin et al., 2022)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_odl.methods.interfaces import WeightedLayer
from tf_odl.methods.scheme import RATIOS, Scheme

if TYPE_CHECKING:
    from tf_odl.methods.interfaces import Analysis

Measure = Callable[[Scheme], float]


@dataclass(frozen=True)
class Contributions:
    """Accuracy gains, taken as additive.

    classifier: accuracy when the classifier alone trains. biases: by layer, the gain of updating
    all biases from that layer on over `classifier`. weights: by layer, for every ratio of RATIOS
    the gain of updating that share of its weights over those biases alone.
    """

    classifier: float
    biases: Mapping[str, float]
    weights: Mapping[str, tuple[float, ...]]


def measure_contributions(
    layers: Sequence[WeightedLayer], measure: Measure, analysis: Analysis
) -> Contributions:
    """Train briefly once per layer for its bias and once per layer and ratio for its weights.

    Args:
        layers: the trainable layers, the classifier last.
        measure: the accuracy after a short training under a scheme.
        analysis: shown how far it is.
    """
    total = (len(layers) - 1) * (1 + len(RATIOS)) + 1
    done = 0

    def step(what: str, scheme: Scheme) -> float:
        nonlocal done
        done += 1
        accuracy = measure(scheme)
        analysis.note(f"contribution {done}/{total}: {what}: {accuracy:.2%}")
        return accuracy

    classifier = step("classifier alone", Scheme(1))
    with_biases = classifier
    biases: dict[str, float] = {}
    weights: dict[str, tuple[float, ...]] = {}
    for count, layer in enumerate(reversed(layers[:-1]), start=2):
        if layer.has_bias or layer.shifts:
            with_biases = step(f"biases from {layer.name} on", Scheme(count))
        else:
            total -= 1  # nothing more would train
        biases[layer.name] = with_biases - classifier
        weights[layer.name] = tuple(
            step(f"and {ratio:g} of its weights", Scheme(count, {layer.name: ratio})) - with_biases
            for ratio in RATIOS
        )
    return Contributions(classifier, biases, weights)
