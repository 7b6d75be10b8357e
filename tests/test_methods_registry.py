"""Methods by name: presets, free combinations, settings, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product

import pytest

from tf_odl.errors import UserError
from tf_odl.methods import METHODS, Budget, Method, TinyProp, get_method, method_from_dict
from tf_odl.methods.registry import SELECTORS, SKIP_RULES, SPARSIFIERS

PRESETS = {
    "full": ("full", "dense", "never"),
    "head": ("head", "dense", "never"),
    "bias-only": ("bias-only", "dense", "never"),
    "random": ("random", "dense", "never"),
    "velocity": ("velocity", "dense", "never"),
    "sparse-update": ("sparse-update", "dense", "never"),
    "tinytrain": ("tinytrain", "dense", "never"),
    "neq": ("neq", "dense", "never"),
    "meprop": ("full", "meprop", "never"),
    "tinyprop": ("full", "tinyprop", "never"),
    "tinypropv2": ("full", "tinyprop", "tinypropv2"),
    "rest": ("full", "tinyprop", "rest"),
}


def triple(method: Method) -> tuple[str, str, str]:
    return method.selector.name, method.sparsifier.name, method.skip.name


def through_json(method: Method) -> Method:
    return method_from_dict(json.loads(json.dumps(method.to_dict())))


def test_these_are_the_presets() -> None:
    assert list(METHODS) == list(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_its_triple(name: str) -> None:
    method = get_method(name)
    assert method.name == name
    assert triple(method) == PRESETS[name]
    budgeted = ("random", "velocity", "sparse-update", "tinytrain")
    budget = Budget("share", 0.2) if name in budgeted else None
    assert method.budget == budget


@pytest.mark.parametrize("table", [SELECTORS, SPARSIFIERS, SKIP_RULES])
def test_parts_carry_the_name_they_are_listed_under(table: dict) -> None:
    assert {name: part.build.name for name, part in table.items()} == {n: n for n in table}


def test_the_defaults_are_the_documented_ones() -> None:
    method = get_method()
    assert method.name == "tinypropv2"
    assert method.to_dict() == {
        "name": "tinypropv2",
        "selector": {"name": "full"},
        "sparsifier": {
            "name": "tinyprop",
            "s_min": 0.2,
            "s_max": 1.0,
            "zeta": 0.9,
            "sparsify_output": False,
            "granularity": "element",
            "variant": "paper",
            "dense_bias": False,
            "share_of": "entries",
        },
        "skip": {"name": "tinypropv2", "threshold": 0.1, "d_min": 0.0, "d_max": 1.0, "beta": 1.0},
        "budget": None,
    }
    assert get_method("velocity").to_dict()["selector"] == {
        "name": "velocity",
        "mu": 0.5,
        "variant": "authors",
        "scope": "all",
        "depthwise_cost": "exact",
    }
    assert get_method("meprop").to_dict()["sparsifier"]["ratio"] == 0.2


# -- combinations -------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", list(product(SELECTORS, SPARSIFIERS, SKIP_RULES)), ids="-".join)
def test_any_triple_builds_and_survives_a_dict(parts: tuple[str, str, str]) -> None:
    selector, sparsifier, skip = parts
    method = get_method("full", selector=selector, sparsifier=sparsifier, skip=skip)
    assert triple(method) == parts
    assert through_json(method) == method


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_a_dict(name: str) -> None:
    assert through_json(get_method(name)) == get_method(name)


def test_tinypropv2_with_velocity_and_a_budget() -> None:
    method = get_method("tinypropv2", selector="velocity", budget="10%")
    assert triple(method) == ("velocity", "tinyprop", "tinypropv2")
    assert method.budget == Budget("share", 0.1)
    assert through_json(method) == method


def test_a_dict_keeps_settings_and_budget() -> None:
    method = get_method(
        "tinypropv2",
        selector="velocity",
        budget="64KiB",
        settings={"mu": "0.25", "zeta": "0.7", "threshold": "0.3", "sparsify_output": "true"},
    )
    copy = through_json(method)
    assert copy == method
    assert copy.selector.mu == 0.25
    assert copy.sparsifier == TinyProp(zeta=0.7, sparsify_output=True)
    assert copy.skip.threshold == 0.3
    assert copy.budget == Budget("bytes", 65536)
    other = get_method("tinypropv2", selector="velocity", budget="64KiB")
    assert copy != other


# -- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False), ("TRUE", True)])
def test_switches_are_read(text: str, value: bool) -> None:
    method = get_method("meprop", settings={"sparsify_output": text, "ratio": "0.05"})
    assert method.sparsifier.sparsify_output is value
    assert method.sparsifier.ratio == 0.05


def test_the_settings_given_are_left_as_they_were() -> None:
    settings = {"threshold": "0.5"}
    get_method("tinypropv2", settings=settings)
    assert settings == {"threshold": "0.5"}


@pytest.mark.parametrize(
    ("name", "settings", "names"),
    [
        ("tinypropv2", {"treshold": "0.5"}, ["'treshold'", "'tinypropv2'"]),
        ("full", {"threshold": "0.5"}, ["'threshold'", "'full'"]),
        ("tinyprop", {"zeta": "1", "ratio": "0.1", "mu": "0.1"}, ["'ratio'", "'mu'"]),
        ("full", {"name": "head"}, ["'name'"]),
    ],
)
def test_an_unknown_setting_is_refused_by_name(
    name: str, settings: dict[str, str], names: list[str]
) -> None:
    with pytest.raises(UserError) as error:
        get_method(name, settings=settings)
    assert all(n in str(error.value) for n in names)
    assert "'zeta'" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("threshold", "high"),
        ("threshold", ""),
        ("threshold", "nan"),
        ("threshold", "inf"),
        ("s_max", "2"),
        ("zeta", "0"),
        ("beta", "-1"),
        ("sparsify_output", "1"),
        ("sparsify_output", "yes"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(key: str, text: str) -> None:
    with pytest.raises(UserError, match=key):
        get_method("tinypropv2", settings={key: text})


def test_velocity_refuses_a_mu_that_is_no_number() -> None:
    with pytest.raises(UserError, match="mu"):
        get_method("velocity", settings={"mu": "nan"})


# -- names and budgets --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "table"),
    [
        ({"name": "nope"}, METHODS),
        ({"selector": "nope"}, SELECTORS),
        ({"sparsifier": "nope"}, SPARSIFIERS),
        ({"skip": "nope"}, SKIP_RULES),
    ],
)
def test_an_unknown_name_lists_the_choices(arguments: dict[str, str], table: dict) -> None:
    with pytest.raises(UserError, match="'nope'") as error:
        get_method(**arguments)
    assert str(error.value).partition("choose one of ")[2].split(", ") == list(table)


@pytest.mark.parametrize("name", ["full", "head", "bias-only", "meprop", "tinypropv2"])
def test_a_budget_nobody_uses_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="budget"):
        get_method(name, budget="10%")


@pytest.mark.parametrize("budget", ["0", "0%", "-5", "", "plenty"])
def test_a_bad_budget_is_refused(budget: str) -> None:
    with pytest.raises(UserError, match="budget"):
        get_method("velocity", budget=budget)


# -- imports ------------------------------------------------------------------------------------


def test_importing_and_building_methods_does_not_import_tensorflow() -> None:
    code = (
        "import sys\n"
        "from tf_odl.methods import METHODS, get_method, method_from_dict\n"
        "for name in METHODS: method_from_dict(get_method(name).to_dict())\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == "[]"
