"""CIFAR-10 from .npz."""

from __future__ import annotations

from pathlib import Path

from tf_odl.data.archives import folders, missing
from tf_odl.data.dataset import Dataset, checked
from tf_odl.data.images import resized
from tf_odl.data.npz import read_npz

SOURCE = "A. Krizhevsky, Learning Multiple Layers of Features, https://www.cs.toronto.edu/~kriz/cifar.html"
NPZ = "cifar10*.npz"


def load_cifar10(data_dir: Path | None, size: int) -> Dataset:
    """float32 [N, 32, 32, 3] in 0..1."""
    for folder in folders(data_dir, "cifar10", "cifar-10-batches-py", "cifar-10-batches-bin"):
        for path in sorted(folder.glob(NPZ)):
            arrays = read_npz(path, "x_train", "y_train", "x_test", "y_test", "classes")
            return checked(
                "cifar10",
                (resized(arrays["x_train"], size), arrays["y_train"]),
                (resized(arrays["x_test"], size), arrays["y_test"]),
                source=f"{SOURCE} ({path})",
                class_names=tuple(map(str, arrays["classes"])),
            )
    raise missing("cifar10", NPZ, SOURCE, data_dir)
