"""The table of docs/models.md says what the models are."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from tf_odl import models
from tf_odl.trainer import effort
from tf_odl.trainer.instrument import find_sites

TEXT = (Path(__file__).parents[1] / "docs/models.md").read_text()
ROWS = re.findall(r"^\| `([\w.-]+)` \| (\d+(?:x\d+)*) \| ([\d,| ]+) \|$", TEXT, re.MULTILINE)


@pytest.mark.parametrize(("name", "samples", "numbers"), ROWS)
def test_a_row_of_the_table(name, samples, numbers):
    classes, *rest = (int(n.replace(",", "")) for n in numbers.split("|"))
    model = models.build(name, tuple(int(n) for n in samples.split("x")), classes, seed=0)
    layers = [site.layer for site in find_sites(model)]
    kernels = [v for v in model.trainable_variables if v.name == "kernel" and len(v.shape) > 2]
    assert rest == [
        len(layers),
        sum(math.prod(v.shape) for v in model.trainable_variables),
        sum(math.prod(v.shape) for v in kernels),
        effort.forward_macs(layers),
        effort.full_backward_macs(layers),
    ]


def test_every_model_has_a_row():
    assert {name.partition("-0")[0] for name, *_ in ROWS} == set(models.MODELS)
    for name in models.MODELS:
        assert TEXT.count(f"| `{name}`") >= 2, f"{name} needs a row in both tables"
