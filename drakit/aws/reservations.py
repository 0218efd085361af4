"""EC2 capacity reservations: On-Demand Capacity Reservations and Capacity Blocks for ML."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from drakit.aws.findings import Finding, Level
from drakit.aws.session import Aws
from drakit.errors import ClusterError
from drakit.stack.model import NodeGroup

BLOCK_DRAIN = timedelta(minutes=40)
BLOCK_TERMINATION = timedelta(minutes=30)
"""Before a Capacity Block's end EKS scales the node group to zero, and EC2 terminates what is left. EKS user guide."""
_STARTING = frozenset({"scheduled", "payment-pending", "pending", "assessing", "delayed"})
_LINUX = frozenset({"Linux/UNIX", ""})


class Kind(StrEnum):
    """What a reservation is; the value is EC2's `ReservationType`."""

    BLOCK = "capacity-block"
    ODCR = "default"

    @property
    def words(self) -> str:
        """What people call it."""
        return "a Capacity Block" if self is Kind.BLOCK else "an On-Demand Capacity Reservation"

    @property
    def stack_type(self) -> str:
        """What the stack file calls it, under `reservation.type`."""
        return "capacity-block" if self is Kind.BLOCK else "odcr"


@dataclass(frozen=True)
class CapacityReservation:
    """A capacity reservation as EC2 describes it. `end` is None for one without an end; times are UTC."""

    id: str
    kind: Kind
    state: str
    zone: str
    instance_type: str
    total: int
    available: int
    owner: str
    start: datetime | None = None
    end: datetime | None = None
    platform: str = ""
    tenancy: str = "default"
    match: str = "open"
    placement_group: str = ""
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def starts_later(self) -> bool:
        """Whether it has not begun, and may."""
        return self.state in _STARTING


async def reservations(
    aws: Aws, instance_types: Iterable[str] = (), *, region: str | None = None
) -> tuple[CapacityReservation, ...]:
    """The reservations that the account owns or that are shared with it, of those types or of all.

    Raises:
        ClusterError: EC2 cannot be asked.
    """
    types = sorted(set(instance_types))
    filters = {"Filters": [{"Name": "instance-type", "Values": types}]} if types else {}
    found = await aws.collect("ec2", "describe_capacity_reservations", "CapacityReservations", region=region, **filters)
    return tuple(_parse(each) for each in found)


async def find_reservation(aws: Aws, id: str, *, region: str | None = None) -> CapacityReservation | None:
    """The reservation of that id, or None when the account has none and none is shared with it.

    Raises:
        ClusterError: EC2 cannot be asked.
    """
    answer = await aws.call_if_any("ec2", "describe_capacity_reservations", region=region, CapacityReservationIds=[id])
    found = answer.get("CapacityReservations", []) if answer else []
    return _parse(found[0]) if found else None


async def other_region_of(aws: Aws, id: str, regions: Sequence[str]) -> str | None:
    """The first of `regions` that has the reservation; regions that do not answer count as without."""
    for region in regions:
        try:
            if await find_reservation(aws, id, region=region) is not None:
                return region
        except ClusterError:
            continue
    return None


def check_reservation(
    found: CapacityReservation,
    *,
    group_name: str,
    group: NodeGroup,
    account: str,
    zones: Collection[str],
    now: datetime | None = None,
) -> tuple[Finding, ...]:
    """What is wrong with running a node group in a reservation.

    Args:
        found: the reservation of the group's `reservation.id`.
        account: ours.
        zones: those that the stack's subnets may be in; empty when they are not known.
    """
    assert group.reservation is not None
    now = now or datetime.now(UTC)
    problems: list[Finding] = []

    def say(level: Level, message: str, remedy: str) -> None:
        problems.append(Finding(f"reservation {group_name}", level, f"{found.id} {message}", remedy))

    if found.kind.stack_type != group.reservation.type:
        say(
            Level.ERROR,
            f"is {found.kind.words}, and the group takes it for {group.reservation.type}.",
            f"Set nodeGroups.{group_name}.reservation.type to {found.kind.stack_type}.",
        )
    if found.instance_type != group.instance_type:
        say(
            Level.ERROR,
            f"is for {found.instance_type}, and the group has {group.instance_type}.",
            f"Set nodeGroups.{group_name}.instanceType to {found.instance_type}, or use another reservation.",
        )
    if found.end is not None and found.end <= now and found.state == "active":
        say(Level.ERROR, f"ended at {_time(found.end)}.", "Use a reservation that has not ended.")
    elif found.starts_later:
        starts = f"starts at {_time(found.start)}" if found.start else "has not started"
        if group.desired:
            say(
                Level.ERROR,
                f"{starts} (state {found.state}), and the group is to have {group.desired} nodes at once.",
                f"Set nodeGroups.{group_name}.desired to 0, and scale when it has started.",
            )
        else:
            say(Level.INFO, f"{starts} (state {found.state}); the group waits for it at 0 nodes.", "")
    elif found.state != "active":
        say(Level.ERROR, f"is {found.state}, not active.", "Use a reservation that is active or scheduled.")
    elif found.kind is Kind.BLOCK and found.end is not None and found.end - now <= BLOCK_DRAIN:
        say(
            Level.ERROR if group.desired else Level.WARNING,
            f"ends at {_time(found.end)}: EKS scales the group to 0 40 minutes before, EC2 terminates at 30.",
            "Use a reservation that ends later.",
        )
    if found.platform not in _LINUX:
        say(Level.ERROR, f"is for the platform {found.platform}, and nodes are Linux/UNIX.", "Use another reservation.")
    if found.tenancy != "default":
        say(Level.ERROR, f"has {found.tenancy} tenancy, and nodes have default tenancy.", "Use another reservation.")
    if zones and found.zone not in zones:
        say(
            Level.ERROR,
            f"is in {found.zone}, where the stack can have no subnet (it can in {', '.join(sorted(zones))}).",
            "Use a reservation in one of these zones.",
        )
    if group.desired > found.total:
        say(
            Level.ERROR,
            f"holds {_instances(found.total)}, and the group is to have {group.desired} nodes.",
            f"Set nodeGroups.{group_name}.desired to {found.total} at most.",
        )
    elif group.max > found.total:
        say(
            Level.WARNING,
            f"holds {_instances(found.total)}, and the group may grow to {group.max}: what is above is not launched.",
            f"Set nodeGroups.{group_name}.max to {found.total}.",
        )
    if found.state == "active" and found.available == 0 and group.desired:
        say(
            Level.WARNING,
            f"has none of its {_instances(found.total)} free; fine if the group's own nodes are in it.",
            "`drakit status` shows the group's nodes.",
        )
    if account and found.owner and found.owner != account:
        say(
            Level.WARNING,
            f"belongs to the account {found.owner}, which shares it with {account} and may stop to.",
            "Nothing is to be done if that is meant.",
        )
    return tuple(problems)


def _parse(found: dict[str, Any]) -> CapacityReservation:
    return CapacityReservation(
        id=found["CapacityReservationId"],
        kind=Kind.BLOCK if found.get("ReservationType") == Kind.BLOCK else Kind.ODCR,
        state=found.get("State", "unknown"),
        zone=found.get("AvailabilityZone", ""),
        instance_type=found.get("InstanceType", ""),
        total=int(found.get("TotalInstanceCount", 0)),
        available=int(found.get("AvailableInstanceCount", 0)),
        owner=str(found.get("OwnerId", "")),
        start=found.get("StartDate"),
        end=found.get("EndDate"),
        platform=found.get("InstancePlatform", ""),
        tenancy=found.get("Tenancy", "default"),
        match=found.get("InstanceMatchCriteria", "open"),
        placement_group=found.get("PlacementGroupArn", ""),
        tags=tuple((tag["Key"], tag["Value"]) for tag in found.get("Tags", [])),
    )


def _instances(count: int) -> str:
    return f"{count} instance{'' if count == 1 else 's'}"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
