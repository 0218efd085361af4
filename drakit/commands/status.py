"""`drakit status`: nodes, devices and who has them, and what is wrong."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from drakit.commands.mig import outdated
from drakit.commands.nodes import INSTANCE_TYPE_LABEL, is_ready
from drakit.commands.scale.intent import as_it_is
from drakit.commands.session import Session, not_running, not_up
from drakit.commands.spending import note, spent
from drakit.dra.devices import Device, devices_of
from drakit.engine.journal import read_journal
from drakit.engine.lock import lock_holder
from drakit.errors import DrakitError
from drakit.kube.kinds import NODE
from drakit.moments import relative
from drakit.results import (
    DeviceSummary,
    GroupReservation,
    KubernetesVersion,
    NodeStatus,
    ScheduledSize,
    StatusResult,
)
from drakit.targets.base import GroupSize, group_of
from drakit.terraform.atwork import at_work
from drakit.words import counted

if TYPE_CHECKING:
    from drakit.aws.costs import Cost

Running = Mapping[str, GroupSize] | DrakitError
"""See `drakit.targets.base.Target.running`, or why it could not be asked."""
SOON = timedelta(hours=3)
"""How long before its nodes are drained the end of a reservation is a problem to tell of."""
NOTHING = DeviceSummary(0, 0, 0, 0)


async def status(session: Session) -> StatusResult:
    """The stack as it is now.

    Raises:
        ClusterError: the stack is not up, or its API refuses. A control plane that has stopped is no exception but
            a result with problems and a failure.
    """
    workspace, target = session.workspace, session.target
    health = target.health(workspace)
    if not workspace.exists() or (not health.running and not workspace.kubeconfig.exists()):
        raise not_up(session.stack)
    problems = [*health.problems, *_unfinished(session)]
    if not health.running:
        return StatusResult(
            stack=session.stack.name, target=target.name, kubernetes=None, nodes=(), devices=(), summary=NOTHING,
            hourly_cost=0.0, problems=tuple(problems), failure=not_running(health),
        )  # fmt: skip
    async with session.connect() as kube:
        api = await kube.resource_api()
        server = await kube.server_version()
        nodes = (await kube.list(NODE))[0]
        slices = (await kube.list(api.slice))[0] if api else []
        claims = (await kube.list(api.claim))[0] if api else []
        try:
            running: Running = await session.target.running(kube)
        except DrakitError as error:
            running = error
    statuses = tuple(
        NodeStatus(
            node["metadata"]["name"],
            group_of(node),
            node["metadata"].get("labels", {}).get(INSTANCE_TYPE_LABEL),
            is_ready(node),
        )
        for node in sorted(nodes, key=lambda node: (group_of(node) or "", node["metadata"]["name"]))
    )
    problems += [f"Node {node.name} is not Ready." for node in statuses if not node.ready]
    place = await _look_at_place(session, running, statuses, problems)
    devices = devices_of(slices, claims)
    problems += [
        f"Node {name}: its GPUs are partitioned as {config}, and the DRA driver does not know it yet; "
        f"`drakit mig set {group} {config}` restarts it."
        for name, group, config in outdated(nodes, devices)
    ]
    return StatusResult(
        stack=session.stack.name,
        target=target.name,
        kubernetes=KubernetesVersion(session.stack.kubernetes_version, server, api.version if api else None),
        nodes=statuses,
        devices=devices,
        summary=summarise(devices),
        hourly_cost=place.cost.hourly if place.cost else 0.0,
        costs=place.cost.items if place.cost else (),
        spent=spent(session),
        scheduled=place.scheduled,
        reservations=place.reservations,
        problems=tuple(problems),
    )


@dataclass(frozen=True)
class _Place:
    """What the target says beside the cluster."""

    cost: "Cost | None" = None
    scheduled: tuple[ScheduledSize, ...] = ()
    reservations: tuple[GroupReservation, ...] = ()


async def _look_at_place(
    session: Session, running: Running, nodes: Sequence[NodeStatus], problems: list[str]
) -> _Place:
    """Prices, schedules and reservations; what cannot be asked is a problem, and the rest is shown all the same."""
    stack, target = session.stack, session.target

    async def cost_now() -> "Cost":
        if isinstance(running, DrakitError):
            raise running
        joined = Counter(node.group for node in nodes)
        problems.extend(
            f"{name}: {counted(size.desired, 'instance')} started, and {counted(joined[name], 'node')} joined."
            for name, size in running.items()
            if size.desired > joined[name]
        )
        return await target.cost(as_it_is(stack, running), {name: size.desired for name, size in running.items()})

    cost, scheduled, reservations = await asyncio.gather(
        cost_now(),
        target.scheduled(),
        target.reservations(stack),
        return_exceptions=True,
    )
    for answer in (cost, scheduled, reservations):
        if isinstance(answer, DrakitError):
            problems.append(answer.message)
        elif isinstance(answer, BaseException):
            raise answer
    if not isinstance(cost, BaseException):
        note(session, cost)
    place = _Place(
        None if isinstance(cost, BaseException) else cost,
        () if isinstance(scheduled, BaseException) else tuple(scheduled),
        () if isinstance(reservations, BaseException) else tuple(reservations),
    )
    now = datetime.now(UTC)
    for each in place.reservations:
        if each.state not in ("active", "scheduled"):
            problems.append(f"The capacity reservation {each.id} of {each.group} is {each.state}.")
        elif each.drain and each.drain - now < SOON:
            problems.append(
                f"The capacity reservation {each.id} of {each.group} ends {relative(each.end or each.drain, now)}: its "
                f"nodes are drained {relative(each.drain, now)}."
            )
    return place


def summarise(devices: tuple[Device, ...]) -> DeviceSummary:
    """Counts over devices."""
    allocated = sum(1 for device in devices if device.allocated_to)
    return DeviceSummary(
        gpus=sum(1 for device in devices if device.type == "gpu"),
        mig_devices=sum(1 for device in devices if device.type == "mig"),
        allocated=allocated,
        free=len(devices) - allocated,
    )


def _unfinished(session: Session) -> list[str]:
    if (holder := lock_holder(session.workspace.lock)) is not None:
        who = f"`drakit {holder['command']}` (process {holder['pid']})" if holder else "Another run"
        return [f"{who} is under way."]
    left = [each for each in at_work(session.workspace.terraform) if each.command]
    try:
        journal = read_journal(session.workspace.journal)
    except DrakitError as error:
        return [error.message]
    if journal is None or journal["ended"]:
        return []
    command = journal["command"]
    if left:
        what = f"terraform {left[0].command} (process {left[0].pid})"
        return [f"The last `drakit {command}` did not end: it was killed, and its {what} goes on."]
    steps = [name for name, step in journal["steps"].items() if step["status"] != "done"]
    where = f" in {', '.join(steps)}" if steps else ""
    return [f"The last `drakit {command}` did not end{where}; run it again."]
