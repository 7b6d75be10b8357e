"""Grids: a YAML file to the cells it declares. The format is described in docs/benchmark.md."""

from __future__ import annotations

import itertools
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from tf_odl.benchmark.cell import Cell, Run
from tf_odl.errors import UserError, reason_of
from tf_odl.methods.registry import get_method
from tf_odl.trainer.settings import Settings

AXES = ("data", "model", "method", "budget")
_KEYS = {"title", "about", "seeds", "defaults", *AXES, "include", "published"}
_SETTINGS = typing.get_type_hints(Settings)
_DATA_KEYS = {"seeds", "over", "pretrain"}

QUICK_EPOCHS, QUICK_SAMPLES, QUICK_SEEDS, QUICK_PIXELS = 2, 500, 2, 32

Labels = Mapping[str, str | None]


@dataclass(frozen=True)
class Published:
    """An accuracy somebody printed, in percent; `labels` says for which cells."""

    labels: Mapping[str, str]
    accuracy: float
    deviation: float | None

    def matches(self, labels: Labels) -> bool:
        return all(labels.get(k) == v for k, v in self.labels.items())


@dataclass(frozen=True)
class Grid:
    """The cells of a grid in the order of the results, and what to print beside them."""

    name: str
    title: str
    about: str
    source: str  # the YAML as it was read
    cells: tuple[Cell, ...]
    published: tuple[Published, ...]


def builtin_grids() -> dict[str, Path]:
    """The grids that come with the library, by name."""
    folder = Path(str(resources.files("tf_odl.benchmark"))) / "grids"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_grid(
    name: str, *, seeds: int | None = None, quick: bool = False, data_dir: Path | None = None
) -> Grid:
    """Read and check a grid.

    Args:
        name: of a built-in grid, or a YAML file.
        seeds: that many instead of the seeds the grid names, from 0.
        quick: at most QUICK_EPOCHS epochs, QUICK_SAMPLES training samples, QUICK_SEEDS seeds, as
            many values of a setting that is averaged over, QUICK_PIXELS where the size of images
            is given, and no pretrained weights.
        data_dir: the folder of the data, for cells that name none.

    Raises:
        UserError: no such grid, or something in it is unknown or cannot be; says where.
    """
    builtin = builtin_grids()
    path = builtin.get(name) or Path(name)
    if name not in builtin and path.suffix not in (".yaml", ".yml"):
        raise UserError(f"no grid {name!r}: use {', '.join(builtin)} or a .yaml file")
    try:
        source = path.read_text()
        content = yaml.safe_load(source)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {reason_of(error)}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    try:
        reader = _Reader(content, seeds, quick, data_dir)
        title, about = (str(content.get(key) or "").strip() for key in ("title", "about"))
        cells = tuple(reader.cells())
        return Grid(path.stem, title or path.stem, about, source, cells, reader.published())
    except UserError as error:
        raise UserError(f"{path.name}: {error}") from error


class _Reader:
    """Turns the content of a file into cells. Later settings win: defaults, data, model, method,
    budget, include."""

    def __init__(self, content: Any, seeds: int | None, quick: bool, data_dir: Path | None) -> None:
        _known(content, _KEYS, "the grid")
        self.content = content
        self.quick, self.data_dir = quick, data_dir
        self.seeds = seeds
        self.defaults = _mapping(content.get("defaults"), "defaults")
        _known(self.defaults, set(_SETTINGS), "defaults")
        self.axes = {axis: _axis(content.get(axis), axis) for axis in AXES}
        if not self.axes["data"]:
            raise UserError("data is missing: name at least one data set")
        if not self.axes["method"] and not content.get("include"):
            raise UserError("method is missing: name at least one method")
        for axis, entries in self.axes.items():
            for label, entry in entries.items():
                more = _DATA_KEYS if axis == "data" else set()
                _known(entry, set(_SETTINGS) | more, f"{axis} {label!r}")

    def cells(self) -> Iterator[Cell]:
        rows: list[tuple[str, str | None, str, str | None, dict[str, Any]]] = [
            (data, model, method, budget, {})
            for data, model, method in itertools.product(
                self.axes["data"], self.axes["model"] or [None], self.axes["method"]
            )
            for budget in self._budgets(self._layers(data, model, method, None, {}))
        ]
        rows += self._included()
        seen: dict[tuple[Any, ...], Run] = {}
        order = {label: i for i, label in enumerate(self.axes["data"])}
        for row in sorted(rows, key=lambda r: order[r[0]]):
            for cell in self._repetitions(*row):
                key = (*cell.labels.values(), cell.seed, *cell.repeat.values())
                if seen.setdefault(key, cell.run) != cell.run:
                    named = ", ".join(v for v in cell.labels.values() if v)
                    raise UserError(f"two different rows are called {named}: give one a label")
                yield cell

    def _included(self) -> Iterator[tuple[str, str | None, str, str | None, dict[str, Any]]]:
        """Rows beyond the product; of every axis one value or a list.

        Without data or model they are for all of the grid's.
        """
        for number, written in enumerate(_sequence(self.content.get("include"), "include"), 1):
            what = f"include {number}"
            entry = dict(_mapping(written, what))
            _known(entry, set(_SETTINGS) | {"label"}, what)
            chosen: dict[str, list[str | None]] = {}
            for axis in AXES:
                names = entry.pop(axis, None)
                names = names if isinstance(names, list) else [names]
                chosen[axis] = [None if name is None else str(name) for name in names]
                if axis in ("data", "model") and chosen[axis] == [None]:
                    chosen[axis] = list(self.axes[axis] or [None])
                for name in chosen[axis]:
                    known = axis not in ("data", "model") or name in (self.axes[axis] or [None])
                    if not known:
                        raise UserError(f"{what}: {axis} {name!r} is not in the grid's {axis}")
            for data, model, method, budget in itertools.product(*chosen.values()):
                if method is None:
                    raise UserError(f"{what}: method is missing")
                assert data is not None
                yield data, model, method, budget, entry

    def _budgets(self, settings: dict[str, Any]) -> Sequence[str | None]:
        """The budgets of the grid for methods that take one."""
        if not self.axes["budget"] or settings.get("budget") is not None:
            return [None]
        parts: dict[str, Any] = {k: settings.get(k) for k in ("selector", "sparsifier", "skip")}
        method = get_method(str(settings["method"]), **parts, settings=settings.get("set"))
        return list(self.axes["budget"]) if method.selector.needs_budget else [None]

    def _layers(
        self,
        data: str,
        model: str | None,
        method: str | None,
        budget: str | None,
        more: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The settings of a row; `epochs` as written."""
        settings = dict(self.defaults)
        for axis, label in (("data", data), ("model", model), ("method", method)):
            if label is not None:
                settings |= self.axes[axis].get(label, {axis: label})
        if budget is not None:
            settings |= self.axes["budget"].get(budget, {"budget": budget})
        settings |= more
        return {k: v for k, v in settings.items() if k in _SETTINGS}

    def _repetitions(
        self,
        data: str,
        model: str | None,
        method: str,
        budget: str | None,
        more: dict[str, Any],
    ) -> Iterator[Cell]:
        entry = self.axes["data"][data]
        written = self._layers(data, model, method, budget, more)
        nominal = _epochs(self._layers(data, model, None, None, {}).get("epochs"), None)
        nominal = self._quick_epochs(nominal)
        written["epochs"] = self._quick_epochs(_epochs(written.get("epochs"), nominal))
        over = {k: _sequence(v, f"over {k}") for k, v in _mapping(entry.get("over"), data).items()}
        _known(over, set(_SETTINGS) - {"seed"}, f"over of data {data!r}")
        if self.quick:
            over = {k: values[:QUICK_SEEDS] for k, values in over.items()}
        labels = {
            "data": data,
            "model": model or str(written.get("model") or ""),
            "method": str(more.get("label") or method),
            "budget": budget or _text(written.get("budget")),
        }
        try:
            for seed in self._seeds(entry.get("seeds", self.content.get("seeds"))):
                for values in itertools.product(
                    *(v[: 2 if self.quick else None] for v in over.values())
                ):
                    repeat = dict(zip(over, values, strict=True))
                    settings = self._settings(written | repeat | {"seed": seed})
                    run = Run(settings, self._pretrain(entry, settings))
                    yield Cell(labels, seed, repeat, run, nominal)
        except UserError as error:
            raise UserError(f"{' '.join(v for v in labels.values() if v)}: {error}") from error

    def _pretrain(self, entry: Mapping[str, Any], settings: Settings) -> Run | None:
        """The run that makes the starting model: `full` on the same data, unless it says else."""
        if entry.get("pretrain") is None:
            return None
        own = _mapping(entry["pretrain"], "pretrain")
        _known(own, set(_SETTINGS) - {"model", "seed"}, "pretrain")
        written = {**self.defaults, "method": "full", "data": settings.data, **own}
        written |= {"model": settings.model, "seed": settings.seed}
        written["epochs"] = self._quick_epochs(_epochs(written.get("epochs"), None))
        return Run(self._settings(written))

    def _settings(self, written: Mapping[str, Any]) -> Settings:
        values = {k: _value(k, v) for k, v in written.items() if v is not None}
        if self.data_dir is not None:
            values.setdefault("data_dir", str(self.data_dir))
        if self.quick:
            values["samples"] = min(values.get("samples", QUICK_SAMPLES), QUICK_SAMPLES)
            if "data_size" in values:
                values["data_size"] = min(values["data_size"], QUICK_PIXELS)
            if "@" in values.get("model", ""):
                values["model"] = values["model"].partition("@")[0]  # enlarges small images
            values.pop("weights", None)
        epochs = values.get("epochs", Settings().epochs)
        values["warmup"] = min(values.get("warmup", Settings().warmup), epochs / 2)
        settings = Settings(**values)
        if settings.data is None or settings.model is None:
            raise UserError(f"{'data' if settings.data is None else 'model'} is missing")
        settings.build_method()
        return settings

    def _quick_epochs(self, epochs: int) -> int:
        return min(epochs, QUICK_EPOCHS) if self.quick else epochs

    def _seeds(self, written: Any) -> list[int]:
        if self.seeds is not None:
            return list(range(self.seeds))
        seeds = list(range(written)) if isinstance(written, int) else written
        if seeds is None:
            seeds = [0]
        whole = isinstance(seeds, list) and all(type(s) is int and s >= 0 for s in seeds)
        if not whole or not seeds or len(set(seeds)) != len(seeds):
            raise UserError(f"seeds is a number or a list of different numbers, got {written!r}")
        return seeds[:QUICK_SEEDS] if self.quick else seeds

    def published(self) -> tuple[Published, ...]:
        """Rows of labels with `accuracy: {data: percent or [percent, deviation]}`."""
        found = []
        for number, row in enumerate(_sequence(self.content.get("published"), "published"), 1):
            what = f"published {number}"
            row = _mapping(row, what)
            _known(row, {"model", "method", "budget", "accuracy"}, what)
            labels = {k: str(v) for k, v in row.items() if k != "accuracy"}
            for data, value in _mapping(row.get("accuracy"), what).items():
                pair = value if isinstance(value, list) else [value, None]
                if data not in self.axes["data"]:
                    raise UserError(f"{what}: data {data!r} is not in the grid")
                numbers = [v for v in pair if v is not None]
                if len(pair) != 2 or not numbers or not all(map(_is_number, numbers)):
                    raise UserError(f"{what}: {data} is a percentage or a pair, got {value!r}")
                found.append(Published({**labels, "data": str(data)}, *pair))
        return tuple(found)


def _axis(content: Any, axis: str) -> dict[str, dict[str, Any]]:
    """A list of names, or a mapping of labels to settings; the label is the name by default."""
    if isinstance(content, Mapping):
        return {
            str(label): {axis: str(label), **_mapping(entry, f"{axis} {label!r}")}
            for label, entry in content.items()
        }
    names = [content] if isinstance(content, str) else _sequence(content, axis)
    if any(isinstance(name, (Mapping, list)) or name is None for name in names):
        raise UserError(f"{axis} is a list of names, or a mapping of labels to settings")
    if len({str(name) for name in names}) != len(names):
        raise UserError(f"{axis} names something twice")
    return {str(name): {axis: str(name)} for name in names}


def _known(content: Any, keys: set[str], what: str) -> None:
    for key in _mapping(content, what):
        if key not in keys:
            raise UserError(f"{what} has no {key!r}: choose from {', '.join(sorted(keys))}")


def _mapping(content: Any, what: str) -> Mapping[str, Any]:
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise UserError(f"{what} has to be a mapping of names to values, got {content!r}")
    return content


def _sequence(content: Any, what: str) -> list[Any]:
    if content is None:
        return []
    if not isinstance(content, list):
        raise UserError(f"{what} has to be a list, got {content!r}")
    return content


def _epochs(written: Any, nominal: int | None) -> int:
    """Epochs as a number, or as a share such as 25% of the group's nominal epochs."""
    if written is None:
        return nominal or Settings().epochs
    if nominal is not None and isinstance(written, str) and written.endswith("%"):
        try:
            return max(1, round(float(written[:-1]) / 100 * nominal))
        except ValueError:
            raise UserError(f"epochs {written!r} is no percentage") from None
    if type(written) is not int:
        raise UserError(
            f"epochs is a whole number (of a method also a share, 25%), got {written!r}"
        )
    return written


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Any) -> str | None:
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _value(key: str, value: Any) -> Any:
    """A YAML value as the type of the setting.

    Raises:
        UserError: it cannot be.
    """
    kind = _SETTINGS[key]
    kinds = set(typing.get_args(kind)) if isinstance(kind, types.UnionType) else {kind}
    if dict in {typing.get_origin(k) for k in kinds}:
        return {str(k): _text(v) for k, v in _mapping(value, key).items()}
    if float in kinds and _is_number(value):
        return float(value)
    if int in kinds and type(value) is int:
        return value
    if bool in kinds and isinstance(value, bool):
        return value
    if str in kinds and isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    names = " or ".join(sorted(k.__name__ for k in kinds if k is not types.NoneType))
    raise UserError(f"{key} has to be {names}, got {value!r}")
