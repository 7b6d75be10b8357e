"""What holds for every test, and what tests of several files use."""

from __future__ import annotations

import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest

# How long an example takes says something about the machine only.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Data that are not there are not fetched, even where tensorflow-datasets is installed."""
    if "downloads" not in request.keywords:
        monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)


@pytest.fixture(scope="module")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 digits as an .npz file."""
    from tf_odl.data import load

    digits = load("digits")
    path = tmp_path_factory.mktemp("data") / "small.npz"
    np.savez(
        path,
        x_train=digits.x_train[:160],
        y_train=digits.y_train[:160],
        x_test=digits.x_test[:40],
        y_test=digits.y_test[:40],
    )
    return path
