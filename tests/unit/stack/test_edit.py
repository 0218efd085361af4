"""What is changed in a stack file's text, and that nothing else is."""

import difflib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from drakit.errors import UsageError
from drakit.stack.document import read_document
from drakit.stack.dump import template
from drakit.stack.edit import set_values
from drakit.stack.parse import parse_stack

G = "nodeGroups"


def changed_lines(before: str, after: str) -> list[str]:
    """The lines that went, with -, and that came, with +."""
    differences = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in differences if not line.startswith(("---", "+++", "@@"))]


def test_sizes_in_both_styles() -> None:
    before = template("eks")
    after = set_values(before, {(G, "g6", "desired"): 2, (G, "p4d", "max"): 12, (G, "p4d", "desired"): 0})
    assert changed_lines(before, after) == [
        "-  g6:   {instanceType: g6.4xlarge, min: 0, max: 2, desired: 0}       # 1 L4",
        "+  g6:   {instanceType: g6.4xlarge, min: 0, max: 2, desired: 2}       # 1 L4",
        "-    max: 1",
        "+    max: 12",
    ]


def test_a_reservation_and_a_group_in_the_style_of_where_they_go() -> None:
    before = template("eks")
    reservation = {"id": "cr-0123456789abcdef0", "type": "odcr"}
    after = set_values(
        before,
        {
            (G, "p4d", "reservation"): reservation,
            (G, "core", "reservation"): reservation,
            (G, "p5", "instanceType"): "p5.48xlarge",
            (G, "p5", "max"): 3,
        },
    )
    assert changed_lines(before, after) == [
        "-  core: {instanceType: m5.xlarge, min: 2, max: 8, desired: 2}",
        "+  core: {instanceType: m5.xlarge, min: 2, max: 8, desired: 2, "
        "reservation: {id: cr-0123456789abcdef0, type: odcr}}",
        "+    reservation: {id: cr-0123456789abcdef0, type: odcr}",
        "+  p5:",
        "+    instanceType: p5.48xlarge",
        "+    max: 3",
    ]
    parse_stack(after, "f")


NO_PLAIN_TEXTS = ["1.33", "on", "Null", "1e3", "0x1F", "a b", "- a", "", "a: b", "#", "2024-01-01"]
GROUPS: Mapping[str, Any] = {"core": {"instanceType": "m5.xlarge"}, "g6": {"max": 3}}


WRITTEN = "nodeGroups:\n  core: {instanceType: m5.xlarge}\n  g6: {max: 3}\n"


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        # Scalars keep their quotes, and get some where they need them.
        ("a: 1\n", {("a",): 2}, "a: 2\n"),
        ("a: 007 # c", {("a",): 7}, "a: 007 # c"),
        ("a: 1", {("a",): 1.0}, "a: 1.0"),
        ("a: 1", {("a",): True}, "a: true"),
        ("a: 'x'", {("a",): "it's"}, "a: 'it''s'"),
        ('a: "x"', {("a",): "y"}, 'a: "y"'),
        ("a: x", {("a",): "g6.4xlarge"}, "a: g6.4xlarge"),
        ("a: x", {("a",): "0.4.1"}, "a: 0.4.1"),
*[("a: x", {("a",): each}, f'a: "{each}"') for each in NO_PLAIN_TEXTS],
        ("a: x", {("a",): 'q"\\\n\u2028\x1b'}, 'a: "q\\"\\\\\\U0000000a\\U00002028\\U0000001b"'),
        ("a: |\n  x\n  y\n\n# c\nb: 1\n", {("a",): "z"}, "a: z\n\n# c\nb: 1\n"),
        # Keys that are not there.
        ("", {(G,): GROUPS}, WRITTEN),
        ("# c", {(G, "g6", "max"): 3}, "# c\nnodeGroups:\n  g6: {max: 3}\n"),
        ("name: a # c", {(G, "g6", "max"): 3}, "name: a # c\nnodeGroups:\n  g6: {max: 3}"),
        ("name: a\n# c\n", {(G,): GROUPS}, "name: a\n" + WRITTEN + "# c\n"),
        ("a:\n    b:\n        c: 1\n", {(G,): GROUPS}, "a:\n    b:\n        c: 1\n" + WRITTEN.replace("  ", "    ")),
        ("{name: a}", {(G, "g6", "max"): 3}, "{name: a, nodeGroups: {g6: {max: 3}}}"),
        ("{}", {("a",): 1}, "{a: 1}"),
        ("{ }", {("a",): 1}, "{ a: 1 }"),
        ("a: {b: 1,}", {("a", "c"): 2}, "a: {b: 1, c: 2,}"),
        ("a: {\n  b: 1, # one\n  c: 2 # two\n}\n", {("a", "d"): 3}, "a: {\n  b: 1, # one\n  c: 2, # two\n  d: 3\n}\n"),
        ("a: {\n  b: 1, # one\n}\n", {("a", "d"): 3}, "a: {\n  b: 1, # one\n  d: 3,\n}\n"),
        ("a: {\n  b: 1 # one, two\n}\n", {("a", "d"): 3}, "a: {\n  b: 1, # one, two\n  d: 3\n}\n"),
        ("a: {\n  b: 1}\n", {("a", "d"): 3}, "a: {\n  b: 1,\n  d: 3}\n"),
        ("a: # c\nb: 1", {("a", "d"): 3}, "a: {d: 3} # c\nb: 1"),
        ("a: null # c", {("a", "d"): 3}, "a: {d: 3} # c"),
        ("a:\n  - b: 1\n    # c\nd: 1", {("e",): 1}, "a:\n  - b: 1\n    # c\nd: 1\ne: 1"),
        # Keys that go.
        ("a: 1 # c\nb: 2\n", {("a",): None}, "b: 2\n"),
        ("a: 1\n", {("b",): None, ("a", ): None}, ""),
        ("a: {b: 1, c: 2, d: 3}", {("a", "b"): None, ("a", "d"): None}, "a: {c: 2}"),
        ("a: {b: 1,}", {("a", "b"): None}, "a: {}"),
        ("a: {\n  b: 1, # one\n  c: 2 # two\n}\n", {("a", "c"): None}, "a: {\n  b: 1, # one\n}\n"),
        ("a: {\n  b: 1, # one\n  c: 2}\n", {("a", "c"): None}, "a: {\n  b: 1}\n"),
        ("a: # c\n  b: 1\nd: 2\n", {("a", "b"): None}, "a: {} # c\nd: 2\n"),
        ("a:\n  b:\n    c: 1\n    # d\n  e: 1\n", {("a", "b"): None}, "a:\n    # d\n  e: 1\n"),
        ("a: null", {("a", "b"): None}, "a: null"),
        # Mappings: what stays keeps its place and its comments.
        ("a:\n  b: 1 # one\n  # c\n  c: 2\n", {("a",): {"c": 3, "d": 4}}, "a:\n  # c\n  c: 3\n  d: 4\n"),
        ("a: {b: 1}", {("a",): {"c": {"d": 1}}}, "a: {c: {d: 1}}"),
        ("a: 1 # c", {("a",): {"b": 1}}, "a: {b: 1} # c"),
        ("a: # c\n  b: 1\nd: 2", {("a",): 1}, "a: 1 # c\nd: 2"),
        ("a: {b: 1} # c", {("a",): {}}, "a: {} # c"),
        ("\ufeffa: 1", {("a",): 2}, "\ufeffa: 2"),
    ],
)  # fmt: skip
def test_one_change(before: str, changes: Mapping[tuple[str, ...], Any], after: str) -> None:
    assert set_values(before, changes) == after


def test_line_ends_are_kept() -> None:
    before = template("eks").replace("\n", "\r\n")
    after = set_values(before, {(G, "p4d", "reservation"): {"id": "cr-0"}, (G, "x", "max"): 1, ("limits",): None})
    assert after.count("\r\n") == after.count("\n") == before.count("\n") + 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: &x 1\nb: *x\n", "anchors and aliases"),
        ("a: 1\na: 2\n", "given twice"),
        ("- a", "no mapping"),
        ("a: [", "while parsing"),
        ("a: [1]", "c would stand in what is no mapping"),
        ("? a\n: {b: 1}\n", ""),
        ("x: 1\na: |+\n  x\n\n", ""),
        ("x" * 2**20 + "x", "larger than 1 MiB"),
    ],
)
def test_what_cannot_be_changed_in_place_says_what_to_write(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        set_values(text, {("a", "c"): 1, ("b",): None, ("d",): {"e": "f"}})
    assert caught.value.code == "stack-file-not-editable"
    assert caught.value.message.startswith("The stack file cannot be changed in place: ")
    assert why in caught.value.message
    assert caught.value.hint == "Write by hand:\n  a.c: 1\n  no b\n  d: {e: f}"


# Random stack files: three levels of mappings with scalars and lists, in both styles, with comments of their own.
KEYS = st.sampled_from(["g6", "core", "p4d", "min", "max", "desired", "mig", "on", "a b", "labels"])
SCALARS = st.one_of(
    st.integers(0, 1000),
    st.booleans(),
    st.none(),
    st.sampled_from(["x", "g6.4xlarge", "1.33", "a: b", "# no", "it's", ""]),
)
LISTS = st.lists(SCALARS, max_size=2)
MAPPINGS = st.dictionaries(KEYS, st.one_of(SCALARS, LISTS, st.dictionaries(KEYS, SCALARS, max_size=3)), max_size=4)
TREES: st.SearchStrategy[Any] = st.dictionaries(KEYS, st.one_of(SCALARS, MAPPINGS), max_size=5)
NEW = st.one_of(
    st.none(), st.integers(0, 1000), st.booleans(), st.sampled_from(["y", "yes", "a, b", "{"]),
    st.dictionaries(KEYS, st.integers(0, 9), max_size=3),
)  # fmt: skip


class Writer:
    """Writes a tree as somebody would by hand; each comment is another."""

    def __init__(self, draw: Callable[..., Any]) -> None:
        self.draw, self.comments = draw, 0
        self.step, self.eol = draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from(["\n", "\r\n"]))

    def comment(self) -> str:
        if self.draw(st.integers(0, 2)):
            return ""
        self.comments += 1
        return f"# {self.comments}, {{}}"

    def key(self, key: str) -> str:
        return key if key.isalnum() and self.draw(st.booleans()) else json.dumps(key)

    def flow(self, value: Any) -> str:
        comma = self.draw(st.sampled_from([", ", ","]))
        if isinstance(value, dict):
            inner = comma.join(f"{self.key(key)}: {self.flow(each)}" for key, each in value.items())
            trailing = "," if value and self.draw(st.integers(0, 3)) == 0 else ""
            return "{" + inner + trailing + "}"
        if isinstance(value, list):
            return "[" + ", ".join(self.flow(each) for each in value) + "]"
        if isinstance(value, str) and value in ("x", "g6.4xlarge") and self.draw(st.booleans()):
            return value
        if isinstance(value, str) and self.draw(st.booleans()):
            return "'" + value.replace("'", "''") + "'"
        return json.dumps(value)

    def lines(self, tree: Mapping[str, Any], column: int) -> list[str]:
        found = []
        for key, value in tree.items():
            if comment := self.comment():
                found.append(" " * column + comment)
            if self.draw(st.integers(0, 4)) == 0:
                found.append("")
            start, behind = f"{' ' * column}{self.key(key)}:", self.comment()
            behind = f"  {behind}" if behind else ""
            if isinstance(value, dict) and value and self.draw(st.booleans()):
                found += [start + behind, *self.lines(value, column + self.step)]
            elif isinstance(value, dict) and value and self.draw(st.integers(0, 2)) == 0:
                found += [start + " {" + behind, *self.spread(value, column), " " * column + "}"]
            elif value is None and self.draw(st.booleans()):
                found.append(start + behind)
            else:
                found.append(f"{start} {self.flow(value)}{behind}")
        return found

    def spread(self, tree: Mapping[str, Any], column: int) -> list[str]:
        """A mapping in flow style, a line for each key."""
        comma = self.draw(st.booleans())
        found = []
        for index, (key, value) in enumerate(tree.items()):
            comment = self.comment()
            end = "," if comma or index + 1 < len(tree) else ""
            found.append(
                f"{' ' * (column + 2)}{self.key(key)}: {self.flow(value)}{end}{f'  {comment}' if comment else ''}"
            )
        return found


@st.composite
def files(draw: Callable[..., Any]) -> str:
    writer = Writer(draw)
    lines = writer.lines(draw(TREES), 0)
    return writer.eol.join(lines) + (writer.eol if draw(st.booleans()) else "")


COMMENT = re.compile(r"# [0-9]+, {}")
PATHS = st.lists(KEYS, min_size=1, max_size=3).map(tuple)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(files(), PATHS, NEW)
def test_any_change_to_any_file_changes_only_what_it_must(text: str, path: tuple[str, ...], value: Any) -> None:
    before = read_document(text)
    inner: Any = before.data or {}
    for key in path[:-1]:
        inner = inner.get(key) if isinstance(inner, dict) else inner
    assume(inner is None or isinstance(inner, dict))

    after = set_values(text, {path: value})

    found: Any = read_document(after).data or {}
    for key in path[:-1]:
        found = (found or {}).get(key)
    if value is None:
        assert path[-1] not in (found or {})
    else:
        assert found[path[-1]] == value
        assert type(found[path[-1]]) is type(value)
    # Of everything else, text and comments, nothing goes but what stood in the value itself.
    gone = [line for line in changed_lines(text, after) if line.startswith("-")]
    old = inner.get(path[-1]) if isinstance(inner, dict) else None
    if not isinstance(old, dict | list):
        assert len(gone) <= 2
    if value is not None and not isinstance(old, dict):
        assert COMMENT.findall(after) == COMMENT.findall(text)
    if value is not None and old == value and type(old) is type(value):
        assert after == text
    # Line ends are the file's own.
    if "\r\n" in text:
        assert after.count("\n") == after.count("\r\n")
    # Setting it again changes nothing.
    assert set_values(after, {path: value}) == after
