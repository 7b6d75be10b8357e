"""One fine-tuning run of a grid: what it is called, what it depends on, where it lies."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tf_odl.task import recorded_loss
from tf_odl.trainer.settings import Settings

# Where the data lie does not change what is learned from them.
_PLACE = "data_dir"
_SLUG = ("data", "shift", "person", "model", "method", "budget")


@dataclass(frozen=True)
class Run:
    """A run to be made: settings, and the run that makes its starting model.

    `settings.model` is the name or file of a model also when `pretrain` trains it first.
    """

    settings: Settings
    pretrain: Run | None = None

    @property
    def name(self) -> str:
        """Readable, and different whenever a setting is: the name of the run's folder."""
        values = [getattr(self.settings, key) for key in _SLUG]
        words = [str(value) for value in values if value is not None]
        words += [f"{self.settings.epochs}ep", f"s{self.settings.seed}"]
        slug = "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", word).strip("_") for word in words)
        text = json.dumps(self.identity(), sort_keys=True)
        return f"{slug[:80]}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    def identity(self) -> dict[str, Any]:
        """What makes the run: settings that are not the default, of it and of its pretraining."""
        identity: dict[str, Any] = {"settings": changed(self.settings)}
        if self.pretrain is not None:
            identity["pretrain"] = self.pretrain.identity()
        return identity


def changed(settings: Settings) -> dict[str, Any]:
    """The settings that differ from the defaults, without the place of the data.

    A setting that a later version adds does not rename the runs of an earlier one.
    """
    default = Settings().to_dict()
    return {
        key: value
        for key, value in settings.to_dict().items()
        if key != _PLACE and value != default[key]
    }


def difference(settings: Settings, record: Mapping[str, Any]) -> str | None:
    """The first setting in which a recorded run differs, None if it is the same run.

    Those of the method are compared one by one, because their defaults may have changed since.
    Settings the record does not know had their default when it was made. The model is not
    compared: of a pretrained one the record holds a path.
    """
    loss = recorded_loss(record)
    settings, default = settings.resolved(loss), Settings().resolved(loss).to_dict()
    recorded = record["settings"]
    for key, value in settings.to_dict().items():
        then = recorded.get(key)
        then = default[key] if then is None else then
        if key not in (_PLACE, "model") and then != value:
            return f"{key} = {then!r}, not {value!r}"
    method = settings.build_method(loss).to_dict()
    for part in ("selector", "sparsifier", "skip"):
        made = record.get("method", {}).get(part, {})
        for key, value in method[part].items():
            if made.get(key, value) != value:
                return f"{part} {key} = {made[key]!r}, not {value!r}"
    return None


@dataclass(frozen=True)
class Cell:
    """A run with its place in the grid.

    Attributes:
        labels: what the grid calls its data, model, method and budget (None: has none); the cells
            that share all labels are the repetitions of one row of the results.
        seed: of the run and of its pretraining.
        repeat: the values of the settings that are averaged over within a seed, such as a person.
        run: the run.
        nominal_epochs: epochs of full training in this group; effort is a share of its MACs.
    """

    labels: Mapping[str, str | None]
    seed: int
    repeat: Mapping[str, Any]
    run: Run
    nominal_epochs: int
