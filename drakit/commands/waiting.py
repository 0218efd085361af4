"""Waiting for nodes and their devices, and saying why they do not come.

Nodes and ResourceSlices are watched. What an Auto Scaling group was refused can only be asked for, so the target is
asked now and then while nodes are missing.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drakit.aws.errors import THROTTLED
from drakit.commands.nodes import GPU_LABEL, is_ready, publishing
from drakit.commands.pods import is_ready as pod_is_ready
from drakit.commands.pods import node_of, unschedulable, warnings_of
from drakit.engine.events import Report
from drakit.errors import ClusterError, TimedOut
from drakit.kube.client import Kube
from drakit.kube.kinds import EVENT, NODE, POD, Object, ResourceApi
from drakit.kube.watch import OUTAGE_SECONDS, Key, passes, wait_for
from drakit.targets.base import GroupSize, Target, Trouble, group_of
from drakit.targets.releases import DRA_DRIVER

LOOK_SECONDS = 2.0
"""Between two questions to the target."""
PASSING = frozenset({THROTTLED, "aws-unreachable", "aws-unavailable"})
"""Codes with which AWS does not answer what it may answer the next time."""


@dataclass
class NodeWait:
    """Waits until groups have as many Ready nodes as they shall have, and just those with GPUs have published them.

    Args:
        sizes: the groups to wait for, as they shall be. When somebody else changes a size meanwhile, that is told and
            waited for.
        timeout: seconds, for the nodes and again for the devices.
        devices: whether a DRA driver is there to publish them.
        known: ids of troubles from before, which say nothing about this wait.
    """

    kube: Kube
    api: ResourceApi
    target: Target
    sizes: dict[str, GroupSize]
    report: Report
    timeout: float
    devices: bool
    known: frozenset[str] = frozenset()
    _late: list[str] = field(default_factory=list)
    _nodes: Mapping[Key, Object] = field(default_factory=dict)
    _last: list[Trouble] = field(default_factory=list)

    async def wait(self) -> dict[Key, Object]:
        """All nodes that there are, once those of the groups are as they shall be.

        Raises:
            ClusterError: the place has said why nodes do not come; the code is the trouble's.
            TimedOut: naming the groups or the nodes that are late, and the last trouble.
        """
        while True:
            arriving = asyncio.ensure_future(self._arrive())
            looking = asyncio.ensure_future(self._look_out())
            try:
                await asyncio.wait({arriving, looking}, return_when=asyncio.FIRST_COMPLETED)
                if arriving.done():
                    return arriving.result()
                looking.result()  # raises; otherwise a size has changed
            except TimedOut as error:
                raise self._explained(error) from error
            finally:
                for task in (arriving, looking):
                    task.cancel()
                await asyncio.gather(arriving, looking, return_exceptions=True)

    async def _arrive(self) -> dict[Key, Object]:
        nodes = await wait_for(
            self.kube, NODE, self._complete, what=lambda: f"nodes: {', '.join(self._late)}", timeout=self.timeout
        )
        if not self.devices:
            return nodes
        with_gpus = {
            name
            for (_, name), node in nodes.items()
            if group_of(node) in self.sizes and node["metadata"]["labels"].get(GPU_LABEL) == "true"
        }
        # The slices first, then the nodes: who publishes and is no node any more has gone.
        slices, _ = await self.kube.list(self.api.slice)
        there, _ = await self.kube.list(NODE)
        gone = publishing(slices) - {node["metadata"]["name"] for node in there}

        def published(slices: Mapping[Key, Object]) -> bool:
            publishers = publishing(slices.values())
            missing = sorted(with_gpus - publishers)
            self._tell([f"ResourceSlices of {', '.join(missing)}"] if missing else [])
            return not missing and not gone & publishers

        await wait_for(
            self.kube,
            self.api.slice,
            published,
            what=lambda: ", ".join(self._late) or "the ResourceSlices of nodes that have gone to be removed",
            timeout=self.timeout,
            hint=f"The pods of the DRA driver's DaemonSet publish them: look at the pods in {DRA_DRIVER}.",
        )
        return nodes

    def _complete(self, nodes: Mapping[Key, Object]) -> bool:
        self._nodes = nodes
        there = [(group_of(node), is_ready(node), "deletionTimestamp" in node["metadata"]) for node in nodes.values()]
        late = []
        for name, size in self.sizes.items():
            ready = there.count((name, True, False))
            joining, leaving = there.count((name, False, False)), there.count((name, False, True))
            # A node that is still leaving counts too: the group is not yet what it shall be.
            if ready == size.desired and not joining and not leaving:
                continue
            launching = max(size.desired - ready - joining, 0)
            more = max(ready + joining - size.desired, 0) + leaving
            stages = [
                f"{count} {stage}"
                for count, stage in ((launching, "to launch"), (joining, "to become Ready"), (more, "to go"))
                if count
            ]
            late.append(f"{name} ({ready} of {size.desired} Ready; {', '.join(stages)})")
        self._tell(late)
        return not late

    def _tell(self, late: list[str]) -> None:
        if late and late != self._late:
            self.report(f"waiting for {'' if late[0].startswith('ResourceSlices') else 'nodes: '}{', '.join(late)}")
        self._late = late

    async def _look_out(self) -> None:
        """Ask the target again and again; return when somebody else has changed a size.

        Raises:
            ClusterError: a new trouble that ends the wait; or the target cannot be asked, for longer than may pass.
        """
        told: set[str] = set()
        clock, until = asyncio.get_running_loop().time, math.inf
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                sizes = await self.target.group_sizes(self.kube)
                found = [*await self.target.troubles(self.sizes), *await driver_troubles(self.kube, self._nodes)]
            except ClusterError as error:
                # Who waits for minutes does not mind one question without an answer.
                until = min(until, clock() + OUTAGE_SECONDS)
                if not (error.code in PASSING or passes(error)) or clock() >= until:
                    raise
                continue
            until = math.inf
            changed = {n: s for n, s in sizes.items() if n in self.sizes and s.desired != self.sizes[n].desired}
            if changed:
                for name, size in changed.items():
                    before = self.sizes[name].desired
                    self.report(f"somebody else has scaled {name} from {before} to {size.desired}: waiting for that")
                self.sizes.update(changed)
                return
            self._last = [trouble for trouble in found if trouble.group in self.sizes]
            for trouble in self._last:
                if trouble.id in told:
                    continue
                told.add(trouble.id)
                if trouble.final and trouble.id not in self.known:
                    raise self._ended(trouble)
                self.report(f"{trouble.group}: {trouble.message}")

    def _ended(self, trouble: Trouble) -> ClusterError:
        size = self.sizes[trouble.group]
        return ClusterError(
            f"{trouble.group} does not get its nodes ({', '.join(self._late)}). {trouble.message}",
            hint=f"{trouble.remedy} The group stays at {size.desired}, and AWS goes on trying: "
            f"`drakit scale {trouble.group}={size.desired}` waits for that, a smaller number ends it.".strip(),
            code=trouble.code,
            details={"group": trouble.group, "desired": size.desired},
        )

    def _explained(self, error: TimedOut) -> TimedOut:
        if not self._last:
            return error
        causes = "\n".join(f"  {trouble.group}: {trouble.message}" for trouble in self._last)
        hint = next((trouble.remedy for trouble in self._last if trouble.remedy), error.hint)
        return TimedOut(f"{error.message}\n{causes}", hint=hint, details=error.details)


async def driver_troubles(kube: Kube, nodes: Mapping[Key, Object]) -> list[Trouble]:
    """What keeps the DRA driver's pods on these nodes from running. It may pass: images are pulled again."""
    groups = {name: group_of(node) or "" for (_, name), node in nodes.items()}
    (pods, _), (events, _) = await asyncio.gather(kube.list(POD, DRA_DRIVER), kube.list(EVENT, DRA_DRIVER))
    return [
        Trouble(
            groups[node], f"{pod['metadata']['uid']} {reason}", "driver-pod",
            f"driver pod {pod['metadata']['name']} on {node}: {message}", final=False,
        )
        for pod in pods
        if (node := node_of(pod)) in groups and not pod_is_ready(pod)
        for reason, message in _hindrances(pod, events)
    ]  # fmt: skip


def _hindrances(pod: Object, events: Sequence[Object]) -> Sequence[tuple[str, str]]:
    """Reasons with words: of waiting containers, of the scheduler, or else of the latest event."""
    status = pod.get("status", {})
    found = []
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = container.get("state", {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        # The others are what every pod goes through.
        if reason and reason not in ("ContainerCreating", "PodInitializing"):
            found.append((reason, f"{reason}{f': {message}' if (message := waiting.get('message')) else ''}"))
    if found:
        return found
    if why := unschedulable(pod):
        return [("Unschedulable", f"Unschedulable: {why}")]
    return [(e["reason"], f"{e['reason']}: {e['message']}") for e in warnings_of(pod, events)[-1:]]
