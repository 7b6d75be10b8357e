"""The plots of a grid: what accuracy costs, how the cost falls, what a budget allows.

One panel per data set and model; a row has the same colour and marker in all of them. Rows of one
method share its colour, if they are few.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_odl.benchmark.report import heading, sections
from tf_odl.benchmark.results import Group
from tf_odl.files import write_file
from tf_odl.methods.budget import Budget, parse_budget

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Distinguishable with colour-deficient vision (Okabe and Ito, 2008; P. Tol), then by marker.
_COLOURS = (
    *("#0072B2", "#E69F00", "#56B4E9", "#CC79A7", "#999933", "#332288"),
    *("#8C6D31", "#AA4499", "#661100", "#999999"),
)
_FIXED = {"full": "#222222", "tinypropv2": "#D55E00", "rest": "#009E73"}  # found at a glance
_MARKERS = "sD^vPX*hp<>d"
LEAST = 1e-4  # as a share; a logarithmic axis has no zero
_MOST_BELOW = 10.0  # points below the best accuracy that an axis shows
_PANELS_PER_ROW = 3
_MOST_OF_A_COLOUR = 4
_LEGEND_LINE = 0.2  # inches

Style = tuple[str, str]  # colour, marker


def draw(groups: Sequence[Group], folder: Path) -> list[tuple[str, str]]:
    """Draw what there is to draw into `folder`; returns file names and captions."""
    if not groups:
        return []
    styles = _styles(groups)
    found = sections(groups)
    drawn = []

    def save(
        name: str, caption: str, shown: Mapping[tuple[str, str], list[Group]], panel: Panel
    ) -> None:
        if shown:
            figure = _figure(shown, styles, panel)
            write_file(folder / name, lambda path: figure.savefig(path, dpi=130))
            drawn.append((name, caption))

    save(
        "accuracy-effort.png",
        "Accuracy against backward MACs; up and left is better",
        found,
        lambda axes, mine, styles: _frontier(axes, mine, styles, "effort"),
    )
    save(
        "accuracy-total.png",
        "Accuracy against all MACs: forward, backward and selection; up and left is better",
        found,
        lambda axes, mine, styles: _frontier(axes, mine, styles, "effort_total"),
    )
    save(
        "effort-per-epoch.png",
        "Effort per epoch: backward MACs of full training's",
        {key: mine for key, mine in found.items() if any(g.epochs > 1 for g in mine)},
        _per_epoch,
    )
    save(
        "budgets.png",
        "Accuracy within a budget",
        {key: mine for key, mine in found.items() if _budget_curves(mine)},
        _budgets,
    )
    return drawn


# Draws groups and returns the names for the legend.
Panel = Callable[["Axes", Sequence[Group], Mapping[str, Style]], Iterable[str]]


def _styles(groups: Sequence[Group]) -> dict[str, Style]:
    """Colour per method and marker per family; all rows of full training share theirs."""
    methods = {_family(group): group.rows[0].cell.run.settings.method for group in groups}
    of_method = Counter(methods.values())
    styles: dict[str, Style] = {}
    colours = dict(_FIXED)
    for name, method in methods.items():
        key = method if of_method[method] <= _MOST_OF_A_COLOUR else name
        colour = colours.setdefault(key, _COLOURS[(len(colours) - len(_FIXED)) % len(_COLOURS)])
        marker = "o" if name == "full" else _MARKERS[len(styles) % len(_MARKERS)]
        styles[name] = colour, marker
    return styles


def _family(group: Group) -> str:
    """Rows joined by a line: a method at several budgets, full training for fewer epochs."""
    run = group.rows[0].cell.run.settings
    return "full" if run.method == "full" and not run.selector else group.labels["method"] or ""


def _figure(
    shown: Mapping[tuple[str, str], list[Group]], styles: Mapping[str, Style], panel: Panel
) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    rows = math.ceil(len(shown) / _PANELS_PER_ROW)
    columns = math.ceil(len(shown) / rows)
    height = max(3.5 * rows, _LEGEND_LINE * (len(styles) + 1))
    figure = Figure(figsize=(4.4 * columns + 1.9, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    used: dict[str, None] = {}
    for axes, ((data, model), mine) in zip(grid.flat, shown.items(), strict=False):
        used |= dict.fromkeys(panel(axes, mine, styles))
        axes.set_title(heading(data, model), fontsize=10)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in list(grid.flat)[len(shown) :]:
        axes.set_visible(False)
    handles = [
        Line2D([], [], color=styles[name][0], marker=styles[name][1], ls="", label=name)
        for name in used
    ]
    figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)
    return figure


def percent_axis(axis: Axes, which: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    getattr(axis, f"set_{which}scale")("log")
    low, high = getattr(axis, f"get_{which}lim")()
    one = getattr(axis, f"{which}axis")
    one.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 300 else (1,)))
    one.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    one.set_minor_formatter(NullFormatter())


def _variant(group: Group) -> str:
    """What tells the members of a family apart."""
    if _family(group) == "full":
        return f"{group.epochs} ep"
    return group.labels["budget"] or ""


def _frontier(
    axes: Axes, groups: Sequence[Group], styles: Mapping[str, Style], measure: str
) -> Iterable[str]:
    """Accuracy with its deviation against a cost on a logarithmic axis."""
    floor = _floor([100 * group.measures["accuracy"].mean for group in groups])
    families: dict[str, list[tuple[float, float, Group]]] = {}
    for group in groups:
        x, y = (100 * group.measures[key].mean for key in (measure, "accuracy"))
        families.setdefault(_family(group), []).append((max(x, 100 * LEAST), y, group))
    for name, members in families.items():
        colour, marker = styles[name]
        inside = [member for member in members if member[1] >= floor]
        for x, y, group in inside:
            deviation = 100 * (group.measures["accuracy"].deviation or 0)
            axes.errorbar(
                x, y, deviation, marker=marker, color=colour, ms=6, capsize=2, elinewidth=1
            )
            if len(members) > 1:
                _note(axes, _variant(group), (x, y), (5, -9), colour, ha="left")
        if inside:
            xs, ys, _ = zip(*sorted(inside, key=lambda member: member[0]), strict=True)
            axes.plot(xs, ys, color=colour, lw=1, alpha=0.5)
        for x, y, group in members:
            if y < floor:
                axes.plot(x, floor, marker="v", color=colour, fillstyle="none")
                text = f"{y:.1f}  {_variant(group)}"
                _note(axes, text, (x, floor), (0, 6), colour, ha="center", rotation=90)
    percent_axis(axes, "x")
    cost = "backward MACs" if measure == "effort" else "all MACs"
    axes.set_xlabel(f"{cost}, of full training for {groups[0].nominal_epochs} epochs", fontsize=9)
    axes.set_ylabel("test accuracy (%)", fontsize=9)
    return families


def _floor(accuracies: Sequence[float]) -> float:
    """Where the axis ends, so that the good three quarters can be told apart.

    What is worse is drawn at the edge, with its value.
    """
    ordered = sorted(accuracies)
    best, quarter = ordered[-1], ordered[len(ordered) // 4]
    return max(ordered[0], best - min(max(1.0, 1.5 * (best - quarter)), _MOST_BELOW))


def _note(
    axes: Axes,
    text: str,
    at: tuple[float, float],
    offset: tuple[int, int],
    colour: str,
    **more: Any,
) -> None:
    axes.annotate(
        text.strip(), at, offset, textcoords="offset points", fontsize=7, color=colour, **more
    )


def _per_epoch(axes: Axes, groups: Sequence[Group], styles: Mapping[str, Style]) -> Iterable[str]:
    """The effort of every epoch relative to an epoch of full training, mean over the runs."""
    used = []
    for group in groups:
        if _family(group) == "full" and group.epochs < group.nominal_epochs:
            continue  # 100 % like full training, only shorter
        series = zip(*(row.effort_per_epoch for row in group.rows), strict=True)
        means = map(statistics.fmean, series)
        values = [100 * mean if mean >= LEAST else math.nan for mean in means]  # the line ends
        used.append(_family(group))
        colour, marker = styles[used[-1]]
        (line,) = axes.plot(range(1, len(values) + 1), values, color=colour, lw=1.3)
        line.set(marker=marker, markersize=4, markevery=max(1, len(values) // 10))
        siblings = [other for other in groups if _family(other) == used[-1]]
        if group.labels["budget"] and len(siblings) > 1:
            at = (len(values), values[-1])
            _note(axes, group.labels["budget"], at, (5, -2), colour, ha="left")
    percent_axis(axes, "y")
    axes.set_xlabel("epoch", fontsize=9)
    axes.set_ylabel("backward MACs of full training", fontsize=9)
    return used


def _budget_curves(groups: Sequence[Group]) -> dict[str, list[tuple[Budget, Group]]]:
    """Methods with two budgets or more of the same kind."""
    curves: dict[str, list[tuple[Budget, Group]]] = {}
    for group in groups:
        if group.labels["budget"]:
            budget = parse_budget(group.labels["budget"])
            curves.setdefault(_family(group), []).append((budget, group))
    kinds = {budget.kind for curve in curves.values() for budget, _ in curve}
    return {n: c for n, c in curves.items() if len(c) > 1} if len(kinds) == 1 else {}


def _budgets(axes: Axes, groups: Sequence[Group], styles: Mapping[str, Style]) -> Iterable[str]:
    """Accuracy against the budget, with full training as a line across."""
    kind = ""
    curves = _budget_curves(groups)
    for name, curve in curves.items():
        curve.sort(key=lambda item: item[0].value)
        kind = curve[0][0].kind
        accuracies = [group.measures["accuracy"] for _, group in curve]
        axes.errorbar(
            [budget.value * (100 if kind == "share" else 1) for budget, _ in curve],
            [100 * a.mean for a in accuracies],
            [100 * (a.deviation or 0) for a in accuracies],
            color=styles[name][0],
            marker=styles[name][1],
            ms=5,
            lw=1.3,
            capsize=2,
            elinewidth=1,
        )
    for group in groups:
        if group.labels["method"] == "full":
            y = 100 * group.measures["accuracy"].mean
            axes.axhline(y, color=_FIXED["full"], lw=1, ls="--")
            where = axes.get_yaxis_transform()
            axes.text(
                0.01, y, "full", fontsize=7, color=_FIXED["full"], va="bottom", transform=where
            )
    unit = "share of the parameters (%)" if kind == "share" else kind
    axes.set_xlabel(f"budget: {unit}", fontsize=9)
    axes.set_ylabel("test accuracy (%)", fontsize=9)
    return curves
