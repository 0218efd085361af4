"""`drakit capacity find`: Capacity Blocks on offer, cheapest first; and what to change where there are none."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from drakit.aws.capacity import (
    DURATIONS,
    FURTHEST_START,
    Offering,
    Search,
    cheapest_first,
    find_offerings,
    gpus_of,
    is_sold,
    nearby,
)
from drakit.aws.offered import Offered
from drakit.aws.session import Aws
from drakit.commands.capacity.surroundings import Where, aws_of, regions_of
from drakit.commands.session import Session
from drakit.errors import ClusterError, UsageError
from drakit.results import CapacityFindResult, OfferedBlock
from drakit.stack.names import shown
from drakit.tools.cache import cache_folder

MOST_PROBED_REGIONS = 3
"""Where nothing fits, what comes near is looked for in so many regions at most: it is four calls for each."""


async def capacity_find(
    session: Session,
    instance_type: str,
    where: Where,
    *,
    count: int,
    hours: int,
    earliest: str | None = None,
    latest: str | None = None,
) -> CapacityFindResult:
    """Capacity Blocks on offer. What is found is remembered, for `capacity_buy`.

    Args:
        earliest: when the block may start: ISO 8601, on this machine's clock unless it says otherwise.
        latest: when it must have ended; a day alone is that day with it.

    Raises:
        UsageError: EC2 never offers that, or the target has no capacity to reserve.
        ClusterError: EC2 cannot be asked.
    """
    aws, now = aws_of(session), datetime.now(UTC)
    search = Search(instance_type, count, hours, _time("earliest", earliest), _time("latest", latest))
    search.check(now)
    regions = await regions_of(aws, where)
    found, problems = await find_offerings(aws, search, regions)
    near = () if found or not is_sold(instance_type) else await _nearby(aws, search, regions)
    offerings = (*found, *near)
    gpus = await gpus_of(aws, instance_type, region=offerings[0].region) if offerings else None
    Offered(cache_folder(), aws).keep(offerings, now)
    return CapacityFindResult(
        instance_type=instance_type,
        count=count,
        hours=hours,
        regions=tuple(regions),
        offerings=tuple(_offered(each, gpus) for each in found),
        nearby=tuple(_offered(each, gpus) for each in near),
        advice=() if found else tuple(_advice(search, regions, where, now)),
        as_of=now,
        warnings=tuple(f"{region} was not searched: {error.message}" for region, error in problems.items()),
    )


async def _nearby(aws: Aws, search: Search, regions: Sequence[str]) -> tuple[Offering, ...]:
    """The cheapest of each kind of what is on offer instead; nothing where EC2 does not say."""

    async def ask(each: Search) -> tuple[Offering, ...]:
        try:
            return (await find_offerings(aws, each, regions[:MOST_PROBED_REGIONS]))[0][:1]
        except ClusterError:
            return ()

    found = await asyncio.gather(*(ask(each) for each in nearby(search)))
    return cheapest_first({each.id: each for offerings in found for each in offerings}.values())


def _advice(search: Search, regions: Sequence[str], where: Where, now: datetime) -> Iterator[str]:
    if not is_sold(search.instance_type):
        yield f"EC2 sells Capacity Blocks of P and Trn instances; {search.instance_type} runs on demand, or in an ODCR."
        return
    yield f"Another duration: `--hours` takes {DURATIONS}."
    if search.count > 1:
        yield f"Fewer instances: `--count` below {search.count}."
    if search.earliest or search.latest:
        until = (now + FURTHEST_START).astimezone()
        yield f"Other dates: blocks start within eight weeks, until {until:%Y-%m-%d}."
    if not where.everywhere:
        yield f"Other regions than {', '.join(regions)}: `--region R`, or `--all-regions`."


def _offered(offering: Offering, gpus: int | None) -> OfferedBlock:
    return OfferedBlock(
        id=offering.id,
        region=offering.region,
        zone=offering.zone,
        instance_type=offering.instance_type,
        count=offering.count,
        gpus=gpus,
        start=offering.start,
        end=offering.end,
        hours=round(offering.hours, 2),
        fee=float(offering.fee),
        currency=offering.currency,
        per_gpu_hour=None if (price := offering.per_gpu_hour(gpus)) is None else round(price, 4),
    )


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        # A day alone: it begins at midnight, and as the latest end it is over at the next.
        if option == "latest" and len(text) <= len("2026-11-24"):
            moment += timedelta(days=1)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"--{option} {shown(text)} is not a time.",
            hint=f"It looks like --{option} 2026-11-24, 2026-11-24T08:00 or 2026-11-24T08:00Z.",
            code="invalid-time",
        ) from error
