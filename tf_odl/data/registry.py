"""Data by name, by file or by folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tf_odl.data import (
    arabic_speech,
    cifar,
    cub200,
    dcase,
    flowers102,
    food101,
    hapt,
    mnist,
    pets,
    speech_commands,
    uci_har,
    vww,
)
from tf_odl.data.archives import MissingFiles
from tf_odl.data.dataset import Dataset, mixed
from tf_odl.data.digits import load_digits
from tf_odl.data.folder import load_folder
from tf_odl.data.npz import load_npz
from tf_odl.data.persons import one_person
from tf_odl.data.shift import parse_shift
from tf_odl.data.standardise import standardised, statistics
from tf_odl.data.tfds import load_instead
from tf_odl.errors import UserError

PHOTOGRAPH = 96  # pixels: what microcontrollers see; the papers use 224


@dataclass(frozen=True)
class Entry:
    """A built-in data set.

    `load` takes the folder of the archives, then the size of the images if `size`, its default,
    says that it can be chosen, or the chosen classes if `words`. `ordered`: the files are sorted
    by class or person, so the training samples get mixed. `standardise`: the channels get mean 0
    and deviation 1 over the training part.
    """

    load: Callable[..., Dataset]
    summary: str
    needs: str  # what has to be there
    source: str
    size: int | None = None
    words: bool = False
    ordered: bool = False
    standardise: bool = False


DATASETS = {
    "digits": Entry(
        lambda data_dir: load_digits(),
        "8x8 grey images of handwritten digits, 10 classes, 1438 + 359 samples",
        "nothing, it comes with scikit-learn",
        "UCI optical recognition of handwritten digits",
    ),
    "mnist": Entry(
        mnist.load_mnist,
        "28x28 grey images of handwritten digits, 10 classes, 60000 + 10000 samples",
        ", ".join(f"{name}.gz" for name in mnist.FILES),
        mnist.SOURCE,
    ),
    "cifar10": Entry(
        cifar.load_cifar10,
        "32x32 colour images of things, 10 classes, 50000 + 10000 samples",
        f"cifar-10-python.tar.gz, cifar-10-binary.tar.gz, what is in them, or {cifar.NPZ}",
        cifar.SOURCE,
        size=32,
    ),
    "cifar100": Entry(
        cifar.load_cifar100,
        "32x32 colour images of things, 100 classes, 50000 + 10000 samples",
        "cifar-100-python.tar.gz, cifar-100-binary.tar.gz, or what is in them",
        cifar.SOURCE,
        size=32,
    ),
    "flowers102": Entry(
        flowers102.load_flowers102,
        "photographs of flowers, 102 classes, 2040 + 6149 samples",
        "the folder jpg, imagelabels.mat, setid.mat",
        flowers102.SOURCE,
        size=PHOTOGRAPH,
    ),
    "food101": Entry(
        food101.load_food101,
        "photographs of meals, 101 classes, 75750 + 25250 samples",
        "the folders images and meta",
        food101.SOURCE,
        size=PHOTOGRAPH,
    ),
    "pets": Entry(
        pets.load_pets,
        "photographs of cats and dogs, 37 breeds, 3680 + 3669 samples",
        "the folders images and annotations",
        pets.SOURCE,
        size=PHOTOGRAPH,
    ),
    "cub200": Entry(
        cub200.load_cub200,
        "photographs of birds, 200 species, 5994 + 5794 samples",
        "images.txt, image_class_labels.txt, train_test_split.txt, classes.txt, images",
        cub200.SOURCE,
        size=PHOTOGRAPH,
    ),
    "vww": Entry(
        vww.load_vww,
        "photographs with and without a person, 2 classes",
        "COCO: annotations/instances_train2014.json, train2014, the same of val2014; "
        "or the folders person and non_person",
        vww.SOURCE,
        size=PHOTOGRAPH,
    ),
    "uci-har": Entry(
        uci_har.load_uci_har,
        "561 features of phone windows, 6 activities, 7352 + 2947 samples, 21 + 9 subjects",
        "train/X_train.txt, y_train.txt, subject_train.txt and the same for test",
        uci_har.SOURCE,
        ordered=True,
        standardise=True,
    ),
    "uci-har-raw": Entry(
        uci_har.load_uci_har_raw,
        "the windows of uci-har: 128 steps of 9 signals, 6 activities, 21 + 9 subjects",
        "the same, with train/Inertial Signals and test/Inertial Signals",
        uci_har.SOURCE,
        ordered=True,
        standardise=True,
    ),
    "hapt": Entry(
        hapt.load_hapt,
        "561 features of phone windows, 6 activities, 7415 + 2996 samples, 21 + 9 subjects",
        f"Train/X_train.txt and the others, or {hapt.FEATURES_NPZ}",
        hapt.SOURCE,
        ordered=True,
        standardise=True,
    ),
    "hapt-raw": Entry(
        hapt.load_hapt_raw,
        "the windows of hapt: 128 steps of 9 signals, 6 activities, 21 + 9 subjects",
        hapt.WINDOWS_NPZ,
        hapt.SOURCE,
        ordered=True,
        standardise=True,
    ),
    "speech-commands": Entry(
        speech_commands.load_speech_commands,
        "49 frames of 13 MFCC, 30 or 35 spoken words, or those of speech-commands:yes,no,..",
        "the unpacked archive, with testing_list.txt and validation_list.txt",
        speech_commands.SOURCE,
        words=True,
        ordered=True,
        standardise=True,
    ),
    "arabic-speech": Entry(
        arabic_speech.load_arabic_speech,
        "49 frames of 13 MFCC, 8 spoken words, 960 + 240 samples, 24 + 6 speakers",
        arabic_speech.NPZ,
        arabic_speech.SOURCE,
        ordered=True,
        standardise=True,
    ),
    "dcase-slider": Entry(
        dcase.load_dcase_slider,
        "32 log-mel frames of 40 bands, which slide rail is heard, 3 machines",
        "the folder slider with train/normal_id_00_*.wav and test",
        dcase.SOURCE,
        ordered=True,
        standardise=True,
    ),
}


def load(
    name: str,
    *,
    data_dir: Path | None = None,
    shift: str | None = None,
    person: int | None = None,
    size: int | None = None,
) -> Dataset:
    """Load and check a data set, then shift it. The same arguments give the same samples.

    Args:
        name: a key of DATASETS, of some with the classes (`speech-commands:yes,no`); an .npz
            file; or a folder with one sub-folder per class.
        data_dir: where the archives of a built-in data set are.
        shift: see `tf_odl.data.shift`; in the units of the files, before standardisation.
        person: only this subject's or speaker's samples, see `tf_odl.data.persons`. They are
            standardised like the whole set, by the training part of the official split.
        size: edge of the images in pixels; without it images have the size of the files, or a
            default if those differ.

    Raises:
        UserError: there is no such data, or it cannot be used.
    """
    change = parse_shift(shift) if shift else None
    base, colon, words = name.partition(":")
    path, entry = Path(name), DATASETS.get(base)
    if size is not None and size < 1:
        raise UserError(f"--data-size must be at least 1, got {size}")
    if size and (path.suffix == ".npz" or (entry and not entry.size)):
        raise UserError(f"the samples of {name} have a size of their own: leave --data-size out")
    if entry:
        if colon and not entry.words:
            raise UserError(f"the classes of {base} cannot be chosen: leave :{words} out")
        options: list[Any] = [size or entry.size] if entry.size else []
        options += [tuple(words.split(","))] if colon else []
        try:
            data = entry.load(data_dir, *options)
        except MissingFiles as lacking:
            data = load_instead(base, size or entry.size, lacking)
    elif path.suffix == ".npz":
        data = load_npz(path)
    elif path.is_dir():
        data = load_folder(path, size)
    else:
        known = ", ".join(DATASETS)
        raise UserError(f"no data {name!r}: use {known}, an .npz file or a folder of classes")
    scale = statistics(data.x_train) if entry and entry.standardise else None
    if person is not None:
        data = one_person(data, person)
    if entry and entry.ordered:
        data = mixed(data)
    if change:
        data = replace(data, x_train=change(data.x_train), x_test=change(data.x_test), shift=shift)
    return standardised(data, *scale) if scale else data
