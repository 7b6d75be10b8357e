"""Everything a run needs to continue after an epoch, in one file."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tf_odl.errors import UserError
from tf_odl.files import write_file
from tf_odl.trainer.model import OdlModel

KEEP = 2


def _variables(model: OdlModel) -> list[Any]:
    metrics = {id(v) for m in model.metrics for v in m.variables}
    own = [v for v in model.variables if id(v) not in metrics]
    return own + list(model.optimizer.variables)


def _part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def save(model: OdlModel, folder: Path, epoch: int, history: list[dict[str, Any]]) -> None:
    """Write the state after `epoch` epochs; older files go once the new one is in place.

    Holds weights, optimizer, running maxima, random generators, selector state, resting
    samples and history.
    """
    folder.mkdir(exist_ok=True)
    arrays = {f"variable/{i}": np.asarray(v) for i, v in enumerate(_variables(model))}
    arrays |= {f"selector/{k}": v for k, v in model.selector_state.items()}
    arrays |= {f"resting/{k}": v for k, v in model.rest_state.items()}
    arrays["json"] = np.array(
        json.dumps({"epoch": epoch, "history": history, "selection_macs": model.selection_macs})
    )
    write_file(folder / f"epoch-{epoch:05d}.npz", lambda path: np.savez(path, **arrays))
    for old in sorted(folder.glob("epoch-*.npz"))[:-KEEP]:
        old.unlink()


def load_latest(model: OdlModel, folder: Path) -> tuple[int, list[dict[str, Any]]]:
    """Restore the newest state: (epochs done, history); (0, []) when there is none.

    The optimizer has to be built.

    Raises:
        UserError: the file is damaged or belongs to another model.
    """
    files = sorted(folder.glob("epoch-*.npz"))
    if not files:
        return 0, []
    try:
        with np.load(files[-1]) as data:
            arrays = {k: data[k] for k in data.files}
        meta = json.loads(str(arrays.pop("json")))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"checkpoint {files[-1]} is damaged ({error}): delete it to use the one before it"
        ) from error
    variables = _variables(model)
    values = [arrays.get(f"variable/{i}") for i in range(len(variables))]
    if len(values) != sum(k.startswith("variable/") for k in arrays) or any(
        a is None or tuple(a.shape) != tuple(v.shape)
        for a, v in zip(values, variables, strict=True)
    ):
        raise UserError(f"checkpoint {files[-1]} belongs to another model or optimizer")
    for value, variable in zip(values, variables, strict=True):
        variable.assign(value)
    model.selector_state = _part(arrays, "selector/")
    model.rest_state = _part(arrays, "resting/")
    model.selection_macs = int(meta["selection_macs"])
    return int(meta["epoch"]), meta["history"]
