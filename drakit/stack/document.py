"""A YAML document as plain data that remembers where each part stood.

YAML 1.2's core schema (`yes` and `on` are texts, as the schema has it), less what a stack file has no use for: anchors,
aliases, merge keys and tags. So one group's numbers can be changed in the file without changing another's, and no
document grows when it is read.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from drakit.stack.names import MAX_SIZE

_MAX_DEPTH = 32
_MAX_EVENTS = 20_000

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Mark:
    """A place in the text, counted from 1, and the scalar that stands there as it is written, if one does."""

    line: int
    column: int
    text: str | None = None


@dataclass(frozen=True)
class Problem:
    """Something wrong with the document."""

    path: Path
    mark: Mark
    message: str


class Unreadable(Exception):
    """The text is no YAML document, or not one that is read; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass
class Document:
    """`data` holds dicts, lists, texts, numbers, booleans and None.

    Args:
        data: the root; None for an empty document.
        keys: the place of a mapping's key, by the path of its value.
        values: the place of a value, by its path.
        problems: what may not stand in a stack file, though it is YAML.
    """

    data: Any = None
    keys: dict[Path, Mark] = field(default_factory=dict)
    values: dict[Path, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_document(text: str) -> Document:
    """The one document in `text`.

    Raises:
        Unreadable: it is too long, no YAML, nested too deep, too large, or more than one document.
    """
    if len(text) > MAX_SIZE:
        raise _unreadable(1, 1, "the file is larger than 1 MiB")
    try:
        return _Reader(YAML(typ="safe", pure=True).parse(text)).read()
    except ReaderError as error:
        before = text[: error.position]
        message = f"the character U+{ord(text[error.position]):04X} may not stand in YAML"
        raise _unreadable(before.count("\n") + 1, error.position - before.rfind("\n"), message) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = _plainly(error.problem or "it is no YAML") + (f" ({error.context})" if error.context else "")
        raise _unreadable(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, message) from error
    except (YAMLError, ValueError, IndexError, AttributeError, AssertionError, NotImplementedError) as error:
        # The scanner's own slips on malformed escapes and directives.
        raise _unreadable(1, 1, "it is no YAML") from error


class _Reader:
    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._left = _MAX_EVENTS
        self._document = Document()

    def read(self) -> Document:
        documents = 0
        while (event := next(self._events, None)) is not None:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _unreadable(*_place(event), "a second document begins; a stack file is one")
            elif isinstance(event, NodeEvent):
                self._document.data = self._value(event, ())
        return self._document

    def _next(self) -> Event:
        self._left -= 1
        event = next(self._events)
        if self._left < 0:
            raise _unreadable(*_place(event), "the document has too many parts")
        return event

    def _value(self, event: Event, path: Path) -> Any:
        mark = Mark(*_place(event), event.value if isinstance(event, ScalarEvent) else None)
        self._document.values[path] = mark
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            self._problem(path, mark, "anchors and aliases are not supported; write the value out")
        if getattr(event, "tag", None):
            self._problem(path, mark, "tags (!) are not supported")
        if isinstance(event, CollectionStartEvent) and len(path) >= _MAX_DEPTH:
            raise _unreadable(*_place(event), f"it is nested deeper than {_MAX_DEPTH} levels")
        if isinstance(event, MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path)
        return scalar(event.value, event.style) if isinstance(event, ScalarEvent) else None

    def _mapping(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := self._next(), MappingEndEvent):
            mark = Mark(*_place(event))
            if not isinstance(event, ScalarEvent):
                raise _unreadable(*_place(event), "a key must be a word")
            key, inside = event.value, (*path, event.value)
            if key in found:
                self._problem(inside, mark, f"is given twice; first on line {self._document.keys[inside].line}")
                # Read and let go, so that what is kept and where it stood agree.
                kept, self._document = self._document, Document()
                self._value(self._next(), inside)
                self._document = kept
                continue
            self._document.keys[inside] = mark
            found[key] = self._value(self._next(), inside)
        return found

    def _sequence(self, path: Path) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := self._next(), SequenceEndEvent):
            found.append(self._value(event, (*path, len(found))))
        return found

    def _problem(self, path: Path, mark: Mark, message: str) -> None:
        self._document.problems.append(Problem(path, mark, message))


# YAML 1.2.2, section 10.3.2: the core schema.
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


def scalar(text: str, style: str | None) -> object:
    """What a scalar stands for that is written as `text`, plain or in the given style."""
    if style:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _plainly(problem: str) -> str:
    """What YAML's scanner says, in the words of someone who writes a file."""
    if "'\\t'" in problem:
        return "a tab stands where spaces must; YAML is indented with spaces"
    return problem


def _place(event: Event) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _unreadable(line: int, column: int, message: str) -> Unreadable:
    return Unreadable(Problem((), Mark(line, column), message))
