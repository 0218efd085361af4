"""Manifests as kubectl reads them: a stream of YAML or JSON documents, with the line of each part."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from drakit.dra.lint import Document

Path = tuple[str | int, ...]

_MAX_DEPTH = 64
_MAX_PARTS = 100_000


class Unreadable(Exception):
    """The text is no manifest; `line` is where, from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def read_documents(text: str) -> list[Document]:
    """The documents of a stream, empty ones with None for data.

    Raises:
        Unreadable: it is neither YAML nor JSON, or too large or deep when its aliases are written out.
    """
    try:
        return list(_documents(YAML(typ="safe", pure=True).parse(text)))
    except Unreadable:
        raise
    except ReaderError as error:
        line = text[: error.position].count("\n") + 1
        message = f"the character U+{ord(text[error.position]):04X} may not stand in YAML"
        raise Unreadable(line, message) from error
    except MarkedYAMLError as error:
        if (found := _json_stream(text)) is not None:
            return found
        mark = error.problem_mark or error.context_mark
        problem = error.problem or "it is no YAML"
        if "'\\t'" in problem:
            problem = "a tab stands where spaces must; YAML is indented with spaces"
        raise Unreadable(mark.line + 1 if mark else 1, problem) from error
    except (YAMLError, ValueError, IndexError, AttributeError, AssertionError, NotImplementedError) as error:
        # The scanner's own slips on malformed escapes and directives.
        raise Unreadable(1, "it is no YAML") from error


def _json_stream(text: str) -> list[Document] | None:
    """JSON documents one after the other, which YAML does not have; None when it is something else."""
    decoder, documents, at = json.JSONDecoder(), [], 0
    try:
        while text[at:].strip():
            at += len(text[at:]) - len(text[at:].lstrip())
            data, at = decoder.raw_decode(text, at)
            documents.append(Document(data))
    except (ValueError, RecursionError):
        return None
    return documents


@dataclass
class _Reader:
    """One document. `parts` counts what it would hold with all aliases written out."""

    events: Iterator[Event]
    lines: dict[Path, int] = field(default_factory=dict)
    duplicates: list[Path] = field(default_factory=list)
    anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)
    parts: int = 0

    def value(self, event: Event, path: Path) -> Any:
        line = event.start_mark.line + 1
        self.lines.setdefault(path, line)
        if isinstance(event, AliasEvent):
            if event.anchor not in self.anchors:
                raise Unreadable(line, f"there is no anchor &{event.anchor} before this alias")
            data, parts = self.anchors[event.anchor]
            self._count(parts, line)
            return data
        before = self.parts
        self._count(1, line)
        if len(path) > _MAX_DEPTH:
            raise Unreadable(line, f"it is nested deeper than {_MAX_DEPTH} levels")
        if isinstance(event, MappingStartEvent):
            data = self._mapping(path)
        elif isinstance(event, SequenceStartEvent):
            data = self._sequence(path)
        else:
            data = _scalar(event) if isinstance(event, ScalarEvent) else None
        if anchor := getattr(event, "anchor", None):
            self.anchors[anchor] = data, self.parts - before
        return data

    def _count(self, parts: int, line: int) -> None:
        self.parts += parts
        if self.parts > _MAX_PARTS:
            raise Unreadable(line, f"it has more than {_MAX_PARTS} parts")

    def _mapping(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(event, ScalarEvent):
                raise Unreadable(line, "a key must be a word")
            if event.value == "<<" and not event.style:
                value = self.value(next(self.events), (*path, "<<"))
                for each in value if isinstance(value, list) else [value]:
                    merged = {**(each if isinstance(each, dict) else {}), **merged}
                continue
            inside = (*path, event.value)
            if event.value in found:
                self.duplicates.append(inside)
            self.lines[inside] = line
            found[event.value] = self.value(next(self.events), inside)
        return {**merged, **found}

    def _sequence(self, path: Path) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            found.append(self.value(event, (*path, len(found))))
        return found


def _documents(events: Iterator[Event]) -> Iterator[Document]:
    for event in events:
        if isinstance(event, DocumentStartEvent):
            reader = _Reader(events)
            first = next(events)
            data = None if isinstance(first, DocumentEndEvent) else reader.value(first, ())
            yield Document(data, reader.lines, tuple(reader.duplicates))


# As Go's YAML, which kubectl uses, resolves plain scalars.
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE", "y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "n", "N", "no", "No", "NO", "off", "Off", "OFF"), False),
}
_INT = re.compile(r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|[0-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LONGEST_NUMBER = 60


def _scalar(event: ScalarEvent) -> Any:
    text: str = event.value
    if event.style or str(event.tag or "").endswith(":str"):
        return text
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= _LONGEST_NUMBER and _INT.fullmatch(text):
        digits = text.replace("_", "").lower()
        octal = re.fullmatch("([-+]?)0([0-7]+)", digits)
        try:
            return int(f"{octal[1]}0o{octal[2]}" if octal else digits, 0)
        except ValueError:
            pass
    if len(text) <= _LONGEST_NUMBER and _FLOAT.fullmatch(text):
        number = float(text)
        return number if abs(number) != float("inf") else text
    return text
