"""What EKS looks up in EC2 and IAM before it makes something, and the security group it makes itself."""

from collections.abc import Sequence
from typing import Any

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends

from drakit.rehearsal import interfaces, securitygroups
from drakit.rehearsal.eks.store import invalid
from drakit.rehearsal.protocol import ACCOUNT


def ec2(region: str) -> Any:
    """moto's EC2 of a region."""
    return ec2_backends[ACCOUNT][region]


def check_role(role_arn: str) -> None:
    """Refuse a role that does not exist.

    Raises:
        AwsError: InvalidParameterException.
    """
    roles = iam_backends[ACCOUNT]["aws"].roles.values()
    if not any(role.arn == role_arn for role in roles):
        raise invalid(
            f"Role with arn: {role_arn}, could not be assumed because it does not exist or the trusted entity is "
            "not correct"
        )


def subnets(region: str, ids: Sequence[str]) -> list[Any]:
    """The subnets with these ids.

    Raises:
        AwsError: InvalidParameterException: one does not exist, or they are in several VPCs.
    """
    every = {subnet.id: subnet for zone in ec2(region).subnets.values() for subnet in zone.values()}
    if missing := [subnet_id for subnet_id in ids if subnet_id not in every]:
        raise invalid(f"The subnet ID '{missing[0]}' does not exist")
    found = [every[subnet_id] for subnet_id in ids]
    if len({subnet.vpc_id for subnet in found}) > 1:
        raise invalid("Subnets specified are not in the same VPC")
    return found


def zones(region: str, ids: Sequence[str]) -> list[str]:
    """The zones of some subnets, each once, in the subnets' order."""
    return list(dict.fromkeys(subnet.availability_zone for subnet in subnets(region, ids)))


def make_cluster_security_group(region: str, cluster: str, vpc: str) -> str:
    """The security group that EKS gives a cluster; its id."""
    group = ec2(region).create_security_group(
        f"eks-cluster-sg-{cluster}-{abs(hash(vpc)) % 10**9}",
        "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, as well as any "
        "managed workloads.",
        vpc_id=vpc,
        tags={
            "Name": f"eks-cluster-sg-{cluster}",
            f"kubernetes.io/cluster/{cluster}": "owned",
            "aws:eks:cluster-name": cluster,
        },
    )
    return str(group.id)


def delete_cluster_security_group(region: str, group_id: str, vpc: str) -> None:
    """Remove it; as EKS does, leave it where an interface or another group's rule still needs it."""
    if not securitygroups.is_needed(region, group_id):
        ec2(region).groups.get(vpc, {}).pop(group_id, None)


def make_interfaces(region: str, cluster: str, subnet_ids: Sequence[str], groups: Sequence[str]) -> None:
    """The interfaces by which a control plane reaches its VPC: in two subnets, of two zones."""
    by_zone = {subnet.availability_zone: subnet.id for subnet in reversed(subnets(region, subnet_ids))}
    for subnet in list(by_zone.values())[:2]:
        interfaces.make(region, subnet, _described(cluster), groups=groups, requester=ACCOUNT)


def delete_interfaces(region: str, cluster: str) -> None:
    """Take the control plane's interfaces away."""
    interfaces.remove(region, _described(cluster))


def _described(cluster: str) -> str:
    return f"Amazon EKS {cluster}"


def launch_template(region: str, given: dict[str, str]) -> tuple[Any, int, dict[str, Any]]:
    """The launch template that a node group names: itself, the version's number, and the version's data.

    Raises:
        AwsError: InvalidParameterException, InvalidRequestException.
    """
    templates = ec2(region).launch_templates.values()
    found = next((t for t in templates if t.id == given.get("id") or t.name == given.get("name")), None)
    if found is None:
        raise invalid(f"Launch template {given.get('id') or given.get('name')} does not exist")
    wanted = str(given.get("version") or "$Default")
    try:
        version = found.get_version(wanted)
    except Exception as error:  # moto's own refusal, which has another form here
        raise invalid(f"Launch template {found.id} has no version {wanted}") from error
    return found, int(version.number), dict(version.data)
