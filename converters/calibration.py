"""How far the int8 range of each activation reaches.

The converter's range spans every value it has seen (min-max), so a single outlier makes all steps
coarse. The other choices let the outermost values saturate. They start from the codes of a model
calibrated by min-max, in 256 bins, and shrink the range about zero: zero points stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tf_odl.converters import reference
from tf_odl.converters.flatbuffer import FlatModel

Progress = Callable[[str, int, int], None]

PERCENTILE = 99.9
_CODES = np.arange(-128, 128)


def percentile_factor(histogram: np.ndarray, zero_point: int) -> float:
    """The share of the range that 99.9 % of the values on either side of zero fill.

    Args:
        histogram: how often each code from -128 to 127 occurs, int [256].
        zero_point: the code of zero.

    Returns:
        In (0, 1].
    """
    return max(_side(histogram, zero_point, sign) for sign in (-1, 1))


def _side(histogram: np.ndarray, zero_point: int, sign: int) -> float:
    distance = sign * (_CODES - zero_point)
    reach = distance.max()
    counts = np.bincount(np.maximum(distance, 0), histogram)
    if reach <= 0 or not counts[1:].any():
        return 1 / 255
    share = np.cumsum(counts) / counts.sum()
    return float(max(np.searchsorted(share, PERCENTILE / 100), 1) / reach)


def mse_factor(histogram: np.ndarray, zero_point: int) -> float:
    """The share of the range with the smallest mean squared error.

    In steps of the full range, a value within r times the range is off by a rounding error of
    r^2 / 12 on average, one beyond it by its distance to the end.

    Arguments and result are those of `percentile_factor`.
    """
    factors = np.arange(1, 101) / 100
    upper, lower = 127 - zero_point, 128 + zero_point
    values = _CODES - zero_point
    beyond = np.maximum(values - factors[:, None] * upper, 0)
    beyond += np.maximum(-values - factors[:, None] * lower, 0)
    errors = np.where(beyond > 0, beyond**2, factors[:, None] ** 2 / 12) @ histogram
    # The widest of equals: rounding is the same, saturation is not wanted for nothing.
    return float(factors[len(factors) - 1 - int(np.argmin(errors[::-1]))])


FACTORS: Mapping[str, Callable[[np.ndarray, int], float] | None] = {
    "min-max": None,
    "percentile": percentile_factor,
    "mse": mse_factor,
}


def range_factors(
    model: bytes, x: np.ndarray, calibration: str, progress: Progress | None = None
) -> dict[int, float]:
    """By how much the range of each activation shrinks, by tensor index.

    Args:
        model: an int8 .tflite model, calibrated by min-max.
        x: real samples, float [N, *input].
        calibration: a name of FACTORS.
        progress: called with ("calibrate", samples done, samples in all).
    """
    factor = FACTORS[calibration]
    if factor is None:
        return {}
    flat = FlatModel(model)
    made = {int(t) for op in flat.operators for t in op.outputs}
    tensors = sorted(t for t in made if flat.dtype(t) == np.int8)
    histograms = np.zeros((len(tensors), len(_CODES)), np.int64)
    tell = None if progress is None else lambda done, total: progress("calibrate", done, total)
    samples = reference.quantize_input(model, x)
    for chunk in reference.watch(model, samples, tensors, tell):
        for histogram, codes in zip(histograms, chunk, strict=True):
            histogram += np.bincount(codes.ravel().astype(np.int64) + 128, minlength=len(_CODES))
    return {
        tensor: factor(histogram, flat.zero_point(tensor))
        for tensor, histogram in zip(tensors, histograms, strict=True)
    }
