"""The JSON schema of the stack file, for editors and for `drakit config schema`."""

from functools import cache
from typing import Any

from drakit.stack.model import Stack


def json_schema() -> dict[str, Any]:
    """The schema, draft 2020-12, with the names that stand in the file.

    It holds what one field allows by itself; rules between fields are checked when the file is loaded.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Stack.model_json_schema(by_alias=True),
        "title": "drakit stack file",
    }


def fields_at(path: tuple[str | int, ...]) -> list[str]:
    """The names that the mapping at `path` of a stack file may hold; none where it is free to choose or no mapping."""
    node = _resolve(_schema())
    for part in path:
        if isinstance(part, int):
            node = node["items"]
        else:
            node = node["properties"][part] if "properties" in node else next(iter(node["patternProperties"].values()))
        node = _resolve(node)
    return list(node.get("properties", ()))


def _resolve(node: dict[str, Any]) -> dict[str, Any]:
    """`node`, or what it refers to; of a choice with null, the other."""
    for choice in node.get("anyOf", ()):
        if choice.get("type") != "null":
            node = choice
    reference = node.get("$ref")
    return _schema()["$defs"][reference.rpartition("/")[2]] if reference else node


_schema = cache(json_schema)
