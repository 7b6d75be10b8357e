"""The plots of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tf_odl.benchmark.results import Group


def draw(groups: Sequence[Group], folder: Path) -> list[tuple[str, str]]:
    """Draw what there is to draw; returns file names and captions."""
    return []
