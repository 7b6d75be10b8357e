"""Any two options together: few rows of values in which every pair that may be occurs."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence

Row = dict[str, str]
Pair = frozenset[tuple[str, str]]  # two times (option, value)


def pairs_of(options: Mapping[str, Sequence[str]]) -> list[Pair]:
    """Every two values of different options."""
    settings = [[(name, value) for value in values] for name, values in options.items()]
    found = [itertools.product(a, b) for a, b in itertools.combinations(settings, 2)]
    return [frozenset(pair) for pair in itertools.chain(*found)]


def pairs_in(row: Row) -> set[Pair]:
    return {frozenset(pair) for pair in itertools.combinations(row.items(), 2)}


def covering_rows(options: Mapping[str, Sequence[str]], refused: Collection[Pair]) -> list[Row]:
    """Rows with a value for every option in which every pair occurs but those that are refused.

    Each row starts from a pair that no row has yet. The options take, in their order, the value
    that brings most such pairs, of those that are not refused beside the values before.
    """
    missing = dict.fromkeys(pair for pair in pairs_of(options) if pair not in refused)
    rows = []
    while missing:
        row = dict(sorted(next(iter(missing))))
        for name, values in options.items():
            if name not in row:
                row[name] = max(values, key=lambda v: _gain(missing, refused, row, (name, v)))
        rows.append({name: row[name] for name in options})
        assert not pairs_in(row) & set(refused)
        for pair in pairs_in(row):
            missing.pop(pair, None)
    return rows


def _gain(
    missing: Collection[Pair], refused: Collection[Pair], row: Row, setting: tuple[str, str]
) -> int:
    pairs = [frozenset({setting, other}) for other in row.items()]
    return -1 if any(p in refused for p in pairs) else sum(p in missing for p in pairs)
