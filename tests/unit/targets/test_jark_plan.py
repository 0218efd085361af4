"""What must hold of a plan: of a stack that is there already, and of a blueprint that is not drakit's."""

from typing import Any

import pytest

from drakit.stack.model import Stack
from drakit.targets.jark_plan import plan_checks

BLOCK = "cr-0123456789abcdef0"
STACK = Stack.model_validate({
    "target": "eks",
    "nodeGroups": {"p4d": {"instanceType": "p4d.24xlarge", "max": 1, "reservation": {"id": BLOCK}}},
})  # fmt: skip
TAGS = {"drakit/node-group": "p4d", "drakit/stack": "jark"}


def plan(*, uses: dict[str, Any], newest: int | None = 3, module: str = "") -> dict[str, Any]:
    """As `terraform show -json` has the plan of a stack whose launch template is there. `uses`: by the node group."""
    prefix = f"module.{module}[0]." if module else ""
    template = {
        "id": "lt-1",
        "instance_type": "p4d.24xlarge",
        "block_device_mappings": [{"ebs": [{"encrypted": "true"}]}],
        "capacity_reservation_specification": [{"capacity_reservation_target": [{"capacity_reservation_id": BLOCK}]}],
        "instance_market_options": [{"market_type": "capacity-block"}],
        "tag_specifications": [{"resource_type": "instance", "tags": TAGS}],
        **({} if newest is None else {"latest_version": newest}),
    }
    group = {"capacity_type": "CAPACITY_BLOCK", "tags": TAGS, "launch_template": [uses]}
    resources = [
        {"address": f"{prefix}{kind}", "mode": "managed", "type": kind.partition(".")[0], "values": values}
        for kind, values in (
            ('aws_launch_template.mine["a.b"]', template),
            ('aws_eks_node_group.mine["a.b"]', group),
            (
                "aws_eks_cluster.mine",
                {
                    "name": "jark",
                    "tags_all": TAGS,
                    "encryption_config": [{"resources": ["secrets"]}],
                },
            ),
        )
    ]
    references = {"id": {"references": ["aws_launch_template.mine", "each.key"]}}
    configured = {
        "resources": [
            {
                "address": "aws_eks_node_group.mine",
                "type": "aws_eks_node_group",
                "expressions": {"launch_template": [references]},
            }
        ]
    }
    wrapped = {"child_modules": [{"resources": resources}]}
    calls = {"module_calls": {module: {"module": configured}}}
    return {
        "planned_values": {"root_module": wrapped if module else {"resources": resources}},
        "configuration": {"root_module": calls if module else configured},
        "variables": {"node_groups": {"value": {"p4d": {"reservation": {"availability_zone": "us-west-2c"}}}}},
    }


def wrong(found: dict[str, Any]) -> list[str]:
    return [check.name for check in plan_checks(STACK, found) if not check.ok]


@pytest.mark.parametrize("module", ["", "eks"])
@pytest.mark.parametrize(
    ("uses", "newest", "expected"),
    [
        ({"id": "lt-1", "version": "3"}, 3, []),
        ({"id": "lt-1"}, None, []),  # a new version is about to be made
        ({}, 3, []),
        ({"id": "lt-2", "version": "3"}, 3, ["p4d-launch-template"]),
        # Nodes would go on starting with an older version, from before the reservation.
        ({"id": "lt-1", "version": "2"}, 3, ["p4d-launch-template"]),
    ],
)
def test_the_launch_template_that_the_node_group_uses(
    module: str, uses: dict[str, Any], newest: int | None, expected: list[str]
) -> None:
    assert wrong(plan(uses=uses, newest=newest, module=module)) == expected


def test_a_launch_template_that_the_configuration_does_not_name() -> None:
    found = plan(uses={}, module="eks")
    configured = found["configuration"]["root_module"]["module_calls"]["eks"]["module"]["resources"][0]
    named = configured["expressions"]["launch_template"][0]["id"]
    named["references"] = ["local.launch_template_id"]  # Terraform does not tell what that is
    assert wrong(found) == []
    named["references"] = ["aws_launch_template.other"]
    assert wrong(found) == ["p4d-launch-template"]


def test_zones_that_the_blueprint_does_not_tell() -> None:
    found = {check.name: check for check in plan_checks(STACK, plan(uses={}))}
    assert found["p4d-reservation"].ok
    assert "a zone that the blueprint does not tell" in found["p4d-reservation"].evidence


def test_a_plan_without_the_node_group() -> None:
    assert wrong({}) == ["cluster", "p4d-launch-template", "p4d-instance-type", "p4d-reservation", "encrypted"]
