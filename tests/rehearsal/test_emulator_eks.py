"""The emulated EKS: a cluster, what is in it, and its nodes."""

import asyncio
import base64
import datetime
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.signers import RequestSigner

from drakit.errors import ClusterError
from drakit.kube.client import Kube
from drakit.kube.kinds import NODE
from tests.rehearsal.emulator import (
    Emulator,
    Network,
    emulator,
    eventually,
    make_cluster,
    make_network,
    refusal,
    running,
    without_faults,
)

__all__ = ["emulator", "without_faults"]
pytestmark = pytest.mark.sandbox

ADMIN = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
NAME = "rehearsed"
P4D = "p4d.24xlarge"


@pytest.fixture(scope="module")
def network(emulator: Emulator) -> Network:
    """A VPC in three zones; p4de is in none but the first two."""
    return make_network(emulator, "us-west-2a", "us-west-2b", "us-west-2d")


@pytest.fixture(scope="module")
def cluster(emulator: Emulator, network: Network) -> Any:
    """One cluster for the module."""
    made = make_cluster(emulator, network, NAME, tags={"stack": "one"})
    assert made["status"] == "ACTIVE", made["health"]
    return made


@pytest.fixture
def eks(without_faults: Emulator, cluster: Any) -> Any:
    """A client, and a cluster."""
    return without_faults.client("eks")


@pytest.fixture
def group(eks: Any, network: Network) -> Iterator[Any]:
    """Makes node groups, and deletes them at the end of the test."""
    made: list[str] = []

    def make(name: str, *, settled: bool = True, **more: Any) -> Any:
        template = {} if "launchTemplate" in more or "instanceTypes" in more else {"instanceTypes": ["g6.4xlarge"]}
        made.append(name)
        eks.create_nodegroup(
            clusterName=NAME,
            nodegroupName=name,
            nodeRole=network.role,
            **{
                "subnets": list(network.subnets),
                "scalingConfig": {"minSize": 0, "maxSize": 4, "desiredSize": 0},
                **template,
                **more,
            },
        )
        return described(eks, name, "CREATING") if settled else None

    yield make
    for name in made:
        eks.delete_nodegroup(clusterName=NAME, nodegroupName=name)
    for name in made:
        eventually(
            lambda: eks.list_nodegroups(clusterName=NAME)["nodegroups"], lambda names, name=name: name not in names
        )


def described(eks: Any, name: str, *not_yet: str) -> Any:
    return eventually(
        lambda: eks.describe_nodegroup(clusterName=NAME, nodegroupName=name)["nodegroup"],
        lambda found: found["status"] not in not_yet,
    )


def scale(eks: Any, name: str, desired: int) -> Any:
    update = eks.update_nodegroup_config(
        clusterName=NAME, nodegroupName=name, scalingConfig={"desiredSize": desired, "minSize": 0, "maxSize": 4}
    )["update"]
    assert update["status"] == "InProgress"
    found = eventually(
        lambda: eks.describe_update(name=NAME, nodegroupName=name, updateId=update["id"])["update"],
        lambda update: update["status"] != "InProgress",
    )
    assert found["status"] == "Successful"
    return described(eks, name)


def template(emulator: Emulator, name: str, **data: Any) -> dict[str, str]:
    made = emulator.client("ec2").create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
    return {"id": made["LaunchTemplate"]["LaunchTemplateId"], "version": "1"}


def nodes(emulator: Emulator, cluster: Any, tmp_path: Path) -> list[Any]:
    async def look() -> list[Any]:
        async with Kube(kubeconfig(emulator, cluster, tmp_path)) as kube:
            return (await kube.list(NODE))[0]

    return asyncio.run(look())


def token(emulator: Emulator, cluster: str = NAME, key: str = "AKIAREHEARSAL0000000") -> str:
    """A token as `aws eks get-token` makes it."""
    session = emulator.client("sts", key=key)
    signer: RequestSigner = session._request_signer
    url = signer.generate_presigned_url(
        {
            "method": "GET",
            "url": "https://sts.us-west-2.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
            "body": {},
            "headers": {"x-k8s-aws-id": cluster},
            "context": {},
        },
        region_name="us-west-2",
        expires_in=60,
        operation_name="",
    )
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def kubeconfig(emulator: Emulator, cluster: Any, folder: Path, **user: Any) -> Path:
    """A kubeconfig with a token in it."""
    user = user or {"token": token(emulator)}
    authority = cluster["certificateAuthority"]["data"]
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [
            {"name": "c", "cluster": {"server": cluster["endpoint"], "certificate-authority-data": authority}}
        ],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(document))
    return path


def test_a_cluster_takes_time_and_is_a_control_plane(emulator: Emulator, cluster: Any) -> None:
    assert cluster["version"] == "1.33"
    assert cluster["identity"]["oidc"]["issuer"].startswith("https://oidc.eks.us-west-2.amazonaws.com/id/")
    assert running(emulator.sandbox(NAME)) >= {"etcd", "kube-apiserver", "nodes"}
    group_id = cluster["resourcesVpcConfig"]["clusterSecurityGroupId"]
    [found] = emulator.client("ec2").describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    assert found["GroupName"].startswith(f"eks-cluster-sg-{NAME}-")


def test_a_token_opens_the_cluster_for_who_has_an_entry(
    emulator: Emulator, eks: Any, cluster: Any, tmp_path: Path
) -> None:
    nodes(emulator, cluster, tmp_path)
    me = emulator.client("sts").get_caller_identity()["Arn"]
    assert me in eks.list_access_entries(clusterName=NAME)["accessEntries"]
    eks.disassociate_access_policy(clusterName=NAME, principalArn=me, policyArn=ADMIN)
    try:
        code = eventually(lambda: refused(emulator, cluster, tmp_path), lambda code: code is not None)
        assert code == "forbidden"
        eks.delete_access_entry(clusterName=NAME, principalArn=me)
        assert (
            eventually(lambda: refused(emulator, cluster, tmp_path), lambda code: code != "forbidden") == "unauthorized"
        )
        assert refusal(lambda: eks.describe_access_entry(clusterName=NAME, principalArn=me))[0] == (
            "ResourceNotFoundException"
        )
    finally:
        eks.create_access_entry(clusterName=NAME, principalArn=me)
        eks.associate_access_policy(clusterName=NAME, principalArn=me, policyArn=ADMIN, accessScope={"type": "cluster"})
    eventually(lambda: refused(emulator, cluster, tmp_path), lambda code: code is None)


def refused(emulator: Emulator, cluster: Any, tmp_path: Path) -> str | None:
    try:
        nodes(emulator, cluster, tmp_path)
    except ClusterError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    "bad",
    ["k8s-aws-v1.nonsense", "k8s-aws-v1." + base64.urlsafe_b64encode(b"https://sts/?Action=GetUser").decode(), "x"],
)
def test_what_is_no_token_opens_nothing(emulator: Emulator, cluster: Any, tmp_path: Path, bad: str) -> None:
    path = kubeconfig(emulator, cluster, tmp_path, token=bad)

    async def look() -> None:
        async with Kube(path) as kube:
            await kube.list(NODE)

    with pytest.raises(ClusterError) as caught:
        asyncio.run(look())
    assert caught.value.code == "unauthorized"


def test_a_real_looking_key_signs_no_token(emulator: Emulator, cluster: Any, tmp_path: Path) -> None:
    path = kubeconfig(emulator, cluster, tmp_path, token=token(emulator, key="AKIAQ7WERTYUIOPASDFG"))

    async def look() -> None:
        async with Kube(path) as kube:
            await kube.list(NODE)

    with pytest.raises(ClusterError):
        asyncio.run(look())


def test_kubectl_with_the_aws_cli(emulator: Emulator, cluster: Any, tmp_path: Path) -> None:
    if not (shutil.which("kubectl") and shutil.which("aws")):
        pytest.skip("kubectl or the aws CLI is not on PATH")
    environment = {**emulator.environment, "KUBECONFIG": str(tmp_path / "config"), "HOME": str(tmp_path)}
    # A shim of a version manager looks for its home.
    environment |= {key: value for key, value in os.environ.items() if key.startswith("PYENV")}
    for command in (["aws", "eks", "update-kubeconfig", "--name", NAME], ["kubectl", "auth", "whoami", "-o", "json"]):
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert ended.returncode == 0, ended.stderr
    assert "system:masters" in json.loads(ended.stdout)["status"]["userInfo"]["groups"]


def test_a_role_gets_in_by_its_own_entry(emulator: Emulator, eks: Any, cluster: Any, tmp_path: Path) -> None:
    role = emulator.client("iam").create_role(RoleName="ops", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    given = emulator.client("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    eks.create_access_entry(clusterName=NAME, principalArn=role)
    eks.associate_access_policy(clusterName=NAME, principalArn=role, policyArn=ADMIN, accessScope={"type": "cluster"})
    path = kubeconfig(emulator, cluster, tmp_path, token=token(emulator, key=given["AccessKeyId"]))

    async def look() -> None:
        async with Kube(path) as kube:
            await kube.list(NODE)

    asyncio.run(look())
    code, _ = refusal(lambda: eks.create_access_entry(clusterName=NAME, principalArn=role))
    assert code == "ResourceInUseException"
    missing = f"{role}-of-nobody"
    code, _ = refusal(lambda: eks.create_access_entry(clusterName=NAME, principalArn=missing))
    assert code == "InvalidParameterException"
    eks.delete_access_entry(clusterName=NAME, principalArn=role)


def test_nodes_come_and_go(emulator: Emulator, eks: Any, cluster: Any, group: Any, tmp_path: Path) -> None:
    made = group(
        "g6",
        launchTemplate=template(emulator, "g6", InstanceType="g6.4xlarge"),
        labels={"NodeGroupType": "g6"},
        taints=[{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}],
        amiType="AL2023_x86_64_NVIDIA",
    )
    assert made["status"] == "ACTIVE"
    assert "instanceTypes" not in made
    scale(eks, "g6", 2)
    found = nodes(emulator, cluster, tmp_path)
    assert {node["metadata"]["labels"]["node.kubernetes.io/instance-type"] for node in found} == {"g6.4xlarge"}
    assert all(node["spec"]["taints"][0]["effect"] == "NoSchedule" for node in found)
    groups = emulator.client("autoscaling").describe_auto_scaling_groups(
        Filters=[{"Name": "tag:eks:cluster-name", "Values": [NAME]}]
    )["AutoScalingGroups"]
    assert [each["DesiredCapacity"] for each in groups] == [2]
    ids = [each["InstanceId"] for each in groups[0]["Instances"]]
    instances = emulator.client("ec2").describe_instances(InstanceIds=ids)["Reservations"]
    assert sorted(i["InstanceId"] for r in instances for i in r["Instances"]) == sorted(ids)
    assert sorted(node["spec"]["providerID"].rpartition("/")[2] for node in found) == sorted(ids)
    scale(eks, "g6", 0)
    assert nodes(emulator, cluster, tmp_path) == []


def test_labels_and_taints_change_on_the_nodes_there_are(
    emulator: Emulator, eks: Any, cluster: Any, group: Any, tmp_path: Path
) -> None:
    group("labelled", labels={"a": "1", "b": "2"}, scalingConfig={"minSize": 1, "maxSize": 1, "desiredSize": 1})
    eks.update_nodegroup_config(
        clusterName=NAME,
        nodegroupName="labelled",
        labels={"addOrUpdateLabels": {"c": "3"}, "removeLabels": ["a"]},
        taints={"addOrUpdateTaints": [{"key": "k", "value": "v", "effect": "NO_EXECUTE"}]},
    )

    def labels() -> Any:
        node = nodes(emulator, cluster, tmp_path)[0]
        wanted = {key: value for key, value in node["metadata"]["labels"].items() if key in "abc"}
        return wanted, [taint["effect"] for taint in node["spec"].get("taints", [])]

    eventually(labels, lambda found: found == ({"b": "2", "c": "3"}, ["NoExecute"]))


def test_no_capacity(without_faults: Emulator, eks: Any, group: Any) -> None:
    group("p4d", instanceTypes=[P4D])
    without_faults.control("faults", "insufficient-capacity=p4d.*")
    found = scale(eks, "p4d", 1)
    assert found["status"] == "DEGRADED"
    [issue] = found["health"]["issues"]
    assert issue["code"] == "AsgInstanceLaunchFailures"
    assert "InsufficientInstanceCapacity" in issue["message"]
    activities = without_faults.client("autoscaling").describe_scaling_activities(
        AutoScalingGroupName=found["resources"]["autoScalingGroups"][0]["name"]
    )["Activities"]
    assert activities[0]["StatusCode"] == "Failed"
    assert "sufficient p4d.24xlarge capacity" in activities[0]["StatusMessage"]
    # EC2 has some again, and the group asks again by itself.
    without_faults.control("faults", method="DELETE")
    assert (
        eventually(lambda: described(eks, "p4d"), lambda group: group["status"] == "ACTIVE")["health"]["issues"] == []
    )


def test_a_quota_is_a_limit_on_what_runs(without_faults: Emulator, eks: Any, group: Any) -> None:
    group("p4d", instanceTypes=[P4D])
    without_faults.control("quotas", {"L-417A185B": 96})
    assert scale(eks, "p4d", 1)["status"] == "ACTIVE"
    found = scale(eks, "p4d", 2)
    assert "VcpuLimitExceeded" in found["health"]["issues"][0]["message"]
    assert "limit of 96" in found["health"]["issues"][0]["message"]


def test_a_zone_without_the_type(without_faults: Emulator, eks: Any, network: Network, group: Any) -> None:
    found = group(
        "p4de",
        instanceTypes=["p4de.24xlarge"],
        subnets=[network.subnets[2]],
        scalingConfig={"minSize": 0, "maxSize": 1, "desiredSize": 1},
    )
    assert found["status"] == "CREATE_FAILED"
    assert "not supported in your requested Availability Zone (us-west-2d)" in found["health"]["issues"][0]["message"]


def test_a_node_group_that_fails(without_faults: Emulator, eks: Any, group: Any) -> None:
    without_faults.control("faults", "failing-node-group=bad*")
    found = group("bad-one", scalingConfig={"minSize": 1, "maxSize": 1, "desiredSize": 1})
    assert found["status"] == "CREATE_FAILED"
    assert found["health"]["issues"][0]["code"] == "NodeCreationFailure"


BLOCK: dict[str, Any] = {
    "InstanceType": P4D, "AvailabilityZone": "us-west-2a", "ReservationType": "capacity-block",
    "StartDate": -60, "EndDate": 86400,
}  # fmt: skip


def block_group(emulator: Emulator, network: Network, group: Any, reservation: str, name: str, zone: int = 0) -> Any:
    launch = template(
        emulator,
        name,
        InstanceType=P4D,
        InstanceMarketOptions={"MarketType": "capacity-block"},
        CapacityReservationSpecification={"CapacityReservationTarget": {"CapacityReservationId": reservation}},
    )
    return group(name, launchTemplate=launch, capacityType="CAPACITY_BLOCK", subnets=[network.subnets[zone]])


def test_an_active_block_is_used_up(without_faults: Emulator, eks: Any, network: Network, group: Any) -> None:
    # A block does not count against the quota.
    without_faults.control("quotas", {"L-417A185B": 0})
    identifier = without_faults.control("capacity-reservations", BLOCK)["CapacityReservationId"]
    block_group(without_faults, network, group, identifier, "block")
    assert scale(eks, "block", 1)["status"] == "ACTIVE"
    [found] = without_faults.client("ec2").describe_capacity_reservations(CapacityReservationIds=[identifier])[
        "CapacityReservations"
    ]
    assert found["AvailableInstanceCount"] == 0
    assert scale(eks, "block", 2)["health"]["issues"][0]["message"] == (
        "The requested reservation does not have sufficient compatible and available capacity for this request. "
        "Launching EC2 instance failed."
    )


@pytest.mark.parametrize(
    ("change", "zone", "words"),
    [
        ({"StartDate": 3600}, 0, "is not active yet. Launching EC2 instance failed."),
        ({"StartDate": -7200, "EndDate": -3600}, 0, "is expired, not active"),
        ({"State": "cancelled"}, 0, "is cancelled, not active"),
        ({"InstanceType": "p4de.24xlarge"}, 0, "is for p4de.24xlarge in us-west-2a"),
        ({}, 1, "is for p4d.24xlarge in us-west-2a, the launch for p4d.24xlarge in us-west-2b"),
        ({"ReservationType": "default"}, 0, "is not a Capacity Block"),
        ({"OwnerId": "999999999999"}, 0, "does not exist"),
        ({"region": "us-east-1"}, 0, "does not exist"),
    ],
)
def test_a_reservation_that_does_not_fit(
    without_faults: Emulator, eks: Any, network: Network, group: Any, change: Any, zone: int, words: str
) -> None:
    identifier = without_faults.control("capacity-reservations", {**BLOCK, **change})["CapacityReservationId"]
    name = f"block-{identifier[-6:]}"
    block_group(without_faults, network, group, identifier, name, zone)
    assert words in scale(eks, name, 1)["health"]["issues"][0]["message"]


def test_a_block_that_ends_takes_its_instances(
    without_faults: Emulator, eks: Any, network: Network, group: Any
) -> None:
    """40 minutes before its end, as EKS does."""
    soon = {**BLOCK, "StartDate": -60, "EndDate": 40 * 60 + 3}
    identifier = without_faults.control("capacity-reservations", soon)["CapacityReservationId"]
    block_group(without_faults, network, group, identifier, "ending")
    scale(eks, "ending", 1)
    eventually(lambda: described(eks, "ending"), lambda found: found["scalingConfig"]["desiredSize"] == 0)


def test_a_scheduled_block_starts_and_ends(without_faults: Emulator, eks: Any, network: Network, group: Any) -> None:
    """Scaled up by a scheduled action when it starts, and down by EKS's own before it ends."""
    autoscaling = without_faults.client("autoscaling")
    block = {**BLOCK, "StartDate": 3600, "EndDate": 3600 + 24 * 3600}
    reservation = without_faults.control("capacity-reservations", block)
    made = block_group(without_faults, network, group, reservation["CapacityReservationId"], "starting")
    name = made["resources"]["autoScalingGroups"][0]["name"]
    own = "Amazon EKS Node Group Capacity Scaledown Before Reservation End"
    [action] = autoscaling.describe_scheduled_actions(AutoScalingGroupName=name)["ScheduledUpdateGroupActions"]
    assert (action["ScheduledActionName"], action["MinSize"], action["DesiredCapacity"]) == (own, 0, 0)
    end = datetime.datetime.fromisoformat(reservation["EndDate"])
    assert action["StartTime"] == end - datetime.timedelta(minutes=40)
    autoscaling.put_scheduled_update_group_action(
        AutoScalingGroupName=name, ScheduledActionName="start", DesiredCapacity=1,
        StartTime=datetime.datetime.fromisoformat(reservation["StartDate"]),
    )  # fmt: skip
    without_faults.control("clock", {"ahead": 3601})
    eventually(lambda: instances(without_faults, name), lambda found: len(found) == 1)
    activity = autoscaling.describe_scaling_activities(AutoScalingGroupName=name)["Activities"][0]
    assert "scheduled action start executed" in activity["Cause"]
    without_faults.control("clock", {"ahead": 24 * 3600 - 2300})
    eventually(lambda: instances(without_faults, name), lambda found: found == [])
    assert described(eks, "starting")["scalingConfig"]["desiredSize"] == 0


def instances(emulator: Emulator, asg: str) -> Any:
    [found] = emulator.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[asg])[
        "AutoScalingGroups"
    ]
    return found["Instances"]


def test_somebody_scales_beside_eks(without_faults: Emulator, eks: Any, group: Any) -> None:
    made = group("beside")
    autoscaling, name = without_faults.client("autoscaling"), made["resources"]["autoScalingGroups"][0]["name"]
    autoscaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=2)
    eventually(lambda: instances(without_faults, name), lambda found: len(found) == 2)
    assert described(eks, "beside")["scalingConfig"]["desiredSize"] == 2
    activity = autoscaling.describe_scaling_activities(AutoScalingGroupName=name)["Activities"][0]
    assert "a user request update of AutoScalingGroup constraints to min: 0, max: 4, desired: 2" in activity["Cause"]
    assert "increasing the capacity from 1 to 2" in activity["Cause"]
    code, words = refusal(lambda: autoscaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=5))
    assert code == "ValidationError"
    assert "value 5 is above max value 4" in words
    autoscaling.update_auto_scaling_group(AutoScalingGroupName=name, MaxSize=1)
    eventually(lambda: instances(without_faults, name), lambda found: len(found) == 1)
    assert described(eks, "beside")["scalingConfig"] == {"minSize": 0, "maxSize": 1, "desiredSize": 1}


def test_a_failure_is_told_again_for_each_request(without_faults: Emulator, eks: Any, group: Any) -> None:
    made = group("again", instanceTypes=[P4D])
    name = made["resources"]["autoScalingGroups"][0]["name"]
    without_faults.control("faults", "insufficient-capacity=p4d.*")
    for desired in (1, 2):
        scale(eks, "again", desired)
    activities = without_faults.client("autoscaling").describe_scaling_activities(AutoScalingGroupName=name)
    failed = [each for each in activities["Activities"] if each["StatusCode"] == "Failed"]
    assert len(failed) == 2
    assert failed[0]["StatusMessage"].startswith(
        "Could not launch On-Demand Instances. InsufficientInstanceCapacity - We currently do not have sufficient"
    )
    assert failed[0]["StatusMessage"].endswith("Launching EC2 instance failed.")


def test_eks_makes_the_log_group_again(emulator: Emulator, eks: Any) -> None:
    eks.update_cluster_config(name=NAME, logging={"clusterLogging": [{"types": ["api"], "enabled": True}]})
    logs, name = emulator.client("logs"), f"/aws/eks/{NAME}/cluster"

    def groups() -> list[str]:
        return [each["logGroupName"] for each in logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]]

    eventually(groups, lambda found: found == [name])
    logs.delete_log_group(logGroupName=name)
    eventually(groups, lambda found: found == [name])


def test_a_scheduled_action_scales(without_faults: Emulator, eks: Any, group: Any) -> None:
    made = group("planned")
    autoscaling, name = without_faults.client("autoscaling"), made["resources"]["autoScalingGroups"][0]["name"]
    autoscaling.put_scheduled_update_group_action(
        AutoScalingGroupName=name,
        ScheduledActionName="up",
        StartTime=datetime.datetime.fromisoformat(without_faults.control("clock")["now"])
        + datetime.timedelta(seconds=2),
        DesiredCapacity=1,
    )
    actions = autoscaling.describe_scheduled_actions(AutoScalingGroupName=name)["ScheduledUpdateGroupActions"]
    assert [action["ScheduledActionName"] for action in actions] == ["up"]
    eventually(lambda: described(eks, "planned"), lambda found: found["scalingConfig"]["desiredSize"] == 1)
    assert autoscaling.describe_scheduled_actions(AutoScalingGroupName=name)["ScheduledUpdateGroupActions"] == []


def test_a_new_version_of_the_template_replaces_the_nodes(
    emulator: Emulator, eks: Any, cluster: Any, group: Any, tmp_path: Path
) -> None:
    launch = template(emulator, "changing", InstanceType="g6.xlarge")
    group("changing", launchTemplate=launch, scalingConfig={"minSize": 1, "maxSize": 1, "desiredSize": 1})
    emulator.client("ec2").create_launch_template_version(
        LaunchTemplateId=launch["id"], LaunchTemplateData={"InstanceType": "g6.2xlarge"}
    )
    eks.update_nodegroup_version(
        clusterName=NAME, nodegroupName="changing", launchTemplate={"id": launch["id"], "version": "2"}
    )
    assert described(eks, "changing", "UPDATING")["launchTemplate"]["version"] == "2"
    kinds = eventually(
        lambda: [
            node["metadata"]["labels"]["node.kubernetes.io/instance-type"]
            for node in nodes(emulator, cluster, tmp_path)
        ],
        lambda kinds: len(kinds) == 1,
    )
    assert kinds == ["g6.2xlarge"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"scalingConfig": {"minSize": 0, "maxSize": 1, "desiredSize": 2}}, "greater than max size"),
        ({"instanceTypes": ["p9.huge"]}, "do not exist: [p9.huge]"),
        ({"capacityType": "CAPACITY_BLOCK"}, "need a launch template"),
        ({"subnets": ["subnet-0123456789abcdef0"]}, "does not exist"),
        ({"nodeRole": "arn:aws:iam::123456789012:role/nobody"}, "could not be assumed"),
        ({"launchTemplate": {"name": "nothing"}}, "does not exist"),
    ],
)
def test_node_groups_that_eks_refuses(eks: Any, network: Network, more: Any, words: str) -> None:
    asked = {
        "clusterName": NAME,
        "nodegroupName": "refused",
        "nodeRole": network.role,
        "subnets": list(network.subnets),
        "scalingConfig": {"minSize": 0, "maxSize": 1, "desiredSize": 0},
    }
    code, found = refusal(lambda: eks.create_nodegroup(**{**asked, **more}))
    assert code == "InvalidParameterException"
    assert words in found


def test_add_ons(emulator: Emulator, eks: Any, group: Any, network: Network) -> None:
    eks.create_addon(clusterName=NAME, addonName="vpc-cni", tags={"a": "b"})
    assert eks.describe_addon(clusterName=NAME, addonName="vpc-cni")["addon"]["status"] == "ACTIVE"
    eks.create_addon(
        clusterName=NAME,
        addonName="aws-ebs-csi-driver",
        podIdentityAssociations=[{"serviceAccount": "ebs-csi-controller-sa", "roleArn": network.role}],
    )
    found = eks.describe_addon(clusterName=NAME, addonName="aws-ebs-csi-driver")["addon"]
    # A Deployment without a node.
    assert (found["status"], found["health"]["issues"][0]["code"]) == ("DEGRADED", "InsufficientNumberOfReplicas")
    group("core", instanceTypes=["m5.xlarge"], scalingConfig={"minSize": 1, "maxSize": 1, "desiredSize": 1})
    assert eks.describe_addon(clusterName=NAME, addonName="aws-ebs-csi-driver")["addon"]["status"] == "ACTIVE"
    [association] = eks.list_pod_identity_associations(clusterName=NAME)["associations"]
    assert association["ownerArn"] == found["addonArn"]
    older = "v1.19.6-eksbuild.7"
    update = eks.update_addon(clusterName=NAME, addonName="vpc-cni", addonVersion=older)["update"]
    assert (
        eks.describe_update(name=NAME, addonName="vpc-cni", updateId=update["id"])["update"]["status"] == "Successful"
    )
    assert eks.describe_addon(clusterName=NAME, addonName="vpc-cni")["addon"]["addonVersion"] == older
    bad = refusal(lambda: eks.update_addon(clusterName=NAME, addonName="vpc-cni", addonVersion="v0"))
    assert bad == ("InvalidParameterException", "Addon version specified is not supported")
    assert refusal(lambda: eks.create_addon(clusterName=NAME, addonName="vpc-cni"))[0] == "ResourceInUseException"
    for name in eks.list_addons(clusterName=NAME)["addons"]:
        eks.delete_addon(clusterName=NAME, addonName=name)
    assert eks.list_pod_identity_associations(clusterName=NAME)["associations"] == []


def test_pod_identity(eks: Any, network: Network) -> None:
    asked = {"clusterName": NAME, "namespace": "a", "serviceAccount": "b", "roleArn": network.role}
    made = eks.create_pod_identity_association(**asked)["association"]
    assert refusal(lambda: eks.create_pod_identity_association(**asked))[0] == "ResourceInUseException"
    found = eks.list_pod_identity_associations(clusterName=NAME, namespace="a")["associations"]
    assert [each["associationId"] for each in found] == [made["associationId"]]
    eks.delete_pod_identity_association(clusterName=NAME, associationId=made["associationId"])
    gone = refusal(lambda: eks.describe_pod_identity_association(clusterName=NAME, associationId=made["associationId"]))
    assert gone[0] == "ResourceNotFoundException"


def test_the_cluster_is_changed(eks: Any) -> None:
    update = eks.update_cluster_config(
        name=NAME, logging={"clusterLogging": [{"types": ["api", "audit"], "enabled": True}]}
    )["update"]
    eventually(
        lambda: eks.describe_update(name=NAME, updateId=update["id"])["update"]["status"],
        lambda status: status == "Successful",
    )
    found = eks.describe_cluster(name=NAME)["cluster"]["logging"]["clusterLogging"]
    assert {tuple(each["types"]): each["enabled"] for each in found} == {
        ("api", "audit"): True,
        ("authenticator", "controllerManager", "scheduler"): False,
    }
    assert update["id"] in eks.list_updates(name=NAME)["updateIds"]


def test_tags(emulator: Emulator, eks: Any, cluster: Any) -> None:
    eks.tag_resource(resourceArn=cluster["arn"], tags={"more": "x"})
    assert eks.list_tags_for_resource(resourceArn=cluster["arn"])["tags"] == {"stack": "one", "more": "x"}
    found = emulator.client("resourcegroupstaggingapi").get_resources(
        TagFilters=[{"Key": "more", "Values": ["x"]}], ResourceTypeFilters=["eks:cluster"]
    )["ResourceTagMappingList"]
    assert [each["ResourceARN"] for each in found] == [cluster["arn"]]
    eks.untag_resource(resourceArn=cluster["arn"], tagKeys=["more"])
    assert eks.describe_cluster(name=NAME)["cluster"]["tags"] == {"stack": "one"}


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({"version": "1.99"}, "InvalidParameterException", "unsupported Kubernetes version 1.99"),
        ({"name": NAME}, "ResourceInUseException", "already exists"),
        ({"name": "no spaces"}, "InvalidParameterException", "not valid"),
        ({"roleArn": "arn:aws:iam::123456789012:role/nobody"}, "InvalidParameterException", "could not be assumed"),
    ],
)
def test_clusters_that_eks_refuses(eks: Any, network: Network, more: Any, code: str, words: str) -> None:
    asked = {"name": "refused", "roleArn": network.role, "resourcesVpcConfig": {"subnetIds": list(network.subnets)}}
    found = refusal(lambda: eks.create_cluster(**{**asked, **more}))
    assert found[0] == code
    assert words in found[1]


def test_a_cluster_in_one_zone_is_refused(eks: Any, network: Network) -> None:
    _, words = refusal(
        lambda: eks.create_cluster(
            name="refused", roleArn=network.role, resourcesVpcConfig={"subnetIds": [network.subnets[0]]}
        )
    )
    assert "two different AZs" in words


def test_a_cluster_that_fails_leaves_no_process(without_faults: Emulator, eks: Any, network: Network) -> None:
    without_faults.control("faults", "failed-cluster=failing,times=1")
    assert make_cluster(without_faults, network, "failing")["status"] == "FAILED"
    assert running(without_faults.sandbox("failing")) == set()
    eks.delete_cluster(name="failing")
    eventually(lambda: eks.list_clusters()["clusters"], lambda names: "failing" not in names)


def test_an_upgrade_keeps_what_is_in_the_cluster_and_its_end_leaves_nothing(
    without_faults: Emulator, eks: Any, network: Network, tmp_path: Path
) -> None:
    without_faults.control("faults", ["slow-cluster=0.5,times=1", "late-logs=0.2"])
    made = make_cluster(without_faults, network, "growing")
    path = kubeconfig(without_faults, made, tmp_path, token=token(without_faults, "growing"))
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", "namespace": "default"}}

    async def ask(write: bool) -> tuple[str, bool]:
        from drakit.kube.kinds import CONFIG_MAP

        async with Kube(path) as kube:
            if write:
                await kube.create(CONFIG_MAP, config)
            return await kube.server_version(), await kube.get(CONFIG_MAP, "kept", "default") is not None

    assert asyncio.run(ask(True))[0].startswith("v1.33.")
    skipped = refusal(lambda: eks.update_cluster_version(name="growing", version="1.35"))
    assert "Unsupported Kubernetes minor version update from 1.33 to 1.35" in skipped[1]
    eks.update_cluster_version(name="growing", version="1.34")
    assert eks.describe_cluster(name="growing")["cluster"]["status"] == "UPDATING"
    grown = eventually(
        lambda: eks.describe_cluster(name="growing")["cluster"], lambda cluster: cluster["status"] != "UPDATING"
    )
    assert (grown["status"], grown["version"]) == ("ACTIVE", "1.34")
    # 1.35 stands for it.
    assert asyncio.run(ask(False)) == ("v1.35.4", True)
    assert refusal(lambda: eks.update_cluster_version(name="growing", version="1.33"))[0] == "InvalidParameterException"
    folder, group_id = without_faults.sandbox("growing"), grown["resourcesVpcConfig"]["clusterSecurityGroupId"]
    eks.delete_cluster(name="growing")
    eventually(lambda: eks.list_clusters()["clusters"], lambda names: "growing" not in names)
    assert running(folder) == set()
    assert not folder.parent.exists()
    late = eventually(
        lambda: [each["id"] for each in without_faults.inventory() if "growing" in each["id"]],
        lambda found: found != [],
    )
    assert late == ["/aws/eks/growing/cluster"]
    assert not any(each["id"] == group_id for each in without_faults.inventory())


def test_a_cluster_with_node_groups_is_not_deleted(eks: Any, group: Any) -> None:
    group("staying")
    assert refusal(lambda: eks.delete_cluster(name=NAME))[0] == "ResourceInUseException"
