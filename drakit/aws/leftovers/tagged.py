"""The second look: everything that AWS's index of tags has of a stack, of whatever kind."""

import re
from typing import Any

from drakit.aws.clusters import STACK_TAG
from drakit.aws.session import Aws

# How the resource part of an ARN begins, by service: what the kinds in this package find, and what goes with it.
# Capacity reservations are known too: they are paid for, and never removed.
_KNOWN = {
    "ec2": r"(capacity-reservation|elastic-ip|instance|internet-gateway|launch-template|natgateway|network-acl|"
    r"network-interface|placement-group|route-table|security-group|security-group-rule|snapshot|subnet|volume|vpc|"
    r"vpc-endpoint)/",
    "elasticloadbalancing": r"(loadbalancer|targetgroup|listener|listener-rule)/",
    "autoscaling": r"autoScalingGroup:",
    "eks": r"(cluster/{name}$|(nodegroup|addon|fargateprofile|access-entry|podidentityassociation)/{name}/)",
    "logs": r"log-group:/aws/(eks|containerinsights)/{name}/",
    "kms": r"key/",
    "iam": r"(role|policy|instance-profile|oidc-provider)/",
}


async def tagged(aws: Aws, name: str, *kinds: str) -> tuple[str, ...]:
    """The ARNs of what has the stack's tag in the region, also of what went a short time ago.

    Args:
        kinds: such as "kms:key"; all when there are none.

    Raises:
        ClusterError: the index cannot be asked.
    """
    only: dict[str, Any] = {"ResourceTypeFilters": list(kinds)} if kinds else {}
    filters = [{"Key": STACK_TAG, "Values": [name]}]
    found = await aws.collect(
        "resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", TagFilters=filters, **only
    )
    return tuple(sorted(each["ResourceARN"] for each in found))


async def stack_names(aws: Aws) -> frozenset[str]:
    """The stacks that the index of tags names in the region, also those that went a short time ago.

    Raises:
        ClusterError: the index cannot be asked.
    """
    names = await aws.collect("resourcegroupstaggingapi", "get_tag_values", "TagValues", Key=STACK_TAG)
    return frozenset(names)


def is_known(arn: str, name: str) -> bool:
    """Whether an ARN is of a kind that the inventory of the stack `name` looks for by itself."""
    _, _, service, _, _, resource = arn.split(":", 5)
    pattern = _KNOWN.get(service)
    return pattern is not None and re.match(pattern.replace("{name}", re.escape(name)), resource) is not None


def kind_of(arn: str) -> str:
    """What an ARN is of, as far as it says: "sqs", "dynamodb table"."""
    _, _, service, _, _, resource = arn.split(":", 5)
    what = re.split(r"[:/]", resource, maxsplit=1)
    return f"{service} {what[0]}" if len(what) > 1 else service
