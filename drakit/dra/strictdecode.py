"""How Go decodes JSON into the driver's types: which text it refuses, and in which words.

The driver uses the strict serializer of k8s.io/apimachinery (v0.36), which is sigs.k8s.io/json: names are
case-sensitive, and unknown and duplicate fields are errors. Where several things are wrong, this module tells what that
serializer tells. Pure.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from drakit.dra.quantity import Quantity


@dataclass(frozen=True)
class Node:
    """A JSON value: its kind as Go names it, its text, and what it holds.

    `value`: a text, the pairs of an object (names may repeat), or None.
    """

    kind: str
    raw: str
    value: Any = None


@dataclass(frozen=True)
class Text:
    """A Go string type; `pointer`: null means absent, and not "unchanged"."""

    go_type: str = "string"
    pointer: bool = False


@dataclass(frozen=True)
class Integer:
    """An *int."""


@dataclass(frozen=True)
class Boolean:
    """A *bool."""


@dataclass(frozen=True)
class QuantityField:
    """A resource.Quantity."""

    pointer: bool = True


@dataclass(frozen=True)
class QuantityMap:
    """A map of strings to resource.Quantity."""

    go_type: str


@dataclass(frozen=True)
class Struct:
    """A Go struct: its name, and its fields by their JSON names."""

    name: str
    fields: Mapping[str, "Field"]


Field = Text | Integer | Boolean | QuantityField | QuantityMap | Struct

_KINDS = {"{": "object", "[": "array", '"': "string", "t": "bool", "f": "bool", "n": "null"}
_SPACE = re.compile(r"[ \t\n\r]*")
_SCALAR = re.compile(r"[-+.0-9A-Za-z]+")
_MOST = 100  # strict errors that are told of


class DecodeError(ValueError):
    """The text is not what the type wants; the message is Go's."""


def parse(text: str) -> Node:
    """`text` as JSON.

    Raises:
        DecodeError: it is not JSON. An API server lets no such text through, so the wording is not Go's.
    """
    try:
        json.loads(text, parse_constant=_refuse)
        return _node(text, _SPACE.match(text, 0).end())[0]  # type: ignore[union-attr]
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"invalid JSON: {error}") from error


def decode(node: Node, struct: Struct, *, strict: bool = True) -> dict[str, Any]:
    """The fields of `struct` that `node`, an object, has. Unless `strict`, unknown and duplicate ones are let through.

    Raises:
        DecodeError: the first wrong quantity, or else the first wrong type, or else every unknown and duplicate field.
    """
    decoder = _Decoder()
    fields: dict[str, Any] = {}
    decoder.struct(node, struct, fields, ())
    if decoder.wrong_type:
        raise DecodeError(decoder.wrong_type)
    if strict and decoder.strict:
        raise DecodeError(f"strict decoding error: {', '.join(list(decoder.strict)[:_MOST])}")
    return fields


def quote(text: str) -> str:
    """A text as Go's %q shows it."""
    return f'"{"".join(_escaped(character) for character in text)}"'


class _Decoder:
    def __init__(self) -> None:
        self.wrong_type: str | None = None
        self.strict: dict[str, None] = {}

    def struct(self, node: Node, struct: Struct, into: dict[str, Any], path: tuple[str, ...]) -> None:
        seen = set()
        for name, value in node.value:
            field = struct.fields.get(name)
            if field is None:
                self._strict("unknown", path, name)
                continue
            if name in seen:
                self._strict("duplicate", path, name)
            seen.add(name)
            # A field that comes twice is decoded into what the first has left.
            into[name] = self._value(value, field, into.get(name), struct.name, (*path, name))

    def _value(self, node: Node, field: Field, before: Any, owner: str, path: tuple[str, ...]) -> Any:
        null = node.kind == "null"
        match field:
            case QuantityField(pointer=pointer):
                return (None if pointer else Quantity(0, format="")) if null else _quantity(node)
            case Struct():
                if node.kind == "object":
                    self.struct(node, field, inner := {} if before is None else before, path)
                    return inner
                return None if null else self._wrong(node, f"v1beta1.{field.name}", before, owner, path)
            case QuantityMap(go_type=go_type):
                if node.kind == "object":
                    return self._map(node, {} if before is None else before, path)
                return None if null else self._wrong(node, go_type, before, owner, path)
            case Text(go_type=go_type, pointer=pointer):
                if node.kind == "string":
                    return node.value
                return (None if pointer else before) if null else self._wrong(node, go_type, before, owner, path)
            case Boolean():
                if node.kind == "bool":
                    return node.raw == "true"
                return None if null else self._wrong(node, "bool", before, owner, path)
            case Integer():
                if node.kind == "number":
                    if re.fullmatch("-?[0-9]+", node.raw) and -(2**63) <= int(node.raw) < 2**63:
                        return int(node.raw)
                    node = Node(f"number {node.raw}", node.raw)
                return None if null else self._wrong(node, "int", before, owner, path)

    def _map(self, node: Node, into: dict[str, Quantity], path: tuple[str, ...]) -> dict[str, Quantity]:
        seen = set()
        for name, value in node.value:
            if name in seen:
                self._strict("duplicate", path, name)
            seen.add(name)
            into[name] = Quantity(0, format="") if value.kind == "null" else _quantity(value)
        return into

    def _wrong(self, node: Node, go_type: str, before: Any, owner: str, path: tuple[str, ...]) -> Any:
        if self.wrong_type is None:
            self.wrong_type = (
                f"json: cannot unmarshal {node.kind} into Go struct field {owner}.{'.'.join(path)} of type {go_type}"
            )
        return before

    def _strict(self, what: str, path: tuple[str, ...], name: str) -> None:
        self.strict[f"{what} field {quote('.'.join((*path, name)))}"] = None


def _quantity(node: Node) -> Quantity:
    # Kubernetes reads the text between the quotes as it stands, escapes and all.
    text = node.raw[1:-1] if node.kind == "string" else node.raw
    try:
        return Quantity.parse(text.strip())
    except ValueError as error:
        raise DecodeError(str(error)) from error


def _node(text: str, start: int) -> tuple[Node, int]:
    """The value of valid JSON that begins at `start`, and where it ends."""
    kind = _KINDS.get(text[start], "number")
    if kind == "string":
        value, end = scanstring(text, start + 1)
        return Node(kind, text[start:end], value), end
    if kind in ("object", "array"):
        pairs, end = _members(text, start + 1, named=kind == "object")
        return Node(kind, text[start:end], pairs), end
    end = _SCALAR.match(text, start).end()  # type: ignore[union-attr]
    return Node(kind, text[start:end]), end


def _members(text: str, at: int, *, named: bool) -> tuple[tuple[tuple[str, Node], ...], int]:
    """The members of an object or an array, from behind its opening bracket to behind its closing one."""
    members = []
    while text[at := _skip(text, at)] not in "]}":
        name = ""
        if named:
            name, at = scanstring(text, at + 1)
            at = _skip(text, _skip(text, at) + 1)  # behind the colon
        node, at = _node(text, at)
        members.append((name, node))
        at = _skip(text, at)
        if text[at] == ",":
            at += 1
    return tuple(members), at + 1


def _skip(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]


def _refuse(constant: str) -> Iterator[None]:
    raise ValueError(f"{constant} is not JSON")


_ESCAPES = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v",
            "\\": r"\\", '"': r"\""}  # fmt: skip


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
