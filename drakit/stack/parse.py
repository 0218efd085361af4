"""From a stack file's text to a `Stack`, or to the list of everything that is wrong with it."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from drakit.errors import UsageError
from drakit.stack import document
from drakit.stack.document import Document, Mark, Problem, Unreadable, read_document
from drakit.stack.model import PATTERNS, Stack
from drakit.stack.names import LONGEST_PATH, printable, shown, suggestion
from drakit.stack.schema import fields_at

_LISTED = 100


def parse_stack(text: str, source: str) -> Stack:
    """The stack that `text` describes. An empty text is the built-in stack. `source` names the text in messages.

    Raises:
        UsageError: invalid-stack-file; a line for each problem, and `details["problems"]` with the file, line, column,
            path and message of each.
    """
    try:
        read = read_document(text.removeprefix("\ufeff"))
    except Unreadable as error:
        _refuse([error.problem], source)
    problems = list(read.problems)
    stack = None
    if read.data is None:
        read.data = {}
    if isinstance(read.data, dict):
        try:
            stack = Stack.model_validate(read.data)
        except ValidationError as error:
            problems += _problems(read, error)
    else:
        problems.append(Problem((), read.values[()], "a stack file is a mapping, such as `name: jark`"))
    if problems or stack is None:
        _refuse(problems, source)
    return stack


def decode_stack(data: bytes, source: str) -> Stack:
    """`parse_stack` of a file's bytes, which must be UTF-8."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        mark = Mark(before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        _refuse([Problem((), mark, f"the byte 0x{data[error.start]:02X} is no UTF-8; save the file as UTF-8")], source)
    return parse_stack(text, source)


def _problems(read: Document, error: ValidationError) -> list[Problem]:
    found = []
    known = {problem.path for problem in read.problems}
    for each in error.errors(include_url=False):
        # A default that could not be made because of another problem is no problem of its own.
        if each["type"] != "default_factory_not_called":
            problem = _problem(read, each)
            if problem.path not in known:
                found.append(problem)
    return found


def _problem(read: Document, error: ErrorDetails) -> Problem:
    kind, path = error["type"], error["loc"]
    in_key = bool(path) and path[-1] == "[key]" and path not in read.values
    path = path[:-1] if in_key else path
    near = path
    while near and near not in read.values:
        near = near[:-1]
    mark = read.values.get(near) or Mark(1, 1)
    if in_key or kind == "extra_forbidden" or mark.text == "":
        # YAML places what is empty where the next thing begins.
        mark = read.keys.get(near, mark)
    if kind == "extra_forbidden":
        name = printable(str(path[-1]))
        return Problem(path, mark, f"unknown field; {suggestion(name, fields_at(path[:-1]), 'fields here')}")
    if kind in _TYPES:
        return Problem(path, mark, _wrong_type(_TYPES[kind], error["input"], mark))
    if kind in _MESSAGES:
        return Problem(path, mark, _MESSAGES[kind](error["input"], error.get("ctx", {})))
    return Problem(path, mark, error["msg"])


def _wrong_type(wanted: str, given: object, mark: Mark) -> str:
    if given is None:
        return f"is empty; it must be {wanted}, or leave the field out"
    if wanted == "a text" and mark.text is not None:
        return f'must be a text; quote it: "{printable(mark.text)}"'
    return f"must be {wanted}, not {shown(given)}"


_TYPES = {
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "mapping_type": "a mapping",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
}

_Message = Callable[[Any, Mapping[str, Any]], str]
_MESSAGES: Mapping[str, _Message] = {
    "missing": lambda _, __: "is required",
    "literal_error": lambda given, context: _not_one_of(given, re.findall(r"'([^']*)'", context["expected"])),
    "string_pattern_mismatch": lambda given, context: f"{shown(given)} {PATTERNS[context['pattern']]}",
    "greater_than_equal": lambda given, context: f"must be at least {context['ge']:g}, not {shown(given)}",
    "less_than_equal": lambda given, context: f"must be at most {context['le']:g}, not {shown(given)}",
    "finite_number": lambda given, _: f"must be a finite number, not {shown(given)}",
    "value_error": lambda _, context: str(context["error"]),
}


def _not_one_of(given: object, choices: Sequence[str]) -> str:
    if len(choices) == 1:
        return f"must be {choices[0]}, not {shown(given)}"
    return f"{shown(given)} is not one of its values; {suggestion(str(given), choices, 'values')}"


def _refuse(problems: Sequence[Problem], source: str) -> NoReturn:
    problems = sorted(problems, key=lambda each: (each.mark.line, each.mark.column))
    name = printable(source, LONGEST_PATH)
    lines = [
        ": ".join(part for part in (f"{name}:{each.mark.line}", written(each.path), each.message) if part)
        for each in problems[:_LISTED]
    ]
    if len(problems) > _LISTED:
        lines.append(f"{name}: and {len(problems) - _LISTED} more problems")
    raise UsageError(
        "\n".join(lines),
        hint="`drakit config schema` prints what a stack file may hold.",
        code="invalid-stack-file",
        details={
            "problems": [
                {
                    "file": source,
                    "line": each.mark.line,
                    "column": each.mark.column,
                    "path": written(each.path),
                    "message": each.message,
                }
                for each in problems[:_LISTED]
            ]
        },
    ) from None


def written(path: document.Path) -> str:
    """A path as messages have it: `nodeGroups.g6.taints[0].key`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{printable(part)}" for part in path)
    return text.removeprefix(".")
