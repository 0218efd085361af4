"""Availability zones, and which of them offer which instance types."""

from collections.abc import Iterable, Mapping
from itertools import combinations

from drakit.aws.session import Aws
from drakit.dra.catalogue import INSTANCE_TYPES

# Where EKS makes no control plane, by zone id. EKS user guide, network requirements (2026).
UNUSABLE_ZONE_IDS = frozenset({"use1-az3", "usw1-az2", "cac1-az3"})


async def zones(aws: Aws) -> tuple[str, ...]:
    """The region's zones that an EKS cluster can be in, in order.

    Raises:
        ClusterError: EC2 cannot be asked.
    """
    answer = await aws.call("ec2", "describe_availability_zones")
    return tuple(
        sorted(
            zone["ZoneName"]
            for zone in answer["AvailabilityZones"]
            if zone.get("State", "available") == "available"
            and zone.get("ZoneType", "availability-zone") == "availability-zone"
            and zone.get("ZoneId") not in UNUSABLE_ZONE_IDS
        )
    )


async def subnet_zones(aws: Aws, stack: str) -> frozenset[str]:
    """The zones that a stack's subnets are in; none before there are any.

    Raises:
        ClusterError: EC2 cannot be asked.
    """
    mine = [{"Name": "tag:drakit/stack", "Values": [stack]}]
    found = await aws.collect("ec2", "describe_subnets", "Subnets", Filters=mine)
    return frozenset(each["AvailabilityZone"] for each in found)


async def offerings(aws: Aws, instance_types: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """The zones that offer each of the types; none for a type that the region does not have.

    Raises:
        ClusterError: EC2 cannot be asked.
    """
    wanted = sorted(set(instance_types))
    found = await aws.collect(
        "ec2",
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": wanted}],
    )
    return {name: frozenset(each["Location"] for each in found if each["InstanceType"] == name) for name in wanted}


async def vcpus(aws: Aws, instance_types: Iterable[str]) -> Mapping[str, int]:
    """The vCPUs of each type: the catalogue's, and EC2's word for types that it does not know; absent if EC2 has not.

    Raises:
        ClusterError: EC2 cannot be asked.
    """
    wanted = set(instance_types)
    known = {name: INSTANCE_TYPES[name].vcpus for name in wanted if name in INSTANCE_TYPES}
    if not (unknown := sorted(wanted - known.keys())):
        return known
    # By a filter, which passes over names that do not exist; a list of names would be refused as a whole.
    found = await aws.collect(
        "ec2", "describe_instance_types", "InstanceTypes", Filters=[{"Name": "instance-type", "Values": unknown}]
    )
    return {**known, **{each["InstanceType"]: int(each["VCpuInfo"]["DefaultVCpus"]) for each in found}}


def choose_zones(
    available: Iterable[str], offered: Mapping[str, frozenset[str]], count: int, pinned: Iterable[str] = ()
) -> tuple[str, ...]:
    """The zones for a stack: those pinned (a reservation's), and others so that every type has a zone, if that can be.

    Among the choices that do equally well, the one with most offerings, then the first by name. Fewer than `count` when
    the region has fewer; more when more are pinned.
    """
    pinned = sorted(set(pinned))
    others = sorted(set(available) - set(pinned))
    choices = combinations(others, min(max(count - len(pinned), 0), len(others)))

    def worth(choice: tuple[str, ...]) -> tuple[int, int]:
        chosen = {*pinned, *choice}
        shared = [len(chosen & places) for places in offered.values()]
        return sum(map(bool, shared)), sum(shared)

    # `max` keeps the first of equals, and the choices come in order.
    return tuple(sorted({*pinned, *max(choices, key=worth, default=())}))
