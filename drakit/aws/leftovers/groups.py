"""Security groups: those that refer to each other can only be deleted when the references have gone."""

from collections.abc import Iterable, Iterator
from typing import Any

from drakit.aws.leftovers.asked import Item, in_vpcs
from drakit.aws.leftovers.found import Call, Found
from drakit.aws.leftovers.scope import Scope, belongs, tags_of
from drakit.aws.session import Aws

_RULES = (("IpPermissions", "revoke_security_group_ingress"), ("IpPermissionsEgress", "revoke_security_group_egress"))


async def security_groups(aws: Aws, scope: Scope) -> list[Found]:
    """Security groups but the default ones: the blueprint's, EKS's, the controllers', GuardDuty's.

    What removes one begins with the rules of the stack's other groups that refer to it; nobody else's are touched.
    """
    items = await in_vpcs(aws, scope, "ec2", "describe_security_groups", "SecurityGroups", "GroupId")
    own = [each for each in items if belongs(scope, _found(each, ()))]
    return [_found(each, _references(each["GroupId"], own)) for each in items if each["GroupName"] != "default"]


def _found(group: Item, revoking: Iterable[Call]) -> Found:
    return Found(
        "security group",
        group["GroupId"],
        (*revoking, Call("ec2", "delete_security_group", {"GroupId": group["GroupId"]})),
        tags=tags_of(group.get("Tags")),
        vpc=group.get("VpcId", ""),
        free=True,
    )


def _references(to: str, groups: Iterable[Item]) -> Iterator[Call]:
    for group in groups:
        if group["GroupId"] == to:
            continue
        for rules, operation in _RULES:
            for rule in group.get(rules, []):
                pairs = [{"GroupId": to} for pair in rule.get("UserIdGroupPairs", []) if pair.get("GroupId") == to]
                if pairs:
                    ports: dict[str, Any] = {key: rule[key] for key in ("FromPort", "ToPort") if key in rule}
                    permission = {"IpProtocol": rule["IpProtocol"], **ports, "UserIdGroupPairs": pairs[:1]}
                    yield Call("ec2", operation, {"GroupId": group["GroupId"], "IpPermissions": [permission]})
