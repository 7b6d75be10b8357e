"""A slow numpy version of TFODL_RESELECT, written from docs/training-graph.md."""

from collections.abc import Sequence

import numpy as np
from backward_reference import Generator

from tf_odl.converters.options import ReselectOptions, SelectionRule

f32 = np.float32


def take(order: Sequence[int], costs: Sequence[int], budget: int) -> np.ndarray:
    """Neurons in this order until the next one would exceed the budget, bool [neurons]."""
    taken = np.zeros(len(costs), bool)
    spent = 0
    for neuron in order:
        if spent + costs[neuron] > budget:
            break
        spent += costs[neuron]
        taken[neuron] = True
    return taken


def square_root(value: np.float32) -> np.float32:
    """Newton's method from the exponent halved, all in float32."""
    bits = int(np.array(value, f32).view(np.uint32))
    root = np.array(0x1FBD1DF5 + (bits >> 1), np.uint32).view(f32)[()]
    for _ in range(3):
        root = f32(0.5) * (root + value / root)
    return root


def similarity(now: np.ndarray, before: np.ndarray, zero_point: int) -> np.float32:
    a, b = now.astype(np.int64) - zero_point, before.astype(np.int64) - zero_point
    if not a.any() or not b.any():
        return f32(1 if not a.any() and not b.any() else 0)
    return f32((a * b).sum()) / square_root(f32((a * a).sum()) * f32((b * b).sum()))


class Reselecting:
    """The op with what it remembers."""

    def __init__(self, options: ReselectOptions) -> None:
        self.o = options
        self.costs = [cost for neurons, cost, _ in options.layers for _ in range(neurons)]
        self.zero_points = [zero for neurons, _, zero in options.layers for _ in range(neurons)]
        count = len(self.costs)
        self.next, self.reselections = 0, 0
        self.seen: list[np.ndarray] = []
        self.before: np.ndarray | None = None
        self.phi, self.change = np.ones(count, f32), np.zeros(count, f32)
        self.velocity = np.zeros(count, f32)

    def wanted(self) -> int | None:
        """The reference sample that is wanted."""
        observes = self.o.rule == SelectionRule.VELOCITY
        return self.next if observes and self.next < self.o.n_references else None

    def step(
        self, label: int, samples: int, outputs: Sequence[np.ndarray], generator: Generator
    ) -> list[np.ndarray] | None:
        """The new masks, bool [neurons] per layer; None where they stay."""
        due = label >= 0 and samples % self.o.interval == 0
        if self.o.rule == SelectionRule.RANDOM:
            if not due:
                return None
            draws = [generator.draw() for _ in self.costs]
            return self._choose(np.array(draws, np.float64))
        if due:
            self.next = 0
        if label != -2 or self.wanted() is None:
            return None
        means = []
        for (neurons, _, _), y in zip(self.o.layers, outputs, strict=True):
            maps = y.reshape(-1, neurons).astype(np.int64)
            means.append((2 * (maps + 128).sum(0) + len(maps)) // (2 * len(maps)) - 128)
        self.seen = [*self.seen[: self.next], np.concatenate(means)]
        self.next += 1
        if self.next < self.o.n_references:
            return None
        now = np.stack(self.seen, 1)
        before, self.before = self.before, now
        if before is None:
            return None
        for neuron in range(len(self.costs)):
            phi = similarity(now[neuron], before[neuron], self.zero_points[neuron])
            change = phi - self.phi[neuron]
            faster = change - self.change[neuron] + f32(self.o.mu) * self.velocity[neuron]
            self.phi[neuron], self.change[neuron] = phi, change
            self.velocity[neuron] = faster
        return self._choose(np.abs(self.velocity) / np.array(self.costs, f32))

    def _choose(self, keys: np.ndarray) -> list[np.ndarray]:
        self.reselections += 1
        order = np.argsort(-keys, kind="stable")
        taken = take(order.tolist(), self.costs, self.o.budget)
        ends = np.cumsum([neurons for neurons, _, _ in self.o.layers])
        return np.split(taken, ends[:-1])
