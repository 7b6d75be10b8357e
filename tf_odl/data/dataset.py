"""A labelled data set in memory, checked once so that nobody else has to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tf_odl.errors import UserError


@dataclass(frozen=True)
class Dataset:
    """Samples with classes or targets, split into training and test.

    x_train, x_test: float32 [N, *sample], finite. y_train, y_test: int64 [N], 0 .. classes - 1.
    Of a regression they are float32 [N, targets], with `target_names` and no classes; samples
    without labels are all of one class without a name.
    `shift` says how the samples were changed after loading, None for not at all.
    groups_train, groups_test: int64 [N], the number of who made each sample (`group_kind`:
    "subject" or "speaker"), None if the set does not say. `person` is the one the set was
    restricted to. mean, deviation: float32 [channels] by which the samples were standardised,
    `(x - mean) / deviation`, None if they were not; a device has to do the same. `pixels`: the
    value of a white pixel if the samples were bytes, None if they were not. `channels`: of
    windows that are flat, [steps * channels]; None where the last axis is that of the channels.
    `notes`: what a user should know of how the files were read.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: int
    class_names: tuple[str, ...]
    source: str
    shift: str | None = None
    groups_train: np.ndarray | None = None
    groups_test: np.ndarray | None = None
    group_kind: str | None = None
    person: int | None = None
    mean: np.ndarray | None = None
    deviation: np.ndarray | None = None
    pixels: float | None = None
    target_names: tuple[str, ...] = ()
    channels: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def has_labels(self) -> bool:
        """Whether there are labels or targets."""
        return self.class_names != NO_LABELS


MOST_CLASSES = 100_000  # larger whole numbers are measured, or name something
NO_LABELS = ("",)  # the class names of samples without


def measured(values: np.ndarray) -> np.ndarray:
    """bool, shaped like `values`: the numbers that count no class, fractions and large ones."""
    return (values != np.round(values)) | (values >= MOST_CLASSES)


def checked(
    name: str,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    source: str,
    class_names: tuple[str, ...] = (),
    groups: tuple[np.ndarray, np.ndarray] | None = None,
    group_kind: str | None = None,
    target_names: tuple[str, ...] = (),
    one_class: bool = False,
) -> Dataset:
    """A Dataset of arrays as they were found.

    uint8 samples become 0..1; grey uint8 images [N, H, W] get a channel axis.

    Args:
        class_names: the names of all classes; without them the labels say how many there are.
            NO_LABELS: samples without.
        groups: who made each training and each test sample, int [N]; `group_kind` says what the
            numbers stand for.
        target_names: the labels are targets of a regression, of these names.
        one_class: all samples may be of one.

    Raises:
        UserError: shapes, dtypes, labels or values that no training could use; names the first
            bad sample.
    """
    x_train, x_test = (_samples(x, f"{name}: {part}") for (x, _), part in _parts(train, test))
    if x_train.shape[1:] != x_test.shape[1:]:
        raise UserError(
            f"{name}: training samples have shape {x_train.shape[1:]}, "
            f"test samples {x_test.shape[1:]}"
        )
    if target_names:
        y_train, y_test = (
            _targets(y, len(x), len(target_names), f"{name}: {part}")
            for (x, y), part in _parts(train, test)
        )
        classes, names = 0, class_names
    else:
        y_train, y_test = (
            _labels(y, len(x), f"{name}: {part}") for (x, y), part in _parts(train, test)
        )
        classes = len(class_names) or int(y_train.max()) + 1
        names = class_names or tuple(str(i) for i in range(classes))
        if classes < 2 and not one_class and class_names != NO_LABELS:
            raise UserError(
                f"{name}: all training labels are {names[0]}, at least two classes are needed"
            )
        for labels, part in ((y_train, "training"), (y_test, "test")):
            beyond = np.flatnonzero(labels >= classes)
            if len(beyond):
                raise UserError(
                    f"{name}: {part} label {labels[beyond[0]]} of sample {beyond[0]} is out of "
                    f"range: the training data have classes 0 to {classes - 1}"
                )
    data = Dataset(name, x_train, y_train, x_test, y_test, classes, names, source)
    data = replace(data, target_names=target_names)
    if all(np.asarray(x).dtype == np.uint8 for x, _ in (train, test)):
        data = replace(data, pixels=1.0)
    if groups is None:
        return data
    of_train, of_test = (np.asarray(g, np.int64) for g in groups)
    for g, y, part in ((of_train, y_train, "training"), (of_test, y_test, "test")):
        if g.shape != (len(y),):
            raise UserError(f"{name}: {part} set has {len(y)} samples and {len(g)} {group_kind}s")
    return replace(data, groups_train=of_train, groups_test=of_test, group_kind=group_kind)


def as_bytes(data: Dataset) -> Dataset:
    """Images of 0..1 that were bytes as 0..255 again; other samples stay as they are."""
    if data.pixels != 1:
        return data
    top = np.float32(255)
    return replace(data, x_train=data.x_train * top, x_test=data.x_test * top, pixels=255.0)


def mixed(data: Dataset) -> Dataset:
    """`data` with the training samples in a random order that is always the same.

    Devices learn from samples one by one: files sorted by class or person would make them forget.
    """
    return at_most(data, len(data.x_train))


def at_most(data: Dataset, samples: int) -> Dataset:
    """`data` with that many training samples or fewer, mixed; always the same ones."""
    rows = np.random.default_rng(0).permutation(len(data.x_train))[:samples]
    groups = None if data.groups_train is None else data.groups_train[rows]
    return replace(
        data, x_train=data.x_train[rows], y_train=data.y_train[rows], groups_train=groups
    )


def split(
    x: np.ndarray, y: np.ndarray, test_share: float = 0.2
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Training and test part of one set: the same share of every class, mixed, always the same.

    Args:
        x: [N, ...].
        y: [N], any dtype that can be compared; checked later. Or targets [N, targets].

    Raises:
        UserError: a class has a single sample.
    """
    train, test = split_rows(np.zeros(len(y)) if y.ndim > 1 else y, test_share)
    return (x[train], y[train]), (x[test], y[test])


def split_rows(y: np.ndarray, test_share: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the training and the test part, see `split`."""
    rng = np.random.default_rng(0)
    train, test = [], []
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        if len(rows) < 2:
            raise UserError(f"class {label} has a single sample: training and test need one each")
        held_out = max(1, round(test_share * len(rows)))
        test.append(rows[:held_out])
        train.append(rows[held_out:])
    return rng.permutation(np.concatenate(train)), rng.permutation(np.concatenate(test))


def split_groups(y: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `split_rows`, with about a fifth for the test, and no group in both parts.

    Args:
        y: int [N], classes, which have about the same shares in both.
        groups: int [N], at least two different ones.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(min(5, len(np.unique(groups))), shuffle=True, random_state=0)
    train, test = next(iter(folds.split(y, y, groups)))
    return np.random.default_rng(0).permutation(train), test


def _parts(train: tuple, test: tuple) -> tuple:
    return (train, "training"), (test, "test")


def _samples(x: np.ndarray, what: str) -> np.ndarray:
    x = np.asarray(x)
    if x.ndim < 2 or not x.size:
        raise UserError(
            f"{what} samples must be an array [N, ...] that is not empty, got shape {x.shape}"
        )
    if x.dtype.kind not in "uifb":
        raise UserError(f"{what} samples must be numbers, got dtype {x.dtype}")
    if x.dtype == np.uint8:
        return np.divide(x[..., None] if x.ndim == 3 else x, 255, dtype=np.float32, order="C")
    with np.errstate(over="ignore"):  # infinity, which is refused below
        x = np.ascontiguousarray(x, np.float32)
    bad = np.flatnonzero(~np.isfinite(x).all(axis=tuple(range(1, x.ndim))))
    if len(bad):
        raise UserError(
            f"{what} sample {bad[0]} holds NaN or infinity ({len(bad)} of {len(x)} samples do): "
            "remove or repair them"
        )
    return x


def _labels(y: np.ndarray, count: int, what: str) -> np.ndarray:
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise UserError(
            f"{what} labels must be one class number per sample, got shape {y.shape}; "
            "turn one-hot labels into numbers with argmax(axis=1)"
        )
    if len(y) != count:
        raise UserError(f"{what} set has {count} samples and {len(y)} labels")
    if y.dtype.kind not in "uif" or (y.dtype.kind == "f" and not (y == np.round(y)).all()):
        raise UserError(f"{what} labels must be whole numbers 0, 1, 2, .., got dtype {y.dtype}")
    negative = np.flatnonzero(y < 0)
    if len(negative):
        raise UserError(
            f"{what} label {int(y[negative[0]])} of sample {negative[0]} is out of range: "
            "classes count from 0"
        )
    large = np.flatnonzero(y >= MOST_CLASSES)
    if len(large):
        raise UserError(
            f"{what} label {int(y[large[0]])} of sample {large[0]} is no class number: classes "
            "count from 0; for a regression use --loss mse"
        )
    return y.astype(np.int64)


def _targets(y: np.ndarray, count: int, targets: int, what: str) -> np.ndarray:
    y = np.asarray(y)
    if y.dtype.kind not in "uif":
        raise UserError(f"{what} targets must be numbers, got dtype {y.dtype}")
    y = np.ascontiguousarray(y[:, None] if y.ndim == 1 else y, np.float32)
    if y.shape != (count, targets):
        raise UserError(f"{what} set has {count} samples and targets of shape {list(y.shape)}")
    bad = np.flatnonzero(~np.isfinite(y).all(axis=1))
    if len(bad):
        raise UserError(f"{what} targets of sample {bad[0]} hold NaN or infinity")
    return y
