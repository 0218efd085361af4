from typing import Any

import pytest

from drakit.aws.reservations import CapacityReservation, Kind
from drakit.stack.model import Stack
from drakit.targets.jark_variables import jark_variables

BLOCK, OTHER, ODCR = "cr-0123456789abcdef0", "cr-1111111111111111f", "cr-22222222222222220"


def stack(**groups: dict[str, Any]) -> Stack:
    return Stack.model_validate({"target": "eks", "nodeGroups": groups} if groups else {"target": "eks"})


def group(**fields: Any) -> dict[str, Any]:
    """A node group's definition for the blueprint, from its fields in the stack file."""
    return dict(jark_variables(stack(it=fields))["node_groups"]["it"])


def reservation(id: str, zone: str, placement_group: str = "") -> CapacityReservation:
    return CapacityReservation(
        id, Kind.BLOCK, "active", zone, "p4d.24xlarge", 1, 1, "123456789012", placement_group=placement_group
    )


def test_an_elastic_fabric_adapter_is_asked_for_by_the_group() -> None:
    assert group(instanceType="p4d.24xlarge", efa=True)["efa"] is True
    assert "efa" not in group(instanceType="p4d.24xlarge")


def test_the_default_stack() -> None:
    variables = jark_variables(stack())
    assert variables["node_groups"].keys() == {"core", "g6", "p4d"}
    assert (variables["zones"], variables["capacity_block_reservation_id"]) == ([], "")
    assert variables["deletion_protection"] is True
    assert variables["node_groups"]["core"] == {
        "instance_type": "m5.xlarge",
        "min": 2,
        "max": 8,
        "desired": 2,
        "ami_type": "AL2023_x86_64_STANDARD",
        "labels": {"NodeGroupType": "core", "WorkerType": "ON_DEMAND", "drakit/node-group": "core"},
        "taints": [],
    }
    assert variables["node_groups"]["g6"]["labels"] == {
        "drakit/node-group": "g6",
        "NodeGroupType": "g6",
        "nvidia.com/gpu.present": "true",
        "accelerator": "nvidia",
    }
    assert variables["node_groups"]["g6"]["taints"] == [
        {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
    ]


def test_mig_is_a_label() -> None:
    labels = group(instanceType="p4de.24xlarge", mig="all-balanced")["labels"]
    assert labels["nvidia.com/mig.config"] == "all-balanced"
    assert labels["node-type"] == "p4de"


def test_the_stack_files_labels_come_last_and_its_taints_beside() -> None:
    taint = {"key": "team", "value": "ml", "effect": "NoExecute"}
    made = group(instanceType="g6.xlarge", labels={"NodeGroupType": "g6-mng", "team": "ml"}, taints=[taint])
    assert made["labels"]["NodeGroupType"] == "g6-mng"
    assert made["labels"]["team"] == "ml"
    assert [each["key"] for each in made["taints"]] == ["nvidia.com/gpu", "team"]
    assert made["taints"][1] == taint


@pytest.mark.parametrize(
    ("instance_type", "ami_type"),
    [
        ("m5.xlarge", "AL2023_x86_64_STANDARD"),
        ("c7gn.large", "AL2023_ARM_64_STANDARD"),
        ("a1.large", "AL2023_ARM_64_STANDARD"),
        ("t4g.large", "AL2023_ARM_64_STANDARD"),
        ("im4gn.large", "AL2023_ARM_64_STANDARD"),
        ("r8gd.large", "AL2023_ARM_64_STANDARD"),
        ("u-6tb1.metal", "AL2023_x86_64_STANDARD"),
        ("trn1.32xlarge", "AL2023_x86_64_STANDARD"),
        ("g4ad.xlarge", "AL2023_x86_64_STANDARD"),  # AMD's GPUs
        ("g4dn.xlarge", "AL2023_x86_64_NVIDIA"),
        ("g5.xlarge", "AL2023_x86_64_NVIDIA"),
        ("g5g.xlarge", "AL2023_ARM_64_NVIDIA"),
        ("g6e.48xlarge", "AL2023_x86_64_NVIDIA"),
        ("gr6.4xlarge", "AL2023_x86_64_NVIDIA"),
        ("p3dn.24xlarge", "AL2023_x86_64_NVIDIA"),
        ("p5en.48xlarge", "AL2023_x86_64_NVIDIA"),
        ("p6-b200.48xlarge", "AL2023_x86_64_NVIDIA"),
        ("p6e-gb200.36xlarge", "AL2023_ARM_64_NVIDIA"),
    ],
)
def test_images_by_instance_type(instance_type: str, ami_type: str) -> None:
    made = group(instanceType=instance_type)
    assert made["ami_type"] == ami_type
    assert ("nvidia.com/gpu.present" in made["labels"]) is ami_type.endswith("NVIDIA")
    assert bool(made["taints"]) is ami_type.endswith("NVIDIA")


def test_one_capacity_block_stands_where_the_jark_stack_has_it() -> None:
    variables = jark_variables(
        stack(
            p4d={"instanceType": "p4d.24xlarge", "reservation": {"id": BLOCK}},
            g6={"instanceType": "g6.4xlarge", "reservation": {"id": ODCR, "type": "odcr"}},
        ),
        reservations=[reservation(BLOCK, "us-west-2c")],
    )
    assert variables["capacity_block_reservation_id"] == BLOCK
    assert variables["node_groups"]["p4d"]["reservation"] == {
        "type": "capacity-block",
        "availability_zone": "us-west-2c",
    }
    # EC2 did not tell about this one: the blueprint says what is missing.
    assert variables["node_groups"]["g6"]["reservation"] == {"type": "odcr", "id": ODCR}


def test_of_several_capacity_blocks_each_is_with_its_group() -> None:
    variables = jark_variables(
        stack(
            a={"instanceType": "p4d.24xlarge", "reservation": {"id": BLOCK}},
            b={"instanceType": "p4d.24xlarge", "reservation": {"id": OTHER}},
        )
    )
    assert variables["capacity_block_reservation_id"] == ""
    assert [each["reservation"]["id"] for each in variables["node_groups"].values()] == [BLOCK, OTHER]


def test_groups_in_one_capacity_block_share_it() -> None:
    variables = jark_variables(
        stack(**{name: {"instanceType": "p4d.24xlarge", "reservation": {"id": BLOCK}} for name in ("a", "b")})
    )
    assert variables["capacity_block_reservation_id"] == BLOCK
    assert all("id" not in each["reservation"] for each in variables["node_groups"].values())


def test_an_odcr_with_the_id_of_a_block_keeps_it() -> None:
    # Nonsense that the preflight refuses; the blueprint must still see what was asked for.
    variables = jark_variables(
        stack(
            a={"instanceType": "p4d.24xlarge", "reservation": {"id": BLOCK}},
            b={"instanceType": "p4d.24xlarge", "reservation": {"id": BLOCK, "type": "odcr"}},
        )
    )
    assert variables["node_groups"]["b"]["reservation"] == {"type": "odcr", "id": BLOCK}


def test_a_placement_group_only_where_the_reservation_was_made_in_one() -> None:
    groups = stack(p4d={"instanceType": "p4d.24xlarge", "reservation": {"id": BLOCK}})
    arn = "arn:aws:ec2:us-west-2:123456789012:placement-group/mine"
    within = jark_variables(groups, reservations=[reservation(BLOCK, "us-west-2c", arn)])
    outside = jark_variables(groups, reservations=[reservation(BLOCK, "us-west-2c")])
    assert within["node_groups"]["p4d"]["reservation"]["placement_group"] == "mine"
    assert "placement_group" not in outside["node_groups"]["p4d"]["reservation"]


def test_zones_are_passed_on_in_order() -> None:
    assert jark_variables(stack(), zones=("us-west-2c", "us-west-2a"))["zones"] == ["us-west-2c", "us-west-2a"]
