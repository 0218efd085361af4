"""EC2's On-Demand Capacity Reservations and Capacity Blocks: what there is, and what of it is used."""

import datetime
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.filters import matches, tags_given
from drakit.rehearsal.operations import Result, operation, page
from drakit.rehearsal.protocol import ACCOUNT, Call
from drakit.rehearsal.world import World, now

BLOCK, RESERVATION = "capacity-block", "default"
TERMINATED_BEFORE_END = datetime.timedelta(minutes=30)
"""When EC2 begins to terminate the instances in a Capacity Block that ends."""


@dataclass
class Reservation:
    """A reservation, in EC2's own shape but for what depends on the time and on who uses it."""

    region: str
    document: dict[str, Any]
    shared: bool = False
    """Whether another account, whose it is, shares it with this one."""

    @property
    def visible(self) -> bool:
        """Whether the account sees it and may launch into it."""
        return self.shared or self.document["OwnerId"] == ACCOUNT

    def state(self) -> str:
        """Its state now: that of a block follows the clock, until somebody cancels it."""
        stated = str(self.document["State"])
        if stated not in ("active", "scheduled"):
            return stated
        if self.document["StartDate"] > now():
            return "scheduled"
        end = self.document.get("EndDate")
        return "expired" if end and end <= now() else "active"

    def ends_soon(self) -> bool:
        """Whether it is a Capacity Block out of which EC2 terminates instances already."""
        end = self.document.get("EndDate")
        return self.document["ReservationType"] == BLOCK and end is not None and end - TERMINATED_BEFORE_END <= now()


@operation("ec2", "DescribeCapacityReservations")
def describe_capacity_reservations(world: World, call: Call) -> Result:
    """The account's reservations."""
    wanted = call.get("CapacityReservationIds", [])
    own = {key: each for key, each in world.reservations.items() if each.region == call.region and each.visible}
    for identifier in wanted:
        if identifier not in own:
            raise no_such(identifier)
    documents = [shown(world, own[identifier]) for identifier in (wanted or own)]
    found = [document for document in documents if matches(document, call.get("Filters", []), _FILTERS)]
    items, token = page(call, found, limit="MaxResults", token="NextToken")  # noqa: S106
    return {"CapacityReservations": items, "NextToken": token}


@operation("ec2", "CreateCapacityReservation")
def create_capacity_reservation(world: World, call: Call) -> Result:
    """Reserve On-Demand capacity."""
    kind, zone = call.get("InstanceType"), call.get("AvailabilityZone")
    refuse_dry_run(call)
    if zone not in offering_zones(call.region, kind):
        raise AwsError("Unsupported", f"The requested configuration is currently not supported: {kind} in {zone}.")
    document = {
        "InstanceType": kind,
        "AvailabilityZone": zone,
        "TotalInstanceCount": int(call.get("InstanceCount")),
        "InstancePlatform": call.get("InstancePlatform"),
        "Tenancy": call.get("Tenancy", "default"),
        "EbsOptimized": call.get("EbsOptimized", False),
        "EndDateType": call.get("EndDateType", "unlimited"),
        "InstanceMatchCriteria": call.get("InstanceMatchCriteria", "open"),
        "Tags": tags_given(call, "capacity-reservation"),
    }
    if call.get("EndDate"):
        document["EndDate"] = call.get("EndDate")
    for field in ("PlacementGroupArn",):
        if call.get(field):
            document[field] = call.get(field)
    return {"CapacityReservation": shown(world, add(world, call.region, document))}


@operation("ec2", "ModifyCapacityReservation")
def modify_capacity_reservation(world: World, call: Call) -> Result:
    """Change a reservation's size or end."""
    document = _own(world, call).document
    for parameter, field in (
        ("InstanceCount", "TotalInstanceCount"),
        ("EndDate", "EndDate"),
        ("EndDateType", "EndDateType"),
    ):
        if call.get(parameter) is not None:
            document[field] = call.get(parameter)
    return {"Return": True}


@operation("ec2", "CancelCapacityReservation")
def cancel_capacity_reservation(world: World, call: Call) -> Result:
    """Give a reservation back. A Capacity Block is paid for and stays."""
    reservation = _own(world, call)
    if reservation.document["ReservationType"] == BLOCK:
        raise AwsError("UnsupportedOperation", "You cannot cancel a Capacity Block.")
    reservation.document["State"] = "cancelled"
    return {"Return": True}


@operation("ec2", "CreateTags", "DeleteTags")
def change_tags(world: World, call: Call) -> Result:
    """Tags of reservations; those of everything else are moto's."""
    found = [world.reservations.get(identifier) for identifier in call.get("Resources", [])]
    if not all(found):
        return call.moto()
    for reservation in filter(None, found):
        tags = {tag["Key"]: tag["Value"] for tag in reservation.document["Tags"]}
        for tag in call.get("Tags", []):
            if call.operation == "CreateTags":
                tags[tag["Key"]] = tag.get("Value", "")
            else:
                tags.pop(tag["Key"], None)
        reservation.document["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    return {}


def seed(world: World, given: Mapping[str, Any]) -> dict[str, Any]:
    """Put a reservation there, in any state: another account's, one that has expired, a block that is active.

    Args:
        given: members of EC2's CapacityReservation, `region`, and `shared` for one of another account (OwnerId) that
            this one may use. Dates may be seconds from now.

    Raises:
        ValueError, KeyError: `InstanceType` or `AvailabilityZone` is missing, or a date is none.
    """
    fields = dict(given)
    zone = fields["AvailabilityZone"]
    region, shared = fields.pop("region", zone[:-1]), bool(fields.pop("shared", False))
    for date in ("StartDate", "EndDate"):
        if date in fields:
            fields[date] = _date(fields[date])
    reservation = add(world, region, {"TotalInstanceCount": 1, **fields, "InstanceType": fields["InstanceType"]})
    reservation.shared = shared
    return shown(world, reservation)


def shown(world: World, reservation: Reservation) -> dict[str, Any]:
    """A reservation as EC2 tells it."""
    document = reservation.document
    return {
        **document,
        "State": reservation.state(),
        "AvailableInstanceCount": available(world, reservation),
    }


def available(world: World, reservation: Reservation) -> int:
    """How many more instances a reservation has room for."""
    if reservation.state() != "active" or reservation.ends_soon():
        return 0
    used = world.reserved_by_node_groups(reservation.document["CapacityReservationId"])
    return max(int(reservation.document["TotalInstanceCount"]) - used, 0)


def offering_zones(region: str, instance_type: str) -> list[str]:
    """The zones of a region that have an instance type."""
    offerings = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, [])
    return sorted(o["Location"] for o in offerings if o["InstanceType"] == instance_type)


def no_such(identifier: str) -> AwsError:
    """There is no such reservation, or it is another account's."""
    return AwsError(
        "InvalidCapacityReservationId.NotFound", f"The capacity reservation ID '{identifier}' does not exist"
    )


def add(world: World, region: str, given: Mapping[str, Any]) -> Reservation:
    """A new reservation with what is given of EC2's CapacityReservation."""
    identifier = given.get("CapacityReservationId") or f"cr-{secrets.token_hex(9)[:17]}"
    owner = given.get("OwnerId", ACCOUNT)
    kind = given.get("ReservationType", RESERVATION)
    document = {
        "CapacityReservationId": identifier,
        "OwnerId": owner,
        "CapacityReservationArn": f"arn:aws:ec2:{region}:{owner}:capacity-reservation/{identifier}",
        "InstancePlatform": "Linux/UNIX",
        "Tenancy": "default",
        "EbsOptimized": False,
        "EphemeralStorage": False,
        "State": "active",
        "StartDate": now(),
        "CreateDate": now(),
        "EndDateType": "limited" if "EndDate" in given else "unlimited",
        "InstanceMatchCriteria": "targeted" if kind == BLOCK else "open",
        "ReservationType": kind,
        "Tags": [],
        **given,
    }
    reservation = world.reservations[identifier] = Reservation(region, document)
    return reservation


def _own(world: World, call: Call) -> Reservation:
    identifier = call.get("CapacityReservationId", "")
    reservation = world.reservations.get(identifier)
    if reservation is None or reservation.region != call.region or reservation.document["OwnerId"] != ACCOUNT:
        raise no_such(identifier)
    return reservation


def refuse_dry_run(call: Call) -> None:
    """End a call that only asks whether it would be done."""
    if call.get("DryRun"):
        raise AwsError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", status=412)


def _date(value: Any) -> datetime.datetime:
    if isinstance(value, int | float):
        return now() + datetime.timedelta(seconds=value)
    return utc(datetime.datetime.fromisoformat(str(value)))


def utc(at: datetime.datetime) -> datetime.datetime:
    """A time that says no zone is UTC, as EC2 reads it."""
    return at if at.tzinfo else at.replace(tzinfo=datetime.UTC)


_FILTERS = {
    "instance-type": "InstanceType",
    "owner-id": "OwnerId",
    "instance-platform": "InstancePlatform",
    "availability-zone": "AvailabilityZone",
    "tenancy": "Tenancy",
    "state": "State",
    "end-date-type": "EndDateType",
    "instance-match-criteria": "InstanceMatchCriteria",
    "placement-group-arn": "PlacementGroupArn",
    "reservation-type": "ReservationType",
}
