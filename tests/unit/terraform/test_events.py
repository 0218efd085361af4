import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drakit.terraform import events
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
    describe,
)
from drakit.terraform.stream import LONGEST_LINE, LONGEST_TEXT, parse

GROUP = 'terraform_data.node_group["g6"]'
RESOURCE = {"addr": GROUP, "resource_type": "terraform_data"}


@pytest.mark.parametrize(
    ("message", "event", "words"),
    [
        ({"type": "version", "terraform": "1.11.4"}, Version("1.11.4"), None),
        ({"type": "version", "tofu": "1.12.6"}, Version("1.12.6"), None),
        ({"type": "log", "@level": "info", "@message": "Stopping"}, Log("info", "Stopping"), None),
        (
            {"type": "planned_change", "change": {"resource": RESOURCE, "action": "replace", "reason": "requested"}},
            PlannedChange(GROUP, "replace", "requested"),
            None,
        ),
        (
            {"type": "resource_drift", "change": {"resource": RESOURCE, "action": "update"}},
            ResourceDrift(GROUP, "update"),
            'changed outside Terraform: node_group["g6"]',
        ),
        (
            {"type": "change_summary", "changes": {"add": 2, "change": 1, "remove": 3, "operation": "plan"}},
            ChangeSummary("plan", 2, 1, 3),
            "to create 2, to change 1, to destroy 3",
        ),
        (
            {"type": "change_summary", "changes": {"add": 2, "change": 1, "remove": 3, "operation": "apply"}},
            ChangeSummary("apply", 2, 1, 3),
            "created 2, changed 1, destroyed 3",
        ),
        ({"type": "outputs", "outputs": {"id": {"value": "secret"}}}, Outputs(("id",)), None),
        (
            {"type": "apply_start", "hook": {"resource": RESOURCE, "action": "create"}},
            ApplyStart(GROUP, "create"),
            'creating node_group["g6"]',
        ),
        (
            {"type": "apply_progress", "hook": {"resource": RESOURCE, "action": "delete", "elapsed_seconds": 20}},
            ApplyProgress(GROUP, "delete", 20),
            'destroying node_group["g6"], 20 s',
        ),
        (
            {"type": "apply_complete", "hook": {"resource": RESOURCE, "action": "update", "elapsed_seconds": 3.2}},
            ApplyComplete(GROUP, "update", 3.2),
            'changed node_group["g6"] in 3 s',
        ),
        (
            {"type": "apply_errored", "hook": {"resource": RESOURCE, "action": "create", "elapsed_seconds": 1}},
            ApplyErrored(GROUP, "create", 1),
            'failed creating node_group["g6"] after 1 s',
        ),
        (
            {"type": "provision_start", "hook": {"resource": RESOURCE, "provisioner": "local-exec"}},
            ProvisionStart(GROUP, "local-exec"),
            None,
        ),
        (
            {"type": "provision_progress", "hook": {"resource": RESOURCE, "provisioner": "local-exec", "output": "hi"}},
            ProvisionProgress(GROUP, "local-exec", "hi"),
            None,
        ),
        (
            {"type": "provision_complete", "hook": {"resource": RESOURCE, "provisioner": "local-exec"}},
            ProvisionComplete(GROUP, "local-exec"),
            None,
        ),
        (
            {"type": "provision_errored", "hook": {"resource": RESOURCE, "provisioner": "local-exec"}},
            ProvisionErrored(GROUP, "local-exec"),
            None,
        ),
        (
            {
                "type": "diagnostic",
                "diagnostic": {
                    "severity": "warning",
                    "summary": "Old",
                    "range": {"filename": "a.tf", "start": {"line": 4}},
                },
            },
            Diagnostic("warning", "Old", file="a.tf", line=4),
            "warning: Old",
        ),
        ({"type": "refresh_start", "@message": "Refreshing"}, Unknown("refresh_start", "Refreshing"), None),
    ],
)
def test_a_message_becomes_an_event(message: dict[str, Any], event: TerraformEvent, words: str | None) -> None:
    assert parse(json.dumps(message)) == event
    assert describe(event) == words


def test_a_resource_of_a_provider_keeps_its_type() -> None:
    assert describe(ApplyStart("aws_eks_cluster.this", "create")) == "creating aws_eks_cluster.this"


@pytest.mark.parametrize("line", ["Initializing...", "", "[1]", "null", '{"type":', "[" * 100_000, "1" * 5000])
def test_a_line_that_is_no_message_is_kept_as_text(line: str) -> None:
    assert parse(line) == Plain(line if len(line) < LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…")


def test_terminal_escapes_are_taken_out() -> None:
    message = {"type": "log", "@level": "info\n", "@message": "\x1b[31mred\x1b[0m\x07\u009b2J\nnext"}
    assert parse(json.dumps(message)) == Log("info ", "[31mred[0m2J\nnext")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800"),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["resource", "range", "start", "addr"]), inner)
    ),
    max_leaves=8,
)
kinds = [field for field in vars(events) if isinstance(vars(events)[field], type)]
types = ["".join(f"_{c.lower()}" if c.isupper() else c for c in kind).lstrip("_") for kind in kinds]
messages = st.dictionaries(
    st.sampled_from(["diagnostic", "change", "changes", "hook", "outputs", "@message", "terraform"]), json_values
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(types), messages)
def test_no_message_breaks_the_reader(kind: str, message: dict[str, Any]) -> None:
    event = parse(json.dumps({**message, "type": kind}))
    (describe(event) or "").encode()
    str(dataclasses.asdict(event)).encode()


@given(st.text())
def test_no_text_breaks_the_reader(line: str) -> None:
    parse(line)


@pytest.mark.parametrize("size", [LONGEST_LINE // 2, LONGEST_LINE * 4])
@pytest.mark.parametrize(
    "message",
    [
        {"type": "log", "@message": "VALUE"},
        {"type": "VALUE", "@message": "VALUE"},
        {"type": "diagnostic", "diagnostic": {"summary": "VALUE", "detail": "VALUE", "address": "VALUE"}},
        {"type": "apply_start", "hook": {"resource": {"addr": "VALUE"}, "action": "VALUE"}},
        {"type": "outputs", "outputs": {"VALUE": 1}},
    ],
)
def test_an_event_is_small_however_long_its_line(message: dict[str, Any], size: int) -> None:
    event = parse(json.dumps(message).replace("VALUE", "x" * (size // 3)))
    assert len(str(event)) < 3 * LONGEST_TEXT
