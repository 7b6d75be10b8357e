"""What holds for every test."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Data that are not there are not fetched, even where tensorflow-datasets is installed."""
    if "downloads" not in request.keywords:
        monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
