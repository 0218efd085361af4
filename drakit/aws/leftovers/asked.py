"""EC2 asked for what may be a stack's: in its VPCs, or with a tag that names it. What is, `belongs` decides."""

from collections.abc import Mapping, Sequence
from typing import Any

from drakit.aws.clusters import STACK_TAG
from drakit.aws.leftovers.scope import CLUSTER_TAGS, OWNED, Scope
from drakit.aws.session import Aws

Item = Mapping[str, Any]


async def in_vpcs(
    aws: Aws, scope: Scope, service: str, operation: str, key: str, id: str, *, vpc: str = "vpc-id", more: str = ""
) -> list[Item]:
    """Things that are in a VPC, or have the stack's tag.

    Args:
        key: the answer's list.
        id: the member that tells two items apart.
        vpc: the name of the filter by VPC.
        more: what the parameter for filters is called, where it is not `Filters`.
    """
    filters = [[_filter(f"tag:{STACK_TAG}", scope.name)], *([[_filter(vpc, *scope.vpcs)]] if scope.vpcs else [])]
    items: dict[str, Item] = {}
    for each in filters:
        parameters: dict[str, Any] = {more or "Filters": each}
        found = await aws.collect(service, operation, key, **parameters)
        items |= {str(item[id]): item for item in found}
    return list(items.values())


async def by_tags(aws: Aws, scope: Scope, service: str, operation: str, key: str, **more: Any) -> list[Item]:
    """Things that are in no VPC: those that have a tag of the stack's or of the cluster's kind."""
    return await aws.collect(service, operation, key, Filters=[tag_keys(scope)], **more)


def tag_keys(scope: Scope) -> dict[str, Any]:
    """The filter for all that has a tag by which it may be the stack's."""
    return _filter("tag-key", STACK_TAG, f"{OWNED}{scope.name}", *CLUSTER_TAGS)


def _filter(name: str, *values: str) -> dict[str, Any]:
    return {"Name": name, "Values": list(values)}


def batches(names: Sequence[str], size: int) -> list[list[str]]:
    """The names, so many at a time."""
    return [list(names[start : start + size]) for start in range(0, len(names), size)]
