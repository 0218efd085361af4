"""What EC2 says to the Auto Scaling group of a node group that asks for one more instance.

The words are those of "Troubleshoot Amazon EC2 Auto Scaling: EC2 instance launch failures" and of issues that quote it.
"""

from dataclasses import dataclass
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

from drakit.dra.catalogue import INSTANCE_TYPES as SIMULATED
from drakit.rehearsal import capacity, faults
from drakit.rehearsal.eks.networks import launch_template, zones
from drakit.rehearsal.eks.store import Cluster, NodeGroup, all_clusters
from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.quotas import quota_of
from drakit.rehearsal.world import World


@dataclass(frozen=True)
class Machine:
    """What a node group launches."""

    instance_type: str
    zones: tuple[str, ...]
    reservation: str | None = None
    market: str | None = None
    """ "capacity-block", "spot" or None."""


@dataclass(frozen=True)
class Refusal:
    """Why an instance was not launched: the error's code and words, and EKS's code for the node group's health."""

    code: str
    message: str
    issue: str = "AsgInstanceLaunchFailures"


def machine_of(cluster: Cluster, group: NodeGroup) -> Machine:
    """What a node group launches, by its launch template or its own settings."""
    document, data = group.document, dict[str, Any]()
    if "launchTemplate" in document:
        _, _, data = launch_template(cluster.region, document["launchTemplate"])
    target = (data.get("CapacityReservationSpecification") or {}).get("CapacityReservationTarget") or {}
    market = (data.get("InstanceMarketOptions") or {}).get("MarketType")
    return Machine(
        instance_type=data.get("InstanceType") or document["instanceTypes"][0],
        zones=tuple(zones(cluster.region, document["subnets"])),
        reservation=target.get("CapacityReservationId"),
        market=market or ("spot" if document["capacityType"] == "SPOT" else None),
    )


def refusal(world: World, cluster: Cluster, group: NodeGroup) -> Refusal | None:
    """Why EC2 would not launch one more instance now; None when it would."""
    try:
        machine = machine_of(cluster, group)
    except AwsError as error:
        return Refusal(error.code, error.message, "Ec2LaunchTemplateNotFound")
    kind = machine.instance_type
    if world.faults.take(faults.FAILING_NODE_GROUP, group.name):
        return Refusal("NodeCreationFailure", "Instances failed to join the kubernetes cluster", "NodeCreationFailure")
    offered = [zone for zone in machine.zones if zone in capacity.offering_zones(cluster.region, kind)]
    if not offered:
        others = ", ".join(capacity.offering_zones(cluster.region, kind))
        if not others:
            return Refusal("Unsupported", "The requested configuration is currently not supported.")
        return Refusal(
            "Unsupported",
            f"Your requested instance type ({kind}) is not supported in your requested Availability Zone "
            f"({', '.join(machine.zones)}). Please retry your request by not specifying an Availability Zone or "
            f"choosing {others}.",
        )
    if world.faults.take(faults.INSUFFICIENT_CAPACITY, kind):
        others = ", ".join(zone for zone in capacity.offering_zones(cluster.region, kind) if zone != offered[0])
        return Refusal(
            "InsufficientInstanceCapacity",
            f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested "
            f"({offered[0]}). Our system will be working on provisioning additional capacity. You can currently get "
            f"{kind} capacity by not specifying an Availability Zone in your request or choosing {others}.",
        )
    if machine.reservation:
        if refused := _reservation_refuses(world, cluster, machine):
            return refused
    elif machine.market == capacity.BLOCK:
        return Refusal("InvalidParameterValue", "A capacity-block launch names the Capacity Block it is for.")
    if machine.market != capacity.BLOCK and (refused := _quota_refuses(world, cluster, kind)):
        return refused
    if kind not in SIMULATED:
        return Refusal("Unsupported", f"The rehearsal has no simulated {kind}; it has {', '.join(SIMULATED)}.")
    return None


def reserved(cluster: Cluster, group: NodeGroup, identifier: str) -> int:
    """How many instances a node group runs in a reservation."""
    if not group.running:
        return 0
    try:
        return group.running if machine_of(cluster, group).reservation == identifier else 0
    except AwsError:
        return 0


def _reservation_refuses(world: World, cluster: Cluster, machine: Machine) -> Refusal | None:
    identifier = machine.reservation or ""
    reservation = world.reservations.get(identifier)
    if reservation is None or reservation.region != cluster.region or not reservation.visible:
        error = capacity.no_such(identifier)
        return Refusal(error.code, error.message)
    document = reservation.document
    is_block = document["ReservationType"] == capacity.BLOCK
    if is_block != (machine.market == capacity.BLOCK):
        return Refusal(
            "InvalidParameterValue",
            f"The capacity reservation '{identifier}' is {'' if is_block else 'not '}a Capacity Block, and the market "
            f"type of the launch is {machine.market or 'not given'}.",
        )
    if document["InstanceType"] != machine.instance_type or document["AvailabilityZone"] not in machine.zones:
        return Refusal(
            "InvalidParameterCombination",
            f"The capacity reservation '{identifier}' is for {document['InstanceType']} in "
            f"{document['AvailabilityZone']}, the launch for {machine.instance_type} in {', '.join(machine.zones)}.",
        )
    if is_block and reservation.state() == "scheduled":
        return Refusal(
            "InvalidCapacityReservationState.PendingActivation",
            f"Your Capacity Block reservation {identifier} is not active yet.",
        )
    if reservation.state() != "active":
        return Refusal(
            "InvalidCapacityReservationState",
            f"The capacity reservation '{identifier}' is {reservation.state()}, not active.",
        )
    if capacity.available(world, reservation) < 1:
        return Refusal(
            "ReservationCapacityExceeded",
            "The requested reservation does not have sufficient compatible and available capacity for this request.",
        )
    return None


def _quota_refuses(world: World, cluster: Cluster, kind: str) -> Refusal | None:
    code = quota_of(kind)
    used = sum(_vcpus_used(world, other, code) for other in all_clusters() if other.region == cluster.region)
    limit = world.quota(code)
    if used + _vcpus(kind) <= limit:
        return None
    return Refusal(
        "VcpuLimitExceeded",
        f"You have requested more vCPU capacity than your current vCPU limit of {limit:.0f} allows for the instance "
        "bucket that the specified instance type belongs to. Please visit "
        "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
    )


def _vcpus_used(world: World, cluster: Cluster, code: str) -> int:
    total = 0
    for group in cluster.nodegroups.values():
        if not group.running:
            continue
        try:
            machine = machine_of(cluster, group)
        except AwsError:
            continue
        if machine.market != capacity.BLOCK and quota_of(machine.instance_type) == code:
            total += group.running * _vcpus(machine.instance_type)
    return total


def _vcpus(kind: str) -> int:
    return int(INSTANCE_TYPES[kind]["VCpuInfo"]["DefaultVCpus"])
