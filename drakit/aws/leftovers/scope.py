"""What belongs to a stack, decided in one place: `belongs`."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drakit.aws.clusters import STACK_TAG
from drakit.aws.errors import CREDENTIALS
from drakit.aws.leftovers.found import Found
from drakit.aws.leftovers.tagged import tagged
from drakit.aws.session import Aws
from drakit.errors import ClusterError

OWNED = "kubernetes.io/cluster/"
"""With a cluster's name behind it and the value `owned`: on what the cluster's controllers make."""
CLUSTER_TAGS = (
    "KubernetesCluster",  # the blueprint's volumes; Kubernetes' cloud provider
    "aws:eks:cluster-name",  # EKS, on its security group
    "eks:cluster-name",  # EKS, on Auto Scaling groups and launch templates
    "eks:eks-cluster-name",  # EKS Auto Mode
    "elbv2.k8s.aws/cluster",  # AWS Load Balancer Controller
    "ingress.k8s.aws/cluster",  # the same, version 1
    "cluster.k8s.amazonaws.com/name",  # VPC CNI plugin
)
"""Tags whose value is the name of the cluster that something was made for."""


@dataclass(frozen=True)
class Scope:
    """Where a stack's things are looked for, and how they are known.

    Args:
        name: the stack's.
        cluster: its cluster's; empty where tags of a cluster of that name prove nothing, for it is somebody else's.
        vpcs: the VPCs that have the stack's tag.
        region: theirs.
        issuer: the cluster's OIDC issuer without its scheme, while there is a cluster.
        since: when the cluster, or what is made before it, was made (UTC); None where nothing tells.
    """

    name: str
    cluster: str
    vpcs: tuple[str, ...]
    region: str
    issuer: str = ""
    since: datetime | None = None


def belongs(scope: Scope, found: Found) -> bool:
    """Whether something is the stack's: what is not is never touched.

    The stack's tag decides wherever there is one. Without one: what was made for another cluster is not the stack's;
    what is in a VPC is the stack's if the VPC is; what is in none, if it names the stack's cluster and is not older: an
    earlier cluster, which drakit did not make, may have had the name.
    """
    if found.region and found.region != scope.region:
        return False  # IAM is one for all regions, in each of which a stack may have this name
    if STACK_TAG in found.tags:
        return found.tags[STACK_TAG] == scope.name
    clusters = clusters_of(found)
    if clusters and clusters != {scope.cluster}:
        return False
    if found.vpc:
        return found.vpc in scope.vpcs
    if not clusters:
        return False
    return found.part or (scope.since is not None and found.created is not None and found.created >= scope.since)


def is_alike(scope: Scope, found: Found) -> bool:
    """Whether something only names the stack's cluster: it may be an earlier cluster's, and is not touched."""
    if STACK_TAG in found.tags or found.vpc or not scope.cluster:
        return False
    return clusters_of(found) == {scope.cluster} and not belongs(scope, found)


def clusters_of(found: Found) -> frozenset[str]:
    """The clusters that something says it was made for. A shared subnet, for example, says none."""
    names = [found.tags[key] for key in CLUSTER_TAGS if key in found.tags]
    names += [
        key.removeprefix(OWNED) for key, value in found.tags.items() if key.startswith(OWNED) and value == "owned"
    ]
    return frozenset(name for name in [*names, found.cluster] if name)


async def scope_of(aws: Aws, name: str) -> Scope:
    """What is to be looked for of a stack, also after its cluster, its VPC or both have gone.

    Raises:
        ClusterError: EKS or EC2 cannot be asked whose the cluster and the VPCs are.
    """
    answer = await aws.call_if_any("eks", "describe_cluster", name=name)
    cluster: Mapping[str, Any] = answer["cluster"] if answer else {}
    vpcs = tuple(sorted(await _vpcs(aws, name)))
    ours = cluster.get("tags", {}).get(STACK_TAG) == name
    since: datetime | None = cluster.get("createdAt")
    if not cluster:
        # Where no stack of that name was, a cluster of that name was not made by drakit.
        since = await _key_made(aws, name)
        ours = bool(vpcs) or since is not None
    if not ours:
        return Scope(name, "", vpcs, aws.region)
    issuer = str(cluster.get("identity", {}).get("oidc", {}).get("issuer", "")).removeprefix("https://")
    # Some services tell whole seconds.
    return Scope(name, name, vpcs, aws.region, issuer, since and since.replace(microsecond=0))


def tags_of(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Tags as a dictionary, from the list that most APIs give."""
    return {tag["Key"]: tag.get("Value", "") for tag in tags or ()}


async def _vpcs(aws: Aws, name: str) -> list[str]:
    filters = [{"Name": f"tag:{STACK_TAG}", "Values": [name]}]
    return [str(each["VpcId"]) for each in await aws.collect("ec2", "describe_vpcs", "Vpcs", Filters=filters)]


async def _key_made(aws: Aws, name: str) -> datetime | None:
    """When the key of the stack's secrets was made: before the cluster, and it can still be asked of for a week after.

    Of several, the newest: the others are of earlier stacks.
    """
    try:
        arns = await tagged(aws, name, "kms:key")
        found = await asyncio.gather(*(aws.call_if_any("kms", "describe_key", KeyId=arn) for arn in arns))
    except ClusterError as error:
        if error.code in CREDENTIALS:
            raise
        return None  # the inventory asks again, and says that it could not
    return max((each["KeyMetadata"]["CreationDate"] for each in found if each), default=None)
