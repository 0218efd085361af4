"""The sweep against the emulated AWS: everything of the stack goes, and nothing that only looks like it."""

import asyncio
import functools
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore import xform_name

from drakit.aws.leftovers import Keep, Leftover, Removed, clear, inventory, look_alikes, scope_of, stacks_in, sweep
from drakit.aws.leftovers.kinds import KINDS
from drakit.aws.session import Aws
from drakit.errors import ClusterError
from tests.rehearsal.emulator import REGION, Emulator, emulator, make_cluster, make_network, without_faults
from tests.rehearsal.made import TRUST, Made, make_beginning, make_rest, make_stack, pairs, spec
from tests.rehearsal.made import make_network as make_tagged_network

__all__ = ["emulator", "without_faults"]

TIMEOUT = 120.0
ELSEWHERE = "us-east-1"
# Which need a cluster; the others are all made by `make_stack`.
OF_CLUSTERS = {"EKS cluster", "EKS node group"}


class Recorded(Aws):
    """AWS, and every operation that was asked of it."""

    def __init__(self, region: str = REGION) -> None:
        super().__init__(region)
        self.asked: list[str] = []

    async def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        self.asked.append(operation)
        return await super().call(service, operation, **parameters)


@pytest.fixture(autouse=True)
def nobodys_credentials(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in emulator.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    yield
    emulator.control("faults", method="DELETE")


def everything(emulator: Emulator) -> set[tuple[str, str, str, str]]:
    """What exists: the emulator's own word, by another way than the adapter's."""
    return {(each["service"], each["type"], each["id"], each["region"]) for each in emulator.inventory()}


def kinds(leftovers: tuple[Leftover, ...]) -> set[str]:
    return {each.kind for each in leftovers}


async def swept(name: str, keep: Keep | None = None, timeout: float = TIMEOUT) -> tuple[dict[str, int], Any]:
    aws = Aws(REGION)
    said: list[str] = []
    removed, left = await sweep(aws, await scope_of(aws, name), keep or Keep(), said.append, timeout)
    return {each.kind: each.count for each in removed}, left


@functools.cache
def client_of(service: str) -> Any:
    """A client for its model alone: each takes 100 ms."""
    return boto3.Session().client(service, region_name=REGION)


def assert_can_be_typed(command: str) -> None:
    """Every command is one of the AWS CLI's, which has botocore's operations and parameters."""
    for line in command.split(" && "):
        program, service, operation, *options = shlex.split(line)
        assert program == "aws"
        client = client_of(service)
        model = client.meta.service_model.operation_model(
            client.meta.method_to_api_mapping[operation.replace("-", "_")]
        )
        members = {f"--{xform_name(name, '-')}" for name in model.input_shape.members}
        given = {option for option in options if option.startswith("--")} - {"--region", "--endpoint-url"}
        assert given <= members, line
        assert {f"--{xform_name(name, '-')}" for name in model.input_shape.required_members} <= given, line
        assert {"--region", "--endpoint-url"} <= set(options), line


def make_look_alikes(emulator: Emulator) -> None:
    """What is not of the stack jark, however much it looks like it."""
    make_stack(emulator, "jark2")
    make_stack(emulator, "jark", ELSEWHERE)
    # A network that others made, in which a cluster of that name would have been.
    owned = {"kubernetes.io/cluster/jark": "owned", "elbv2.k8s.aws/cluster": "jark", "Name": "jark"}
    vpc, subnets = make_tagged_network(emulator, owned)
    ec2, elbv2 = emulator.client("ec2"), emulator.client("elbv2")
    group = ec2.create_security_group(
        GroupName="k8s-traffic-jark", Description="x", VpcId=vpc, TagSpecifications=spec("security-group", owned)
    )["GroupId"]
    elbv2.create_load_balancer(Name="jark-other", Subnets=subnets, SecurityGroups=[group], Tags=pairs(owned))
    ec2.create_network_interface(
        SubnetId=subnets[0], Groups=[group], TagSpecifications=spec("network-interface", owned)
    )
    # By name alone.
    for tags in ({}, {"Name": "jark"}, {"KubernetesCluster": "jark-2"}, {"kubernetes.io/cluster/jark": "shared"}):
        ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1, TagSpecifications=spec("volume", tags) if tags else [])
    ec2.allocate_address(Domain="vpc", TagSpecifications=spec("elastic-ip", {"Name": "jark-nat-0"}))
    ec2.create_placement_group(GroupName="jark-mine", Strategy="cluster")
    ec2.create_launch_template(LaunchTemplateName="jark-core", LaunchTemplateData={"InstanceType": "m5.large"})
    for name in ("/aws/eks/jark-2/cluster", "/aws/eks/jarkx/cluster", "/aws/containerinsights/jark-2/host", "jark"):
        emulator.client("logs").create_log_group(logGroupName=name)
    iam = emulator.client("iam")
    iam.create_role(RoleName=f"jark-{REGION}-node-of-mine", AssumeRolePolicyDocument=TRUST)
    url = f"https://oidc.eks.{REGION}.amazonaws.com/id/MINE"
    iam.create_open_id_connect_provider(Url=url, ThumbprintList=["a" * 40])
    kms = emulator.client("kms")
    key = kms.create_key(Tags=[{"TagKey": "Name", "TagValue": "jark"}])["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/eks/jark-mine", TargetKeyId=key)


async def test_a_whole_stack_goes_and_look_alikes_stay(emulator: Emulator) -> None:
    make_look_alikes(emulator)
    others = everything(emulator)
    made = make_stack(emulator, "jark")
    aws = Recorded()
    scope = await scope_of(aws, "jark")
    assert scope.vpcs == (made.vpc,)

    before = await inventory(aws, scope)
    assert kinds(before) == {kind.name for kind in KINDS} - OF_CLUSTERS
    assert [each.kind for each in before] == [k.name for k in KINDS for each in before if each.kind == k.name]
    for each in before:
        assert_can_be_typed(each.remove)
        assert each.why == ""
    costs = {each.kind: each.hourly for each in before}
    assert costs["NAT gateway"] == pytest.approx(0.045)
    assert costs["volume"] == pytest.approx(73 * 0.08 / 730)
    assert costs["subnet"] == 0
    assert costs["snapshot"] is None

    removed, left = await sweep(aws, scope, Keep(), lambda _: None, TIMEOUT)
    assert left == ()
    assert {each.kind: each.count for each in removed} == {
        kind: len([each for each in before if each.kind == kind]) for kind in kinds(before)
    }
    assert everything(emulator) == others

    again = Recorded()
    scope = await scope_of(again, "jark")
    assert await inventory(again, scope) == ()
    assert await sweep(again, scope, Keep(), lambda _: None, TIMEOUT) == ((), ())
    assert [each for each in again.asked if not each.startswith(("describe_", "list_", "get_"))] == []
    assert everything(emulator) == others
    assert "jark" not in await stacks_in(Aws(REGION))
    assert await stacks_in(Aws(ELSEWHERE)) == ("jark",)


async def test_what_is_kept(emulator: Emulator) -> None:
    make_stack(emulator, "kept")
    aws = Aws(REGION)
    scope = await scope_of(aws, "kept")
    _, left = await swept("kept", Keep(volumes=True, logs=True))
    assert left == ()
    assert kinds(await inventory(aws, scope)) == {"volume", "snapshot", "log group"}
    removed, left = await swept("kept")
    assert (removed, left) == ({"volume": 2, "snapshot": 2, "log group": 2}, ())


async def test_throttling_and_dependencies_that_end(without_faults: Emulator) -> None:
    others = everything(without_faults)
    make_stack(without_faults, "slow")
    aws = Aws(REGION)
    scope = await scope_of(aws, "slow")
    without_faults.control(
        "faults",
        [
            "ec2:Describe*=RequestLimitExceeded,times=6",
            "ec2:Delete*=RequestLimitExceeded,times=6",
            "iam:*=Throttling,times=4",
            "ec2:DeleteSecurityGroup=DependencyViolation,times=4",
            "ec2:DeleteSubnet=DependencyViolation,times=2",
            "ec2:DeleteVpc=DependencyViolation,times=2",
            "iam:DeleteRole=DeleteConflict,times=2",
            "elasticloadbalancing:DeleteTargetGroup=ResourceInUse,times=1",
            "kms:ScheduleKeyDeletion=InternalFailure,times=5",
        ],
    )
    removed, left = await sweep(aws, scope, Keep(), lambda _: None, TIMEOUT)
    assert left == ()
    assert Removed("VPC", 1) in removed
    assert everything(without_faults) == others


async def test_what_may_not_be_listed_or_removed_is_said(without_faults: Emulator) -> None:
    made = make_stack(without_faults, "denied")
    without_faults.control(
        "faults",
        [
            "ec2:DescribeVolumes=UnauthorizedOperation",
            "logs:DeleteLogGroup=AccessDeniedException",
            "ec2:DeleteNatGateway=UnauthorizedOperation",
            "tagging:GetResources=AccessDeniedException",
            "resourcegroupstaggingapi:GetResources=AccessDeniedException",
        ],
    )
    removed, left = await swept("denied")
    by_kind = {each.kind: each for each in left}
    unchecked = [each for each in left if not each.checked]
    assert {each.kind for each in unchecked} == {"volume", "KMS key", "tagged resource"}
    assert all(each.id == "?" and each.why.startswith("Could not check: ") for each in unchecked)
    assert "ec2:DescribeVolumes" in by_kind["volume"].why
    assert by_kind["volume"].remove.startswith("aws ec2 describe-volumes ")
    assert "Allow logs:DeleteLogGroup to this principal" in by_kind["log group"].why
    assert "Allow ec2:DeleteNatGateway to this principal" in by_kind["NAT gateway"].why
    assert by_kind["NAT gateway"].remove.startswith(
        f"aws ec2 delete-nat-gateway --nat-gateway-id {made.ids['NAT gateway']}"
    )
    assert "NAT gateway" in by_kind["subnet"].why
    assert "subnet" in by_kind["VPC"].why
    assert removed["load balancer"] == 2
    assert removed["IAM role"] == 3
    assert {"log group", "volume", "NAT gateway"} & removed.keys() == set()
    for each in left:
        assert_can_be_typed(each.remove)

    without_faults.control("faults", method="DELETE")
    removed, left = await swept("denied")
    assert left == ()
    assert removed["volume"] == 2
    assert (removed["NAT gateway"], removed["VPC"], removed["log group"], removed["KMS key"]) == (1, 1, 2, 1)


async def test_credentials_that_are_not_accepted_end_it(without_faults: Emulator) -> None:
    without_faults.control("faults", "ec2:DescribeVpcs=ExpiredToken")
    with pytest.raises(ClusterError) as caught:
        await scope_of(Aws(REGION), "whose")
    assert caught.value.code == "aws-credentials-expired"
    scope = await scope_of_another(without_faults)
    without_faults.control("faults", "ec2:DescribeVolumes=ExpiredToken")
    with pytest.raises(ClusterError):
        await inventory(Aws(REGION), scope)


async def scope_of_another(emulator: Emulator) -> Any:
    emulator.control("faults", method="DELETE")
    return await scope_of(Aws(REGION), "whose")


async def test_what_others_have_in_the_vpc_stays_and_is_named(emulator: Emulator) -> None:
    made = make_stack(emulator, "shared")
    ec2 = emulator.client("ec2")
    group = ec2.create_security_group(
        GroupName="theirs",
        Description="x",
        VpcId=made.vpc,
        TagSpecifications=spec("security-group", {"drakit/stack": "theirs"}),
    )["GroupId"]
    interface = ec2.create_network_interface(
        SubnetId=made.subnets[0],
        Groups=[group],
        TagSpecifications=spec("network-interface", {"kubernetes.io/cluster/theirs": "owned"}),
    )["NetworkInterface"]["NetworkInterfaceId"]
    removed, left = await swept("shared", timeout=600)
    assert {"subnet", "VPC"} <= kinds(left)
    assert made.subnets[0] in {each.id for each in left}
    assert made.subnets[1] not in {each.id for each in left}
    subnet = next(each for each in left if each.kind == "subnet")
    assert "has dependencies" in subnet.why
    assert f"network interface {interface} (of the cluster theirs)" in subnet.why
    assert f"security group {group} (drakit/stack=theirs)" in subnet.why
    ids = {each[2] for each in everything(emulator)}
    assert {group, interface} <= ids
    assert removed["NAT gateway"] == 1
    assert removed["security group"] == 4

    ec2.delete_network_interface(NetworkInterfaceId=interface)
    ec2.delete_security_group(GroupId=group)
    assert (await swept("shared"))[1] == ()


async def test_kinds_that_drakit_does_not_know_are_reported(emulator: Emulator) -> None:
    sqs = emulator.client("sqs")
    queue = sqs.create_queue(QueueName="theirs", tags={"drakit/stack": "queued"})["QueueUrl"]
    removed, left = await swept("queued")
    ((kind, arn, checked),) = [(each.kind, each.id, each.checked) for each in left]
    assert (removed, kind, checked) == ({}, "sqs", True)
    assert arn.endswith(":theirs")
    assert_can_be_typed(left[0].remove)
    sqs.delete_queue(QueueUrl=queue)


async def test_a_name_that_no_stack_has(emulator: Emulator) -> None:
    """A cluster that others made by other means, of the name that was asked for, and its data."""
    owned = {"kubernetes.io/cluster/kops": "owned", "KubernetesCluster": "kops"}
    emulator.client("ec2").create_volume(AvailabilityZone=f"{REGION}a", Size=1, TagSpecifications=spec("volume", owned))
    emulator.client("logs").create_log_group(logGroupName="/aws/containerinsights/kops/host")
    others = everything(emulator)
    assert (await scope_of(Aws(REGION), "kops")).cluster == ""
    assert await swept("kops") == ({}, ())
    assert everything(emulator) == others


async def test_what_an_earlier_cluster_of_that_name_left_stays(emulator: Emulator) -> None:
    """Made by other means than drakit: it names the cluster, as volumes of the stack's may, and is older than it."""
    owned = {"kubernetes.io/cluster/heir": "owned", "KubernetesCluster": "heir"}
    ec2 = emulator.client("ec2")
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1, TagSpecifications=spec("volume", owned))
    snapshot = ec2.create_snapshot(VolumeId=volume["VolumeId"], TagSpecifications=spec("snapshot", owned))
    ec2.create_launch_template(
        LaunchTemplateName="heir-0",
        LaunchTemplateData={"InstanceType": "m5.large"},
        TagSpecifications=spec("launch-template", {"eks:cluster-name": "heir"}),
    )
    address = ec2.allocate_address(Domain="vpc", TagSpecifications=spec("elastic-ip", owned))
    emulator.client("logs").create_log_group(logGroupName="/aws/containerinsights/heir/host")
    others = everything(emulator)
    await until_another_second(volume["CreateTime"])
    make_stack(emulator, "heir")
    scope = await scope_of(Aws(REGION), "heir")

    alike = await look_alikes(Aws(REGION), scope)
    assert {each.id for each in alike} == {
        volume["VolumeId"], snapshot["SnapshotId"], address["AllocationId"], "/aws/containerinsights/heir/host"
    }  # fmt: skip
    removed, left = await swept("heir")

    assert left == ()
    # The stack's own: one by its tag, one by its date.
    assert (removed["volume"], removed["snapshot"], removed["log group"]) == (2, 2, 2)
    assert everything(emulator) == others


async def until_another_second(moment: datetime) -> None:
    """Some times are told in whole seconds."""
    while datetime.now(UTC) < moment + timedelta(seconds=1):
        await asyncio.sleep(0.1)


async def test_no_time_at_all(emulator: Emulator) -> None:
    made: Made = make_stack(emulator, "hasty")
    removed, left = await swept("hasty", timeout=0)
    assert removed == {}
    assert made.vpc in {each.id for each in left}
    assert all(each.why for each in left)
    assert (await swept("hasty"))[1] == ()


@pytest.mark.sandbox
async def test_a_cluster_goes_with_its_node_groups_and_a_foreign_one_stays(emulator: Emulator) -> None:
    eks, tags, said = emulator.client("eks"), {"drakit/stack": "clustered"}, list[str]()
    others = everything(emulator)
    made = make_beginning(emulator, "clustered")
    role = f"arn:aws:iam::123456789012:role/clustered-{REGION}"
    eks.create_cluster(
        name="clustered",
        version="1.33",
        roleArn=f"{role}-cluster",
        resourcesVpcConfig={"subnetIds": made.subnets},
        accessConfig={"authenticationMode": "API"},
        tags=tags,
    )
    eks.get_waiter("cluster_active").wait(name="clustered", WaiterConfig={"Delay": 1})
    make_rest(emulator, made)
    eks.create_nodegroup(
        clusterName="clustered",
        nodegroupName="core-1",
        subnets=made.subnets,
        nodeRole=f"{role}-node",
        scalingConfig={"minSize": 1, "maxSize": 1, "desiredSize": 1},
        instanceTypes=["m5.large"],
        tags=tags,
    )
    eks.create_addon(clusterName="clustered", addonName="kube-proxy", tags=tags)
    eks.create_access_entry(clusterName="clustered", principalArn=f"{role}-cluster", tags=tags)
    aws = Aws(REGION)
    before = await inventory(aws, await scope_of(aws, "clustered"))
    assert kinds(before) >= OF_CLUSTERS
    assert {each.hourly for each in before if each.kind == "EKS cluster"} <= {0.1, 0.6}

    # What Terraform knows is left to it; what it does not know would be in its way.
    by_terraform = {each.id for each in before} | {"clustered:core-1"}
    scope = await scope_of(aws, "clustered")
    assert await clear(aws, scope, by_terraform, said.append, TIMEOUT) == ()
    cleared = await clear(aws, scope, by_terraform - {"clustered", "core-1", "clustered:core-1"}, said.append, TIMEOUT)
    assert {each.kind: each.count for each in cleared} == {"EKS node group": 1, "EKS cluster": 1}
    after = await inventory(aws, await scope_of(aws, "clustered"))
    assert {(each.kind, each.id) for each in after} < {(each.kind, each.id) for each in before}

    _, left = await swept("clustered")
    assert left == ()
    assert everything(emulator) == others

    network = make_network(emulator, f"{REGION}a", f"{REGION}b", name="of-others")
    make_cluster(emulator, network, "theirs")
    emulator.client("ec2").create_volume(
        AvailabilityZone=f"{REGION}a",
        Size=1,
        TagSpecifications=spec("volume", {"kubernetes.io/cluster/theirs": "owned"}),
    )
    others = everything(emulator)
    # A stack of that name was here, and has left its network and its log group's name.
    make_tagged_network(emulator, {"drakit/stack": "theirs"})
    removed, left = await swept("theirs")
    assert (removed, left) == ({"VPC": 1, "subnet": 2}, ())
    assert everything(emulator) == others
    assert eks.describe_cluster(name="theirs")["cluster"]["status"] == "ACTIVE"
