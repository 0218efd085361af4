"""Whether a node group can run in a capacity reservation: one truth for `up`, which plans, and `scale`, which does."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from drakit.aws.findings import Finding, Level
from drakit.aws.reservations.describe import CapacityReservation, block_moments
from drakit.stack.model import NodeGroup
from drakit.words import counted

MOST_ZONES = 4
"""The blueprint's subnets are in at most so many zones."""
_LINUX = frozenset({"Linux/UNIX", ""})


def reservation_for_scale(
    id: str,
    found: CapacityReservation | None,
    *,
    group_name: str,
    group: NodeGroup,
    nodes: int,
    running: int,
    account: str,
    region: str,
    elsewhere: str | None = None,
    subnet_zones: Collection[str] = (),
    zones: Collection[str] = (),
    at_start: bool = False,
    now: datetime | None = None,
) -> tuple[Finding, ...]:
    """What is wrong with scaling a node group in a reservation; an ERROR forbids it, and each has its own `code`.

    Args:
        found: the reservation of that id in the region, None when there is none.
        group: as it is to be, its reservation apart: that may be none yet, or another.
        nodes: how many it is to have.
        running: how many of its nodes are in this reservation already.
        account, region: ours.
        elsewhere: the region of the account that has the reservation, where `found` is None.
        subnet_zones: the zones of the stack's subnets; empty before there are any.
        zones: those that the region has for EKS; empty when they are not known.
        at_start: whether the nodes are to come when the reservation begins, rather than now.
    """
    if found is None:
        return (missing_reservation(id, group_name, account=account, region=region, elsewhere=elsewhere),)
    declared = group.reservation is not None and group.reservation.id == found.id
    case = _Case(found, group_name, group, nodes, account, declared=declared, running=running, at_start=at_start)
    return _check(case, subnet_zones, zones, now)


def check_reservation(
    found: CapacityReservation,
    *,
    group_name: str,
    group: NodeGroup,
    account: str,
    zones: Collection[str],
    now: datetime | None = None,
) -> tuple[Finding, ...]:
    """What is wrong with running a node group, as the stack file has it, in its reservation.

    Args:
        found: the reservation of the group's `reservation.id`.
        account: ours.
        zones: those that the stack's subnets may be in; empty when they are not known.
    """
    return _check(_Case(found, group_name, group, group.desired, account), (), zones, now)


def missing_reservation(id: str, group_name: str, *, account: str, region: str, elsewhere: str | None) -> Finding:
    """The finding for a reservation that the region does not have.

    Args:
        elsewhere: the region of the account that has it, None where it was not found.
    """
    name = f"reservation {group_name}"
    if elsewhere:
        message = f"{id} is in {elsewhere}, and the stack in {region}."
        remedy = "Use a reservation of the stack's region, or set aws.region."
        return Finding(name, Level.ERROR, message, remedy, "reservation-other-region")
    message = f"{id} is not among the capacity reservations of the account {account} in {region}."
    remedy = "Check the id (`drakit capacity list`); one of another account must be shared with this one (AWS RAM)."
    return Finding(name, Level.ERROR, message, remedy, "reservation-not-found")


@dataclass(frozen=True)
class _Case:
    """A group that is to have `nodes` nodes in a reservation.

    Args:
        declared: whether the stack file names this reservation for the group.
        running: its nodes that are in the reservation; None where that is not known.
        at_start: whether it waits for the reservation's beginning.
    """

    found: CapacityReservation
    name: str
    group: NodeGroup
    nodes: int
    account: str
    declared: bool = True
    running: int | None = None
    at_start: bool = False

    def finding(self, level: Level, code: str, message: str, remedy: str = "") -> Finding:
        words = f"{self.found.id} {message}"
        return Finding(f"reservation {self.name}", level, words, remedy, f"reservation-{code}")

    def error(self, code: str, message: str, remedy: str = "Use another reservation.") -> Finding:
        return self.finding(Level.ERROR, code, message, remedy)


def _check(
    case: _Case, subnet_zones: Collection[str], zones: Collection[str], now: datetime | None
) -> tuple[Finding, ...]:
    now = now or datetime.now(UTC)
    return (*_nature(case), *_life(case, now), *_zone(case, subnet_zones, zones), *_room(case), *_owner(case))


def _nature(case: _Case) -> Iterator[Finding]:
    """What the reservation is, and what it is for."""
    found, group = case.found, case.group
    if case.declared and group.reservation is not None and found.kind.stack_type != group.reservation.type:
        yield case.error(
            "kind",
            f"is {found.kind.words}, and the group takes it for {group.reservation.type}.",
            f"Set nodeGroups.{case.name}.reservation.type to {found.kind.stack_type}.",
        )
    if found.instance_type != group.instance_type:
        yield case.error(
            "instance-type",
            f"is for {found.instance_type}, and the group has {group.instance_type}.",
            f"Set nodeGroups.{case.name}.instanceType to {found.instance_type}, or use another reservation.",
        )
    if found.platform not in _LINUX:
        yield case.error("platform", f"is for the platform {found.platform}, and nodes are Linux/UNIX.")
    if found.tenancy != "default":
        yield case.error("tenancy", f"has {found.tenancy} tenancy, and nodes have default tenancy.")


def _life(case: _Case, now: datetime) -> Iterator[Finding]:
    """Whether it has begun, and has not ended."""
    found, moments = case.found, block_moments(case.found)
    if found.state == "expired" or (found.end is not None and found.end <= now and found.state == "active"):
        ended = f"ended at {_time(found.end)}" if found.end and found.end <= now else ""
        said = " and ".join(filter(None, (ended, "is expired, not active" if found.state == "expired" else "")))
        yield case.error("expired", f"{said}.", "Use a reservation that has not ended.")
    elif found.starts_later:
        starts = f"starts at {_time(found.start)}" if found.start else "has not started"
        if case.nodes and not case.at_start:
            yield case.error(
                "not-started",
                f"{starts} (state {found.state}), and the group is to have {case.nodes} nodes at once.",
                f"`drakit scale {case.name}={case.nodes} --reservation {found.id} --at-start` lets them come when it "
                f"starts; in the stack file set nodeGroups.{case.name}.desired to 0.",
            )
        else:
            message = f"{starts} (state {found.state}); the group waits for it at 0 nodes."
            yield case.finding(Level.INFO, "not-started", message)
    elif found.state != "active":
        message = f"is {found.state}, not active."
        yield case.error("state", message, "Use a reservation that is active or scheduled.")
    elif moments is not None and moments.drain <= now:
        yield case.finding(
            Level.ERROR if case.nodes else Level.WARNING,
            "ending",
            f"ends at {_time(moments.end)}: EKS scales the group to 0 40 minutes before, EC2 terminates at 30.",
            "Use a reservation that ends later.",
        )


def _zone(case: _Case, subnet_zones: Collection[str], zones: Collection[str]) -> Iterator[Finding]:
    """Whether the stack has a subnet where the capacity is, or can have one."""
    zone = case.found.zone
    if zones and zone not in zones:
        yield case.error(
            "zone",
            f"is in {zone}, where the stack can have no subnet (it can in {', '.join(sorted(zones))}).",
            "Use a reservation in one of these zones.",
        )
    elif subnet_zones and zone not in subnet_zones:
        remedy = f"Use a reservation in {' or '.join(sorted(subnet_zones))}"
        if len(set(subnet_zones)) < MOST_ZONES:
            more = len(set(subnet_zones)) + 1
            remedy += f", or name this one under nodeGroups.{case.name}.reservation, set aws.availabilityZones to "
            remedy += f"{more}, and run `drakit up`"
        has = ", ".join(sorted(subnet_zones))
        yield case.error("zone", f"is in {zone}, and the stack's subnets are in {has}.", f"{remedy}.")


def _room(case: _Case) -> Iterator[Finding]:
    """Whether it holds the nodes."""
    found, group, nodes, running = case.found, case.group, case.nodes, case.running
    if nodes > found.total:
        yield case.error(
            "count",
            f"holds {counted(found.total, 'instance')}, and the group is to have {nodes} nodes.",
            f"Ask for {found.total} at most, and set nodeGroups.{case.name}.desired to no more.",
        )
        return
    if running is not None and found.state == "active" and nodes > found.available + running:
        own = f", and {running} of the group's nodes run in it" if running else ""
        yield case.error(
            "count",
            f"has {found.available} of its {counted(found.total, 'instance')} free{own}: "
            f"the group cannot have {nodes} nodes.",
            f"Ask for {found.available + running} at most, or end the instances that use it.",
        )
        return
    if group.max > found.total:
        yield case.finding(
            Level.WARNING,
            "count",
            f"holds {counted(found.total, 'instance')}, and the group may grow to {group.max}: "
            "what is above is not launched.",
            f"Set nodeGroups.{case.name}.max to {max(found.total, 1)}.",
        )
    if running is None and found.state == "active" and found.available == 0 and nodes:
        yield case.finding(
            Level.WARNING,
            "count",
            f"has none of its {counted(found.total, 'instance')} free; fine if the group's own nodes are in it.",
            "`drakit status` shows the group's nodes.",
        )


def _owner(case: _Case) -> Iterator[Finding]:
    """Whether it is ours. Another account's can be used while it is shared; one that is not shared is not found."""
    owner, account = case.found.owner, case.account
    if account and owner and owner != account:
        yield case.finding(
            Level.WARNING,
            "other-account",
            f"belongs to the account {owner}, which shares it with {account} and may stop to.",
            "Nothing is to be done if that is meant.",
        )


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
