"""What a board has learned, as models and as arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_odl.board import image
from tf_odl.board.messages import Hello
from tf_odl.contract import STATE_WORDS
from tf_odl.errors import UserError
from tf_odl.task import recorded_loss

if TYPE_CHECKING:
    from tf_odl.data import Dataset

LEARNED = "learned.keras"
LEARNED_INT8 = "learned.tflite"
IMAGE = "state.image"
WEIGHTS = "weights.npz"
MODELS = ("model.tflite", "model_train.tflite")  # of an export

_LINEAR_STATE_BYTES = 4 * STATE_WORDS  # it has no running maxima per layer


def write_models(folder: Path, export_dir: Path, variables: Sequence[np.ndarray]) -> None:
    """Write learned.tflite, and learned.keras if the export was made of a Keras model.

    Args:
        variables: int8 weights and int32 biases in the order of TFODL_SEED.

    Raises:
        UserError: they do not belong to this export.
    """
    from tf_odl import models
    from tf_odl.converters.write_back import with_variables, write_back

    model, graph = ((export_dir / name).read_bytes() for name in MODELS)
    (folder / LEARNED_INT8).write_bytes(with_variables(model, graph, variables))
    if (export_dir / "model_folded.keras").is_file():
        folded = models.load(export_dir / "model_folded.keras")
        write_back(folded, graph, variables).save(folder / LEARNED)


def write_state(
    folder: Path,
    data: bytes,
    hello: Hello,
    export_dir: Path | None,
    layout: Mapping[str, Any] | None,
) -> dict[str, np.ndarray]:
    """Write a board's state image, and the arrays and models it makes; returns the arrays.

    Args:
        export_dir: where the board's model comes from, None for a LinearLearner or if unknown.
        layout: the `state_image` of its export.json.

    Raises:
        UserError: image and export do not belong together.
    """
    (folder / IMAGE).write_bytes(data)
    body = image.parse(data).body
    linear = linear_layout(hello.input_bytes, hello.classes)
    if layout is None and len(body) != body_bytes(linear):
        return {}  # only the export knows what is where
    arrays = variables_of(body, layout or linear)
    save_arrays(folder / WEIGHTS, arrays)
    if export_dir is not None:
        write_models(folder, export_dir, list(arrays.values()))
    return arrays


def figures_of(
    data: bytes, samples: Dataset, *, export_dir: Path, record: Mapping[str, Any]
) -> dict[str, float]:
    """How well the weights in a board's state image do on the test samples, in int8 on this PC.

    Args:
        data: the state image.
        samples: standardised as the board's are.
        record: the contents of the export's export.json.

    Raises:
        UserError: image and export do not belong together.
    """
    from tf_odl.converters import reference
    from tf_odl.converters.write_back import with_variables
    from tf_odl.figures import int8_figures

    arrays = variables_of(image.parse(data).body, record["state_image"])
    model, graph = ((export_dir / name).read_bytes() for name in MODELS)
    model = with_variables(model, graph, list(arrays.values()))
    codes = reference.infer(model, reference.quantize_input(model, samples.x_test))
    return int8_figures(model, codes, samples, recorded_loss(record))


def linear_layout(features: int, classes: int) -> dict[str, Any]:
    """What the state image of a LinearLearner holds, like `converters.state_layout`."""
    return {
        "state_bytes": _LINEAR_STATE_BYTES,
        "variables": [
            {"name": "weights", "shape": [classes, features], "dtype": "int8"},
            {"name": "bias", "shape": [classes], "dtype": "int32"},
        ],
    }


def body_bytes(layout: Mapping[str, Any]) -> int:
    """How long the body of an image of this layout is."""
    return int(
        layout["state_bytes"]
        + sum(
            np.dtype(v["dtype"]).itemsize * np.prod(v["shape"], dtype=np.int64)
            for v in layout["variables"]
        )
    )


def variables_of(body: bytes, layout: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The learned arrays of a state image by name, in the order of TFODL_SEED.

    Raises:
        UserError: the image has another size.
    """
    parts = [(tuple(v["shape"]), np.dtype(v["dtype"])) for v in layout["variables"]]
    _, arrays = image.split(body, layout["state_bytes"], parts)
    names = [v["name"] for v in layout["variables"]]
    return dict(zip(names, arrays, strict=True))


def with_arrays(body: bytes, layout: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """The body with other weights; counters and running maxima stay.

    Raises:
        UserError: names, shapes or types are not those of the model.
    """
    state = body[: layout["state_bytes"]]
    values = []
    for variable in layout["variables"]:
        name, shape, dtype = variable["name"], tuple(variable["shape"]), variable["dtype"]
        if name not in arrays:
            raise UserError(f"there are no weights {name!r}, only {', '.join(arrays) or 'none'}")
        array = arrays[name]
        if array.shape != shape or array.dtype.name != dtype:
            raise UserError(
                f"{name!r} is {array.dtype.name} {list(array.shape)}, the model has "
                f"{dtype} {list(shape)}"
            )
        values.append(array)
    unknown = sorted(set(arrays) - {v["name"] for v in layout["variables"]})
    if unknown:
        raise UserError(f"the model has no weights {unknown[0]!r} that train")
    return image.join(state, values)


def arrays_of_model(model: bytes, layout: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The trainable weights in a learned.tflite.

    Raises:
        UserError: it is a model without them.
    """
    from tf_odl.converters.flatbuffer import FlatModel

    flat = FlatModel(model)
    arrays = {}
    for variable in layout["variables"]:
        tensor = flat.find(variable["name"])
        values = None if tensor is None else flat.constant(tensor)
        if values is None:
            raise UserError(f"the model has no weights {variable['name']!r}")
        arrays[variable["name"]] = values
    return arrays


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as .npz."""
    np.savez(path, **arrays)


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read as .npz: {error}") from error
