"""How a value is written in YAML, so that every reader takes it for the same."""

import math
import re
from collections.abc import Mapping

Value = str | int | float | bool | Mapping[str, "Value"]
"""A scalar, or a mapping of such values."""


def deep(value: Value) -> bool:
    """Whether a mapping has mappings in it."""
    return isinstance(value, Mapping) and any(isinstance(each, Mapping) for each in value.values())


def flow(value: Value, style: str | None = None) -> str:
    """A value on one line; `style` is the quote that a text had."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{literal(key)}: {flow(each)}" for key, each in value.items()) + "}"
    return literal(value, style)


# What every reader of YAML takes for a text: no number, date or word of YAML 1.1 or 1.2.
_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+@-]*")
_NOT_A_TEXT = re.compile(r"[0-9.][0-9a-fA-FxXoO_.+-]*|y|yes|n|no|on|off|true|false|null|~|\.inf|\.nan", re.IGNORECASE)


def literal(value: str | int | float | bool, style: str | None = None) -> str:
    """A scalar on one line; `style` is the quote that a text had.

    Raises:
        ValueError: a number that is not finite.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no number of a stack file")
        return repr(value)
    if style == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    if style != '"' and _PLAIN.fullmatch(value) and (_VERSION.fullmatch(value) or not _NOT_A_TEXT.fullmatch(value)):
        return value
    return '"' + "".join(_escaped(each) for each in value) + '"'


# Two dots or more: no number anywhere.
_VERSION = re.compile(r"[0-9]+(\.[0-9]+){2,}")


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"
