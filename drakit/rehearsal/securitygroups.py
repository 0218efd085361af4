"""Security groups: which of them something still needs, so that EC2 does not delete them. moto deletes any."""

from moto.ec2.models import ec2_backends

from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.operations import Result, operation
from drakit.rehearsal.protocol import ACCOUNT, Call
from drakit.rehearsal.world import World


@operation("ec2", "DeleteSecurityGroup")
def delete_security_group(world: World, call: Call) -> Result:
    """Delete a security group that no interface is in and no rule of another group names."""
    identifier = call.get("GroupId")
    if identifier and is_needed(call.region, identifier):
        raise AwsError("DependencyViolation", f"resource {identifier} has a dependent object")
    return call.moto()


def is_needed(region: str, group: str) -> bool:
    """Whether an interface is in a security group, or a rule of another group names it."""
    ec2 = ec2_backends[ACCOUNT][region]
    if any(each.id == group for eni in ec2.enis.values() for each in eni.group_set):
        return True
    every = (each for groups in ec2.groups.values() for each in groups.values() if each.id != group)
    rules = (rule for each in every for rule in (*each.ingress_rules, *each.egress_rules))
    return any(rule.source_group.get("GroupId") == group for rule in rules)
