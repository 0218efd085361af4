"""What the checks of a stack ask AWS, each thing once, however many checks want it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from drakit.aws.clusters import Cluster, find_cluster
from drakit.aws.reservations import CapacityReservation, find_reservation
from drakit.aws.session import Aws, Identity
from drakit.aws.versions import EksVersions, eks_versions
from drakit.aws.zones import offerings, zones
from drakit.stack.model import NodeGroup, Stack

T = TypeVar("T")


class Facts:
    """A stack and what AWS says about it. `now` is the moment that dates are compared with."""

    def __init__(self, stack: Stack, aws: Aws, now: datetime | None = None) -> None:
        self.stack = stack
        self.aws = aws
        self.now = now or datetime.now(UTC)
        self._asked: dict[str, asyncio.Future[Any]] = {}

    @property
    def on_demand(self) -> Mapping[str, NodeGroup]:
        """The groups without a reservation, by name."""
        return {name: group for name, group in self.stack.node_groups.items() if group.reservation is None}

    @property
    def reserved(self) -> Mapping[str, NodeGroup]:
        """The groups with a reservation, by name."""
        return {name: group for name, group in self.stack.node_groups.items() if group.reservation is not None}

    async def identity(self) -> Identity:
        """Who we are."""
        return await self._once("identity", self.aws.identity)

    async def cluster(self) -> Cluster | None:
        """The cluster that has the stack's name."""
        return await self._once("cluster", lambda: find_cluster(self.aws, self.stack.name))

    async def versions(self) -> EksVersions:
        """EKS's versions."""
        return await self._once("versions", lambda: eks_versions(self.aws, self.now.date()))

    async def zones(self) -> tuple[str, ...]:
        """The region's zones for EKS."""
        return await self._once("zones", lambda: zones(self.aws))

    async def offerings(self) -> Mapping[str, frozenset[str]]:
        """The zones that offer each instance type of a group without a reservation."""
        types = {group.instance_type for group in self.on_demand.values()}
        return await self._once("offerings", lambda: offerings(self.aws, types))

    async def reservation(self, id: str) -> CapacityReservation | None:
        """The capacity reservation of that id."""
        return await self._once(id, lambda: find_reservation(self.aws, id))

    async def _once(self, key: str, ask: Callable[[], Awaitable[T]]) -> T:
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(ask())
        # A check that runs out of time does not take the answer from the others.
        return cast("T", await asyncio.shield(self._asked[key]))

    def close(self) -> None:
        """Give up on what has not been answered."""
        for asked in self._asked.values():
            # An error that nobody waited for any more was told by the check that did.
            asked.add_done_callback(lambda done: done.cancelled() or done.exception())
            asked.cancel()
