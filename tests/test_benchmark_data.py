"""What a worker keeps in memory: the right data, loaded once, and not without end."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from tf_odl.benchmark import kept_data
from tf_odl.task import Loss, Task
from tf_odl.trainer import finetune
from tf_odl.trainer.settings import Settings


@pytest.fixture
def loaded(monkeypatch) -> list[str | None]:
    """The shifts of what has been loaded, in order."""
    shifts: list[str | None] = []
    load = finetune.load_data

    def counted(settings: Settings, task: Task):
        shifts.append(settings.shift)
        return load(settings, task)

    monkeypatch.setattr(finetune, "load_data", counted)
    return shifts


def test_runs_that_differ_in_training_share_their_data_and_others_do_not(loaded):
    kept = kept_data.KeptData()
    settings = Settings(model="mlp5", data="digits", method="full")
    other = Settings(
        model="cnn5", data="digits", method="head", epochs=3, seed=7, set={"threshold": "1"}
    )
    data = kept.load(settings)
    assert kept.load(other) is data and loaded == [None]
    turned = kept.load(replace(settings, shift="rotate:90"))
    assert loaded == [None, "rotate:90"]
    assert not np.array_equal(turned.x_train, data.x_train)
    assert len(kept.load(replace(settings, samples=20)).x_train) == 20
    assert kept.load(settings) is data


def test_whatever_is_not_known_to_be_of_training_loads_anew():
    """A setting that somebody adds is taken to change the data."""
    names = {field.name for field in fields(Settings)}
    assert set(kept_data._OTHERS) <= names
    assert {"data", "data_dir", "shift", "person", "data_size", "samples"} <= names - set(
        kept_data._OTHERS
    )


def test_the_least_recently_used_go_when_memory_is_full(loaded, monkeypatch):
    kept = kept_data.KeptData()
    first, second, third = (
        Settings(model="mlp5", data="digits", shift=f"rotate:{angle}") for angle in (10, 20, 30)
    )
    size = kept_data._bytes(kept.load(first))
    assert size > 1437 * 64 * 4
    monkeypatch.setattr(kept_data, "MOST_BYTES", int(2.5 * size))
    for settings in (second, first, third):  # the third is one too many
        kept.load(settings)
    kept.load(first)
    assert loaded == ["rotate:10", "rotate:20", "rotate:30"]
    kept.load(second)
    assert loaded == ["rotate:10", "rotate:20", "rotate:30", "rotate:20"]


def test_an_autoencoder_and_a_classifier_share_no_data(loaded):
    """An autoencoder's have no labels."""
    kept, settings = kept_data.KeptData(), Settings(model="mlp5", data="digits")
    assert kept.load(settings, Task(None)).classes == 10
    assert not kept.load(settings, Task(Loss.RECONSTRUCTION)).has_labels
    assert kept.load(settings).classes == 10 and len(loaded) == 2
