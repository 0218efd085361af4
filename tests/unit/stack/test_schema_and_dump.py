import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from drakit.errors import UsageError
from drakit.stack.dump import dump_stack, template
from drakit.stack.model import Stack, builtin_stack
from drakit.stack.parse import parse_stack
from drakit.stack.schema import fields_at, json_schema
from drakit.stack.targets import TARGETS

FULL = """\
target: eks
kubernetesVersion: "1.35"
nodeGroups:
  p4d:
    instanceType: p4d.24xlarge
    min: 1
    mig: all-balanced
    reservation: {id: cr-0123456789abcdef0}
    labels: {example.com/team: "true"}
    taints: [{key: nvidia.com/gpu, value: "1", effect: NoSchedule}]
charts: ../charts
"""


@pytest.mark.parametrize("text", ["", "target: eks", FULL, "nodeGroups: {}"])
def test_a_dump_parses_to_the_same_stack(text: str) -> None:
    stack = parse_stack(text, "f")
    assert parse_stack(dump_stack(stack), "dump") == stack


def test_a_dump_has_every_default() -> None:
    text = dump_stack(builtin_stack())
    assert "kubernetesVersion: '1.33'\n" in text
    assert "maxHourlyCost: 50.0\n" in text


@pytest.mark.parametrize("target", TARGETS)
def test_a_template_is_the_default_stack_of_its_target(target: str) -> None:
    assert parse_stack(template(target), "drakit.yaml") == Stack.model_validate({"target": target})


def test_a_template_of_no_target() -> None:
    with pytest.raises(UsageError, match="did you mean eks"):
        template("esk")


def objects(schema: object) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for value in schema.values():
            yield from objects(value)


def test_the_schema_names_describes_and_closes_everything() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "drakit stack file"
    assert {"apiVersion", "kubernetesVersion", "nodeGroups", "limits"} <= set(schema["properties"])
    assert schema["properties"]["kubernetesVersion"]["enum"] == ["1.33", "1.34", "1.35", "1.36"]
    for each in objects(schema):
        assert each["additionalProperties"] is False
        assert each["title"]
        for name, field in each["properties"].items():
            assert field.get("description") or schema["$defs"][field["$ref"].rpartition("/")[2]]["description"], name
            assert "_" not in name


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("limits",), ["maxHourlyCost"]),
        (("nodeGroups",), []),
        (("nodeGroups", "g6", "reservation"), ["id", "type"]),
        (("nodeGroups", "g6", "taints", 0), ["key", "value", "effect"]),
    ],
)
def test_fields_at(path: tuple[str | int, ...], expected: list[str]) -> None:
    assert fields_at(path) == expected


def test_targets_are_the_models_targets() -> None:
    assert list(TARGETS) == json_schema()["properties"]["target"]["enum"]


def test_a_stack_cannot_be_changed() -> None:
    assert issubclass(Stack, BaseModel)
    with pytest.raises(ValueError, match="frozen"):
        builtin_stack().name = "other"


def test_the_package_imports_nothing_heavy() -> None:
    code = "import sys, drakit.stack, drakit.dra; assert not {'pydantic', 'ruamel.yaml'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
