"""What the rules of lint look at, the objects of a stream, and what they say about them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from drakit.dra.findings import Finding, Level

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A document of a stream: plain data, and the lines that its parts stand in, by their paths.

    `duplicates` are the paths of keys that are there twice, of which `data` has the last.
    """

    data: Any
    lines: Mapping[Path, int] = field(default_factory=dict)
    duplicates: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Item:
    """An object, which may be one of a List; `at` is where it is in its document."""

    file: str
    document: Document
    at: Path
    data: Mapping[str, Any]
    findings: list[Finding]

    @property
    def kind(self) -> str:
        """Its kind, "" when it has none."""
        return _text(self.data.get("kind"))

    @property
    def api_version(self) -> str:
        """Its group and version, "" when it has none."""
        return _text(self.data.get("apiVersion"))

    @property
    def group(self) -> str:
        """Its API group, "" for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """Its API version without the group."""
        return self.api_version.rpartition("/")[2]

    @property
    def name(self) -> str:
        """Its name, or its generateName and a star."""
        metadata = _mapping(self.data.get("metadata"))
        prefix = _text(metadata.get("generateName"))
        return _text(metadata.get("name")) or (f"{prefix}*" if prefix else "")

    @property
    def namespace(self) -> str:
        """Its namespace, "" when it does not say: that is whatever kubectl's context says."""
        return _text(_mapping(self.data.get("metadata")).get("namespace"))

    @property
    def label(self) -> str:
        """How findings name it."""
        name = "/".join(part for part in (self.namespace, self.name) if part)
        return " ".join(part for part in (self.kind, name) if part) or "object"

    @property
    def root(self) -> "Part":
        """The object itself."""
        return Part(self, (), self.data)

    def say(self, level: Level, rule: str, path: Path, message: str) -> None:
        """Add a finding."""
        place = (*self.at, *path)
        while place and place not in self.document.lines:
            place = place[:-1]
        line = self.document.lines.get(place)
        self.findings.append(Finding(self.file, self.label, written(path), level, message, rule, line))


@dataclass(frozen=True)
class Part:
    """A value inside an object, and its path. What is not there, or is of another type than asked for, is empty."""

    item: Item
    path: Path
    value: Any

    @property
    def where(self) -> str:
        """Its path as findings have it."""
        return written(self.path)

    def has(self, name: str) -> bool:
        """Whether it has a field of that name that is not null."""
        return isinstance(self.value, Mapping) and self.value.get(name) is not None

    def get(self, name: str) -> "Part":
        """A field, of whatever type."""
        return Part(self.item, (*self.path, name), _mapping(self.value).get(name))

    def mapping(self, name: str) -> "Part":
        """A field that must be a mapping."""
        found = self.get(name)
        if found.value is not None and not isinstance(found.value, Mapping):
            found.error("wrong-type", f"{name} must be a mapping, not {_shown(found.value)}")
        return Part(self.item, found.path, _mapping(found.value))

    def each(self, name: str) -> "list[Part]":
        """The elements, which must be mappings, of a field that must be a list."""
        found = self.get(name)
        if found.value is None:
            return []
        if not isinstance(found.value, list):
            found.error("wrong-type", f"{name} must be a list, not {_shown(found.value)}")
            return []
        parts = [Part(self.item, (*found.path, index), value) for index, value in enumerate(found.value)]
        for part in parts:
            if not isinstance(part.value, Mapping):
                part.error("wrong-type", f"{part.where} must be a mapping, not {_shown(part.value)}")
        return [part for part in parts if isinstance(part.value, Mapping)]

    def text(self, name: str) -> str:
        """A field that must be a text."""
        found = self.get(name)
        if found.value is not None and not isinstance(found.value, str):
            found.error("wrong-type", f"{name} must be a text, not {_shown(found.value)}")
        return _text(found.value)

    def texts(self, name: str) -> list[str]:
        """A field that must be a list of texts."""
        found = self.get(name)
        if found.value is None:
            return []
        if not isinstance(found.value, list) or not all(isinstance(value, str) for value in found.value):
            found.error("wrong-type", f"{name} must be a list of texts")
            return []
        return list(found.value)

    def error(self, rule: str, message: str) -> None:
        """It is refused, or does not work."""
        self.item.say("error", rule, self.path, message)

    def warning(self, rule: str, message: str) -> None:
        """It may not do what is meant."""
        self.item.say("warning", rule, self.path, message)

    def info(self, rule: str, message: str) -> None:
        """It could not be checked."""
        self.item.say("info", rule, self.path, message)


def items_of(file: str, document: Document, findings: list[Finding]) -> Iterator[Item]:
    """The objects of a document: one, those of a List, or none of an empty document."""
    if document.data is None:
        return
    whole = Item(file, document, (), _mapping(document.data), findings)
    if not isinstance(document.data, Mapping):
        whole.say("error", "wrong-type", (), f"a Kubernetes object is a mapping, not {_shown(document.data)}")
        return
    for path in document.duplicates:
        whole.say("warning", "duplicate-field", path, f"{written(path)} is there twice: kubectl takes the last")
    yield from _unfold(whole)


def _unfold(item: Item) -> Iterator[Item]:
    if not (item.kind.endswith("List") and "items" in item.data):
        yield item
        return
    for part in item.root.each("items"):
        yield from _unfold(Item(item.file, item.document, (*item.at, *part.path), part.value, item.findings))


def written(path: Path) -> str:
    """A path as messages have it."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "a number"
