"""What the three commands share: AWS, its regions, and a reservation as they tell of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from drakit.aws.purchase import FEE_TAG
from drakit.aws.reservations import CapacityReservation, block_moments, enabled_regions
from drakit.aws.session import Aws
from drakit.commands.session import Session
from drakit.errors import UsageError
from drakit.results import ReservedCapacity

_PRICE = re.compile(r"\$?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class Where:
    """The regions to ask: those named, or every one that is enabled, or the stack's."""

    regions: Sequence[str] = ()
    everywhere: bool = False


def aws_of(session: Session) -> Aws:
    """AWS as the stack file has it.

    Raises:
        UsageError: the target is none that anything could be reserved for.
    """
    if not session.target.costs_money:
        raise UsageError(
            f"The target {session.stack.target} reserves nothing: its nodes are simulated.",
            hint="Reservations are for stacks with `target: eks` (`drakit init --target eks`); "
            "`drakit capacity list --rehearse` works on an emulated AWS.",
            code="nothing-to-reserve",
        )
    return Aws(session.stack.aws.region, session.stack.aws.profile)


async def regions_of(aws: Aws, where: Where) -> Sequence[str]:
    """The regions to ask, each once.

    Raises:
        ClusterError: EC2 does not say which are enabled.
    """
    if where.everywhere:
        return await enabled_regions(aws)
    return tuple(dict.fromkeys(where.regions)) or (aws.region,)


def named_reservations(session: Session) -> dict[str, tuple[str, ...]]:
    """The reservations that the stack file names, by id, each with its groups."""
    named: dict[str, tuple[str, ...]] = {}
    for name, group in session.stack.node_groups.items():
        if group.reservation is not None:
            named[group.reservation.id] = (*named.get(group.reservation.id, ()), name)
    return named


def reserved(
    session: Session, region: str, found: CapacityReservation, hourly: float | None = None
) -> ReservedCapacity:
    """A reservation as a result has it."""
    life = block_moments(found)
    fee, _, currency = found.tag(FEE_TAG).partition(" ")
    paid = price_in(fee)
    return ReservedCapacity(
        id=found.id,
        kind=found.kind.stack_type,
        instance_type=found.instance_type,
        region=region,
        zone=found.zone,
        state=found.state,
        total=found.total,
        used=found.used,
        start=found.start,
        drains=life.drain if life else None,
        terminates=life.terminate if life else None,
        end=found.end,
        paid=None if paid is None else float(paid),
        currency=None if paid is None else currency,
        hourly=hourly,
        groups=named_reservations(session).get(found.id, ()),
    )


def price_in(text: str) -> Decimal | None:
    """The price that somebody wrote, such as 283.20, $283.2 or 1,283; None where it is none.

    A comma stands before three digits alone: 283,20 is 283.20 to one reader and 28320 to another.
    """
    text = text.strip()
    return Decimal(text.removeprefix("$").replace(",", "")) if _PRICE.fullmatch(text) else None
