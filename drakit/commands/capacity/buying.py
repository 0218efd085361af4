"""`drakit capacity buy`: an offering bought once, for a fee that somebody agreed to."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from drakit import moments
from drakit.aws.capacity import Offering, find_again
from drakit.aws.offered import Known, Offered
from drakit.aws.purchase import UNKNOWN, find_bought, purchase
from drakit.aws.reservations import CapacityReservation
from drakit.aws.session import Aws
from drakit.commands.agreement import is_paid
from drakit.commands.capacity.surroundings import aws_of, named_reservations, price_in, reserved
from drakit.commands.session import Session
from drakit.engine.events import Event, EventKind, Report
from drakit.errors import ClusterError, Refused, UsageError
from drakit.results import CapacityBuyResult
from drakit.stack.model import NodeGroup
from drakit.stack.names import shown
from drakit.tools.cache import cache_folder

DOLLARS = "USD"
SETTLED = timedelta(minutes=15)
"""After so long EC2 shows a block whose purchase was not answered; if not, it was not bought. EC2's API catches up
within minutes."""


async def fee_of(session: Session, id: str) -> str:
    """What somebody is to agree to who buys an offering: all of it, the fee last.

    Raises:
        UsageError: the offering was not found before.
        Refused: it was bought, or tried, already.
        ClusterError: EC2 cannot be asked, or has it no more.
    """
    aws = aws_of(session)
    return _what(await _current(aws, Offered(cache_folder(), aws), id))


async def capacity_buy(
    session: Session, id: str, *, yes: bool = False, max_fee: str | None = None, typed: str | None = None
) -> CapacityBuyResult:
    """Buy a Capacity Block.

    Args:
        id: the offering's, which `capacity_find` has shown.
        yes: whether nobody is to be asked; `max_fee` is needed then.
        max_fee: the most to pay, in US dollars.
        typed: what somebody typed who was shown the fee; None where nobody was asked.

    Raises:
        UsageError: the offering was not found before, or `max_fee` is no price.
        Refused: the fee was not agreed to, or the offering was bought, or tried, already.
        ClusterError: EC2 has it no more, or refused; or whether it was bought is not known: purchase-unknown.
        Locked: another run is buying.
    """
    aws, most = aws_of(session), _most(max_fee)
    offered = Offered(cache_folder(), aws)
    with offered.alone():
        offering = await _current(aws, offered, id)
        _agreed(session, offering, yes=yes, most=most, typed=typed)
        tries = {id: (offered.find(id) or Known(offering)).offering, offering.id: offering}
        now = datetime.now(UTC)
        for each in tries.values():
            offered.mark(each, now)
        try:
            with _told(session, "purchase") as report:
                bought = await purchase(aws, offering, report, asked=id)
        except ClusterError as error:
            if error.code != UNKNOWN:
                for each in tries.values():
                    offered.mark(each, None)
            raise
    found, here = bought.reservation, offering.region == aws.region
    warnings = [] if bought.answered else [f"EC2 did not answer the purchase; {found.id} was found by its tag."]
    if not here:
        warnings.append(f"{found.id} is in {offering.region}; the stack is in {aws.region} and cannot use it.")
    return CapacityBuyResult(
        offering=offering.id,
        fee=float(offering.fee),
        currency=offering.currency,
        reservation=reserved(session, offering.region, found),
        use=tuple(_use(session, found)) if here else (),
        stack_file=_stack_file(session, found) if here else "",
        as_of=datetime.now(UTC),
        warnings=tuple(warnings),
    )


async def _current(aws: Aws, offered: Offered, id: str) -> Offering:
    """The offering as EC2 has it now: its fee, and its id, may have changed since it was found.

    Neither under the one id nor the other may it have been bought, from this machine or any.
    """
    known = offered.find(id)
    if known is None:
        raise UsageError(
            f"The offering {shown(id)} was not found by drakit, so its fee is not known.",
            hint="`drakit capacity find INSTANCE_TYPE --hours 24` shows what is on offer.",
            code="offering-unknown",
        )
    now = await find_again(aws, known.offering)
    ids = [id] if now is None else list(dict.fromkeys((id, now.id)))
    tries = [each.tried for name in ids if (each := offered.find(name)) and each.tried]
    await _not_again(aws, known.offering, ids, max(tries, default=None))
    if now is None:
        raise ClusterError(
            f"EC2 does not offer {id} any more: another has bought it, or its time has passed.",
            hint=f"`{known.offering.search.command(known.offering.region)}` shows what there is now.",
            code="offering-gone",
            details={"offering": id, "region": known.offering.region},
        )
    return now


async def _not_again(aws: Aws, offering: Offering, ids: Sequence[str], tried: datetime | None) -> None:
    """Go on only where it was never tried, or an earlier try has come to nothing for certain.

    Args:
        ids: what EC2 has called it.
        tried: when it was tried from this machine, the last time.
    """
    look = f"`drakit capacity list --all --region {offering.region}` shows the account's blocks"
    if (found := await find_bought(aws, offering.region, ids)) is not None:
        raise Refused(
            f"{offering.id} was bought already: it is {found.id}, {found.state}.",
            hint=f"{look}; `{offering.search.command(offering.region)}` finds another.",
            code="already-bought",
            details={"offering": offering.id, "reservation": found.id},
        )
    if tried is not None and datetime.now(UTC) - tried < SETTLED:
        raise Refused(
            f"{offering.id} was tried at {moments.local(tried)}, and whether it was bought is not known yet.",
            hint=f"{look}; from {moments.local(tried + SETTLED)} on it can be tried again if it is not there.",
            code="offering-tried",
            details={"offering": offering.id, "tried": tried.isoformat()},
        )


def _agreed(session: Session, offering: Offering, *, yes: bool, most: Decimal | None, typed: str | None) -> None:
    """Go on only with a fee that was agreed to; where nothing is paid, a limit that is given still holds."""
    fee, price = offering.fee, _money(offering.fee, offering.currency)
    hint = f"`drakit capacity buy {offering.id} --yes --max-fee {fee}` agrees to it where nobody can be asked."
    details = {"offering": offering.id, "fee": float(fee), "currency": offering.currency}

    def refuse(message: str, code: str) -> Refused:
        return Refused(message, hint=hint, code=code, details=details)

    # To the cent, as it was shown.
    if typed is not None and price_in(typed) not in (fee, fee.quantize(Decimal("0.01"))):
        raise refuse(f"The fee is {price}, and {shown(typed)} was typed: nothing was bought.", "fee-not-confirmed")
    if is_paid(session) and typed is None:
        if not yes:
            raise refuse(f"{_what(offering)} Nobody has agreed to it.", "not-agreed")
        if most is None:
            raise refuse(f"{_what(offering)} `--yes` alone does not say up to which fee.", "max-fee-missing")
    if most is not None and offering.currency != DOLLARS:
        raise refuse(f"The fee is in {offering.currency}, and `--max-fee` in {DOLLARS}.", "fee-currency")
    if most is not None and fee > most:
        raise refuse(f"The fee is {price}, above the {_money(most, DOLLARS)} of `--max-fee`.", "fee-above-max")


def _what(offering: Offering) -> str:
    """The offering in a sentence or two."""
    return (
        f"{offering.id}: {offering.count} x {offering.instance_type} in {offering.zone} for "
        f"{moments.duration(offering.hours)}, from {moments.local(offering.start)} to {moments.local(offering.end)}. "
        f"It costs {_money(offering.fee, offering.currency)}, charged at once; it can be neither cancelled nor "
        "given back."
    )


def _most(text: str | None) -> Decimal | None:
    if text is None:
        return None
    if (price := price_in(text)) is None:
        raise UsageError(
            f"--max-fee {shown(text)} is no price.",
            hint="US dollars, with a point before the cents: `--max-fee 283.20`, or `--max-fee 1,283.20`.",
            code="invalid-fee",
        )
    return price


def _money(amount: Decimal, currency: str) -> str:
    return f"${amount:,.2f}" if currency == DOLLARS else f"{amount:,.2f} {currency}"


def _use(session: Session, found: CapacityReservation) -> Iterator[str]:
    """The commands that use a block."""
    name, group = _group(session, found)
    if group is None:
        yield "drakit up"  # with the group that the lines add
    more = f" --max {found.total}" if group is not None and group.max < found.total else ""
    later = " --at-start" if found.starts_later else ""
    yield f"drakit scale {name}={found.total}{more} --reservation {found.id}{later}"


def _stack_file(session: Session, found: CapacityReservation) -> str:
    """The lines that say it in the stack file."""
    name, group = _group(session, found)
    lines = ["nodeGroups:", f"  {name}:"]
    if group is None:
        lines += [f"    instanceType: {found.instance_type}", "    min: 0", f"    max: {found.total}"]
    elif group.max < found.total:
        lines.append(f"    max: {found.total}")
    lines.append(f"    reservation: {{id: {found.id}, type: {found.kind.stack_type}}}")
    return "\n".join(lines) + "\n"


def _group(session: Session, found: CapacityReservation) -> tuple[str, NodeGroup | None]:
    """The group that would run in it: one without a reservation first; None with a name for one that is to be made."""
    groups = session.stack.node_groups
    named = named_reservations(session).get(found.id, ())
    fitting = [name for name, group in groups.items() if group.instance_type == found.instance_type]
    free = [name for name in fitting if groups[name].reservation is None]
    if chosen := next(iter((*named, *free, *fitting)), None):
        return chosen, groups[chosen]
    family = found.instance_type.partition(".")[0]
    return (f"{family}-block" if family in groups else family), None


@contextmanager
def _told(session: Session, step: str) -> Iterator[Report]:
    """Tell of a step while it is under way."""
    started = time.monotonic()

    def emit(kind: EventKind, message: str = "", seconds: float | None = None) -> None:
        session.emit(Event(kind, step, message, seconds))

    emit(EventKind.STARTED)
    try:
        yield lambda message: emit(EventKind.PROGRESS, message)
    except BaseException:
        emit(EventKind.FAILED, "", time.monotonic() - started)
        raise
    emit(EventKind.DONE, "", time.monotonic() - started)
