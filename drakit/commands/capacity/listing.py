"""`drakit capacity list`: what the account has reserved, and what of it the stack's groups can use."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from drakit.aws.prices import Prices
from drakit.aws.reservations import CapacityReservation, Kind, reservations
from drakit.aws.session import Aws
from drakit.commands.capacity.surroundings import Where, aws_of, named_reservations, regions_of, reserved
from drakit.commands.session import Session
from drakit.errors import ClusterError
from drakit.results import CapacityListResult, ReservedCapacity
from drakit.tools.cache import cache_folder

OVER = frozenset({"expired", "cancelled", "cancelling", "failed", "payment-failed", "unsupported"})
"""States of a reservation that nothing can use any more."""


async def capacity_list(session: Session, where: Where, *, everything: bool = False) -> CapacityListResult:
    """The capacity reservations that the account owns or shares, and that the stack's groups could use.

    Args:
        everything: those of other instance types, and those that are over, too.

    Raises:
        UsageError: the target has no capacity to reserve.
        ClusterError: EC2 cannot be asked; of several regions, in any.
    """
    aws, now = aws_of(session), datetime.now(UTC)
    account, regions = (await aws.identity()).account, await regions_of(aws, where)
    answers = await asyncio.gather(*(reservations(aws, region=region) for region in regions), return_exceptions=True)
    every: list[tuple[str, CapacityReservation]] = []
    silent: dict[str, ClusterError] = {}
    for region, answer in zip(regions, answers, strict=True):
        if isinstance(answer, ClusterError):
            silent[region] = answer
        elif isinstance(answer, BaseException):
            raise answer
        else:
            every += [(region, each) for each in answer]
    if len(silent) == len(regions):
        raise silent[regions[0]]
    named = named_reservations(session)
    types = {group.instance_type for group in session.stack.node_groups.values()}
    shown = [
        (region, each)
        for region, each in every
        if everything or each.id in named or (each.instance_type in types and each.state not in OVER)
    ]
    prices = {region: Prices(Aws(region, aws.profile), cache_folder()) for region in regions}
    listed = await asyncio.gather(*(_priced(session, prices, account, *each) for each in shown))
    missing = (
        sorted(set(named) - {each.id for _, each in every})
        if aws.region in regions and aws.region not in silent
        else []
    )
    return CapacityListResult(
        reservations=tuple(sorted((each for each, _ in listed), key=lambda each: (each.start or now, each.id))),
        hidden=len(every) - len(shown),
        price_sources=tuple(sorted({source for _, source in listed if source})),
        as_of=now,
        warnings=(
            *(f"{region} did not answer: {error.message}" for region, error in silent.items()),
            *(
                f"The stack file names {each} ({', '.join(named[each])}), which is not in {aws.region}."
                for each in missing
            ),
        ),
    )


async def _priced(
    session: Session, prices: Mapping[str, Prices], account: str, region: str, found: CapacityReservation
) -> tuple[ReservedCapacity, str]:
    """A reservation with what it costs us an hour, and where that price is from."""
    if found.kind is Kind.BLOCK or found.state != "active" or found.owner != account:
        return reserved(session, region, found), ""
    price = await prices[region].instance(found.instance_type)
    if price is None:
        return reserved(session, region, found), ""
    return reserved(session, region, found, round(price.usd * found.total, 6)), price.origin
