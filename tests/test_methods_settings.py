"""Settings as text: names, whole numbers, switches; what is refused, and with which words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest

from tf_odl.errors import UserError
from tf_odl.methods import get_method, method_from_dict
from tf_odl.methods.settings import check_choices, kinds, read_setting


@dataclass(frozen=True)
class Part:
    name: ClassVar[str] = "part"
    mode: Literal["slow", "fast"] = "slow"
    count: int = 3
    share: float = 0.5
    on: bool = False
    file: str = ""


def read(key: str, text: str) -> object:
    return read_setting(key, text, kinds(Part)[key])


def test_text_becomes_the_type_of_the_field() -> None:
    values = [read(*pair) for pair in (("mode", "fast"), ("count", "7"), ("share", "1e-3"))]
    values += [read(*pair) for pair in (("on", "True"), ("file", "a b/c=d.yaml"), ("file", ""))]
    assert values == ["fast", 7, 0.001, True, "a b/c=d.yaml", ""]
    assert [type(v) for v in values] == [str, int, float, bool, str, str]


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("mode", "Fast", "mode is one of slow, fast, got 'Fast'"),
        ("mode", "", "mode is one of slow, fast, got ''"),
        ("count", "2.5", "count is a whole number, got '2.5'"),
        ("count", "many", "count is a whole number, got 'many'"),
        ("share", "half", "share is a number, got 'half'"),
        ("share", "inf", "share is a finite number, got 'inf'"),
        ("on", "1", "on is true or false, got '1'"),
    ],
)
def test_other_text_is_refused_with_what_is_possible(key: str, text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        read(key, text)
    assert str(error.value) == message


def test_choices_are_checked_however_a_part_is_made() -> None:
    check_choices(Part(mode="fast"))
    with pytest.raises(UserError, match="part: mode is one of slow, fast, got 'no'"):
        check_choices(Part(mode="no"))


def test_methods_take_names() -> None:
    method = get_method(
        "velocity", settings={"variant": "paper", "scope": "authors", "depthwise_cost": "authors"}
    )
    assert method.selector.variant == "paper"
    assert method_from_dict(method.to_dict()) == method
    with pytest.raises(UserError, match="variant is one of authors, paper, got 'mine'"):
        get_method("velocity", settings={"variant": "mine"})
    with pytest.raises(UserError, match="scope is one of all, authors"):
        get_method("random", settings={"scope": "1"})


def test_a_setting_that_several_parts_have_goes_to_all_of_them() -> None:
    method = get_method("tinyprop", selector="velocity", settings={"variant": "paper"})
    assert method.selector.variant == method.sparsifier.variant == "paper"
