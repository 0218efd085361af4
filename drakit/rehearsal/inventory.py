"""Everything that exists in the emulated AWS and that somebody has made: what a `down` must leave empty."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from moto.autoscaling.models import autoscaling_backends
from moto.core.base_backend import BackendDict
from moto.core.resource_tagging import TaggableResourcesMixin
from moto.ec2.models import ec2_backends
from moto.elb.models import elb_backends
from moto.elbv2.models import elbv2_backends
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.logs.models import logs_backends
from moto.s3.models import s3_backends

from drakit.rehearsal import capacity
from drakit.rehearsal.eks.store import all_clusters
from drakit.rehearsal.protocol import ACCOUNT
from drakit.rehearsal.world import World

Resource = dict[str, Any]

LISTED_BY_KIND = frozenset({"ec2", "eks", "elasticloadbalancing", "elb", "elbv2", "kms", "logs", "autoscaling", "s3"})
"""Services that are gone through kind by kind; of the others, what moto's tagging API knows."""


def resources(world: World) -> list[Resource]:
    """Each thing: `service`, `type`, `id`, `region`, `tags`, and `vpc` where it is in one.

    What AWS has by itself in every account and region is left out, and so is what goes with its VPC: the default
    group, list and table. Keys that wait for their deletion, and reservations that are over, do not count.
    """
    return [*_ec2(), *_reservations(world), *_eks(), *_iam(), *_regional(), *_others()]


def _ec2() -> Iterator[Resource]:
    for region, ec2 in list(ec2_backends[ACCOUNT].items()):
        default = {vpc.id for vpc in ec2.vpcs.values() if str(vpc.is_default).lower() == "true"}
        in_default = _in(default)
        subnets = [subnet for zone in ec2.subnets.values() for subnet in zone.values()]
        groups = [g for per_vpc in ec2.groups.values() for g in per_vpc.values() if g.name != "default"]
        instances = [i for r in ec2.reservations.values() for i in r.instances if i.state != "terminated"]
        kinds: dict[str, Iterable[Any]] = {
            "vpc": (vpc for vpc in ec2.vpcs.values() if vpc.id not in default),
            "subnet": (s for s in subnets if not in_default(s)),
            "security-group": (g for g in groups if not in_default(g)),
            "route-table": (t for t in ec2.route_tables.values() if not in_default(t) and not t.main_association_id),
            "network-acl": (a for a in ec2.network_acls.values() if not in_default(a) and not _is_default(a)),
            "internet-gateway": ec2.internet_gateways.values(),
            "natgateway": (g for g in ec2.nat_gateways.values() if g.state != "deleted"),
            "elastic-ip": ec2.addresses,
            "network-interface": ec2.enis.values(),
            "vpc-endpoint": (e for e in ec2.vpc_end_points.values() if e.state != "deleted"),
            "vpc-flow-log": ec2.flow_logs.values(),
            "launch-template": ec2.launch_templates.values(),
            "instance": instances,
            "volume": ec2.volumes.values(),
            "snapshot": (s for s in ec2.snapshots.values() if s.owner_id == ACCOUNT and not s.from_ami),
            "key-pair": ec2.key_pairs.values(),
        }
        for kind, found in kinds.items():
            for each in list(found):
                identifier = getattr(each, "allocation_id", None) or each.id
                tags = {tag["key"]: tag["value"] for tag in ec2.describe_tags(filters={"resource-id": [identifier]})}
                vpc = each.vpc.id if kind == "internet-gateway" and each.vpc else getattr(each, "vpc_id", None)
                yield _resource("ec2", kind, identifier, region, tags, vpc=vpc)


def _reservations(world: World) -> Iterator[Resource]:
    for identifier, reservation in world.reservations.items():
        document = capacity.shown(world, reservation)
        if document["State"] in ("active", "scheduled") and document["OwnerId"] == ACCOUNT:
            yield _resource("ec2", "capacity-reservation", identifier, reservation.region, _pairs(document["Tags"]))
    for (region, name), group in world.placement_groups.items():
        yield _resource("ec2", "placement-group", name, region, _pairs(group["Tags"]))


def _eks() -> Iterator[Resource]:
    for cluster in all_clusters():
        for kind, arn, document in cluster.documents():
            yield _resource("eks", kind.partition(":")[2], arn, cluster.region, document.get("tags", {}))
        vpc = cluster.document["resourcesVpcConfig"]["vpcId"]
        for group in cluster.nodegroups.values():
            yield _resource("autoscaling", "group", group.asg, cluster.region, group.asg_tags)
            for node in group.nodes[: group.running]:
                name = node["metadata"]["name"]
                yield _resource("ec2", "instance", str(node["spec"]["providerID"]).rpartition("/")[2], cluster.region,
                                {**group.asg_tags, "Name": name}, vpc=vpc)  # fmt: skip


def _iam() -> Iterator[Resource]:
    iam = iam_backends[ACCOUNT]["aws"]
    kinds: dict[str, Iterable[Any]] = {
        "role": iam.roles.values(),
        "policy": (p for p in iam.managed_policies.values() if f"::{ACCOUNT}:" in p.arn),
        "instance-profile": iam.instance_profiles.values(),
        "oidc-provider": iam.open_id_providers.values(),
        "user": iam.users.values(),
    }
    for kind, found in kinds.items():
        for each in found:
            yield _resource("iam", kind, getattr(each, "name", None) or each.arn, "global", _plain(each))


def _regional() -> Iterator[Resource]:
    for region, kms in list(kms_backends[ACCOUNT].items()):
        for key in kms.keys.values():
            if key.key_state != "PendingDeletion" and key.key_manager == "CUSTOMER":
                yield _resource("kms", "key", key.id, region, kms.tagger.get_tag_dict_for_resource(key.id))
                for alias in key.aliases.values():
                    if not alias.alias_name.startswith("alias/aws/"):
                        yield _resource("kms", "alias", alias.alias_name, region, {})
    for region, logs in list(logs_backends[ACCOUNT].items()):
        for group in logs.groups.values():
            yield _resource("logs", "log-group", group.name, region, logs.tagger.get_tag_dict_for_resource(group.arn))
    for region, elb in list(elb_backends[ACCOUNT].items()):
        for balancer in elb.load_balancers.values():
            yield _resource("elb", "load-balancer", balancer.name, region, balancer.tags, vpc=balancer.vpc_id)
    for region, elbv2 in list(elbv2_backends[ACCOUNT].items()):
        for kind, found in (("load-balancer", elbv2.load_balancers), ("target-group", elbv2.target_groups)):
            for arn, each in found.items():
                tags = elbv2.tagging_service.get_tag_dict_for_resource(arn)
                yield _resource("elbv2", kind, arn, region, tags, vpc=getattr(each, "vpc_id", None))
    for region, autoscaling in list(autoscaling_backends[ACCOUNT].items()):
        for asg in autoscaling.autoscaling_groups.values():
            yield _resource("autoscaling", "group", asg.name, region, _pairs(asg.tags))
    for name, bucket in s3_backends[ACCOUNT]["aws"].buckets.items():
        yield _resource("s3", "bucket", name, bucket.region_name, {})


def _others() -> Iterator[Resource]:
    for backends in list(BackendDict._instances):  # type: ignore[misc]
        kind = backends.backend
        if not isinstance(kind, type) or not issubclass(kind, TaggableResourcesMixin) or ACCOUNT not in backends:
            continue
        if kind.SERVICE_NAMESPACE in LISTED_BY_KIND:
            continue
        for region, backend in list(backends[ACCOUNT].items()):
            for each in backend.iter_tagged_resources():
                service, _, what = each.resource_type.partition(":")
                yield _resource(service, what, each.arn, region, each.tags)


def _resource(
    service: str, kind: str, identifier: str, region: str, tags: Mapping[str, str] | None, *, vpc: str | None = None
) -> Resource:
    found: Resource = {"service": service, "type": kind, "id": identifier, "region": region, "tags": dict(tags or {})}
    return {**found, "vpc": vpc} if vpc else found


def _pairs(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {tag.get("Key") or tag["key"]: tag.get("Value") or tag.get("value", "") for tag in tags}


def _plain(each: Any) -> dict[str, str]:
    """Tags of IAM, of which moto has three forms."""
    tags = getattr(each, "tags", None) or {}
    if isinstance(tags, list):
        return _pairs(tags)
    return {key: value["Value"] if isinstance(value, dict) else value for key, value in tags.items()}


def _in(vpcs: set[str]) -> Any:
    return lambda each: each.vpc_id in vpcs


def _is_default(acl: Any) -> bool:
    return str(acl.default).lower() == "true"
