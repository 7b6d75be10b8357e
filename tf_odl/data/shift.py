"""Shifted data: what a model meets that was trained on something else.

A shift is written `rotate:DEG`, `translate:DX,DY` (pixels) or `noise:STD`; `+` joins several.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tf_odl.errors import UserError

Change = Callable[[np.ndarray], np.ndarray]


def parse_shift(text: str) -> Change:
    """A function of samples float32 [N, *sample] that returns shifted ones of the same shape.

    Rotation (counter-clockwise, bilinear) and translation fill with 0. Noise is Gaussian, always
    the same, and the result is clipped to the range of the samples.

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
    counts = {"rotate": 1, "translate": 2, "noise": 1}
    if name not in counts:
        raise UserError(
            f"unknown shift {text!r}: use rotate:DEG, translate:DX,DY or noise:STD, joined by +"
        )
    try:
        numbers = [float(v) for v in value.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != counts[name] or not all(map(math.isfinite, numbers)):
        example = {"rotate": "rotate:30", "translate": "translate:1,-2", "noise": "noise:0.1"}[name]
        raise UserError(f"shift {text!r} cannot be read: write it like {example}")
    if name == "rotate":
        return lambda x: _rotate(x, numbers[0])
    if name == "translate":
        return lambda x: _translate(x, numbers[0], numbers[1])
    if numbers[0] < 0:
        raise UserError(f"the standard deviation of {text!r} must not be negative")
    return lambda x: _noise(x, numbers[0])


def _images(x: np.ndarray, what: str) -> np.ndarray:
    if x.ndim != 4:
        raise UserError(f"{what} needs images [height, width, channels], got {x.shape[1:]}")
    return x


def _rotate(x: np.ndarray, degrees: float) -> np.ndarray:
    from scipy import ndimage

    turned = ndimage.rotate(_images(x, "rotate"), degrees, axes=(1, 2), reshape=False, order=1)
    return turned.astype(np.float32)


def _translate(x: np.ndarray, right: float, down: float) -> np.ndarray:
    from scipy import ndimage

    moved = ndimage.shift(_images(x, "translate"), (0, down, right, 0), order=1)
    return moved.astype(np.float32)


def _noise(x: np.ndarray, deviation: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, deviation, x.shape)
    return np.clip(x + noise, x.min(), x.max()).astype(np.float32)
