"""Load balancers of both generations, and target groups: made by controllers in the cluster, unknown to Terraform."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from drakit.aws.errors import NOT_FOUND
from drakit.aws.leftovers.asked import batches
from drakit.aws.leftovers.found import Call, Charge, Found
from drakit.aws.leftovers.scope import Scope, tags_of
from drakit.aws.session import Aws
from drakit.errors import ClusterError

_DESCRIBED_AT_ONCE = 20
"""Load balancers and target groups whose tags one call tells."""


async def load_balancers(aws: Aws, scope: Scope) -> list[Found]:
    """Application, network and gateway load balancers, and classic ones."""
    newer, classic = await asyncio.gather(_newer(aws), _classic(aws))
    return [*newer, *classic]


async def _newer(aws: Aws) -> list[Found]:
    found = await aws.collect("elbv2", "describe_load_balancers", "LoadBalancers")
    tags = await _tags(aws, [each["LoadBalancerArn"] for each in found])
    return [
        Found(
            "load balancer",
            each["LoadBalancerArn"],
            (Call("elbv2", "delete_load_balancer", {"LoadBalancerArn": each["LoadBalancerArn"]}),),
            tags=tags.get(each["LoadBalancerArn"], {}),
            vpc=each.get("VpcId", ""),
            charge=Charge("load balancer"),
        )
        for each in found
    ]


async def _classic(aws: Aws) -> list[Found]:
    found = await aws.collect("elb", "describe_load_balancers", "LoadBalancerDescriptions")
    names = batches([each["LoadBalancerName"] for each in found], _DESCRIBED_AT_ONCE)
    told = await asyncio.gather(
        *(aws.collect("elb", "describe_tags", "TagDescriptions", LoadBalancerNames=some) for some in names)
    )
    tags = {each["LoadBalancerName"]: tags_of(each.get("Tags")) for some in told for each in some}
    return [
        Found(
            "load balancer",
            each["LoadBalancerName"],
            (Call("elb", "delete_load_balancer", {"LoadBalancerName": each["LoadBalancerName"]}),),
            tags=tags.get(each["LoadBalancerName"], {}),
            vpc=each.get("VPCId", ""),
            charge=Charge("load balancer"),
        )
        for each in found
    ]


async def target_groups(aws: Aws, scope: Scope) -> list[Found]:
    """Target groups of load balancers, also of those that have gone."""
    found = await aws.collect("elbv2", "describe_target_groups", "TargetGroups")
    tags = await _tags(aws, [each["TargetGroupArn"] for each in found])
    return [
        Found(
            "target group",
            each["TargetGroupArn"],
            (Call("elbv2", "delete_target_group", {"TargetGroupArn": each["TargetGroupArn"]}),),
            tags=tags.get(each["TargetGroupArn"], {}),
            vpc=each.get("VpcId", ""),
            free=True,
        )
        for each in found
    ]


async def _tags(aws: Aws, arns: list[str]) -> dict[str, dict[str, str]]:
    told = await asyncio.gather(*(_described(aws, some) for some in batches(arns, _DESCRIBED_AT_ONCE)))
    return {each["ResourceArn"]: tags_of(each.get("Tags")) for some in told for each in some}


async def _described(aws: Aws, arns: Sequence[str]) -> list[Mapping[str, Any]]:
    """The tags of those that there are: where one has gone in the meantime, AWS tells none."""
    try:
        return list(await aws.collect("elbv2", "describe_tags", "TagDescriptions", ResourceArns=list(arns)))
    except ClusterError as error:
        if error.code != NOT_FOUND:
            raise
    if len(arns) == 1:
        return []
    half = len(arns) // 2
    return [*await _described(aws, arns[:half]), *await _described(aws, arns[half:])]
