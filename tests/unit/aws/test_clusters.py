import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from drakit.aws.clusters import find_cluster, nodegroups, scaling_activities, update_sizes, wait_for_update
from drakit.errors import ClusterError, TimedOut

CLUSTER = {
    "name": "jark", "arn": "arn:aws:eks:us-west-2:123456789012:cluster/jark", "status": "ACTIVE", "version": "1.33",
    "endpoint": "https://ABC.eks.amazonaws.com", "certificateAuthority": {"data": base64.b64encode(b"PEM").decode()},
    "resourcesVpcConfig": {
        "endpointPublicAccess": True, "endpointPrivateAccess": True, "publicAccessCidrs": ["203.0.113.0/24"]
    },
    "upgradePolicy": {"supportType": "EXTENDED"}, "tags": {"drakit/stack": "jark"},
    "health": {"issues": [{"code": "AccessDenied", "message": "The role", "resourceIds": ["role"]}]},
}  # fmt: skip
GROUP = {
    "nodegroupName": "g6-20261123", "clusterName": "jark", "status": "DEGRADED", "capacityType": "ON_DEMAND",
    "scalingConfig": {"minSize": 0, "maxSize": 2, "desiredSize": 1}, "subnets": ["subnet-1"],
    "amiType": "AL2023_x86_64_NVIDIA",
    "labels": {"NodeGroupType": "g6"}, "tags": {"drakit/node-group": "g6"}, "releaseVersion": "1.33.5-20261101",
    "resources": {"autoScalingGroups": [{"name": "eks-g6-20261123"}]},
    "launchTemplate": {"id": "lt-0123456789abcdef0", "version": "3"},
    "health": {"issues": [{"code": "AsgInstanceLaunchFailures", "resourceIds": ["eks-g6-20261123"], "message":
        "Could not launch On-Demand Instances. InsufficientInstanceCapacity - We currently do not have sufficient "
        "g6.4xlarge capacity in the Availability Zone you requested (us-west-2a)."}]},
}  # fmt: skip


async def test_a_cluster(fake_aws) -> None:
    found = await find_cluster(fake_aws({("eks", "describe_cluster"): {"cluster": CLUSTER}}), "jark")
    assert found is not None
    assert (found.stack, found.ca, found.status, found.support_type) == ("jark", b"PEM", "ACTIVE", "EXTENDED")
    assert (found.public_access, found.private_access, found.public_cidrs) == (True, True, ("203.0.113.0/24",))
    assert [(issue.code, issue.kind, issue.resources) for issue in found.issues] == [
        ("AccessDenied", "aws-access-denied", ("role",))
    ]


async def test_a_cluster_that_is_being_made(fake_aws) -> None:
    creating = {"name": "jark", "status": "CREATING", "version": "1.33"}
    found = await find_cluster(fake_aws({("eks", "describe_cluster"): {"cluster": creating}}), "jark")
    assert found is not None
    assert (found.endpoint, found.ca, found.stack) == ("", b"", None)


async def test_no_cluster(fake_aws) -> None:
    assert (
        await find_cluster(fake_aws({("eks", "describe_cluster"): ("ResourceNotFoundException", "no")}), "jark") is None
    )


async def test_node_groups(fake_aws) -> None:
    def describe(**parameters: Any) -> Any:
        if parameters["nodegroupName"] == "gone":
            return ("ResourceNotFoundException", "no")
        return {"nodegroup": {**GROUP, "nodegroupName": parameters["nodegroupName"]}}

    aws = fake_aws(
        {
            ("eks", "list_nodegroups"): {"nodegroups": ["g6-20261123", "gone", "core-1"]},
            ("eks", "describe_nodegroup"): describe,
        }
    )
    found = await nodegroups(aws, "jark")
    assert [each.name for each in found] == ["core-1", "g6-20261123"]
    g6 = found[1]
    assert (g6.group, g6.min, g6.max, g6.desired, g6.status) == ("g6", 0, 2, 1, "DEGRADED")
    assert (g6.launch_template, g6.autoscaling_groups) == ("lt-0123456789abcdef0:3", ("eks-g6-20261123",))
    assert [issue.kind for issue in g6.issues] == ["aws-insufficient-capacity"]


async def test_node_groups_of_no_cluster(fake_aws) -> None:
    assert await nodegroups(fake_aws({("eks", "list_nodegroups"): ("ResourceNotFoundException", "no")}), "jark") == ()
    with pytest.raises(ClusterError):
        await nodegroups(fake_aws({("eks", "list_nodegroups"): ("AccessDeniedException", "no")}), "jark")


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        ("Successful", "Done.", ""),
        ("Failed", "We currently do not have sufficient p4d.24xlarge capacity in the Availability Zone you requested "
         "(us-west-2a). Launching EC2 instance failed.", "aws-insufficient-capacity"),
        ("Failed", "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance "
         "bucket that the specified instance type belongs to. Launching EC2 instance failed.", "aws-quota-exceeded"),
        ("Failed", "Your requested instance type (p4d.24xlarge) is not supported in your requested Availability Zone "
         "(us-west-2d). Launching EC2 instance failed.", "aws-insufficient-capacity"),
        ("Failed", "The specified Capacity Reservation cr-0 has no available capacity.", "aws-reservation-unusable"),
        ("Failed", "You are not authorized to perform this. Encoded authorization failure message: SECRETBLOB",
         "aws-access-denied"),
        ("Failed", "Something else.", "aws-refused"),
    ],
)  # fmt: skip
async def test_why_instances_do_not_come(fake_aws, status: str, message: str, kind: str) -> None:
    activity = {
        "ActivityId": "1", "AutoScalingGroupName": "g", "Cause": "a user",
        "StartTime": datetime(2026, 11, 23, tzinfo=UTC),
        "StatusCode": status, "StatusMessage": message, "Description": "Launching a new EC2 instance.",
    }  # fmt: skip
    aws = fake_aws({("autoscaling", "describe_scaling_activities"): {"Activities": [activity]}})
    (found,) = await scaling_activities(aws, "g")
    assert (found.status, found.kind) == (status, kind)
    assert "SECRETBLOB" not in found.message


async def test_sizes_are_changed_as_given(fake_aws) -> None:
    aws = fake_aws({("eks", "update_nodegroup_config"): {"update": {"id": "u-1", "status": "InProgress"}}})
    assert await update_sizes(aws, "jark", "g6-20261123", desired=2, max=4) == "u-1"
    assert aws.asked[0][2] == {
        "clusterName": "jark", "nodegroupName": "g6-20261123", "scalingConfig": {"desiredSize": 2, "maxSize": 4}
    }  # fmt: skip


async def test_an_update_beside_another_is_refused(fake_aws) -> None:
    aws = fake_aws({("eks", "update_nodegroup_config"): ("ResourceInUseException", "An update is in progress")})
    with pytest.raises(ClusterError) as caught:
        await update_sizes(aws, "jark", "g6", desired=2)
    assert caught.value.code == "aws-in-use"


def update(status: str, *errors: dict[str, Any]) -> dict[str, Any]:
    return {"update": {"id": "u-1", "status": status, "errors": list(errors)}}


async def test_an_update_is_waited_for(fake_aws) -> None:
    states = iter(["InProgress", "InProgress", "Successful"])
    aws = fake_aws({("eks", "describe_update"): lambda **_: update(next(states))})
    said: list[str] = []
    await wait_for_update(aws, "jark", "u-1", nodegroup="g6", timeout=30, report=said.append)
    assert said == ["EKS update u-1 of g6: InProgress"]
    assert aws.asked[0][2] == {"name": "jark", "updateId": "u-1", "nodegroupName": "g6"}
    assert len(aws.asked) == 3


async def test_an_update_that_fails_says_why(fake_aws) -> None:
    failed = update("Failed", {"errorCode": "InsufficientFreeAddresses", "errorMessage": "none in subnet-1"})
    with pytest.raises(ClusterError, match="InsufficientFreeAddresses: none in subnet-1") as caught:
        await wait_for_update(fake_aws({("eks", "describe_update"): failed}), "jark", "u-1", timeout=30)
    assert caught.value.code == "aws-update-failed"
    denied = update("Failed", {"errorCode": "AccessDenied", "errorMessage": "no"})
    with pytest.raises(ClusterError) as caught:
        await wait_for_update(fake_aws({("eks", "describe_update"): denied}), "jark", "u-1", timeout=30)
    assert caught.value.code == "aws-access-denied"


async def test_an_update_without_an_end(fake_aws) -> None:
    with pytest.raises(TimedOut, match="it goes on"):
        await wait_for_update(fake_aws({("eks", "describe_update"): update("InProgress")}), "jark", "u-1", timeout=0.01)
