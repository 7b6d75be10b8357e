"""What holds for every test."""

from __future__ import annotations

import sys

import hypothesis
import pytest

# How long an example takes says something about the machine only.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Data that are not there are not fetched, even where tensorflow-datasets is installed."""
    if "downloads" not in request.keywords:
        monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
