"""Which things are a stack's, and which only look as if: `belongs`, and how its evidence is read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from drakit.aws.leftovers.balancers import target_groups
from drakit.aws.leftovers.clusters import cluster_of_log_group, clusters
from drakit.aws.leftovers.found import Call, Found
from drakit.aws.leftovers.identities import region_of_issuer
from drakit.aws.leftovers.inventory import leftovers, look
from drakit.aws.leftovers.kinds import KINDS, Keep, kinds
from drakit.aws.leftovers.scope import Scope, belongs, is_alike
from drakit.aws.leftovers.tagged import is_known, kind_of
from drakit.aws.session import Aws
from tests.unit.aws.conftest import FakeAws, aws_environment

__all__ = ["aws_environment"]

BEGUN = datetime(2026, 11, 1, 12, tzinfo=UTC)
"""When the stack's cluster was made."""
JARK = Scope("jark", "jark", ("vpc-1",), "us-west-2", since=BEGUN)
SOMEBODYS_CLUSTER = Scope("jark", "", ("vpc-1",), "us-west-2")
"""An EKS cluster jark is there, without the stack's tag."""


def thing(**fields: object) -> Found:
    return Found("thing", "t-1", (), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tags", "vpc"),
    [
        ({"drakit/stack": "jark"}, ""),
        ({"drakit/stack": "jark"}, "vpc-1"),
        ({"drakit/stack": "jark"}, "vpc-of-somebody"),
        ({"drakit/stack": "jark", "kubernetes.io/cluster/jark2": "owned"}, ""),
        ({}, "vpc-1"),
        ({"Name": "by hand"}, "vpc-1"),
        ({"kubernetes.io/cluster/jark": "owned"}, "vpc-1"),
        ({"kubernetes.io/cluster/jark": "owned"}, ""),
        ({"KubernetesCluster": "jark"}, ""),
        ({"aws:eks:cluster-name": "jark"}, ""),
        ({"eks:cluster-name": "jark", "kubernetes.io/cluster/jark": "owned"}, ""),
        ({"elbv2.k8s.aws/cluster": "jark"}, "vpc-1"),
        ({"cluster.k8s.amazonaws.com/name": "jark"}, "vpc-1"),
        ({"kubernetes.io/cluster/jark2": "shared"}, "vpc-1"),
    ],
)
def test_the_stacks_own(tags: dict[str, str], vpc: str) -> None:
    assert belongs(JARK, thing(tags=tags, vpc=vpc, created=BEGUN))


@pytest.mark.parametrize(
    ("tags", "vpc"),
    [
        ({}, ""),
        ({}, "vpc-2"),
        ({"Name": "jark"}, ""),
        ({"drakit/stack": "jark2"}, ""),
        ({"drakit/stack": "jar"}, ""),
        ({"drakit/stack": ""}, "vpc-1"),
        ({"drakit/stack": "Jark"}, "vpc-1"),
        ({"drakit/Stack": "jark"}, ""),
        # In the stack's VPC, and another stack's or cluster's.
        ({"drakit/stack": "jark2"}, "vpc-1"),
        ({"drakit/stack": "jark2", "kubernetes.io/cluster/jark": "owned"}, "vpc-1"),
        ({"kubernetes.io/cluster/jark2": "owned"}, "vpc-1"),
        ({"elbv2.k8s.aws/cluster": "jark2"}, "vpc-1"),
        ({"aws:eks:cluster-name": "jark2", "Name": "eks-cluster-sg-jark2-1"}, "vpc-1"),
        # Of both clusters: it cannot be the stack's alone.
        ({"kubernetes.io/cluster/jark": "owned", "kubernetes.io/cluster/jark2": "owned"}, "vpc-1"),
        ({"KubernetesCluster": "jark2"}, ""),
        ({"kubernetes.io/cluster/jark": "shared"}, ""),
        # In somebody's VPC: a cluster that calls itself so is not proof enough.
        ({"kubernetes.io/cluster/jark": "owned"}, "vpc-2"),
        ({"elbv2.k8s.aws/cluster": "jark"}, "vpc-of-a-shared-network"),
    ],
)
def test_look_alikes(tags: dict[str, str], vpc: str) -> None:
    assert not belongs(JARK, thing(tags=tags, vpc=vpc))


NAMED = {"kubernetes.io/cluster/jark": "owned", "KubernetesCluster": "jark"}


@pytest.mark.parametrize(
    ("scope", "found", "own"),
    [
        (JARK, thing(tags=NAMED, created=BEGUN + timedelta(hours=1)), True),
        # Of an earlier cluster of that name, which drakit did not make.
        (JARK, thing(tags=NAMED, created=BEGUN - timedelta(seconds=1)), False),
        (JARK, thing(cluster="jark", created=BEGUN - timedelta(days=1)), False),
        # AWS does not tell when it was made, or nothing tells when the stack was.
        (JARK, thing(tags=NAMED), False),
        (replace(JARK, since=None), thing(tags=NAMED, created=BEGUN), False),
    ],
)
def test_what_only_names_the_cluster_is_the_stacks_if_it_is_not_older(scope: Scope, found: Found, own: bool) -> None:
    assert belongs(scope, found) is own
    assert is_alike(scope, found) is not own  # and it is told


def test_what_needs_no_date() -> None:
    long_ago = BEGUN - timedelta(days=99)
    assert belongs(JARK, thing(tags={**NAMED, "drakit/stack": "jark"}, created=long_ago))
    assert belongs(JARK, thing(tags=NAMED, vpc="vpc-1", created=long_ago))
    # A node group is of the very cluster.
    assert belongs(replace(JARK, since=None), thing(cluster="jark", part=True))
    assert not belongs(JARK, thing(tags={"drakit/stack": "jark2"}, cluster="jark", part=True))


@pytest.mark.parametrize(
    "found",
    [thing(), thing(tags={"KubernetesCluster": "jark2"}), thing(tags=NAMED, vpc="vpc-2"), thing(tags={"Name": "jark"})],
)
def test_what_does_not_name_the_cluster_is_no_look_alike(found: Found) -> None:
    assert not is_alike(JARK, found)
    assert not is_alike(SOMEBODYS_CLUSTER, thing(tags=NAMED))


def test_a_cluster_of_the_name_that_is_somebody_elses_proves_nothing() -> None:
    owned = {"kubernetes.io/cluster/jark": "owned"}
    assert not belongs(SOMEBODYS_CLUSTER, thing(tags=owned))
    assert not belongs(SOMEBODYS_CLUSTER, thing(tags=owned, vpc="vpc-1"))
    assert not belongs(SOMEBODYS_CLUSTER, thing(cluster="jark"))
    assert belongs(SOMEBODYS_CLUSTER, thing(tags={"drakit/stack": "jark"}))
    assert belongs(SOMEBODYS_CLUSTER, thing(vpc="vpc-1"))


def test_a_vpc_is_the_stacks_by_its_own_tag_alone() -> None:
    assert belongs(JARK, thing(tags={"drakit/stack": "jark"}, vpc="vpc-1"))
    assert not belongs(JARK, thing(tags={"kubernetes.io/cluster/jark": "owned"}, vpc="vpc-shared"))
    assert not belongs(JARK, thing(tags={"Name": "jark"}, vpc="vpc-shared"))


def test_the_same_stack_in_another_region() -> None:
    tags = {"drakit/stack": "jark"}
    assert belongs(JARK, thing(tags=tags, region="us-west-2"))
    assert not belongs(JARK, thing(tags=tags, region="us-east-1"))


@pytest.mark.parametrize(
    ("name", "cluster"),
    [
        ("/aws/eks/jark/cluster", "jark"),
        ("/aws/containerinsights/jark/performance", "jark"),
        ("/aws/eks/jark2/cluster", "jark2"),
        ("/aws/containerinsights/jark-2/application", "jark-2"),
        ("/aws/eks/jark", ""),
        ("/aws/lambda/jark/x", ""),
        ("/other/aws/eks/jark/cluster", ""),
    ],
)
def test_the_cluster_of_a_log_group(name: str, cluster: str) -> None:
    assert cluster_of_log_group(name) == cluster
    assert belongs(JARK, thing(cluster=cluster_of_log_group(name), created=BEGUN)) == (cluster == "jark")


def test_the_region_of_an_oidc_provider() -> None:
    arn = "arn:aws:iam::123456789012:oidc-provider/"
    assert region_of_issuer(f"{arn}oidc.eks.us-west-2.amazonaws.com/id/ABC") == "us-west-2"
    assert region_of_issuer(f"{arn}oidc-eks.eu-west-1.api.aws/id/ABC") == "eu-west-1"
    assert region_of_issuer(f"{arn}oidc.eks.cn-north-1.amazonaws.com.cn/id/ABC") == "cn-north-1"
    assert region_of_issuer(f"{arn}token.actions.githubusercontent.com") == ""


def test_every_kind_waits_for_kinds_before_it() -> None:
    seen: set[str] = set()
    for kind in KINDS:
        assert set(kind.after) <= seen, kind.name
        seen.add(kind.name)
    assert len(seen) == len(KINDS)


def test_what_is_kept() -> None:
    everything = {kind.name for kind in KINDS}
    assert {kind.name for kind in kinds(Keep())} == everything
    assert everything - {kind.name for kind in kinds(Keep(volumes=True))} == {"volume", "snapshot"}
    assert everything - {kind.name for kind in kinds(Keep(logs=True))} == {"log group"}


@pytest.mark.parametrize(
    ("arn", "known"),
    [
        ("arn:aws:ec2:us-west-2:1:natgateway/nat-1", True),
        ("arn:aws:ec2:us-west-2:1:capacity-reservation/cr-1", True),
        ("arn:aws:ec2:us-west-2:1:vpc-flow-log/fl-1", False),
        ("arn:aws:eks:us-west-2:1:cluster/jark", True),
        ("arn:aws:eks:us-west-2:1:cluster/jark2", False),
        ("arn:aws:eks:us-west-2:1:nodegroup/jark/core/1", True),
        ("arn:aws:eks:us-west-2:1:nodegroup/jark2/core/1", False),
        ("arn:aws:logs:us-west-2:1:log-group:/aws/eks/jark/cluster", True),
        ("arn:aws:logs:us-west-2:1:log-group:/mine", False),
        ("arn:aws:sqs:us-west-2:1:queue", False),
        ("arn:aws:elasticloadbalancing:us-west-2:1:loadbalancer/app/x/1", True),
    ],
)
def test_kinds_that_are_known_by_arn(arn: str, known: bool) -> None:
    assert is_known(arn, "jark") == known


def test_what_an_arn_is_of() -> None:
    assert kind_of("arn:aws:sqs:us-west-2:1:queue") == "sqs"
    assert kind_of("arn:aws:dynamodb:us-west-2:1:table/t") == "dynamodb table"
    assert kind_of("arn:aws:rds:us-west-2:1:db:x") == "rds db"


def test_a_call_as_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = Aws("us-west-2", "me")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    force = {"AutoScalingGroupName": "a b", "ForceDelete": True}
    assert Call("autoscaling", "delete_auto_scaling_group", force).command(aws) == (
        "aws autoscaling delete-auto-scaling-group --auto-scaling-group-name 'a b' --force-delete "
        "--region us-west-2 --profile me"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    key = {"KeyId": "k", "PendingWindowInDays": 7}
    assert Call("kms", "schedule_key_deletion", key).command(Aws("eu-west-1")) == (
        "aws kms schedule-key-deletion --key-id k --pending-window-in-days 7 --region eu-west-1 "
        "--endpoint-url http://127.0.0.1:1"
    )
    rule = {"GroupId": "sg-1", "IpPermissions": [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-2"}]}]}
    said = Call("ec2", "revoke_security_group_ingress", rule).command(Aws("eu-west-1"))
    assert '--ip-permissions \'[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-2"}]}]\'' in said
    arn = Call("iam", "delete_open_id_connect_provider", {"OpenIDConnectProviderArn": "a"}).command(Aws("eu-west-1"))
    assert "--open-id-connect-provider-arn a" in arn


async def test_a_load_balancer_that_somebody_removes_in_the_meantime_hides_no_other() -> None:
    """AWS refuses to tell the tags of all, then."""
    arns = [f"arn:aws:elasticloadbalancing:us-west-2:123456789012:targetgroup/t{n}/1" for n in range(5)]

    def tags(**asked: list[str]) -> dict[str, object] | tuple[str, str]:
        if arns[3] in asked["ResourceArns"]:
            return ("TargetGroupNotFound", "One or more target groups not found")
        told = [{"ResourceArn": arn, "Tags": [{"Key": "n", "Value": arn[-3]}]} for arn in asked["ResourceArns"]]
        return {"TagDescriptions": told}

    groups = {"TargetGroups": [{"TargetGroupArn": arn} for arn in arns]}
    aws = FakeAws({("elbv2", "describe_target_groups"): groups, ("elbv2", "describe_tags"): tags})
    found = await target_groups(aws, JARK)
    assert [each.tags.get("n") for each in found] == ["0", "1", "2", None, "4"]


async def test_node_groups_that_could_not_be_listed_come_with_a_command_that_lists_them() -> None:
    denied = ("AccessDeniedException", "no")
    aws = FakeAws({("eks", "list_nodegroups"): denied})
    only = [kind for kind in KINDS if kind.name == "EKS node group"]
    [left] = await leftovers(aws, await look(aws, JARK, only), only, {}, None)
    assert not left.checked
    assert left.remove == "aws eks list-nodegroups --cluster-name jark --region us-west-2"


@pytest.mark.parametrize(("status", "going"), [("ACTIVE", False), ("CREATING", True), ("UPDATING", True)])
async def test_a_cluster_that_is_being_made_cannot_be_deleted_yet(status: str, going: bool) -> None:
    aws = FakeAws({("eks", "describe_cluster"): {"cluster": {"name": "jark", "status": status}}})
    [cluster] = await clusters(aws, JARK)
    assert bool(cluster.going) is going
