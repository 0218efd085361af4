"""Kubernetes manifests from Jinja2 templates. Every value is written as JSON, which is YAML: its autoescape."""

import json
import re
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, Undefined
from jinja2.sandbox import SandboxedEnvironment
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

Manifest = dict[str, Any]


def render_manifests(template: Path, context: Mapping[str, Any]) -> list[Manifest]:
    """The objects of a template, in its order.

    Raises:
        jinja2.TemplateError: the template reads a value that is not in `context`; a bug, for templates are packaged.
    """
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(template.parent),
        undefined=StrictUndefined,
        finalize=_literal,
        autoescape=False,  # HTML's rules; `finalize` applies JSON's
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(template.name).render(context)
    return [document for document in YAML(typ="safe", pure=True).load_all(text) if document]


def _literal(value: object) -> str:
    if isinstance(value, Undefined):
        return str(value)  # StrictUndefined raises, naming what is missing
    # Not JSON's escapes: it writes a character beyond the basic plane as two, which YAML reads as two. What is not
    # printable may not stand in YAML as it is.
    return re.sub(r"[^\x00-\x7e]", _character, json.dumps(value, ensure_ascii=False))


def _character(match: re.Match[str]) -> str:
    character, code = match[0], ord(match[0])
    if character.isprintable():
        return character
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def to_yaml(objects: Sequence[Mapping[str, Any]]) -> str:
    """A stream of YAML documents, good for `kubectl apply -f -`."""
    yaml = YAML(typ="rt", pure=True)
    yaml.default_flow_style = False
    yaml.explicit_start = True
    yaml.width = 1_000_000  # lines are folded by nobody
    text = StringIO()
    yaml.dump_all([_with_blocks(obj) for obj in objects], text)
    return text.getvalue()


def _with_blocks(value: Any) -> Any:
    """The same with texts of several lines as literal blocks, so that a script can be read."""
    if isinstance(value, Mapping):
        return {key: _with_blocks(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_blocks(item) for item in value]
    return LiteralScalarString(value) if isinstance(value, str) and "\n" in value else value
