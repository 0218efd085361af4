"""The checks of `drakit.aws.preflight` that are about capacity: zones, quotas, reservations."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

from drakit.aws.facts import Facts
from drakit.aws.findings import Finding, Level
from drakit.aws.quotas import Family, Quota, family_of, quota_vcpus, vcpus_in_use
from drakit.aws.reservations import check_reservation, elsewhere, missing_reservation
from drakit.aws.zones import choose_zones, vcpus
from drakit.errors import ClusterError
from drakit.stack.model import NodeGroup

T = TypeVar("T")
Findings = Sequence[Finding]


async def instance_type_zones(facts: Facts) -> Findings:
    """Whether the region's zones have the groups' instance types."""
    name, stack = "zones", facts.stack
    found = await asyncio.gather(facts.zones(), facts.offerings(), _pinned_zones(facts))
    available, offered, pinned = found
    findings = []
    count = stack.aws.availability_zones
    if len(available) < count:
        message = f"{stack.aws.region} has {len(available)} zones that EKS can use, and the stack asks for {count}."
        findings.append(Finding(name, Level.ERROR, message, f"Set aws.availabilityZones to {max(len(available), 2)}."))
    usable = {type_: zones & set(available) for type_, zones in offered.items()}
    chosen = choose_zones(available, usable, count, pinned)
    if len(pinned) > count:
        message = f"The groups' reservations are in {', '.join(sorted(pinned))}, and the stack has {count} zones."
        findings.append(Finding(name, Level.ERROR, message, f"Set aws.availabilityZones to {len(pinned)}."))
    for type_, zones in usable.items():
        groups = ", ".join(group for group, each in facts.on_demand.items() if each.instance_type == type_)
        if not zones:
            message = f"{stack.aws.region} does not offer {type_} (node group {groups})."
            remedy = "Choose another instanceType or aws.region, or a capacity reservation."
            findings.append(Finding(name, Level.ERROR, message, remedy))
        elif not zones & set(chosen):
            message = (
                f"{type_} (node group {groups}) is offered in {', '.join(sorted(zones))} alone, and {count} zones "
            )
            message += f"are not enough for all groups ({', '.join(chosen)} would be used)."
            findings.append(Finding(name, Level.ERROR, message, "Raise aws.availabilityZones."))
        elif missing := set(available) - zones:
            message = f"{type_} is offered in {', '.join(sorted(zones))}, not in {', '.join(sorted(missing))}."
            findings.append(Finding(name, Level.INFO, message))
    if all(finding.level is Level.INFO for finding in findings):
        findings.append(Finding(name, Level.INFO, f"{', '.join(chosen)} offer every group's instance type."))
    return findings


async def _pinned_zones(facts: Facts) -> frozenset[str]:
    """The zones of the groups' reservations, as far as these can be found."""
    ids = [group.reservation.id for group in facts.reserved.values() if group.reservation]
    found = await asyncio.gather(*(facts.reservation(each) for each in ids), return_exceptions=True)
    return frozenset(each.zone for each in found if each is not None and not isinstance(each, BaseException))


async def vcpu_quotas(facts: Facts) -> Findings:
    """Whether the account may run as many vCPUs as the groups can grow to."""
    # Capacity Blocks do not count against the quotas of On-Demand instances.
    groups = {
        name: group
        for name, group in facts.stack.node_groups.items()
        if group.reservation is None or group.reservation.type != "capacity-block"
    }
    families = sorted({family for group in groups.values() if (family := family_of(group.instance_type))})
    sizes = await vcpus(facts.aws, {group.instance_type for group in groups.values()})
    in_use, quotas = await asyncio.gather(
        _or_refusal(vcpus_in_use(facts.aws, without_cluster=facts.stack.name)),
        asyncio.gather(*(_or_refusal(quota_vcpus(facts.aws, family)) for family in families)),
    )
    findings = []
    if isinstance(in_use, ClusterError):
        findings.append(_unchecked("the vCPUs in use", in_use))
        in_use = dict.fromkeys(Family, 0)
    for family, quota in zip(families, quotas, strict=True):
        if isinstance(quota, ClusterError):
            findings.append(_unchecked(f"the quota {family.value!r}", quota))
            continue
        members = [group for group in groups.values() if family_of(group.instance_type) is family]
        findings.append(_quota(Quota(family, quota, in_use[family]), members, sizes, facts))
    return findings


async def _or_refusal(answer: Awaitable[T]) -> T | ClusterError:
    try:
        return await answer
    except ClusterError as error:
        return error


def _unchecked(what: str, error: ClusterError) -> Finding:
    return Finding("quotas", Level.WARNING, f"Could not check {what}: {error.message}", error.hint or "")


def _quota(quota: Quota, groups: Sequence[NodeGroup], sizes: Mapping[str, int], facts: Facts) -> Finding:
    at_once = sum(group.desired * sizes.get(group.instance_type, 0) for group in groups)
    at_most = sum(group.max * sizes.get(group.instance_type, 0) for group in groups)
    free = quota.vcpus - quota.in_use
    message = (
        f"{quota.family.value}: {quota.vcpus:g} vCPUs may run in {facts.stack.aws.region}, {quota.in_use} are in use "
        f"beside the stack; it starts with {at_once} and may grow to {at_most}."
    )
    if at_most <= free:
        return Finding("quotas", Level.INFO, message)
    remedy = f"Ask for {quota.in_use + at_most} under Service Quotas ({quota.code}), or lower the groups' max."
    if quota.family is Family.P:
        remedy += " Capacity Blocks do not count."
    return Finding("quotas", Level.ERROR if at_once > free else Level.WARNING, message, remedy)


async def reservations(facts: Facts) -> Findings:
    """Whether the groups' capacity reservations exist and fit."""
    found = await asyncio.gather(*(_reservation(facts, name, group) for name, group in facts.reserved.items()))
    return [finding for findings in found for finding in findings]


async def _reservation(facts: Facts, group_name: str, group: NodeGroup) -> Findings:
    assert group.reservation is not None
    name, reservation_id, where = f"reservation {group_name}", group.reservation.id, facts.stack.aws.region
    identity, available, found = await asyncio.gather(
        facts.identity(), facts.zones(), facts.reservation(reservation_id), return_exceptions=True
    )
    if isinstance(found, BaseException):
        raise found
    account = identity.account if not isinstance(identity, BaseException) else ""
    if found is None:
        other = await elsewhere(facts.aws, reservation_id)
        return [missing_reservation(reservation_id, group_name, account=account, region=where, elsewhere=other)]
    zones = available if not isinstance(available, BaseException) else ()
    problems = check_reservation(found, group_name=group_name, group=group, account=account, zones=zones, now=facts.now)
    if problems:
        return problems
    end = f", until {found.end:%Y-%m-%d %H:%M} UTC" if found.end else ""
    what = f"{found.kind.words} of {found.total} {found.instance_type} in {found.zone}"
    message = f"{reservation_id}, {what}, is {found.state}{end}."
    return [Finding(name, Level.INFO, message)]
