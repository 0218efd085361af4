"""Rendering a blueprint's variables from a Jinja2 template.

Every `{{ value }}` becomes an HCL literal of its own, with or without the `hcl` filter: this format's autoescape. So a
template writes `name = {{ name }}`, never quotes, and no value can end its string or start an interpolation.
"""

import math
import re
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, Undefined
from jinja2.sandbox import SandboxedEnvironment

from drakit.errors import PreflightError

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_KEYWORDS = frozenset({"true", "false", "null", "for", "if", "in"})
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_DEEPEST = 50


class Hcl(str):
    """Text that is an HCL literal already."""

    __slots__ = ()


def render_tfvars(template: Path, context: Mapping[str, Any]) -> str:
    """The text of a .tfvars file: `template` with the values of `context`, each written as an HCL literal.

    Raises:
        PreflightError: the template is missing or faulty, or reads a value that is not there or has no HCL form.
    """
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(template.parent),
        undefined=StrictUndefined,
        finalize=hcl,
        autoescape=False,  # HTML's rules; `finalize` applies HCL's
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["hcl"] = hcl
    try:
        return environment.get_template(template.name).render(context)
    except (TemplateError, OSError, TypeError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f"{template}, line {line}" if line else str(template)
        raise PreflightError(
            f"{where}: the Terraform variables cannot be rendered: {error}.",
            hint="Correct the blueprint's template, or the field of the stack file that it reads.",
            code="template-invalid",
        ) from error


def hcl(value: object) -> Hcl:
    """`value` as an HCL literal: str, bool, int, float, None, lists, tuples and maps of these, nested.

    Raises:
        TypeError: a value of another type, or nested more than 50 deep.
        ValueError: a number that is not finite, a string that is not Unicode text, or a map with a key twice.
    """
    return value if isinstance(value, Hcl) else Hcl(_literal(value, 0))


def _literal(value: object, depth: int) -> str:
    if depth > _DEEPEST:
        raise TypeError(f"a value is nested more than {_DEEPEST} deep")
    if isinstance(value, Undefined):
        return str(value)  # StrictUndefined raises, naming what is missing
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"HCL has no number {value}")
        return float.__repr__(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        return _map(value, depth)
    if isinstance(value, list | tuple):
        return _list(value, depth)
    raise TypeError(f"a {type(value).__name__} has no HCL form")


def _string(value: str) -> str:
    value.encode()  # refuses lone surrogates, which no file can hold
    escaped = "".join(_character(character) for character in value)
    return '"' + escaped.replace("${", "$${").replace("%{", "%%{") + '"'


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


def _list(values: list[object] | tuple[object, ...], depth: int) -> str:
    items = [_literal(value, depth + 1) for value in values]
    if not any("\n" in item for item in items):
        return "[" + ", ".join(items) + "]"
    pad = "  " * (depth + 1)
    return "[\n" + "".join(f"{pad}{item},\n" for item in items) + "  " * depth + "]"


def _map(values: Mapping[Any, object], depth: int) -> str:
    if not values:
        return "{}"
    keys = [_key(key) for key in values]
    if len(set(keys)) != len(keys):
        raise ValueError(f"a map has a key twice: {', '.join(keys)}")
    items = zip(keys, (_literal(value, depth + 1) for value in values.values()), strict=True)
    pad = "  " * (depth + 1)
    lines: list[str] = []
    # `terraform fmt` aligns the equals signs of neighbours that take one line each.
    for long, group in groupby(items, key=lambda item: "\n" in item[1]):
        run = list(group)
        width = 0 if long else max(len(key) for key, _ in run)
        lines += [f"{pad}{key:<{width}} = {text}\n" for key, text in run]
    return "{\n" + "".join(lines) + "  " * depth + "}"


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a map's key must be text, not {type(key).__name__}")
    return str(key) if _IDENTIFIER.fullmatch(key) and key not in _KEYWORDS else _string(key)
