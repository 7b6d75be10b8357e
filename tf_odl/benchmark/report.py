"""results.md: the tables of a grid, beside what was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tf_odl.benchmark.grid import Grid
from tf_odl.benchmark.results import Group, Spread
from tf_odl.benchmark.work import FAILED, MISSING, Outcome

EXPLANATION = """\
Accuracy is that of the last epoch on the test data, in percent: mean ± standard deviation over the
seeds. Multiply-accumulates (MACs) are a share of full training's for the table's nominal number of
epochs, whatever number the row itself took. *Backward*: the entries of the error that were used.
*Non-zero*: without those that are exactly zero behind a ReLU. *All*: forward, backward and what
selecting neurons took.
"""


def percent(value: float, digits: int = 2) -> str:
    return f"{100 * value:.{digits}f}"


def accuracy(spread: Spread) -> str:
    """As 98.14 ± 0.07; without a deviation for a single seed."""
    if spread.deviation is None:
        return percent(spread.mean)
    return f"{percent(spread.mean)} ± {percent(spread.deviation)}"


def share(spread: Spread) -> str:
    """A share in percent with about three significant digits."""
    value = 100 * spread.mean
    return f"{value:.{2 if value < 9.995 else 1}f}"


def table(groups: Sequence[Group]) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of groups of one data set and model; columns nobody fills are left out."""
    full = groups[0].nominal_epochs
    columns: dict[str, list[str]] = {
        "method": [g.labels["method"] or "" for g in groups],
        "budget": [g.labels["budget"] or "" for g in groups],
        "epochs": [str(g.epochs) for g in groups],
        "before": [
            accuracy(g.measures["accuracy_before"]) if g.rows[0].cell.run.pretrain else ""
            for g in groups
        ],
        "accuracy": [accuracy(g.measures["accuracy"]) for g in groups],
        "published": [_published(g) for g in groups],
        "difference": [_difference(g) for g in groups],
        "backward %": [share(g.measures["effort"]) for g in groups],
        "non-zero %": [share(g.measures["effort_nonzero"]) for g in groups],
        "all MACs %": [share(g.measures["effort_total"]) for g in groups],
        "skipped %": [share(g.measures["skipped"]) for g in groups],
        "seeds": [str(g.seeds) for g in groups],
    }
    assert all(g.nominal_epochs == full for g in groups)
    kept = {header: values for header, values in columns.items() if any(values)}
    return list(kept), [list(row) for row in zip(*kept.values(), strict=True)]


def _published(group: Group) -> str:
    if group.published is None:
        return ""
    deviation = group.published.deviation
    return f"{group.published.accuracy:.2f}" + (f" ± {deviation:.2f}" if deviation else "")


def _difference(group: Group) -> str:
    if group.published is None:
        return ""
    return f"{100 * group.measures['accuracy'].mean - group.published.accuracy:+.2f}"


def sections(groups: Sequence[Group]) -> dict[tuple[str, str], list[Group]]:
    """Groups by data set and model, in order."""
    found: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        key = group.labels["data"] or "", group.labels["model"] or ""
        found.setdefault(key, []).append(group)
    return found


def markdown(
    grid: Grid,
    groups: Sequence[Group],
    outcomes: Mapping[str, Outcome],
    plots: Sequence[tuple[str, str]],
    command: str,
    versions: Mapping[str, str],
) -> str:
    """The whole of results.md.

    Args:
        outcomes: of all runs; those that failed or lack data are listed with the reason.
        plots: (file name, what it shows).
    """
    text = [f"# {grid.title}", ""]
    if grid.about:
        text += [grid.about, ""]
    text += [EXPLANATION, f"    {command}", ""]
    text += [", ".join(f"{name} {version}" for name, version in versions.items()) + ".", ""]
    for (data, model), mine in sections(groups).items():
        epochs = mine[0].nominal_epochs
        text += [
            f"## {heading(data, model)}",
            "",
            f"100 % = full training for {epochs} epochs.",
            "",
        ]
        headers, rows = table(mine)
        text += [f"| {' | '.join(headers)} |", "|---" * len(headers) + "|"]
        text += [f"| {' | '.join(row)} |" for row in rows] + [""]
    if plots:
        text += ["## Plots", ""]
        for name, caption in plots:
            text += [f"![{caption}]({name})", ""]
    for status, title in ((MISSING, "Missing data"), (FAILED, "Failed")):
        found = messages(grid, outcomes, status)
        if found:
            text += [f"## {title}", ""]
            text += [f"- {what}: {message}" for message, what in found.items()] + [""]
    return "\n".join(text)


def heading(data: str, model: str) -> str:
    """What a table is about; the name of the data may say the model already."""
    return data if model in data else f"{data}, {model}"


def messages(grid: Grid, outcomes: Mapping[str, Outcome], status: str) -> dict[str, str]:
    """Messages of the runs with a status, with the data sets or runs they are about."""
    about: dict[str, list[str]] = {}
    for cell in grid.cells:
        outcome = outcomes.get(cell.run.name)
        if outcome is not None and outcome.status == status:
            what = cell.labels["data"] or "" if status == MISSING else cell.run.name
            named = about.setdefault(outcome.message, [])
            if what not in named:
                named.append(what)
    return {message: _listed(what) for message, what in about.items()}


def _listed(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
