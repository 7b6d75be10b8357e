"""The samples an export learns from: options, their checks, and the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tf_odl.errors import UserError

if TYPE_CHECKING:
    from tf_odl.data import Dataset


_OPTIONS = (
    click.option("--data", help="The data to learn from [the export's]."),
    click.option("--data-dir", help="The folder that holds the archives of a built-in data set."),
    click.option("--shift", help="The shift of the data, as in finetune [the export's]."),
    click.option("--samples", type=int, help="Learn from the first N training samples [all]."),
    click.option("--passes", type=int, default=1, show_default=True),
)


def stream_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which samples come, and how often."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_stream(samples: int | None, passes: int, lr: float | None) -> None:
    """Raises UserError for options out of range."""
    for name, value in (("--samples", samples), ("--passes", passes)):
        if value is not None and value < 1:
            raise UserError(f"{name} must be at least 1, got {value}")
    if lr is not None and not 0 < lr < float("inf"):
        raise UserError(f"--lr must be positive and finite, got {lr}")


def data_of_export(
    record: dict[str, Any], data: str | None, data_dir: str | None, shift: str | None
) -> Dataset:
    """The data named on the command line, else those of the export.

    Args:
        record: the contents of export.json.

    Raises:
        UserError: there are none.
    """
    from tf_odl.data import as_bytes, load, standardised_as
    from tf_odl.task import Task, recorded_loss

    provenance = record["provenance"]
    shape = tuple(record["input"]["shape"][1:]) if "input" in record else None
    if data is None and provenance.get("data") is None:
        raise UserError("the export was made without data: name the data to learn from with --data")
    options = provenance.get("data_options", {})
    if data is not None:
        options = form_of(options, data)
    directory = data_dir or provenance.get("data_dir")
    found = load(
        data or provenance["data"],
        data_dir=Path(directory) if directory else None,
        task=Task(recorded_loss(record) if "input" in record else None, shape),
        shift=shift or (None if data else provenance.get("shift")),
        **options,
    )
    found = as_bytes(found) if (provenance.get("pixels") or 1) > 1 else found
    return standardised_as(found, provenance)


def form_of(options: Mapping[str, Any], data: str) -> dict[str, Any]:
    """Those of a run's data options that other data need, too, to be what its model reads."""
    names = ("size", "features") if Path(data).is_dir() else ("features",)
    return {name: options[name] for name in names if name in options}
