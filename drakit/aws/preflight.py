"""What stands in the way of a stack on AWS, found before anything is changed: all checks side by side."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from drakit.aws import capacitychecks, checks
from drakit.aws.facts import Facts
from drakit.aws.findings import Finding, Level
from drakit.aws.session import Aws
from drakit.errors import ClusterError
from drakit.stack.model import Stack

DEADLINE_SECONDS = 8.0
"""For each check; they run at the same time."""

Check = Callable[[Facts], Awaitable[Sequence[Finding]]]

CHECKS: tuple[tuple[str, Check], ...] = (
    (checks.CREDENTIALS, checks.credentials),
    (checks.REGION, checks.region),
    ("cluster name", checks.cluster_name),
    ("kubernetes version", checks.kubernetes_version),
    ("zones", capacitychecks.instance_type_zones),
    ("quotas", capacitychecks.vcpu_quotas),
    ("reservations", capacitychecks.reservations),
    ("state bucket", checks.state_bucket),
    (checks.NODE_GROUPS, checks.node_groups),
    (checks.UNKNOWN_TYPES, checks.instance_types),
    (checks.ENDPOINT_ACCESS, checks.endpoint_access),
)
_FOUNDATIONS = frozenset({checks.CREDENTIALS, checks.REGION})
_NEED_NOTHING = frozenset({checks.NODE_GROUPS, checks.UNKNOWN_TYPES, checks.ENDPOINT_ACCESS})
"""What AWS is not asked for."""


async def preflight(
    stack: Stack, aws: Aws, *, deadline: float = DEADLINE_SECONDS, now: datetime | None = None
) -> tuple[Finding, ...]:
    """Every check's findings, in the order of `CHECKS`. Nothing is changed.

    A check that could not be made is a WARNING; when the credentials or the region are why, they alone are said.

    Args:
        deadline: seconds for each check.
        now: what dates are compared with.
    """
    facts = Facts(stack, aws, now)
    try:
        # A region that boto3 does not know: its hosts need not exist, and each check would wait for them.
        unknown, _ = await _run(checks.REGION, checks.unknown_region, facts, deadline)
        if unknown:
            return (*unknown, *[each for name, check in CHECKS if name in _NEED_NOTHING for each in await check(facts)])
        outcomes = await asyncio.gather(*(_run(name, check, facts, deadline) for name, check in CHECKS))
    finally:
        facts.close()
    found = [(finding, done) for findings, done in outcomes for finding in findings]
    if any(finding.level is Level.ERROR and finding.name in _FOUNDATIONS for finding, _ in found):
        # What the other checks say then only follows from it.
        found = [(each, done) for each, done in found if done and each.name in _FOUNDATIONS | _NEED_NOTHING]
    return tuple(finding for finding, _ in found)


async def _run(name: str, check: Check, facts: Facts, deadline: float) -> tuple[Sequence[Finding], bool]:
    """The check's findings, and whether it could be made."""
    try:
        async with asyncio.timeout(deadline):
            return await check(facts), True
    except TimeoutError:
        said, remedy = (
            f"AWS did not answer within {deadline:.0f} s.",
            "Check the network, or run the same command again.",
        )
    except ClusterError as error:
        said, remedy = error.message, error.hint or ""
    return [Finding(name, Level.WARNING, f"Could not check: {said}", remedy)], False
