"""Changes to a stack file's text that leave everything else as it is, byte for byte.

Text surgery at the marks of the YAML nodes, for a round trip through a YAML library aligns, quotes and breaks lines in
its own way. The new text is read again, and must say what was wanted.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from drakit.errors import UsageError
from drakit.stack.document import Unreadable, read_document, scalar
from drakit.stack.literal import Value, deep, flow, literal
from drakit.stack.names import printable


def set_values(text: str, changes: Mapping[tuple[str, ...], Value | None]) -> str:
    """`text` with values set, inserted or removed.

    Args:
        text: a stack file with its own line ends, which reading a file as text would change.
        changes: new values by the path of their keys, such as ("nodeGroups", "g6", "desired"); a mapping becomes all
            that the key holds, None removes the key. A path that is not there is made.

    Returns:
        The new text. Comments, the order of keys, quoting, indentation and line ends stay; a key that is new comes last
        in its mapping, in that mapping's style, block or flow.

    Raises:
        UsageError: stack-file-not-editable; the text cannot be changed so, and the hint says what to write by hand.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    edited = text.removeprefix(mark)
    try:
        wanted = _data(edited)
        for path, value in changes.items():
            wanted = _with(wanted, path, value)
            edited = _Text(edited).changed(path, value)
        if _canonical(_data(edited)) != _canonical(wanted):
            raise _Uneditable("the text would come to say something else")
    except (_Uneditable, Unreadable, ValueError) as error:
        raise UsageError(
            f"The stack file cannot be changed in place: {error}.",
            hint="Write by hand:\n" + "\n".join(_by_hand(path, value) for path, value in changes.items()),
            code="stack-file-not-editable",
        ) from error
    return mark + edited


class _Uneditable(Exception):
    """Why the text cannot be changed."""


def _data(text: str) -> dict[str, Any]:
    document = read_document(text)
    if document.problems:
        raise _Uneditable(document.problems[0].message)
    if not isinstance(document.data, dict | None):
        raise _Uneditable("it is no mapping")
    return document.data or {}


def _with(data: Any, path: tuple[str, ...], value: Value | None) -> Any:
    """`data` as it is to be, with keys where the text will have them."""
    if not path:
        if isinstance(data, dict) and isinstance(value, Mapping):
            kept = {key: _with(data[key], (), value[key]) for key in data if key in value}
            return kept | {key: _with(None, (), each) for key, each in value.items() if key not in data}
        return {key: _with(None, (), each) for key, each in value.items()} if isinstance(value, Mapping) else value
    key, rest = path[0], path[1:]
    if not isinstance(data, dict | None):
        raise _Uneditable(f"{printable(key)} would stand in what is no mapping")
    found = dict(data or {})
    if value is None and (key not in found or (not rest)):
        found.pop(key, None)
        return found if data is not None else None
    found[key] = _with(found.get(key), rest, value)
    return found


def _canonical(data: Any) -> str:
    """Two are the same only with the same types and the same order of keys."""
    return json.dumps(data)


def _by_hand(path: tuple[str, ...], value: Value | None) -> str:
    field = ".".join(printable(key) for key in path)
    return f"  {field}: {flow(value)}" if value is not None else f"  no {field}"


@dataclass(frozen=True)
class _Pair:
    """A key and its value in the text."""

    key: Node
    value: Node

    @property
    def name(self) -> str:
        return str(self.key.value)


class _Text:
    """A text and its nodes; each change makes a new text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.root = YAML(typ="safe", pure=True).compose(text)
        breaks = re.search(r"\r\n|\n|\r", text)
        self.eol = breaks[0] if breaks else "\n"

    def changed(self, path: tuple[str, ...], value: Value | None) -> str:
        """The text with one change."""
        if self.root is None or (isinstance(self.root, ScalarNode) and not self.root.value):
            return (
                self.text if value is None else self._appended(self._block(path[0], _nested(path[1:], value), 0, True))
            )
        node = self.root
        for depth, key in enumerate(path):
            assert isinstance(node, MappingNode)
            pair = next((each for each in _pairs(node) if each.name == key), None)
            rest = path[depth + 1 :]
            if pair is None:
                return self.text if value is None else self._inserted(node, key, _nested(rest, value))
            if not rest:
                return self._removed(path, node, pair) if value is None else self._replaced(path, pair, value)
            if not isinstance(pair.value, MappingNode):
                # It is empty or null, or the wanted data could not have been made.
                return self.text if value is None else self._replaced(path, pair, _nested(rest, value))
            node = pair.value
        raise _Uneditable("no field is named")

    def _replaced(self, path: tuple[str, ...], pair: _Pair, value: Value) -> str:
        node, colon = pair.value, self._colon(pair)
        if isinstance(node, MappingNode) and isinstance(value, Mapping):
            return self._merged(path, node, value)
        if self._empty(node):
            separator = "" if self.text[:colon].endswith(":") else ":"
            return f"{self.text[:colon]}{separator} {flow(value)}{self.text[colon:]}"
        start, end = node.start_mark.index, self._end(node)
        if isinstance(node, ScalarNode):
            if isinstance(value, Mapping) or _canonical(scalar(node.value, node.style)) != _canonical(value):
                return self.text[:start] + flow(value, node.style) + self.text[end:]
            return self.text
        if isinstance(node, CollectionNode) and not node.flow_style and self._line_end(colon) < start:
            # A block below its key; what stands behind the key stays.
            behind = self.text[colon : self._line_end(colon)]
            return f"{self.text[:colon]} {flow(value)}{behind}{self.text[self._line_end(end) :]}"
        return self.text[:start] + flow(value) + self.text[end:]

    def _merged(self, path: tuple[str, ...], node: MappingNode, value: Mapping[str, Value]) -> str:
        """One key after the other, so that those that stay keep their style and their comments."""
        text = self.text
        for key, each in value.items():
            text = _Text(text).changed((*path, key), each)
        for pair in _pairs(node):
            if pair.name not in value:
                text = _Text(text).changed((*path, pair.name), None)
        return text

    def _inserted(self, node: MappingNode, key: str, value: Value) -> str:
        pairs = _pairs(node)
        if not node.flow_style:
            line = self._line_end(self._pair_end(pairs[-1]))
            styles = [pair.value.flow_style for pair in pairs if isinstance(pair.value, MappingNode)]
            in_flow = not deep(value) if node is self.root or not styles else styles[-1]
            lines = self._block(key, value, pairs[-1].key.start_mark.column, not in_flow)
            return self.text[:line] + "".join(self.eol + each for each in lines) + self.text[line:]
        new = f"{literal(key)}: {flow(value)}"
        if not pairs:
            start = node.start_mark.index + 1
            inner = re.match(r"[ \t]*(?=})", self.text[start:])
            return self.text[:start] + (inner[0] if inner else "") + new + self.text[start:]
        end, key_start = self._pair_end(pairs[-1]), pairs[-1].key.start_mark.index
        comma = self._comma(end)
        indent = self.text[self._line_start(key_start) : key_start]
        if not indent.isspace():
            return f"{self.text[:end]}, {new}{self.text[end:]}"
        # A line for each key: one more, and the comment behind the last one stays behind it.
        behind = self._line_end(end)
        if node.end_mark.index <= behind:
            return f"{self.text[:end]},{self.eol}{indent}{new}{self.text[comma if comma > end else end :]}"
        if comma > end:
            return f"{self.text[:behind]}{self.eol}{indent}{new},{self.text[behind:]}"
        return f"{self.text[:end]},{self.text[end:behind]}{self.eol}{indent}{new}{self.text[behind:]}"

    def _removed(self, path: tuple[str, ...], node: MappingNode, pair: _Pair) -> str:
        pairs = _pairs(node)
        at = next(index for index, each in enumerate(pairs) if each.name == pair.name)
        start, end = pair.key.start_mark.index, self._pair_end(pair)
        line, after = self._line_start(start), self._line_end(end)
        own_lines = not self.text[line:start].strip()
        if node.flow_style:
            end = max(end, self._comma(end))
            own_lines = own_lines and not re.match(r"[ \t]*[^ \t#\r\n]", self.text[end:])
        if own_lines and (len(pairs) > 1 or node.flow_style or node is self.root):
            return self.text[:line] + self.text[after + len(self._break_at(after)) :]
        if len(pairs) == 1 and not node.flow_style:
            # What is left is an empty mapping, which block style cannot say.
            return self._emptied(path, node, line, after)
        if at + 1 < len(pairs):
            return self.text[:start] + self.text[pairs[at + 1].key.start_mark.index :]
        return self.text[: self._pair_end(pairs[at - 1]) if at else start] + self.text[end:]

    def _emptied(self, path: tuple[str, ...], node: MappingNode, start: int, end: int) -> str:
        outer = self.root
        for key in path[:-2]:
            outer = next(each.value for each in _pairs(outer) if each.name == key)
        colon = self._colon(next(each for each in _pairs(outer) if each.value is node))
        end += len(self._break_at(end))
        return f"{self.text[:colon]} {{}}{self.text[colon:start]}{self.text[end:]}"

    def _appended(self, lines: list[str]) -> str:
        between = "" if not self.text or self.text[-1] in "\r\n" else self.eol
        return self.text + between + "".join(line + self.eol for line in lines)

    def _block(self, key: str, value: Value, column: int, block: bool) -> list[str]:
        """The lines of a key in a block mapping; mappings of scalars alone are in flow style below the first."""
        start = " " * column + f"{literal(key)}:"
        if not isinstance(value, Mapping) or not value or not block:
            return [f"{start} {flow(value)}"]
        lines = [start]
        for inner, each in value.items():
            lines += self._block(inner, each, column + self._indent(), deep(each))
        return lines

    def _indent(self) -> int:
        """The text's own step of indentation."""
        for pair in _pairs(self.root) if isinstance(self.root, MappingNode) else ():
            if isinstance(pair.value, MappingNode) and not pair.value.flow_style and pair.value.start_mark.column:
                return int(pair.value.start_mark.column - pair.key.start_mark.column)
        return 2

    def _end(self, node: Node) -> int:
        """Where a value ends; YAML places the end of a block where the next thing begins."""
        if isinstance(node, ScalarNode):
            end = int(node.end_mark.index)
            return len(self.text[:end].rstrip()) if node.style in ("|", ">") else end
        if isinstance(node, CollectionNode) and not node.flow_style:
            return self._pair_end(_pairs(node)[-1]) if isinstance(node, MappingNode) else self._end(node.value[-1])
        return int(node.end_mark.index)

    def _pair_end(self, pair: _Pair) -> int:
        return self._colon(pair) if self._empty(pair.value) else self._end(pair.value)

    def _empty(self, node: Node) -> bool:
        return isinstance(node, ScalarNode) and node.start_mark.index == node.end_mark.index

    def _colon(self, pair: _Pair) -> int:
        """Behind the colon of a key, or behind the key that has none."""
        end = int(pair.key.end_mark.index)
        colon = re.match(r"[ \t]*:", self.text[end:])
        return end + len(colon[0]) if colon else end

    def _comma(self, end: int) -> int:
        """Behind the comma that follows a value of a flow mapping, or `end` when none does."""
        found = re.match(r"(\s|(?<=\s)#[^\r\n]*(?=[\r\n]))*,", self.text[end:])
        return end + len(found[0]) if found else end

    def _break_at(self, index: int) -> str:
        return next((each for each in ("\r\n", "\n", "\r") if self.text.startswith(each, index)), "")

    def _line_start(self, index: int) -> int:
        return max(self.text.rfind("\n", 0, index), self.text.rfind("\r", 0, index)) + 1

    def _line_end(self, index: int) -> int:
        found = re.compile(r"\r|\n").search(self.text, index)
        return found.start() if found else len(self.text)


def _pairs(node: MappingNode) -> list[_Pair]:
    return [_Pair(key, value) for key, value in node.value]


def _nested(path: tuple[str, ...], value: Value) -> Value:
    for key in reversed(path):
        value = {key: value}
    return value
