"""The data that belong to an export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_odl.errors import UserError

if TYPE_CHECKING:
    from tf_odl.data import Dataset


def data_of_export(
    provenance: dict[str, Any], data: str | None, data_dir: str | None, shift: str | None
) -> Dataset:
    """The data named on the command line, else those of the export.

    Raises:
        UserError: there are none.
    """
    from tf_odl.data import load

    if data is None and provenance.get("data") is None:
        raise UserError("the export was made without data: name the data to learn from with --data")
    directory = data_dir or provenance.get("data_dir")
    return load(
        data or provenance["data"],
        data_dir=Path(directory) if directory else None,
        shift=shift or (None if data else provenance.get("shift")),
        **({} if data else provenance.get("data_options", {})),
    )
