"""Shifted data: what a model meets that was trained on something else.

A shift is written `rotate:DEG` or `translate:DX,DY` (pixels) for images, `rotate3d:AX,AY,AZ`
(degrees) or `gain:FACTOR` for time series, `noise:STD` for anything; `+` joins several.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tf_odl.errors import UserError

Change = Callable[[np.ndarray], np.ndarray]

EXAMPLES = {
    "rotate": "rotate:30",
    "translate": "translate:1,-2",
    "rotate3d": "rotate3d:0,0,90",
    "gain": "gain:1.2",
    "noise": "noise:0.1",
}


def parse_shift(text: str) -> Change:
    """A function of samples float32 [N, *sample] that returns shifted ones of the same shape.

    Rotation (counter-clockwise, bilinear) and translation fill with 0. Noise is Gaussian, always
    the same, and the result is clipped to the range of the samples. `rotate3d` turns every x, y, z
    triple of the channels of a time series [steps, channels] like a phone that is worn another
    way: about the x axis, then y, then z, all fixed in space and by the right-hand rule. `gain`
    is that of another sensor.

    Raises:
        UserError: unknown shift, or a value that is no number.
    """
    changes = [_parse_one(part) for part in text.split("+")]

    def apply(x: np.ndarray) -> np.ndarray:
        for change in changes:
            x = change(x)
        return x

    return apply


def _parse_one(text: str) -> Change:
    name, _, value = text.partition(":")
    if name not in EXAMPLES:
        raise UserError(
            f"unknown shift {text!r}: use rotate:DEG, translate:DX,DY, rotate3d:AX,AY,AZ, "
            "gain:FACTOR or noise:STD, joined by +"
        )
    try:
        numbers = [float(v) for v in value.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != EXAMPLES[name].count(",") + 1 or not all(map(math.isfinite, numbers)):
        raise UserError(f"shift {text!r} cannot be read: write it like {EXAMPLES[name]}")
    if name == "rotate":
        return lambda x: _rotate(x, numbers[0])
    if name == "translate":
        return lambda x: _translate(x, numbers[0], numbers[1])
    if name == "rotate3d":
        return lambda x: _rotate3d(x, numbers)
    if name == "gain":
        return lambda x: _series(x, "gain") * np.float32(numbers[0])
    if numbers[0] < 0:
        raise UserError(f"the standard deviation of {text!r} must not be negative")
    return lambda x: _noise(x, numbers[0])


def _images(x: np.ndarray, what: str) -> np.ndarray:
    if x.ndim != 4:
        raise UserError(f"{what} needs images [height, width, channels], got {x.shape[1:]}")
    return x


def _series(x: np.ndarray, what: str) -> np.ndarray:
    if x.ndim != 3:
        raise UserError(f"{what} needs time series [steps, channels], got {x.shape[1:]}")
    return x


def _rotate(x: np.ndarray, degrees: float) -> np.ndarray:
    from scipy import ndimage

    turned = ndimage.rotate(_images(x, "rotate"), degrees, axes=(1, 2), reshape=False, order=1)
    return turned.astype(np.float32)


def _translate(x: np.ndarray, right: float, down: float) -> np.ndarray:
    from scipy import ndimage

    moved = ndimage.shift(_images(x, "translate"), (0, down, right, 0), order=1)
    return moved.astype(np.float32)


def _rotate3d(x: np.ndarray, degrees: list[float]) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    channels = _series(x, "rotate3d").shape[2]
    if channels % 3:
        raise UserError(f"rotate3d needs x, y, z triples, got {channels} channels")
    matrix = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix().astype(np.float32)
    return (x.reshape(*x.shape[:2], -1, 3) @ matrix.T).reshape(x.shape)


def _noise(x: np.ndarray, deviation: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, deviation, x.shape)
    return np.clip(x + noise, x.min(), x.max()).astype(np.float32)
