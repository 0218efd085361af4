"""Reading the `-json` stream of Terraform or OpenTofu, a line at a time.

Nothing here raises on bad input: what is not understood is kept as `Unknown` or `Plain`. Texts are clipped, so an event
takes little memory, and control characters, such as terminal escapes, are taken out.
"""

import json
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from drakit.terraform.events import (
    ApplyComplete,
    ApplyErrored,
    ApplyProgress,
    ApplyStart,
    ChangeSummary,
    Diagnostic,
    Log,
    Outputs,
    Plain,
    PlannedChange,
    ProvisionComplete,
    ProvisionErrored,
    ProvisionProgress,
    ProvisionStart,
    ResourceDrift,
    TerraformEvent,
    Unknown,
    Version,
)

LONGEST_LINE = 1024 * 1024
"""Characters; a longer line is not parsed."""
LONGEST_TEXT = 16 * 1024
LONGEST_NAME = 512
MOST_OUTPUTS = 1000

_CONTROL = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])
_Reader = Callable[[Mapping[str, Any]], TerraformEvent]


def parse(line: str) -> TerraformEvent:
    """The event that `line` holds. Never raises."""
    if len(line) > LONGEST_LINE:
        return Plain(_text(line))
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return Plain(_text(line))
    if not isinstance(message, dict):
        return Plain(_text(line))
    kind = _name(message.get("type"))
    read = _READERS.get(kind)
    return read(message) if read else Unknown(kind, _text(message.get("@message")))


def _diagnostic(message: Mapping[str, Any]) -> Diagnostic:
    body = _map(message, "diagnostic")
    place = _map(body, "range")
    line = _map(place, "start").get("line")
    return Diagnostic(
        severity=_name(body.get("severity")) or "error",
        summary=_text(body.get("summary")) or _text(message.get("@message")),
        detail=_text(body.get("detail")),
        address=_name(body.get("address")),
        file=_name(place.get("filename")),
        line=line if type(line) is int else None,
    )


def _address(message: Mapping[str, Any], under: str) -> str:
    return _name(_map(message, under, "resource").get("addr"))


def _summary(message: Mapping[str, Any]) -> ChangeSummary:
    changes = _map(message, "changes")
    counts = (int(_number(changes.get(field))) for field in ("add", "change", "remove"))
    return ChangeSummary(_name(changes.get("operation")), *counts)


def _applying(kind: type[ApplyProgress | ApplyComplete | ApplyErrored]) -> _Reader:
    def read(message: Mapping[str, Any]) -> TerraformEvent:
        hook = _map(message, "hook")
        return kind(_address(message, "hook"), _name(hook.get("action")), _number(hook.get("elapsed_seconds")))

    return read


def _named(kind: Callable[[str, str], TerraformEvent], under: str, field: str) -> _Reader:
    return lambda message: kind(_address(message, under), _name(_map(message, under).get(field)))


def _planned(message: Mapping[str, Any]) -> PlannedChange:
    change = _map(message, "change")
    return PlannedChange(_address(message, "change"), _name(change.get("action")), _name(change.get("reason")))


def _provisioning(message: Mapping[str, Any]) -> ProvisionProgress:
    hook = _map(message, "hook")
    return ProvisionProgress(_address(message, "hook"), _name(hook.get("provisioner")), _text(hook.get("output")))


_READERS: Mapping[str, _Reader] = {
    "version": lambda message: Version(_name(message.get("terraform") or message.get("tofu"))),
    "log": lambda message: Log(_name(message.get("@level")), _text(message.get("@message"))),
    "diagnostic": _diagnostic,
    "planned_change": _planned,
    "resource_drift": _named(ResourceDrift, "change", "action"),
    "change_summary": _summary,
    "outputs": lambda message: Outputs(tuple(map(_name, islice(_map(message, "outputs"), MOST_OUTPUTS)))),
    "apply_start": _named(ApplyStart, "hook", "action"),
    "apply_progress": _applying(ApplyProgress),
    "apply_complete": _applying(ApplyComplete),
    "apply_errored": _applying(ApplyErrored),
    "provision_start": _named(ProvisionStart, "hook", "provisioner"),
    "provision_progress": _provisioning,
    "provision_complete": _named(ProvisionComplete, "hook", "provisioner"),
    "provision_errored": _named(ProvisionErrored, "hook", "provisioner"),
}


def _map(value: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    for field in path:
        found = value.get(field)
        value = found if isinstance(found, dict) else {}
    return value


def _text(value: object, longest: int = LONGEST_TEXT) -> str:
    if not isinstance(value, str):
        return ""
    clipped = value if len(value) <= longest else value[: longest - 1] + "…"
    # A lone surrogate in JSON would fail at the first write.
    return clipped.translate(_CONTROL).encode(errors="replace").decode()


def _name(value: object) -> str:
    return _text(value, LONGEST_NAME).replace("\n", " ").replace("\t", " ")


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return value if 0 <= value < 1e9 else 0  # neither NaN, infinity nor an integer of a thousand digits
