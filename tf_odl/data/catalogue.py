"""The built-in data sets: what they hold, what has to be there, how they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tf_odl.data import (
    arabic_speech,
    cifar,
    cub200,
    dcase,
    digits,
    flowers102,
    food101,
    hapt,
    mnist,
    pets,
    speech_commands,
    uci_har,
    vww,
)
from tf_odl.data.dataset import Dataset

PHOTOGRAPH = 96  # pixels: what microcontrollers see; the papers use 224


@dataclass(frozen=True)
class Entry:
    """A built-in data set.

    `shape` is that of a sample, `samples` those for training and for test as published, `persons`
    the subjects or speakers of both; `files` have to be there. `load` takes the folder of the
    files, then the size of the images if `size`, its default, says that it can be chosen, or the
    chosen classes if `words`. `ordered`: the files are sorted by class or person, so the training
    samples get mixed. `standardise`: the channels get mean 0 and deviation 1 over the training
    part.
    """

    load: Callable[..., Dataset]
    summary: str
    shape: str
    classes: str
    samples: str
    files: str
    source: str
    persons: str | None = None
    size: int | None = None
    words: bool = False
    ordered: bool = False
    standardise: bool = False


DATASETS = {
    "digits": Entry(
        lambda data_dir: digits.load_digits(),
        summary="digits",
        shape="8x8x1",
        classes="10",
        samples="1438 + 359",
        files="none, it comes with scikit-learn",
        source="UCI optical recognition of handwritten digits",
    ),
    "mnist": Entry(
        mnist.load_mnist,
        summary="digits",
        shape="28x28x1",
        classes="10",
        samples="60000 + 10000",
        files=", ".join(f"{name}.gz" for name in mnist.FILES),
        source=mnist.SOURCE,
    ),
    "cifar10": Entry(
        cifar.load_cifar10,
        summary="things",
        shape="32x32x3",
        classes="10",
        samples="50000 + 10000",
        files="cifar-10-python.tar.gz, cifar-10-binary.tar.gz, what is in one of them, "
        f"or {cifar.NPZ}",
        source=cifar.SOURCE,
        size=cifar.SIZE,
    ),
    "cifar100": Entry(
        cifar.load_cifar100,
        summary="things",
        shape="32x32x3",
        classes="100",
        samples="50000 + 10000",
        files="cifar-100-python.tar.gz, cifar-100-binary.tar.gz, or what is in one of them",
        source=cifar.SOURCE,
        size=cifar.SIZE,
    ),
    "flowers102": Entry(
        flowers102.load_flowers102,
        summary="flowers",
        shape="96x96x3",
        classes="102",
        samples="2040 + 6149",
        files="jpg/, imagelabels.mat, setid.mat",
        source=flowers102.SOURCE,
        size=PHOTOGRAPH,
    ),
    "food101": Entry(
        food101.load_food101,
        summary="meals",
        shape="96x96x3",
        classes="101",
        samples="75750 + 25250",
        files="images/, meta/classes.txt, meta/train.txt, meta/test.txt",
        source=food101.SOURCE,
        size=PHOTOGRAPH,
    ),
    "pets": Entry(
        pets.load_pets,
        summary="cats, dogs",
        shape="96x96x3",
        classes="37",
        samples="3680 + 3669",
        files="images/, annotations/trainval.txt, annotations/test.txt",
        source=pets.SOURCE,
        size=PHOTOGRAPH,
    ),
    "cub200": Entry(
        cub200.load_cub200,
        summary="birds",
        shape="96x96x3",
        classes="200",
        samples="5994 + 5794",
        files=f"{', '.join(cub200.LISTS)}, images/",
        source=cub200.SOURCE,
        size=PHOTOGRAPH,
    ),
    "vww": Entry(
        vww.load_vww,
        summary="persons",
        shape="96x96x3",
        classes="2",
        samples="82783 + 40504",
        files="COCO's annotations/instances_train2014.json, annotations/instances_val2014.json, "
        "train2014/, val2014/; or person/, non_person/",
        source=vww.SOURCE,
        size=PHOTOGRAPH,
    ),
    "uci-har": Entry(
        uci_har.load_uci_har,
        summary="motion",
        shape="561",
        classes="6",
        samples="7352 + 2947",
        persons="21 + 9",
        files="train/X_train.txt, train/y_train.txt, train/subject_train.txt, the same of test",
        source=uci_har.SOURCE,
        ordered=True,
        standardise=True,
    ),
    "uci-har-raw": Entry(
        uci_har.load_uci_har_raw,
        summary="motion",
        shape="128x9",
        classes="6",
        samples="7352 + 2947",
        persons="21 + 9",
        files="train/Inertial Signals/, train/y_train.txt, train/subject_train.txt, the same of "
        "test",
        source=uci_har.SOURCE,
        ordered=True,
        standardise=True,
    ),
    "hapt": Entry(
        hapt.load_hapt,
        summary="motion",
        shape="561",
        classes="6",
        samples="7415 + 2996",
        persons="21 + 9",
        files="Train/X_train.txt, Train/y_train.txt, Train/subject_id_train.txt, the same of "
        f"Test; or {hapt.FEATURES_NPZ}",
        source=hapt.SOURCE,
        ordered=True,
        standardise=True,
    ),
    "hapt-raw": Entry(
        hapt.load_hapt_raw,
        summary="motion",
        shape="128x9",
        classes="6",
        samples="7415 + 2996",
        persons="21 + 9",
        files=hapt.WINDOWS_NPZ,
        source=hapt.SOURCE,
        ordered=True,
        standardise=True,
    ),
    "speech-commands": Entry(
        speech_commands.load_speech_commands,
        summary="words",
        shape="49x13",
        classes="35",
        samples="94824 + 11005",
        persons="2618",
        files=f"a folder of .wav files per word, {', '.join(speech_commands.LISTS)}",
        source=speech_commands.SOURCE,
        words=True,
        ordered=True,
        standardise=True,
    ),
    "arabic-speech": Entry(
        arabic_speech.load_arabic_speech,
        summary="words",
        shape="49x13",
        classes="8",
        samples="960 + 240",
        persons="24 + 6",
        files=arabic_speech.NPZ,
        source=arabic_speech.SOURCE,
        ordered=True,
        standardise=True,
    ),
    "dcase-slider": Entry(
        dcase.load_dcase_slider,
        summary="slide rails",
        shape="32x40",
        classes="4",
        samples="25236 + 3600",
        files="slider/train/normal_id_00_00000000.wav and so on, slider/test/",
        source=dcase.SOURCE,
        ordered=True,
        standardise=True,
    ),
}
