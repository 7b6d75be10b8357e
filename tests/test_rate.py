"""The learning rate over time: schedules, warm-up and clipping, against formulas in float64."""

import ctypes
import math

import kernel_harness as harness
import numpy as np
import pytest

from tf_odl.converters.options import RateOptions
from tf_odl.converters.rate import RateSettings, Schedule
from tf_odl.errors import UserError

harness.library.tfodl_rate_factor.argtypes = [
    ctypes.c_char_p,
    ctypes.c_uint32,
    ctypes.c_uint32,
    ctypes.c_float,
]
harness.library.tfodl_rate_factor.restype = ctypes.c_float


def factor(settings: RateSettings, n: int, alpha: float = 1.0) -> float:
    options = settings.options()
    assert options is not None
    blob = options.pack()
    return harness.library.tfodl_rate_factor(blob, len(blob), n, alpha)


def test_the_cosine_is_a_cosine() -> None:
    x = np.linspace(0, 1, 20001, dtype=np.float32)
    found = np.empty_like(x)
    harness.library.tfodl_cos_of_pi(harness.pointer(x), len(x), harness.pointer(found))
    np.testing.assert_allclose(found, np.cos(math.pi * x.astype(float)), rtol=0, atol=3e-7)
    assert (np.diff(found) <= 1e-7).all()


@pytest.mark.parametrize("end", [0.0, 0.1, 1.0])
def test_a_cosine_falls_to_its_factor_and_stays_there(end: float) -> None:
    settings = RateSettings(Schedule.COSINE, 800, end)
    for n in (0, 1, 200, 400, 799):
        wanted = end + (1 - end) * (1 + math.cos(math.pi * n / 800)) / 2
        assert factor(settings, n) == pytest.approx(wanted, abs=1e-6)
    for n in (800, 801, 10**6, 2**32 - 1):
        assert factor(settings, n) == np.float32(end)


def test_steps_multiply() -> None:
    settings = RateSettings(Schedule.STEP, 100, 0.5)
    found = [factor(settings, n) for n in (0, 99, 100, 199, 200, 1050, 2**32 - 1)]
    assert found == [1, 1, 0.5, 0.5, 0.25, 2.0**-10, 0]
    assert factor(RateSettings(Schedule.STEP, 7, 0.9), 36) == pytest.approx(0.9**5)


def test_the_rate_warms_up() -> None:
    settings = RateSettings(warm_up=4)
    assert [factor(settings, n) for n in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    both = RateSettings(Schedule.STEP, 2, 0.5, warm_up=4)
    assert [factor(both, n) for n in range(6)] == [0.25, 0.5, 0.375, 0.5, 0.25, 0.25]


def test_large_errors_are_clipped() -> None:
    settings = RateSettings(clip=0.5)
    assert [factor(settings, 9, alpha) for alpha in (0.0, 0.5, 1.0, 2.0)] == [1, 1, 0.5, 0.25]


def test_without_any_of_it_there_is_no_op() -> None:
    assert RateSettings().options() is None
    assert RateSettings(warm_up=1).options() == RateOptions(0, 1, 1, 0.1, 0.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": Schedule.STEP}, "--schedule-samples"),
        ({"schedule": Schedule.COSINE, "samples": 0}, "at least 1"),
        ({"samples": 5}, "--schedule step or cosine"),
        ({"schedule": Schedule.STEP, "samples": 5, "factor": 1.5}, "0 to 1"),
        ({"schedule": Schedule.STEP, "samples": 5, "factor": math.nan}, "0 to 1"),
        ({"warm_up": -1}, "--warm-up"),
        ({"clip": 0.0}, "--clip must be positive"),
        ({"clip": math.inf}, "--clip must be positive"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        RateSettings(**settings)


@pytest.mark.parametrize(
    "words",
    [
        (3, 1, 0, 0.1, 0.0),
        (1, 0, 0, 0.1, 0.0),
        (1, 5, 0, -0.1, 0.0),
        (1, 5, 0, math.nan, 0.0),
        (1, 5, 0, 0.5, -1.0),
        (1, 5, 0, 0.5, math.inf),
    ],
)
def test_options_that_mean_nothing_are_refused(words: tuple) -> None:
    blob = RateOptions(*words).pack()
    assert math.isnan(harness.library.tfodl_rate_factor(blob, len(blob), 0, 1.0))
