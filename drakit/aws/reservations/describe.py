"""Capacity reservations as EC2 describes them."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from drakit.aws.session import Aws
from drakit.errors import ClusterError

BLOCK_DRAIN = timedelta(minutes=40)
BLOCK_TERMINATION = timedelta(minutes=30)
"""Before a Capacity Block's end EKS scales the node group to zero, and EC2 terminates what is left. EKS user guide."""
ELSEWHERE_SECONDS = 6.0
"""That a reservation is not in its region is an error even where the other regions do not answer."""
_STARTING = frozenset({"scheduled", "payment-pending", "pending", "assessing", "delayed"})


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

    @property
    def used(self) -> int:
        """How many instances run in it; EC2 tells that of an active one alone."""
        return max(self.total - self.available, 0) if self.state == "active" else 0

    def tag(self, key: str) -> str:
        """The value of a tag, empty where there is none."""
        return dict(self.tags).get(key, "")


@dataclass(frozen=True)
class BlockMoments:
    """When a Capacity Block begins, when EKS scales its node group to 0, when EC2 terminates what is left, and when it
    ends, UTC."""

    start: datetime
    drain: datetime
    terminate: datetime
    end: datetime


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
    return tuple(parse_reservation(each) for each in found)


async def find_reservation(aws: Aws, id: str, *, region: str | None = None) -> CapacityReservation | None:
    """The reservation of that id, or None when the account has none and none is shared with it.

    Raises:
        ClusterError: EC2 cannot be asked.
    """
    answer = await aws.call_if_any("ec2", "describe_capacity_reservations", region=region, CapacityReservationIds=[id])
    found = answer.get("CapacityReservations", []) if answer else []
    return parse_reservation(found[0]) if found else None


async def other_region_of(aws: Aws, id: str, regions: Sequence[str]) -> str | None:
    """The first of `regions` that has the reservation; regions that do not answer count as without."""
    for region in regions:
        try:
            if await find_reservation(aws, id, region=region) is not None:
                return region
        except ClusterError:
            continue
    return None


async def elsewhere(aws: Aws, id: str) -> str | None:
    """The other region of the account that has a reservation, as far as that can be found out in a few seconds."""
    try:
        async with asyncio.timeout(ELSEWHERE_SECONDS):
            others = [name for name in await enabled_regions(aws) if name != aws.region]
            asked = [asyncio.ensure_future(other_region_of(aws, id, [other])) for other in others]
            try:
                for answer in asyncio.as_completed(asked):
                    if region := await answer:
                        return region
            finally:
                for each in asked:
                    each.cancel()
    except (ClusterError, TimeoutError):
        return None
    return None


async def enabled_regions(aws: Aws) -> tuple[str, ...]:
    """The regions that are enabled for the account, in order.

    Raises:
        ClusterError: EC2 cannot be asked.
    """
    answer = await aws.call("ec2", "describe_regions")
    return tuple(sorted(each["RegionName"] for each in answer["Regions"]))


def block_moments(found: CapacityReservation) -> BlockMoments | None:
    """The life of a Capacity Block; None for what is no block, or has no times."""
    if found.kind is not Kind.BLOCK or found.start is None or found.end is None:
        return None
    return BlockMoments(found.start, found.end - BLOCK_DRAIN, found.end - BLOCK_TERMINATION, found.end)


def parse_reservation(found: dict[str, Any]) -> CapacityReservation:
    """EC2's CapacityReservation as a value."""
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
