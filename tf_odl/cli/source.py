"""What `plan` and `export` start from, and which of its layers train: options and reading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tf_odl.errors import UserError
from tf_odl.files import read_bytes
from tf_odl.task import LOSSES, Form, Loss, recorded_loss

if TYPE_CHECKING:
    import keras

    from tf_odl.methods import Mask, Method
    from tf_odl.trainer.finetune import Settings

SUFFIXES = (".keras", ".h5", ".tflite")
DEFAULT_METHOD = "tinypropv2"
UPDATE_RULES = ("residual", "stochastic", "changes")
HEADS = ("int8", "float32")
ERROR_TYPES = ("float32", "bfloat16")

_OPTIONS = (
    click.option("--target", default="nano33", show_default=True, help="See: tf-odl targets."),
    click.option("--method", help="The method on the device [the run's, else tinypropv2]."),
    click.option("--train-layers", type=int, metavar="N", help="Train only the last N layers."),
    click.option("--layers", metavar="NAMES", help="Train only these layers, comma-separated."),
    click.option("--fit", is_flag=True, help="Choose the layers to train so that it fits."),
    click.option(
        "--masks",
        "mask_file",
        type=click.Path(path_type=Path),
        help="A masks.npz: the neurons that may update.",
    ),
    click.option(
        "--loss", type=click.Choice(LOSSES), help="What is minimised [model and data tell]."
    ),
    click.option(
        "--update-rule",
        type=click.Choice(UPDATE_RULES),
        default="residual",
        show_default=True,
        help="How int8 weights take steps, in 2 bytes of RAM each, 1, or half of one.",
    ),
    click.option(
        "--head",
        type=click.Choice(HEADS),
        default="int8",
        show_default=True,
        help="The weights of the output layer; float32 ones take four bytes each.",
    ),
    click.option(
        "--errors",
        type=click.Choice(ERROR_TYPES),
        help="What errors are stored as [bfloat16 where float32 does not fit].",
    ),
    click.option(
        "--accumulate",
        type=int,
        default=1,
        show_default=True,
        metavar="N",
        help="Samples that train until the sum of their gradients changes the weights.",
    ),
)


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what trains, how, and on which board."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class Source:
    """A model, or the contents of an int8 .tflite file, and what its run says of training it.

    `settings` and `loss` are those of a run, None of a file. The method is the run's or
    tinypropv2, unless one is named; the masks are those of `--masks`, else of a run whose method is
    used.
    """

    model: keras.Model | bytes
    method: Method
    masks: dict[str, Mask] | None
    settings: Settings | None
    loss: Loss | None
    form: Form


def check_source(path: Path) -> None:
    """Raises UserError if there is nothing to read, before TensorFlow is loaded."""
    wrong = None
    if not path.exists():
        wrong = "does not exist"
    elif path.is_file() and path.suffix not in SUFFIXES:
        wrong = "is of another kind"
    if wrong is not None:
        raise UserError(
            f"{path} {wrong}: give the folder of a run, a .keras or an int8 .tflite file"
        )


def read_source(path: Path, method: str | None, mask_file: Path | None, fit: bool) -> Source:
    """Read a finished run's folder, a .keras file, or an int8 .tflite file.

    Raises:
        UserError: it cannot be read, or the run is not finished.
    """
    from tf_odl import models
    from tf_odl.converters.flatbuffer import FlatModel
    from tf_odl.converters.losses import form_of
    from tf_odl.converters.mask_file import read_masks
    from tf_odl.converters.third_party import adapt
    from tf_odl.methods import get_method
    from tf_odl.trainer import finetune as run

    chosen = get_method(method or DEFAULT_METHOD)
    masks = settings = loss = None
    model: Any
    if path.is_dir():
        record = run.read_record(path)
        if record["status"] != "complete":
            raise UserError(
                f"{path} is not finished: continue with tf-odl finetune --out {path} --resume"
            )
        settings, loss = run.settings_of(record), recorded_loss(record)
        model = models.load(path / "model.keras")
        if method is None:
            chosen = settings.build_method(loss)
            masks = None if fit else read_masks(path / "masks.npz")
    elif path.suffix == ".tflite":
        model = read_bytes(path)
        form = form_of(FlatModel(adapt(model)[0]), path.stem)
    else:
        model = models.load(path)
    if not isinstance(model, bytes):
        form = models.form_of(model)
    if mask_file is not None:
        masks = read_masks(mask_file)
    return Source(model, chosen, masks, settings, loss, form)


def named_layers(
    layers: str | None, train_layers: int | None, mask_file: Path | None, fit: bool
) -> list[str] | None:
    """The names in --layers, where --fit leaves a choice.

    Raises:
        UserError: --fit and another option both choose.
    """
    if fit and (train_layers, layers, mask_file) != (None, None, None):
        raise UserError("--fit chooses the layers: leave out --train-layers, --layers and --masks")
    return None if layers is None else [name.strip() for name in layers.split(",")]
