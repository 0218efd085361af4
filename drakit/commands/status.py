"""`drakit status`: nodes, devices and who has them, and what is wrong."""

from drakit.commands.mig import outdated
from drakit.commands.nodes import INSTANCE_TYPE_LABEL, group_of, is_ready
from drakit.commands.session import Session, not_running, not_up
from drakit.dra.devices import Device, devices_of
from drakit.engine.journal import read_journal
from drakit.engine.lock import lock_holder
from drakit.kube.kinds import NODE
from drakit.results import DeviceSummary, KubernetesVersion, NodeStatus, StatusResult

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
        hourly_cost=target.hourly_cost([node.instance_type or "" for node in statuses]),
        problems=tuple(problems),
    )


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
    journal = read_journal(session.workspace.journal)
    if journal is None or journal["ended"]:
        return []
    command = journal["command"]
    steps = [name for name, step in journal["steps"].items() if step["status"] != "done"]
    where = f" in {', '.join(steps)}" if steps else ""
    return [f"The last `drakit {command}` did not end{where}; run it again."]
