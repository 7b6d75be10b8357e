"""Settings of a method's parts as text, from the command line or a benchmark file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tf_odl.errors import UserError


def kinds(build: type) -> Mapping[str, Any]:
    """The type of every setting of a part: bool, int, float, str or a Literal of strings."""
    hints = get_type_hints(build)
    return {f.name: hints[f.name] for f in fields(build)}


def read_setting(key: str, text: str, kind: Any) -> Any:
    """A setting's text as a value of its type.

    Raises:
        UserError: not of that type; names the setting and what it takes.
    """
    if get_origin(kind) is Literal:
        return choose(key, text, kind)
    if kind is str:
        return text
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise UserError(f"{key} is true or false, got {text!r}")
        return text.lower() == "true"
    if kind is int:
        try:
            return int(text)
        except ValueError:
            raise UserError(f"{key} is a whole number, got {text!r}") from None
    try:
        value = float(text)
    except ValueError:
        raise UserError(f"{key} is a number, got {text!r}") from None
    if not math.isfinite(value):
        raise UserError(f"{key} is a finite number, got {text!r}")
    return value


def choose(key: str, value: str, kind: Any) -> str:
    """The value, if it is one of a Literal's.

    Raises:
        UserError: it is not; names the choices.
    """
    if value not in get_args(kind):
        raise UserError(f"{key} is one of {', '.join(get_args(kind))}, got {value!r}")
    return value


def check_choices(part: Any) -> None:
    """Refuse a part whose Literal fields hold anything else, however it was made."""
    for name, kind in kinds(type(part)).items():
        if get_origin(kind) is Literal:
            choose(f"{part.name}: {name}", getattr(part, name), kind)
