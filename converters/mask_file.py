"""Masks from a file: which neurons of which layer may update."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from tf_odl.errors import UserError
from tf_odl.methods import Mask


def read_masks(path: Path) -> dict[str, Mask]:
    """The masks in an .npz file, by layer.

    Each layer has a bool array [neurons] `name/kernel` and, where its biases differ, `name/bias`.
    The masks.npz of a run of `tf-odl finetune` is such a file. Layers it does not name are frozen.

    Raises:
        UserError: no such file, or arrays of another kind.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {key: data[key] for key in data.files}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise UserError(f"{path} is no .npz file with masks: {error}") from error
    parts: dict[str, dict[str, np.ndarray]] = {}
    for key, values in arrays.items():
        name, _, part = key.rpartition("/")
        if part not in Mask._fields or not name:
            raise UserError(f"{path}: {key!r} is not named LAYER/kernel or LAYER/bias")
        if values.dtype != np.bool_ or values.ndim != 1:
            raise UserError(
                f"{path}: {key!r} is not a list of true and false, one for each neuron, but "
                f"{values.dtype} {list(values.shape)}"
            )
        parts.setdefault(name, {})[part] = values
    if not parts:
        raise UserError(f"{path} has no masks")
    for name, found in parts.items():
        if "kernel" not in found:
            raise UserError(f"{path}: layer {name!r} has no {name}/kernel")
        found.setdefault("bias", found["kernel"])
    return {name: Mask(**found) for name, found in parts.items()}
