"""The EKS cluster with its node groups, and what is named after it: log groups, the key of its secrets.

Add-ons, access entries and Pod Identity associations go with the cluster; node groups go before.
"""

import asyncio
import re
from datetime import UTC, datetime

from drakit.aws import clusters as eks
from drakit.aws.errors import NOT_FOUND
from drakit.aws.leftovers.found import BEING_CHANGED, BEING_DELETED, Call, Charge, Found
from drakit.aws.leftovers.scope import Scope
from drakit.aws.leftovers.tagged import tagged
from drakit.aws.session import Aws
from drakit.errors import ClusterError

_GOING = {"CREATING": BEING_CHANGED, "UPDATING": BEING_CHANGED, "DELETING": BEING_DELETED}
"""EKS deletes no cluster while it is making or updating it."""
_LOG_GROUP = re.compile(r"/aws/(?:eks|containerinsights)/([^/]+)/")
KEY_DAYS = 7
"""How long a key can still be restored: the shortest that KMS allows, and the blueprint's."""


async def clusters(aws: Aws, scope: Scope) -> list[Found]:
    """The cluster of the stack's name."""
    answer = await aws.call_if_any("eks", "describe_cluster", name=scope.name)
    if not answer:
        return []
    cluster = answer["cluster"]
    return [
        Found(
            "EKS cluster",
            cluster["name"],
            (Call("eks", "delete_cluster", {"name": cluster["name"]}),),
            tags=cluster.get("tags", {}),
            going=_GOING.get(cluster.get("status", ""), ""),
            charge=Charge(f"EKS {cluster.get('version', '')}"),
        )
    ]


async def nodegroups(aws: Aws, scope: Scope) -> list[Found]:
    """The cluster's managed node groups. Their instances are what they cost."""
    if not scope.cluster:
        return []
    return [
        Found(
            "EKS node group",
            each.name,
            (Call("eks", "delete_nodegroup", {"clusterName": scope.cluster, "nodegroupName": each.name}),),
            tags=each.tags,
            cluster=scope.cluster,
            part=True,
            going=BEING_DELETED if each.status == "DELETING" else "",
            free=True,
        )
        for each in await eks.nodegroups(aws, scope.cluster)
    ]


async def log_groups(aws: Aws, scope: Scope) -> list[Found]:
    """The control plane's log groups and those of Container Insights, which EKS and agents make without any tag."""
    found = [
        *await aws.collect("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=f"/aws/eks/{scope.name}/"),
        *await aws.collect(
            "logs", "describe_log_groups", "logGroups", logGroupNamePrefix=f"/aws/containerinsights/{scope.name}/"
        ),
    ]
    told = await asyncio.gather(
        *(aws.call_if_any("logs", "list_tags_for_resource", resourceArn=_arn(each["arn"])) for each in found)
    )
    return [
        Found(
            "log group",
            each["logGroupName"],
            (Call("logs", "delete_log_group", {"logGroupName": each["logGroupName"]}),),
            tags=answer["tags"],
            cluster=cluster_of_log_group(each["logGroupName"]),
            created=datetime.fromtimestamp(each.get("creationTime", 0) / 1000, UTC),
        )
        for each, answer in zip(found, told, strict=True)
        if answer
    ]


def cluster_of_log_group(name: str) -> str:
    """The cluster whose logs a log group has, by its name; empty for other log groups."""
    match = _LOG_GROUP.match(name)
    return match[1] if match else ""


def _arn(arn: str) -> str:
    return arn.removesuffix(":*")


async def keys(aws: Aws, scope: Scope) -> list[Found]:
    """KMS keys with the stack's tag. One that waits for its deletion is gone: it costs nothing and opens nothing."""
    arns = await tagged(aws, scope.name, "kms:key")
    described = await asyncio.gather(*(aws.call_if_any("kms", "describe_key", KeyId=arn) for arn in arns))
    found = [
        answer["KeyMetadata"]["KeyId"]
        for answer in described
        if answer and answer["KeyMetadata"].get("KeyState") not in ("PendingDeletion", "PendingReplicaDeletion")
    ]
    tags = await asyncio.gather(*(_tags_of_key(aws, key) for key in found))
    return [
        Found(
            "KMS key",
            key,
            (Call("kms", "schedule_key_deletion", {"KeyId": key, "PendingWindowInDays": KEY_DAYS}),),
            tags=own,
            charge=Charge("KMS key"),
        )
        for key, own in zip(found, tags, strict=True)
    ]


async def aliases(aws: Aws, scope: Scope) -> list[Found]:
    """The alias of the cluster's key. It has no tags: it is the stack's if the key is."""
    name = f"alias/eks/{scope.name}"
    found = [each for each in await aws.collect("kms", "list_aliases", "Aliases") if each["AliasName"] == name]
    tags = await asyncio.gather(*(_tags_of_key(aws, each.get("TargetKeyId", "")) for each in found))
    return [
        Found("KMS alias", name, (Call("kms", "delete_alias", {"AliasName": name}),), tags=own, free=True)
        for own in tags
    ]


async def _tags_of_key(aws: Aws, key: str) -> dict[str, str]:
    if not key:
        return {}
    try:
        tags = await aws.collect("kms", "list_resource_tags", "Tags", KeyId=key)
    except ClusterError as error:
        if error.code == NOT_FOUND:
            return {}
        raise
    return {each["TagKey"]: each["TagValue"] for each in tags}
