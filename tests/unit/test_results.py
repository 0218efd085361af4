import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from drakit.engine.events import EventKind
from drakit.errors import ClusterError
from drakit.results import Result, envelope, to_json

KUBERNETES = {"version", "server", "resourceApi"}

# design.md's result shapes: the keys at each path; `*` stands for the items of a list or of a map.
SHAPES: Mapping[str, Mapping[str, set[str]]] = {
    "up": {
        "": {
            "stack",
            "target",
            "kubernetes",
            "kubeconfig",
            "releases",
            "deviceClasses",
            "nodeGroups",
            "seconds",
            "steps",
        },
        "kubernetes": KUBERNETES,
        "releases.*": {"name", "namespace", "chart", "version", "status"},
        "nodeGroups.*": {"desired", "ready"},
        "steps.*": {"name", "seconds", "changed"},
    },
    "scale": {
        "": {
            "nodeGroups",
            "devices",
            "gpus",
            "hourlyCost",
            "hourlyCostBefore",
            "monthlyCost",
            "priceSources",
            "changes",
            "scheduled",
            "remembered",
            "seconds",
        },
        "nodeGroups.*": {"from", "to", "ready", "min", "max"},
        "devices": {"published"},
        "gpus": {"before", "after"},
        "changes.*": {"path", "before", "after", "effect", "note"},
        "scheduled.*": {"group", "name", "at", "desired"},
    },
    "mig": {
        "": {"group", "config", "nodes", "seconds"},
        "nodes.*": {"name", "changed", "devices"},
        "nodes.*.devices": {"3g.20gb", "2g.10gb", "1g.5gb"},
    },
    "demo": {
        "demos.*": {"strategy", "proved", "checks", "pods", "claims", "timings"},
        "demos.*.checks.*": {"name", "ok", "evidence"},
        "demos.*.pods.*": {"namespace", "name", "phase", "node", "devices", "uuids"},
        "demos.*.claims.*": {"namespace", "name", "devices"},
        "demos.*.timings": {"allocated", "running"},
    },
    "status": {
        "": {"nodes", "devices", "summary", "hourlyCost", "problems"},
        "nodes.*": {"name", "group", "instanceType", "ready"},
        "devices.*": {"node", "name", "type", "product", "memory", "uuid", "profile", "parent", "allocatedTo"},
        "devices.*.allocatedTo.*": {"namespace", "claim", "pods"},
        "summary": {"gpus", "migDevices", "allocated", "free"},
    },
    "down": {
        "": {"removed", "leftovers", "kept", "seconds", "hourlySaving"},
        "leftovers.*": {"kind", "id", "region", "remove", "why", "hourly"},
        "kept.*": {"kind", "id", "why"},
    },
}


def at(value: Any, path: str) -> list[Any]:
    found = [value]
    for key in filter(None, path.split(".")):
        if key == "*":
            found = [item for each in found for item in (each.values() if isinstance(each, dict) else each)]
        else:
            found = [each[key] for each in found]
    return found


@pytest.mark.parametrize("command", SHAPES)
def test_the_shape_of_a_result(command: str, samples: Mapping[str, Result]) -> None:
    result = envelope(command, samples[command])["result"]
    for path, keys in SHAPES[command].items():
        objects = at(result, path)
        assert objects, path
        assert all(keys <= set(each) for each in objects), path


def test_the_envelope_of_a_result(samples: Mapping[str, Result]) -> None:
    document = envelope("up", samples["up"], warnings=("slow disk",))
    assert list(document) == ["schema", "command", "ok", "exitCode", "result", "warnings", "error"]
    assert document | {"result": {}} == {
        "schema": "drakit/v1",
        "command": "up",
        "ok": True,
        "exitCode": 0,
        "result": {},
        "warnings": ["slow disk", "an old Helm"],
        "error": None,
    }
    assert not {"warnings", "failure", "command"} & set(document["result"])


def test_every_result_is_json(samples: Mapping[str, Result]) -> None:
    for name, result in samples.items():
        document = envelope(name, result)
        assert json.loads(json.dumps(document)) == document


def test_a_result_with_a_failure_has_both(samples: Mapping[str, Result]) -> None:
    document = envelope("demo", samples["demo-unproved"])
    assert (document["ok"], document["exitCode"], document["error"]["code"]) == (False, 8, "not-proven")
    assert document["result"]["demos"][0]["proved"] is False


def test_an_error_outranks_the_results_own_failure(samples: Mapping[str, Result]) -> None:
    assert envelope("demo", samples["demo-unproved"], ClusterError("gone"))["exitCode"] == 5


def test_a_texts_result_is_its_value(samples: Mapping[str, Result]) -> None:
    assert envelope("kubeconfig", samples["text"])["result"] == {"kubeconfig": "/srv/kubeconfig"}


def test_values_as_json() -> None:
    value = {Path("a"): (Path("/b"), EventKind.DONE, None, 1.5), "not_a_field": {"x_y": [True]}}
    assert to_json(value) == {"a": ["/b", "done", None, 1.5], "not_a_field": {"x_y": [True]}}
