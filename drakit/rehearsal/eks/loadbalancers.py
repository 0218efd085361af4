"""What the controllers of load balancers make on AWS for a Service or an Ingress, and how they take it away again.

Names, tags and descriptions are those of kubernetes/cloud-provider-aws, which EKS runs in the control plane (a Service
with no class: a Classic Load Balancer, or a Network one by its annotation), and of the AWS Load Balancer Controller
(the class service.k8s.aws/nlb, and Ingresses). Everything is found again by its name alone: nothing is remembered.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from drakit.kube.kinds import Object
from drakit.rehearsal import balancers, securitygroups
from drakit.rehearsal.eks.networks import ec2
from drakit.rehearsal.eks.store import Cluster
from drakit.rehearsal.world import World

CLASSIC, NETWORK, APPLICATION = "classic", "network", "application"

CLEANUP = "service.kubernetes.io/load-balancer-cleanup"
"""The finalizer of the cloud provider's service controller."""
SERVICE_RESOURCES, INGRESS_RESOURCES = "service.k8s.aws/resources", "ingress.k8s.aws/resources"
"""The finalizers of the AWS Load Balancer Controller."""

NLB_CLASS = "service.k8s.aws/nlb"
TYPE = "service.beta.kubernetes.io/aws-load-balancer-type"
SERVICE_SCHEME, OLD_INTERNAL = (
    "service.beta.kubernetes.io/aws-load-balancer-scheme",
    "service.beta.kubernetes.io/aws-load-balancer-internal",
)
INGRESS_SCHEME = "alb.ingress.kubernetes.io/scheme"

SHARED_RULE = "elbv2.k8s.aws/targetGroupBinding=shared"


@dataclass(frozen=True)
class Group:
    """A security group that a controller makes. `shared`: for all its load balancers."""

    name: str
    description: str
    tags: dict[str, str]
    shared: bool = False


@dataclass(frozen=True)
class Wanted:
    """A load balancer that a controller wants, with what goes with it."""

    kind: str
    name: str
    finalizer: str
    tags: dict[str, str]
    internal: bool
    ports: tuple[int, ...]
    groups: tuple[Group, ...] = ()
    """The last one is whom the nodes let in."""
    target_groups: dict[str, dict[str, str]] = field(default_factory=dict)
    """Their tags, by name; one for each port."""


def for_service(cluster: Cluster, service: Object) -> Wanted | None:
    """What a Service of type LoadBalancer gets; None for a class that is nobody's here."""
    spec, annotations = service["spec"], service["metadata"].get("annotations", {})
    ports = tuple(int(port["port"]) for port in spec.get("ports", []))
    wanted_type, given_class = annotations.get(TYPE), spec.get("loadBalancerClass")
    if given_class == NLB_CLASS or (not given_class and wanted_type in ("external", "nlb-ip")):
        internal = annotations.get(SERVICE_SCHEME, balancers.INTERNAL) != balancers.PUBLIC
        return _by_controller(cluster, service, "service.k8s.aws", NETWORK, SERVICE_RESOURCES, internal, ports)
    if given_class:
        return None
    name = f"a{service['metadata']['uid'].replace('-', '')}"[:32]
    tags = {"kubernetes.io/service-name": _path(service), f"kubernetes.io/cluster/{cluster.name}": "owned"}
    internal = annotations.get(OLD_INTERNAL, "false") == "true"
    if wanted_type == "nlb":
        return Wanted(NETWORK, name, CLEANUP, tags, internal, ports, (), _target_groups(service, ports, tags))
    group = Group(
        f"k8s-elb-{name}",
        f"Security group for Kubernetes ELB {name} ({_path(service)})",
        {f"kubernetes.io/cluster/{cluster.name}": "owned"},
    )
    return Wanted(CLASSIC, name, CLEANUP, tags, internal, ports, (group,))


def for_ingress(cluster: Cluster, ingress: Object) -> Wanted:
    """What an Ingress of the AWS Load Balancer Controller's class gets."""
    annotations = ingress["metadata"].get("annotations", {})
    internal = annotations.get(INGRESS_SCHEME, balancers.INTERNAL) != balancers.PUBLIC
    ports = (443,) if "alb.ingress.kubernetes.io/certificate-arn" in annotations else (80,)
    return _by_controller(cluster, ingress, "ingress.k8s.aws", APPLICATION, INGRESS_RESOURCES, internal, ports)


def ensure(cluster: Cluster, wanted: Wanted) -> str | None:
    """Make what is missing. The world's lock is held.

    Returns:
        The load balancer's host name; None where no subnet is for it.
    """
    subnets = list(_subnets(cluster, internal=wanted.internal))
    if not subnets:
        return None
    groups = [_ensure_group(cluster, group, wanted) for group in wanted.groups]
    if groups:
        _let_in(cluster, wanted, groups[-1])
    scheme = balancers.INTERNAL if wanted.internal else balancers.PUBLIC
    if found := find(cluster, wanted):
        return str(found.dns_name)
    if wanted.kind == CLASSIC:
        elb = balancers.elb(cluster.region)
        listeners = [{"Protocol": "TCP", "LoadBalancerPort": port, "InstancePort": 30000} for port in wanted.ports]
        made = elb.create_load_balancer(wanted.name, [], listeners, scheme, subnets, groups)
        made.tags.update(wanted.tags)
        balancers.equip_classic(cluster.region, made)
        return str(made.dns_name)
    elbv2 = balancers.elbv2(cluster.region)
    tags = [{"Key": key, "Value": value} for key, value in wanted.tags.items()]
    made = elbv2.create_load_balancer(wanted.name, groups, subnets, [], scheme, wanted.kind, tags=tags)
    balancers.equip(cluster.region, made)
    protocol = "TCP" if wanted.kind == NETWORK else "HTTP"
    for port, (name, of) in zip(wanted.ports, wanted.target_groups.items(), strict=True):
        target = elbv2.create_target_group(
            name, vpc_id=_vpc(cluster), protocol=protocol, port=str(port), target_type="instance",
            tags=[{"Key": key, "Value": value} for key, value in of.items()],
        )  # fmt: skip
        forward = [{"Type": "forward", "TargetGroupArn": target.arn}]
        elbv2.create_listener(made.arn, protocol, str(port), "", None, forward)
    return str(made.dns_name)


def remove(world: World, cluster: Cluster, wanted: Wanted) -> bool:
    """Take away what is there, as far as EC2 lets go of it. The world's lock is held.

    Returns:
        Whether nothing is left; otherwise it is to be asked again.
    """
    if found := find(cluster, wanted):
        if wanted.kind == CLASSIC:
            balancers.elb(cluster.region).delete_load_balancer(found.name)
            balancers.release(world, cluster.region, f"ELB {found.name}", found.name)
        else:
            elbv2 = balancers.elbv2(cluster.region)
            elbv2.delete_load_balancer(found.arn)
            balancers.release(world, cluster.region, balancers.described(found), found.name)
    elbv2 = balancers.elbv2(cluster.region)
    for arn in [arn for arn, each in elbv2.target_groups.items() if each.name in wanted.target_groups]:
        elbv2.delete_target_group(arn)
    left = False
    for spec in wanted.groups:
        group = _group(cluster, spec.name)
        if group is None or (spec.shared and _others(cluster, group.id)):
            continue
        _keep_out(cluster, group.id)
        if securitygroups.is_needed(cluster.region, group.id):
            left = True
        else:
            ec2(cluster.region).delete_security_group(group_id=group.id)
    return not left


def find(cluster: Cluster, wanted: Wanted) -> Any:
    """The load balancer that is wanted, as moto has it, or None."""
    if wanted.kind == CLASSIC:
        return balancers.elb(cluster.region).load_balancers.get(wanted.name)
    every = balancers.elbv2(cluster.region).load_balancers.values()
    return next((each for each in every if each.name == wanted.name), None)


def _by_controller(
    cluster: Cluster, obj: Object, prefix: str, kind: str, finalizer: str, internal: bool, ports: tuple[int, ...]
) -> Wanted:
    """What the AWS Load Balancer Controller makes."""
    name = _short_name(obj, cluster.name, obj["metadata"]["uid"])
    tags = {"elbv2.k8s.aws/cluster": cluster.name, f"{prefix}/stack": _path(obj)}
    digest = hashlib.sha256(cluster.name.encode()).hexdigest()
    groups = (
        Group(
            name,
            "[k8s] Managed SecurityGroup for LoadBalancer",
            {**tags, f"{prefix}/resource": "ManagedLBSecurityGroup"},
        ),
        Group(
            f"k8s-traffic-{re.sub('[^A-Za-z0-9]', '', cluster.name)[:232]}-{digest[:10]}",
            "[k8s] Shared Backend SecurityGroup for LoadBalancer",
            {"elbv2.k8s.aws/cluster": cluster.name, "elbv2.k8s.aws/resource": "backend-sg"},
            shared=True,
        ),
    )
    return Wanted(
        kind, name, finalizer, {**tags, f"{prefix}/resource": "LoadBalancer"}, internal, ports, groups,
        _target_groups(obj, ports, tags, f"{prefix}/resource"),
    )  # fmt: skip


def _target_groups(
    obj: Object, ports: Sequence[int], tags: dict[str, str], resource: str | None = None
) -> dict[str, dict[str, str]]:
    named = {port: _short_name(obj, str(port), obj["metadata"]["uid"]) for port in ports}
    return {
        name: {**tags, resource: f"{_path(obj)}:{port}"} if resource else dict(tags) for port, name in named.items()
    }


def _short_name(obj: Object, *parts: str) -> str:
    """ "k8s-default-web-0123456789": 8 characters of the namespace and of the name, 10 of a digest."""
    metadata = obj["metadata"]
    namespace, name = (re.sub("[^A-Za-z0-9]", "", metadata[key])[:8] for key in ("namespace", "name"))
    return f"k8s-{namespace}-{name}-{hashlib.sha256('/'.join(parts).encode()).hexdigest()[:10]}"


def _path(obj: Object) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"


def _vpc(cluster: Cluster) -> str:
    return str(cluster.document["resourcesVpcConfig"]["vpcId"])


def _subnets(cluster: Cluster, *, internal: bool) -> Iterator[str]:
    """One subnet in each zone: of those with the role's tag; where none has it, of the cluster's."""
    role = "kubernetes.io/role/internal-elb" if internal else "kubernetes.io/role/elb"
    every = [s for zone in ec2(cluster.region).subnets.values() for s in zone.values() if s.vpc_id == _vpc(cluster)]
    tagged = [subnet for subnet in every if any(tag["key"] == role for tag in subnet.get_tags())]
    own = [subnet for subnet in every if subnet.id in cluster.document["resourcesVpcConfig"]["subnetIds"]]
    for zone in sorted({subnet.availability_zone for subnet in tagged or own}):
        yield min(subnet.id for subnet in tagged or own if subnet.availability_zone == zone)


def _group(cluster: Cluster, name: str) -> Any:
    return next((group for group in ec2(cluster.region).groups[_vpc(cluster)].values() if group.name == name), None)


def _ensure_group(cluster: Cluster, spec: Group, wanted: Wanted) -> str:
    if found := _group(cluster, spec.name):
        return str(found.id)
    made = ec2(cluster.region).create_security_group(spec.name, spec.description, _vpc(cluster), dict(spec.tags))
    for port in () if spec.shared else wanted.ports:
        anyone = [{"CidrIp": "0.0.0.0/0"}]
        ec2(cluster.region).authorize_security_group_ingress(made.id, "tcp", str(port), str(port), anyone)
    return str(made.id)


def _let_in(cluster: Cluster, wanted: Wanted, source: str) -> None:
    """The rule of the nodes' security group that names the load balancer's."""
    nodes = cluster.document["resourcesVpcConfig"]["clusterSecurityGroupId"]
    own = ec2(cluster.region).get_security_group_from_id(nodes)
    if own is None or any(rule.source_group.get("GroupId") == source for rule in own.ingress_rules):
        return
    if wanted.kind == CLASSIC:
        protocol, first, last, pair = "-1", "-1", "-1", {"GroupId": source}
    else:
        protocol, first, last, pair = "tcp", "0", "65535", {"GroupId": source, "Description": SHARED_RULE}
    ec2(cluster.region).authorize_security_group_ingress(nodes, protocol, first, last, [], source_groups=[pair])


def _keep_out(cluster: Cluster, source: str) -> None:
    """Take the rules away that name a load balancer's group."""
    for groups in ec2(cluster.region).groups.values():
        for group in groups.values():
            if group.id != source:
                group.ingress_rules = [r for r in group.ingress_rules if r.source_group.get("GroupId") != source]


def _others(cluster: Cluster, group: str) -> bool:
    """Whether a load balancer still has a group."""
    return any(group in each.security_groups for each in balancers.elbv2(cluster.region).load_balancers.values())
