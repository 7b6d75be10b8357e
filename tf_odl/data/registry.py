"""Data by name, by file or by folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tf_odl.data.anomalies import only_normal, without_labels
from tf_odl.data.archives import MissingFiles
from tf_odl.data.catalogue import DATASETS, Entry
from tf_odl.data.dataset import Dataset, mixed
from tf_odl.data.features import with_features
from tf_odl.data.folder import holds_sound, load_folder
from tf_odl.data.npz import load_npz
from tf_odl.data.persons import one_person
from tf_odl.data.shift import parse_shift
from tf_odl.data.standardise import standardised, statistics
from tf_odl.data.table import load_table
from tf_odl.data.tfds import load_instead
from tf_odl.data.validation import validation_part
from tf_odl.errors import UserError
from tf_odl.task import CLASSIFICATION, Loss, Task

LARGEST_SIZE = 4096  # of images; one of floats in three colours then takes 200 MB


def load(
    name: str,
    *,
    data_dir: Path | None = None,
    shift: str | None = None,
    person: int | None = None,
    person_split: str = "recorded",
    validation: str | None = None,
    size: int | None = None,
    features: str | None = None,
    standardise: bool = False,
    task: Task = CLASSIFICATION,
) -> Dataset:
    """Load and check a data set, then shift it. The same arguments give the same samples.

    Args:
        name: a key of DATASETS, of some with the classes (`speech-commands:yes,no`); an .npz or
            .csv file; or a folder with one sub-folder, or one .csv file, per class.
        data_dir: where the archives of a built-in data set are.
        shift: see `tf_odl.data.shift`; in the units of the files, before standardisation.
        person: only this subject's or speaker's samples, see `tf_odl.data.persons`. They are
            standardised like the whole set, by the training part of the official split.
        person_split: which half of that person's samples is for training.
        validation: "K/N" tests on the K-th of N parts of the training samples and trains on the
            others; the test samples are not touched. See `tf_odl.data.validation`.
        size: edge of the images in pixels; without it images have the size of the files, or a
            default if those differ.
        features: replace time series by features, see `tf_odl.data.features`; after the shift.
        standardise: give the channels mean 0 and deviation 1 over the training part; features
            and sound always have them.
        task: what the model asks for: classes, unless it says otherwise.

    Raises:
        UserError: there is no such data, or it cannot be used.
    """
    change = parse_shift(shift) if shift else None
    entry = DATASETS.get(name.partition(":")[0])
    try:
        # Features are of whole recordings: the model's input does not say how long these are.
        asked = replace(task, shape=None) if features and Path(name).is_dir() else task
        data = _in_files(name, entry, data_dir, size, asked)
    except MemoryError as error:
        hint = ": choose a smaller --data-size" if size else ""
        raise UserError(f"{name} does not fit into memory{hint}") from error
    always = entry.standardise if entry else Path(name).is_dir() and holds_sound(Path(name))
    if task.loss is Loss.RECONSTRUCTION:
        data = without_labels(data) if entry else only_normal(data)
    if validation is not None:
        data = validation_part(data, validation)
    scale = None
    if standardise or always:
        plain = with_features(data, features) if features is not None else data
        scale = statistics(plain.x_train, plain.channels)
    if person is not None:
        data = one_person(data, person, person_split)
    if entry and entry.ordered:
        data = mixed(data)
    if change:
        data = replace(data, x_train=change(data.x_train), x_test=change(data.x_test), shift=shift)
    if features is not None:
        data = with_features(data, features)
    return standardised(data, *scale) if scale else data


def _in_files(
    name: str, entry: Entry | None, data_dir: Path | None, size: int | None, task: Task
) -> Dataset:
    """The data set as it is in its files, images scaled."""
    base, colon, words = name.partition(":")
    path = Path(name)
    if size is not None and not 1 <= size <= LARGEST_SIZE:
        raise UserError(f"--data-size must be 1 to {LARGEST_SIZE}, got {size}")
    if size and (path.suffix in (".npz", ".csv") or (entry and not entry.size)):
        raise UserError(f"the samples of {name} have a size of their own: leave --data-size out")
    if entry:
        if colon and not entry.words:
            raise UserError(f"the classes of {base} cannot be chosen: leave :{words} out")
        options: list[Any] = [size or entry.size] if entry.size else []
        options += [tuple(words.split(","))] if colon else []
        try:
            return entry.load(data_dir, *options)
        except MissingFiles as lacking:
            return load_instead(base, size or entry.size, lacking)
    if path.suffix == ".npz":
        return load_npz(path, task)
    if path.suffix == ".csv":
        return load_table(path, task)
    if path.is_dir():
        return load_folder(path, size, task)
    if path.is_file():
        raise UserError(
            f"{name} is no data we read: make it an .npz or .csv file, or a folder with one "
            "sub-folder of images, .npy arrays, .csv recordings or .wav clips per class"
        )
    known = ", ".join(DATASETS)
    raise UserError(f"no data {name!r}: use {known}, an .npz or .csv file, or a folder of classes")
