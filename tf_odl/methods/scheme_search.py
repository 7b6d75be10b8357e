"""The scheme of largest gain within a budget: exactly, or by evolution where that is too large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from tf_odl.methods.contribution import Contributions
from tf_odl.methods.interfaces import WeightedLayer
from tf_odl.methods.scheme import RATIOS, Channels, Scheme, layer_mask, scheme_cost

if TYPE_CHECKING:
    from tf_odl.methods.budget import Budget

Search = Literal["auto", "exact", "evolution"]
FRONT_LIMIT = 100_000  # partial schemes the exact search keeps before it is too large
POPULATION, GENERATIONS, PARENTS = 128, 150, 32


class TooLarge(Exception):
    """The exact search would keep more partial schemes than FRONT_LIMIT."""


@dataclass(frozen=True)
class Problem:
    """Choose the number of biases k = 1..L, and per layer before the classifier an option.

    base_cost, base_gain: [L], of updating the last k biases. cost, gain: [L-1, 1+ratios], what
    the weights of a layer add, counted from the end; option 0 is none. A layer may only use
    another option if its bias updates: layer j needs k >= j + 2.
    """

    base_cost: np.ndarray
    base_gain: np.ndarray
    cost: np.ndarray
    gain: np.ndarray
    limit: float

    def total(self, k: int, options: Sequence[int]) -> tuple[int, float]:
        """Cost and gain of a choice."""
        at = np.arange(len(options)), np.asarray(options, np.int64)
        return (
            int(self.base_cost[k - 1] + self.cost[at].sum()),
            float(self.base_gain[k - 1] + self.gain[at].sum()),
        )


Choice = tuple[int, tuple[int, ...]]


def problem_of(
    layers: Sequence[WeightedLayer], found: Contributions, channels: Channels, budget: Budget
) -> Problem:
    """The search as numbers; layers in the order of the model, the classifier last."""
    before = list(reversed(layers[:-1]))
    options = [0.0, *RATIOS]
    prices = [
        [budget.mask_cost(x, layer_mask(x, ratio, channels)) for ratio in options] for x in before
    ]
    cost = np.array(prices, np.int64).reshape(len(before), len(options))
    base_cost = [
        scheme_cost(Scheme(k), layers, channels, budget) for k in range(1, len(layers) + 1)
    ]
    return Problem(
        np.array(base_cost, np.int64),
        np.array([0.0, *(found.biases[x.name] for x in before)]),
        cost - cost[:, :1],
        np.array([[0.0, *found.weights[x.name]] for x in before]).reshape(cost.shape),
        budget.limit(layers),
    )


def scheme_of(layers: Sequence[WeightedLayer], choice: Choice) -> Scheme:
    """A choice as a scheme."""
    k, options = choice
    before = list(reversed(layers[:-1]))
    return Scheme(k, {x.name: RATIOS[o - 1] for x, o in zip(before, options, strict=True) if o > 0})


def search(problem: Problem, how: Search, rng: np.random.Generator) -> Choice:
    """The choice of largest gain; among equals the cheapest.

    Raises:
        TooLarge: how is "exact" and the space is not small.
    """
    if how == "evolution":
        return search_by_evolution(problem, rng)
    try:
        return search_exactly(problem)
    except TooLarge:
        if how == "exact":
            raise
        return search_by_evolution(problem, rng)


def search_exactly(problem: Problem) -> Choice:
    """Layer by layer, keeping the partial schemes that no cheaper one equals in gain.

    Raises:
        TooLarge: more than FRONT_LIMIT of them.
    """
    layers, count = problem.cost.shape
    costs, gains = np.zeros(1, np.int64), np.zeros(1)
    steps: list[tuple[np.ndarray, np.ndarray]] = []  # parent and option of every partial scheme
    best: tuple[float, int] | None = None
    best_at = (1, 0)
    for k in range(1, layers + 2):
        if k > 1:
            j = k - 2
            all_costs = (costs[:, None] + problem.cost[j]).reshape(-1)
            all_gains = (gains[:, None] + problem.gain[j]).reshape(-1)
            order = np.lexsort((-all_gains, all_costs))
            order = order[all_costs[order] <= problem.limit]
            rising = np.maximum.accumulate(all_gains[order])
            better = np.ones(len(order), bool)
            better[1:] = all_gains[order][1:] > rising[:-1]
            kept = order[better]
            if len(kept) > FRONT_LIMIT:
                raise TooLarge
            costs, gains = all_costs[kept], all_gains[kept]
            steps.append((kept // count, kept % count))
        fits = costs + problem.base_cost[k - 1] <= problem.limit
        if fits.any():
            at = int(np.flatnonzero(fits)[-1])  # gains rise with costs
            found = (
                float(gains[at] + problem.base_gain[k - 1]),
                -int(costs[at] + problem.base_cost[k - 1]),
            )
            if best is None or found > best:
                best, best_at = found, (k, at)
    k, at = best_at
    options = [0] * layers
    for j in reversed(range(k - 1)):
        parents, chosen = steps[j]
        options[j] = int(chosen[at])
        at = int(parents[at])
    return k, tuple(options)


def search_by_evolution(problem: Problem, rng: np.random.Generator) -> Choice:
    """Elitist evolution: uniform crossover, mutation of one gene, repair to the budget."""
    layers, count = problem.cost.shape

    def repaired(k: int, options: list[int]) -> Choice:
        """Drop weights above the bias limit, then at random, then biases, until it fits."""
        options = [o if k >= j + 2 else 0 for j, o in enumerate(options)]
        while problem.total(k, options)[0] > problem.limit:
            used = [j for j, o in enumerate(options) if o]
            if used:
                j = used[int(rng.integers(len(used)))]
                options[j] = int(rng.integers(options[j]))
            else:
                k -= 1
        return k, tuple(options)

    def fitness(choice: Choice) -> tuple[float, int]:
        cost, gain = problem.total(*choice)
        return gain, -cost

    def child(parents: Sequence[Choice]) -> Choice:
        (k, one), (_, other) = (parents[int(i)] for i in rng.integers(len(parents), size=2))
        options = [a if rng.random() < 0.5 else b for a, b in zip(one, other, strict=True)]
        gene = int(rng.integers(layers + 1))
        if gene == layers:
            k = int(rng.integers(1, layers + 2))
        else:
            options[gene] = int(rng.integers(count))
            k = max(k, gene + 2) if options[gene] else k
        return repaired(k, options)

    population = {repaired(1, [0] * layers)}
    for _ in range(POPULATION):
        drawn = rng.integers(count, size=layers) * (rng.random(layers) < rng.random())
        population.add(repaired(int(rng.integers(1, layers + 2)), [int(o) for o in drawn]))
    for _ in range(GENERATIONS):
        parents = sorted(population, key=fitness, reverse=True)[:PARENTS]
        population = {*parents, *(child(parents) for _ in range(POPULATION))}
    return max(population, key=fitness)
