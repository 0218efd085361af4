"""Every kind of thing that a stack may leave, in the order in which it must go."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from drakit.aws.leftovers import balancers, clusters, compute, groups, identities, network
from drakit.aws.leftovers.found import Call, Found
from drakit.aws.leftovers.scope import Scope
from drakit.aws.session import Aws


@dataclass(frozen=True)
class Keep:
    """What is left where it is: volumes with their snapshots, log groups."""

    volumes: bool = False
    logs: bool = False


@dataclass(frozen=True)
class Kind:
    """A kind of thing.

    Args:
        find: lists those that may be the stack's, and maybe others.
        lists: the call that a person lists them with.
        after: the kinds that it waits for: AWS would refuse before, or something that still works would break.
    """

    name: str
    find: Callable[[Aws, Scope], Awaitable[Sequence[Found]]]
    lists: Call
    after: tuple[str, ...] = ()


_NODES = ("EKS node group", "Auto Scaling group", "instance")
_IN_SUBNETS = ("load balancer", "EKS cluster", "NAT gateway", "VPC endpoint", "network interface")

KINDS = (
    Kind("EKS node group", clusters.nodegroups, Call("eks", "list_nodegroups")),
    # EKS removes its own with the node group; one that is left would start instances anew.
    Kind(
        "Auto Scaling group",
        compute.scaling_groups,
        Call("autoscaling", "describe_auto_scaling_groups"),
        ("EKS node group",),
    ),
    Kind("instance", compute.instances, Call("ec2", "describe_instances"), ("EKS node group", "Auto Scaling group")),
    Kind("load balancer", balancers.load_balancers, Call("elbv2", "describe_load_balancers")),
    Kind("target group", balancers.target_groups, Call("elbv2", "describe_target_groups"), ("load balancer",)),
    Kind("NAT gateway", network.nat_gateways, Call("ec2", "describe_nat_gateways")),
    Kind("Elastic IP", network.addresses, Call("ec2", "describe_addresses")),
    Kind("EKS cluster", clusters.clusters, Call("eks", "list_clusters"), ("EKS node group",)),
    Kind("VPC endpoint", network.endpoints, Call("ec2", "describe_vpc_endpoints")),
    Kind("volume", compute.volumes, Call("ec2", "describe_volumes"), _NODES),
    Kind("snapshot", compute.snapshots, Call("ec2", "describe_snapshots", {"OwnerIds": ["self"]})),
    Kind("network interface", network.interfaces, Call("ec2", "describe_network_interfaces"), _NODES),
    Kind(
        "launch template",
        compute.launch_templates,
        Call("ec2", "describe_launch_templates"),
        ("EKS node group", "Auto Scaling group"),
    ),
    Kind("placement group", compute.placement_groups, Call("ec2", "describe_placement_groups"), _NODES),
    Kind("security group", groups.security_groups, Call("ec2", "describe_security_groups"), ("instance", *_IN_SUBNETS)),
    Kind(
        "internet gateway",
        network.internet_gateways,
        Call("ec2", "describe_internet_gateways"),
        ("instance", "load balancer", "NAT gateway"),
    ),
    Kind("subnet", network.subnets, Call("ec2", "describe_subnets"), ("instance", *_IN_SUBNETS)),
    Kind("route table", network.route_tables, Call("ec2", "describe_route_tables"), ("VPC endpoint", "subnet")),
    Kind("network ACL", network.network_acls, Call("ec2", "describe_network_acls"), ("subnet",)),
    Kind(
        "VPC",
        network.vpcs,
        Call("ec2", "describe_vpcs"),
        ("security group", "internet gateway", "subnet", "route table", "network ACL"),
    ),
    # EKS writes to its log group, and makes it anew, as long as there is a cluster; without its roles and its key the
    # cluster could not even be deleted.
    Kind("log group", clusters.log_groups, Call("logs", "describe_log_groups"), ("EKS cluster",)),
    Kind("OIDC provider", identities.oidc_providers, Call("iam", "list_open_id_connect_providers"), ("EKS cluster",)),
    Kind(
        "instance profile",
        identities.instance_profiles,
        Call("iam", "list_instance_profiles"),
        ("EKS node group", "Auto Scaling group", "instance"),
    ),
    Kind(
        "IAM role",
        identities.roles,
        Call("iam", "list_roles"),
        ("EKS node group", "EKS cluster", "instance", "instance profile"),
    ),
    Kind("IAM policy", identities.policies, Call("iam", "list_policies", {"Scope": "Local"}), ("IAM role",)),
    Kind("KMS alias", clusters.aliases, Call("kms", "list_aliases"), ("EKS cluster",)),
    Kind(
        "KMS key",
        clusters.keys,
        Call("resourcegroupstaggingapi", "get_resources", {"ResourceTypeFilters": ["kms:key"]}),
        ("EKS cluster",),
    ),
)


def kinds(keep: Keep) -> tuple[Kind, ...]:
    """The kinds that are to go."""
    kept = {*(("volume", "snapshot") if keep.volumes else ()), *(("log group",) if keep.logs else ())}
    return tuple(kind for kind in KINDS if kind.name not in kept)
