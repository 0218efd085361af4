"""Capacity reservations and offerings for people: on this machine's clock, and from now."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from drakit.moments import duration, local, relative
from drakit.results import (
    CapacityBuyResult,
    CapacityFindResult,
    CapacityListResult,
    OfferedBlock,
    ReservedCapacity,
)

if TYPE_CHECKING:
    from drakit.render.text import _Page

KINDS = {"capacity-block": "Capacity Block", "odcr": "On-Demand Capacity Reservation"}


def show_reservations(result: CapacityListResult, page: "_Page") -> None:
    """A table, and below it the life and the price of each."""
    found = result.reservations
    if found:
        rows = (
            (each.id, each.instance_type, each.zone, each.state, f"{each.used}/{each.total}", _groups(each))
            for each in found
        )
        page.table(("RESERVATION", "TYPE", "ZONE", "STATE", "USED", "GROUP"), rows)
        for each in found:
            page.line()
            _life(each, result.as_of, page)
    else:
        page.line("The account has no capacity reservation that the stack's groups can use.")
    if result.hidden or result.price_sources:
        page.line()
    if result.hidden:
        page.line(f"{result.hidden} more of other instance types, or over: `drakit capacity list --all`.")
    if result.price_sources:
        page.line(f"Prices: {'; '.join(result.price_sources)}.")


def show_offerings(result: CapacityFindResult, page: "_Page") -> None:
    """The offerings, cheapest first; or what there is instead, and what to change."""
    wanted = f"{result.count} x {result.instance_type} for {duration(result.hours)}"
    where = ", ".join(result.regions) if len(result.regions) <= 3 else f"{len(result.regions)} regions"
    if result.offerings:
        _offerings(result, result.offerings, page)
        page.line()
        page.line(f"{wanted} in {where}; the fee is for the whole block.")
        page.line(f"`drakit capacity buy {result.offerings[0].id}` shows the fee and asks for it.")
        return
    page.line(f"No Capacity Block of {wanted} is on offer in {where}.")
    for each in result.advice:
        page.line(f"  {each}")
    if result.nearby:
        page.line()
        page.line("On offer instead:")
        _offerings(result, result.nearby, page)


def show_purchase(result: CapacityBuyResult, page: "_Page") -> None:
    """What was bought, and how it is used."""
    found = result.reservation
    page.line(f"Bought {result.offering}: {found.total} x {found.instance_type} in {found.zone}, {found.state}.")
    page.line()
    _life(found, result.as_of, page)
    if result.use:
        page.line()
        page.line("Use it with")
        for command in result.use:
            page.line(f"  {command}")
        page.line("or in the stack file:")
        for line in result.stack_file.splitlines():
            page.line(f"  {line}")
    page.line("It is not Terraform's, and `drakit down` leaves it.")


def _life(found: ReservedCapacity, now: datetime, page: "_Page") -> None:
    price = ""
    if found.paid is not None:
        price = f", paid {_money(found.paid, found.currency or 'USD')}"
    elif found.hourly is not None:
        price = f", ${found.hourly:.2f}/h used or not"
    page.line(f"{found.id}: {KINDS[found.kind]}{price}")
    moments = (
        ("start", found.start, ""),
        ("drain", found.drains, "EKS scales its group to 0"),
        ("terminate", found.terminates, "EC2 ends what still runs"),
        ("end", found.end, ""),
    )
    for name, moment, what in moments:
        if moment is not None:
            page.line(f"  {name:9}  {local(moment)}  {relative(moment, now):10}  {what}".rstrip())


def _offerings(result: CapacityFindResult, offerings: Sequence[OfferedBlock], page: "_Page") -> None:
    now, asked = result.as_of, (result.count, result.hours)
    sizes = any((each.count, each.hours) != asked for each in offerings)
    page.table(
        ("OFFERING", "ZONE", "START", "SIZE" if sizes else "", "FEE", "GPU-HOUR"),
        (
            (
                each.id,
                each.zone,
                f"{each.start.astimezone():%m-%d %H:%M}",
                f"{each.count} x {duration(each.hours)}" if sizes else relative(each.start, now),
                _money(each.fee, each.currency),
                "-" if each.per_gpu_hour is None else _money(each.per_gpu_hour, each.currency),
            )
            for each in offerings
        ),
    )


def _groups(found: ReservedCapacity) -> str:
    return ", ".join(found.groups) or "-"


def _money(amount: float, currency: str) -> str:
    return f"${amount:,.2f}" if currency == "USD" else f"{amount:,.2f} {currency}"
