"""`drakit scale`: change how many nodes groups have, and wait until their devices can be claimed."""

import time
from collections.abc import Sequence

from drakit.commands.mig import declared, partition
from drakit.commands.nodes import INSTANCE_TYPE_LABEL, group_statuses, wait_for_nodes
from drakit.commands.session import Session
from drakit.dra.devices import devices_of
from drakit.engine.events import Report
from drakit.engine.step import Step, run_steps
from drakit.errors import ClusterError
from drakit.results import GroupScale, PublishedDevices, ScaleResult
from drakit.stack.groups import parse_scale
from drakit.targets.base import GroupSize


async def scale(session: Session, arguments: Sequence[str]) -> ScaleResult:
    """Scale node groups.

    Args:
        arguments: `GROUP=N` each.

    Raises:
        UsageError: an argument names no group of the stack, or no size it may have.
        ClusterError: the stack is not up, or was brought up without one of the groups.
        TimedOut: the nodes or their devices did not come; the sizes stay set.
    """
    started = time.monotonic()
    wanted = parse_scale(arguments, session.stack.node_groups)
    session.require_up()
    with session.mutate("scale") as journal:
        async with session.connect() as kube:
            api = await kube.resource_api()
            before = await session.target.group_sizes(kube)
            for name in wanted:
                if name not in before:
                    raise ClusterError(
                        f"The node group {name} is in the stack file but not in the cluster.",
                        hint="`drakit up` makes it.",
                        code="group-not-up",
                    )
            after = {n: GroupSize(wanted.get(n, size.desired), size.instance_type) for n, size in before.items()}

            async def set_sizes(report: Report) -> bool:
                changes = {name: size for name, size in wanted.items() if before[name].desired != size}
                await session.target.scale(kube, changes, session.timeout)
                return bool(changes)

            async def wait(report: Report) -> bool:
                assert api is not None
                nodes.update(
                    await wait_for_nodes(
                        kube, api, after, report, session.timeout, devices=session.stack.gpu.dra_driver.enabled
                    )
                )
                return False

            async def divide(report: Report) -> bool:
                assert api is not None
                configs = declared(session.stack.node_groups, nodes.values())
                if not configs or not session.stack.gpu.dra_driver.enabled:
                    return False
                return any(node.changed for node in await partition(kube, api, configs, report, session.timeout))

            nodes: dict = {}  # type: ignore[type-arg]
            steps = [
                Step("sizes", set_sizes),
                Step("nodes", wait, after=("sizes",)),
                Step("mig", divide, after=("nodes",)),
            ]
            await run_steps(steps, journal=journal, emit=session.emit)
            slices = (await kube.list(api.slice))[0] if api else []
        journal.close()
    statuses = group_statuses(after, nodes)
    types = [node["metadata"]["labels"].get(INSTANCE_TYPE_LABEL, "") for node in nodes.values()]
    return ScaleResult(
        node_groups={n: GroupScale(before[n].desired, size, statuses[n].ready) for n, size in wanted.items()},
        devices=PublishedDevices(len(devices_of(slices))),
        hourly_cost=session.target.hourly_cost(types),
        seconds=round(time.monotonic() - started, 3),
    )
