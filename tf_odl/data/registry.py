"""Data by name, by file or by folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tf_odl.data.dataset import Dataset
from tf_odl.data.digits import load_digits
from tf_odl.data.folder import load_folder
from tf_odl.data.mnist import FILES, SOURCE, load_mnist
from tf_odl.data.npz import load_npz
from tf_odl.data.shift import parse_shift
from tf_odl.errors import UserError


@dataclass(frozen=True)
class Entry:
    """A built-in data set."""

    load: Callable[[Path | None], Dataset]
    summary: str
    needs: str  # what has to be there


DATASETS = {
    "digits": Entry(
        lambda data_dir: load_digits(),
        "8x8 grey images of handwritten digits, 10 classes, 1438 + 359 samples",
        "nothing, it comes with scikit-learn",
    ),
    "mnist": Entry(
        load_mnist,
        "28x28 grey images of handwritten digits, 10 classes, 60000 + 10000 samples",
        f"--data-dir with {', '.join(f'{name}.gz' for name in FILES)}; source: {SOURCE}",
    ),
}


def load(name: str, *, data_dir: Path | None = None, shift: str | None = None) -> Dataset:
    """Load and check a data set, then shift it. The same arguments give the same samples.

    Args:
        name: a key of DATASETS, an .npz file, or a folder with one sub-folder per class.
        data_dir: where the archives of a built-in data set are.
        shift: see `tf_odl.data.shift`.

    Raises:
        UserError: there is no such data, or it cannot be used.
    """
    change = parse_shift(shift) if shift else None
    path = Path(name)
    if name in DATASETS:
        data = DATASETS[name].load(data_dir)
    elif path.suffix == ".npz":
        data = load_npz(path)
    elif path.is_dir():
        data = load_folder(path)
    else:
        known = ", ".join(DATASETS)
        raise UserError(f"no data {name!r}: use {known}, an .npz file or a folder of classes")
    if change is None:
        return data
    return replace(data, x_train=change(data.x_train), x_test=change(data.x_test), shift=shift)
