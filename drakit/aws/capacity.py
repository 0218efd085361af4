"""Capacity Blocks for ML on offer: what EC2 sells, where, when, and for how much.

EC2 names up to six offerings for a search, and none by its id: to look at an offering again is to search again.
Amazon EC2 User Guide, "Find and purchase Capacity Blocks" (2026).
"""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from drakit.aws.session import Aws
from drakit.dra.catalogue import INSTANCE_TYPES
from drakit.errors import ClusterError, UsageError

DAY_HOURS = 24
DAILY_DAYS, LONGEST_DAYS, WEEK_DAYS = 14, 182, 7
MOST_INSTANCES = 64
FURTHEST_START = timedelta(weeks=8)
"""Amazon EC2 User Guide, "Capacity Blocks for ML": 1 to 14 days by the day, then by the week to 182; 64 instances in a
block; a start at most eight weeks ahead."""
DURATIONS = (
    f"{DAY_HOURS} to {DAILY_DAYS * DAY_HOURS} hours by the day, then {(DAILY_DAYS + WEEK_DAYS) * DAY_HOURS} to "
    f"{LONGEST_DAYS * DAY_HOURS} by the week"
)
_INSTANCE_TYPE = re.compile(r"[a-z][a-z0-9-]{1,30}\.[a-z0-9-]{1,30}")
# Families that EC2 sells as Capacity Blocks are of these; which ones, only EC2 knows.
_SOLD = re.compile(r"(p[4-9]|trn)")


@dataclass(frozen=True)
class Search:
    """What to look for: a block of so many hours that starts no earlier than `earliest` and ends by `latest`."""

    instance_type: str
    count: int
    hours: int
    earliest: datetime | None = None
    latest: datetime | None = None

    def check(self, now: datetime) -> None:
        """Refuse what EC2 never offers.

        Raises:
            UsageError: with a code for each reason.
        """
        if not _INSTANCE_TYPE.fullmatch(self.instance_type):
            raise UsageError(
                f"{self.instance_type[:60]!r} is not an instance type.",
                hint="An instance type looks like p4d.24xlarge.",
                code="invalid-instance-type",
            )
        if not 1 <= self.count <= MOST_INSTANCES:
            raise UsageError(
                f"A Capacity Block has 1 to {MOST_INSTANCES} instances, not {self.count}.",
                hint=f"`--count` takes 1 to {MOST_INSTANCES}.",
                code="invalid-count",
            )
        if not is_duration(self.hours):
            raise UsageError(
                f"No Capacity Block lasts {self.hours} hours.", hint=f"`--hours` takes {DURATIONS}.",
                code="invalid-duration",
            )  # fmt: skip
        length = timedelta(hours=self.hours)
        if self.earliest is not None and self.earliest > now + FURTHEST_START:
            raise UsageError(
                f"Capacity Blocks start at most {FURTHEST_START.days // 7} weeks ahead.",
                hint=f"`--earliest` takes a time until {now + FURTHEST_START:%Y-%m-%d}.",
                code="invalid-time",
            )
        # An hour less: a block's length is the nearest that ends at EC2's hour, not quite the one that was asked for.
        soonest = max(self.earliest or now, now) + length - timedelta(hours=DAY_HOURS)
        if self.latest is not None and self.latest <= max(soonest, now):
            raise UsageError(
                f"No block of {self.hours} hours ends by {self.latest:%Y-%m-%d %H:%M} UTC.",
                hint="`--latest` is the block's end, at least `--hours` after `--earliest` and after now.",
                code="invalid-time",
            )

    def command(self, region: str | None = None) -> str:
        """The command line that searches so."""
        dates = (("earliest", self.earliest), ("latest", self.latest))
        given = "".join(f" --{name} {moment:%Y-%m-%dT%H:%M%z}" for name, moment in dates if moment)
        where = f" --region {region}" if region else ""
        return f"drakit capacity find {self.instance_type} --count {self.count} --hours {self.hours}{given}{where}"


@dataclass(frozen=True)
class Offering:
    """A Capacity Block that can be bought. `fee` is the whole price, paid at once; times are UTC.

    `search` is what found it.
    """

    id: str
    region: str
    zone: str
    instance_type: str
    count: int
    start: datetime
    end: datetime
    fee: Decimal
    currency: str
    search: Search

    @property
    def hours(self) -> float:
        """How long it lasts. Blocks end at 11:30 UTC, so it may be a little more or less than was asked for."""
        return (self.end - self.start).total_seconds() / 3600

    @property
    def per_instance_hour(self) -> float:
        """What an instance costs an hour."""
        return float(self.fee) / (self.count * self.hours)

    def per_gpu_hour(self, gpus: int | None) -> float | None:
        """What a GPU costs an hour, of instances with so many; None where the number is not known."""
        return self.per_instance_hour / gpus if gpus else None

    def same_block(self, other: "Offering") -> bool:
        """Whether both are the same capacity, whatever EC2 calls it and asks for it today."""
        return _block(self) == _block(other)


def is_duration(hours: int) -> bool:
    """Whether Capacity Blocks come in this length."""
    days, rest = divmod(hours, DAY_HOURS)
    return rest == 0 and (1 <= days <= DAILY_DAYS or (days % WEEK_DAYS == 0 and DAILY_DAYS < days <= LONGEST_DAYS))


def is_sold(instance_type: str) -> bool:
    """Whether EC2 may sell Capacity Blocks of a type, as far as its name tells."""
    return _SOLD.match(instance_type) is not None


async def find_offerings(
    aws: Aws, search: Search, regions: Sequence[str]
) -> tuple[tuple[Offering, ...], Mapping[str, ClusterError]]:
    """What is on offer in some regions, cheapest first; and the regions that did not answer.

    Raises:
        ClusterError: no region answered.
    """
    found = await asyncio.gather(*(_in_region(aws, search, each) for each in regions), return_exceptions=True)
    offerings: list[Offering] = []
    problems: dict[str, ClusterError] = {}
    for region, each in zip(regions, found, strict=True):
        if isinstance(each, ClusterError):
            problems[region] = each
        elif isinstance(each, BaseException):
            raise each
        else:
            offerings += each
    if len(problems) == len(regions) and problems:
        raise problems[regions[0]]
    return cheapest_first(offerings), problems


async def find_again(aws: Aws, offering: Offering) -> Offering | None:
    """An offering as EC2 has it now: under its id, or the same block under another; None when it is gone.

    Raises:
        ClusterError: EC2 cannot be asked.
    """
    now = await _in_region(aws, offering.search, offering.region)
    return next((each for each in now if each.id == offering.id), None) or next(
        (each for each in now if each.same_block(offering)), None
    )


def cheapest_first(offerings: Iterable[Offering]) -> tuple[Offering, ...]:
    """Offerings by the price of an instance's hour; of equal ones the earlier first."""
    return tuple(sorted(offerings, key=lambda each: (round(each.per_instance_hour, 6), each.start, each.zone, each.id)))


def nearby(search: Search) -> Iterator[Search]:
    """Searches for what comes near: other dates, the next shorter and longer duration, fewer instances."""
    anytime = replace(search, earliest=None, latest=None)
    if anytime != search:
        yield anytime
    lengths = [hours for hours in range(DAY_HOURS, LONGEST_DAYS * DAY_HOURS + 1, DAY_HOURS) if is_duration(hours)]
    place = lengths.index(search.hours)
    for hours in (*lengths[:place][-1:], *lengths[place + 1 :][:1]):
        yield replace(anytime, hours=hours)
    if search.count > 1:
        yield replace(anytime, count=search.count // 2)


async def gpus_of(aws: Aws, instance_type: str, *, region: str | None = None) -> int | None:
    """The GPUs of an instance: the catalogue's, or EC2's word; None where neither knows the type."""
    if known := INSTANCE_TYPES.get(instance_type):
        return known.gpus or None
    try:
        answer = await aws.call("ec2", "describe_instance_types", region=region, InstanceTypes=[instance_type])
    except ClusterError:
        return None
    found = answer.get("InstanceTypes", [])
    gpus = found[0].get("GpuInfo", {}).get("Gpus", []) if found else []
    return sum(int(each.get("Count", 0)) for each in gpus) or None


async def _in_region(aws: Aws, search: Search, region: str) -> list[Offering]:
    dates = {"StartDateRange": search.earliest, "EndDateRange": search.latest}
    found = await aws.collect(
        "ec2",
        "describe_capacity_block_offerings",
        "CapacityBlockOfferings",
        region=region,
        InstanceType=search.instance_type,
        InstanceCount=search.count,
        CapacityDurationHours=search.hours,
        **{name: value for name, value in dates.items() if value is not None},
    )
    return [offering for each in found if (offering := _parse(each, search, region)) is not None]


def _parse(found: Mapping[str, Any], search: Search, region: str) -> Offering | None:
    """The offering, None for one that a node group cannot use as a whole: an UltraServer's, or one in several zones."""
    if found.get("UltraserverType") or len(found.get("CapacityBlockOfferingSegments", [])) > 1:
        return None
    try:
        return Offering(
            id=found["CapacityBlockOfferingId"],
            region=region,
            zone=found["AvailabilityZone"],
            instance_type=found["InstanceType"],
            count=int(found["InstanceCount"]),
            start=found["StartDate"],
            end=found["EndDate"],
            fee=Decimal(found["UpfrontFee"]),
            currency=found.get("CurrencyCode", "USD"),
            search=search,
        )
    except (KeyError, InvalidOperation):
        return None  # without a price or a time nobody can decide to buy it


def _block(offering: Offering) -> tuple[Any, ...]:
    return offering.region, offering.zone, offering.instance_type, offering.count, offering.start, offering.end
