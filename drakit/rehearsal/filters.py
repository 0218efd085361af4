"""Filters and tags as EC2 and Auto Scaling have them in a request."""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from typing import Any

from moto.ec2 import utils

from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.protocol import Call


def matches(document: Mapping[str, Any], filters: Sequence[Mapping[str, Any]], fields: Mapping[str, str]) -> bool:
    """Whether a document passes every filter.

    Args:
        fields: the document's member behind each filter's name; a dot leads into a member. `tag:*` and `tag-key` look
            at its `Tags`.

    Raises:
        AwsError: InvalidParameterValue: there is no such filter.
    """
    return all(_passes(document, each["Name"], each.get("Values", []), fields) for each in filters)


def tags_given(call: Call, resource: str) -> list[dict[str, str]]:
    """The tags that a call wants on a new resource of EC2."""
    return [
        {"Key": tag["Key"], "Value": tag.get("Value", "")}
        for spec in call.get("TagSpecifications", [])
        if spec.get("ResourceType") == resource
        for tag in spec.get("Tags", [])
    ]


def one_of_several_suffices() -> None:
    """Let a filter with several values pass what has any of them, as EC2 does; moto asks for all on `tag-key`."""
    one = utils.is_filter_matching

    def any_of(thing: Any, name: str, values: Any) -> bool:
        return any(one(thing, name, [value]) for value in values) if name == "tag-key" else one(thing, name, values)

    utils.is_filter_matching = any_of  # type: ignore[assignment]


def _passes(document: Mapping[str, Any], name: str, values: Sequence[str], fields: Mapping[str, str]) -> bool:
    tags = {tag["Key"]: tag["Value"] for tag in document.get("Tags", [])}
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")
        return key in tags and _any(tags[key], values)
    if name in ("tag-key", "tag-value"):
        return any(_any(each, values) for each in (tags if name == "tag-key" else tags.values()))
    if name not in fields:
        raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")
    found: Any = document
    for part in fields[name].split("."):
        found = (found or {}).get(part)
    text = str(found).lower() if isinstance(found, bool) else str(found)
    return found is not None and _any(text, values)


def _any(found: str, patterns: Sequence[str]) -> bool:
    return any(re.fullmatch(fnmatch.translate(pattern), found) for pattern in patterns)
