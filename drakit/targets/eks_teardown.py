"""What `down` asks of AWS: what there is of a stack, what is kept, what is left when Terraform has done its part."""

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from drakit.aws.clusters import (
    STACK_TAG,
    Cluster,
    Nodegroup,
    find_cluster,
    nodegroups,
    update_sizes,
    wait_for_update,
    was_created,
)
from drakit.aws.leftovers import (
    Keep,
    Leftover,
    Scope,
    belongs,
    clear,
    inventory,
    log_groups,
    look_alikes,
    scope_of,
    stacks_in,
    sweep,
)
from drakit.aws.prices import Prices
from drakit.aws.reservations import reservations
from drakit.aws.session import Aws
from drakit.engine.events import Report
from drakit.errors import ClusterError
from drakit.results import Kept
from drakit.stack.model import Stack
from drakit.targets.base import Standing, Swept
from drakit.terraform import Terraform
from drakit.tools.cache import cache_folder

PROTECTION = "terraform_data.deletion_protection[0]"
"""What keeps every plan from destroying the cluster: see blueprints/jark/protection.tf."""
LOG_GROUP = "aws_cloudwatch_log_group.cluster"
"""The control plane's logs: see blueprints/jark/cluster.tf."""
RESERVATION = "capacity reservation"
ALIKE = "it names the cluster, but has no tag of the stack's and may be older"
_CAN_BE_ASKED = ("ACTIVE", "UPDATING")
_OVER = ("cancelled", "expired", "failed", "payment-failed")
"""States in which a reservation costs nothing any more."""


class Teardown:
    """The end of one stack on AWS."""

    def __init__(self, aws: Aws, stack: Stack) -> None:
        self._aws = aws
        self._stack = stack
        self._first: Scope | None = None
        self._prices = Prices(aws, cache_folder())

    async def standing(self, keep: Keep) -> Standing:
        """See `drakit.targets.base.Target.standing`."""
        scope = await self._scope()
        identity, cluster, goes, kept = await asyncio.gather(
            self._aws.identity(), self._own_cluster(), self._inventory(scope, keep), self.kept(keep)
        )
        groups = await nodegroups(self._aws, self._stack.name) if cluster else ()
        return Standing(
            where=f"{self._stack.aws.region}, account {identity.account}",
            goes=goes,
            kept=kept,
            cluster=cluster is not None and bool(cluster.endpoint) and cluster.status in _CAN_BE_ASKED,
            nodes={each.group: each.desired for each in groups},
            owners=frozenset(scope.vpcs),
            hourly=round(sum(each.hourly or 0.0 for each in goes), 6),
        )

    async def unlock(self, terraform: Terraform, keep: Keep) -> None:
        """See `drakit.targets.base.Target.unlock`."""
        # EKS deletes no cluster that it is still making.
        await was_created(self._aws, self._stack.name)
        await terraform.forget(PROTECTION)
        if keep.logs:
            await terraform.forget(LOG_GROUP)

    async def empty(self, timeout: float) -> int:
        """See `drakit.targets.base.Target.empty`."""
        groups = [each for each in await nodegroups(self._aws, self._stack.name) if each.desired or each.min]
        await asyncio.gather(*(self._to_zero(each, timeout) for each in groups))
        return len(groups)

    async def clear(self, known: Collection[str], report: Report, timeout: float) -> Mapping[str, int]:
        """See `drakit.targets.base.Target.clear`."""
        removed = await clear(self._aws, await self._scope(), known, report, timeout)
        return {each.kind: each.count for each in removed}

    async def sweep(self, keep: Keep, report: Report, timeout: float) -> Swept:
        """See `drakit.targets.base.Target.sweep`."""
        removed, left = await sweep(self._aws, await self._scope(), keep, report, timeout, prices=self._prices)
        return Swept({each.kind: each.count for each in removed}, left)

    async def leftovers(self, keep: Keep) -> tuple[Leftover, ...]:
        """See `drakit.targets.base.Target.leftovers`."""
        return await self._inventory(await self._scope(), keep)

    async def kept(self, keep: Keep) -> tuple[Kept, ...]:
        """See `drakit.targets.base.Target.kept`."""
        kept = []
        named = {group.reservation.id for group in self._stack.node_groups.values() if group.reservation}
        try:
            for each in await reservations(self._aws):
                own = each.id in named or (STACK_TAG, self._stack.name) in each.tags
                if own and each.state not in _OVER:
                    kept.append(Kept(RESERVATION, each.id, "drakit cancels none"))
        except ClusterError as error:
            why = f"drakit cancels none, and could not ask for its state: {error.message}"
            kept += [Kept(RESERVATION, each, why) for each in sorted(named) or ["?"]]
        scope = await self._scope()
        kept += [Kept(each.kind, each.id, ALIKE) for each in await look_alikes(self._aws, scope)]
        if keep != Keep():
            everything, goes = await asyncio.gather(self._inventory(scope, Keep()), self._inventory(scope, keep))
            going = {(each.kind, each.id) for each in goes}
            kept += [Kept(e.kind, e.id, "asked to stay") for e in everything if (e.kind, e.id) not in going]
        return tuple(kept)

    async def stacks(self) -> Sequence[str]:
        """See `drakit.targets.base.Target.stacks`."""
        return await stacks_in(self._aws)

    async def _scope(self) -> Scope:
        """What belongs to the stack; what it was known by goes on to count when it has gone on the way."""
        scope, first = await scope_of(self._aws, self._stack.name), self._first
        if first is not None:
            vpcs = tuple(sorted({*scope.vpcs, *first.vpcs}))
            scope = replace(
                first,
                vpcs=vpcs,
                cluster=scope.cluster or first.cluster,
                issuer=scope.issuer or first.issuer,
                since=first.since or scope.since,
            )
        self._first = scope
        return scope

    async def _inventory(self, scope: Scope, keep: Keep) -> tuple[Leftover, ...]:
        return await inventory(self._aws, scope, keep, prices=self._prices)

    async def _own_cluster(self) -> Cluster | None:
        cluster = await find_cluster(self._aws, self._stack.name)
        return cluster if cluster is not None and cluster.stack == self._stack.name else None

    async def _to_zero(self, group: Nodegroup, timeout: float) -> None:
        update = await update_sizes(self._aws, self._stack.name, group.name, desired=0, min=0)
        await wait_for_update(self._aws, self._stack.name, update, timeout=timeout, nodegroup=group.name)


async def kept_logs(aws: Aws, stack: Stack) -> Mapping[str, str]:
    """See `drakit.targets.base.Target.kept_back`: the log group of the control plane.

    `--keep-logs` leaves it, and EKS may make it once more, without a tag, for what it writes after the cluster's end.
    """
    name = f"/aws/eks/{stack.name}/cluster"
    with contextlib.suppress(ClusterError):  # what stands in the way Terraform tells
        scope = await scope_of(aws, stack.name)
        if any(each.id == name and belongs(scope, each) for each in await log_groups(aws, scope)):
            return {LOG_GROUP: name}
    return {}
