"""EC2's Capacity Blocks for ML: offerings, and what is bought of them."""

import datetime
import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from drakit.rehearsal.capacity import BLOCK, add, offering_zones, refuse_dry_run, shown, utc
from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.filters import tags_given
from drakit.rehearsal.operations import Result, operation, page
from drakit.rehearsal.protocol import Call
from drakit.rehearsal.world import World, now

BLOCK_PRICES: Mapping[str, float] = MappingProxyType(
    {
        "p4d.24xlarge": 11.80,
        "p4de.24xlarge": 14.75,
        "p5.48xlarge": 31.464,
        "p5e.48xlarge": 34.608,
        "p5en.48xlarge": 36.184,
    }
)
"""What has Capacity Blocks, and the rehearsal's own price of an instance's hour in USD."""

COUNTS = (1, 2, 4, 8, 16, 32, 64)
LONGEST_DAYS = 182
DAYS_AHEAD = 3
STARTS_AT = datetime.time(11, 30, tzinfo=datetime.UTC)
"""Capacity Blocks start and end at this time of day."""


@operation("ec2", "DescribeCapacityBlockOfferings")
def describe_capacity_block_offerings(world: World, call: Call) -> Result:
    """Capacity Blocks to buy: of the next days, in every zone that has the instance type."""
    kind, hours, count = (
        call.get("InstanceType", ""),
        int(call.get("CapacityDurationHours", 0)),
        int(call.get("InstanceCount", 1)),
    )
    days = hours / 24
    if not hours or hours % 24 or days > LONGEST_DAYS or (days > 14 and days % 7):
        raise AwsError("InvalidParameterValue", "Capacity durations are 1 to 14 days, then every 7 days up to 182.")
    if count not in COUNTS:
        raise AwsError("InvalidParameterValue", f"A Capacity Block has {', '.join(map(str, COUNTS))} instances.")
    if kind not in BLOCK_PRICES:
        return {"CapacityBlockOfferings": []}
    earliest, latest = call.get("StartDateRange"), call.get("EndDateRange")
    found = [
        offering
        for offering in _offerings(call.region, kind, count, hours)
        if offering["CapacityBlockOfferingId"] not in world.sold
        and (not earliest or offering["StartDate"] >= utc(earliest))
        and (not latest or offering["EndDate"] <= utc(latest))
    ]
    for offering in found:
        world.offerings[offering["CapacityBlockOfferingId"]] = offering
    items, token = page(call, found, limit="MaxResults", token="NextToken")  # noqa: S106
    return {"CapacityBlockOfferings": items, "NextToken": token}


@operation("ec2", "PurchaseCapacityBlock")
def purchase_capacity_block(world: World, call: Call) -> Result:
    """Buy an offering, once."""
    identifier = call.get("CapacityBlockOfferingId")
    refuse_dry_run(call)
    if not re.fullmatch(r"cb-[0-9a-f]{17}", identifier):
        raise AwsError("InvalidCapacityBlockOfferingIdMalformed", f"Invalid id: '{identifier}'")
    offering = world.offerings.get(identifier)
    if offering is None or offering["AvailabilityZone"][:-1] != call.region:
        raise AwsError("InvalidCapacityBlockOfferingIdNotFound", f"The offering '{identifier}' does not exist.")
    if identifier in world.sold or offering["StartDate"] <= now():
        raise AwsError("InvalidCapacityBlockOfferingIdExpired", f"The offering '{identifier}' is no longer available.")
    world.sold.add(identifier)
    document = {
        "InstanceType": offering["InstanceType"],
        "AvailabilityZone": offering["AvailabilityZone"],
        "TotalInstanceCount": offering["InstanceCount"],
        "InstancePlatform": call.get("InstancePlatform", "Linux/UNIX"),
        "StartDate": offering["StartDate"],
        "EndDate": offering["EndDate"],
        "EndDateType": "limited",
        "InstanceMatchCriteria": "targeted",
        "ReservationType": BLOCK,
        "Tags": tags_given(call, "capacity-reservation"),
    }
    return {"CapacityReservation": shown(world, add(world, call.region, document))}


def _offerings(region: str, kind: str, count: int, hours: int) -> Iterator[dict[str, Any]]:
    for day in range(1, DAYS_AHEAD + 1):
        start = datetime.datetime.combine(now().date() + datetime.timedelta(days=day), STARTS_AT)
        for zone in offering_zones(region, kind):
            what = f"{zone}/{kind}/{count}/{hours}/{start:%Y%m%d}"
            fee = math.ceil(BLOCK_PRICES[kind] * count * hours * 100 * (1 + 0.05 * (day - 1))) / 100
            yield {
                "CapacityBlockOfferingId": f"cb-{hashlib.sha256(what.encode()).hexdigest()[:17]}",
                "InstanceType": kind,
                "AvailabilityZone": zone,
                "InstanceCount": count,
                "StartDate": start,
                "EndDate": start + datetime.timedelta(hours=hours),
                "CapacityBlockDurationHours": hours,
                "CapacityBlockDurationMinutes": hours * 60,
                "UpfrontFee": f"{fee:.2f}",
                "CurrencyCode": "USD",
                "Tenancy": "default",
            }
