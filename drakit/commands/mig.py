"""`drakit mig set`: partition the GPUs of a node group, and see to it that the partitions can be claimed.

MIG manager acts on a label of the node; the DRA driver looks at the GPUs only when it starts. So: label, wait for MIG
manager, restart the driver's pod on those nodes, wait until it publishes just what was asked for.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from drakit.commands.nodes import INSTANCE_TYPE_LABEL
from drakit.commands.pods import is_ready
from drakit.commands.session import Session, resource_api
from drakit.dra.catalogue import INSTANCE_TYPES, InstanceType, instance_type
from drakit.dra.devices import PLUGIN_CONTAINER, Device, devices_of
from drakit.dra.mig import ALL_DISABLED, CONFIG_LABEL, MANAGER_APP, STATE_LABEL, UnknownMigConfig, layout, mig_configs
from drakit.engine.events import Report
from drakit.engine.step import Step, run_steps
from drakit.errors import ClusterError, PreflightError, UsageError
from drakit.kube.client import Kube
from drakit.kube.kinds import NODE, POD, Object, ResourceApi
from drakit.kube.watch import Key, wait_for
from drakit.results import MigNode, MigResult
from drakit.stack.model import NodeGroup
from drakit.stack.names import shown, suggestion
from drakit.targets.base import group_of
from drakit.targets.releases import DRA_DRIVER, OPERATOR
from drakit.words import counted

AGAIN = "drakit.dev/mig-again"
"""Annotation of a Node: the configuration that MIG manager is to try once more."""
Content = Counter[tuple[str, str | None]]
"""How many devices of a type and a MIG profile."""


async def mig_set(session: Session, group: str, config: str) -> MigResult:
    """Bring the GPUs of a node group to a MIG configuration.

    Args:
        config: as MIG manager calls it, "all-balanced"; "all-disabled" for whole GPUs.

    Raises:
        UsageError: there is no such group, its GPUs have no MIG, or no such configuration.
        PreflightError: the group has no nodes, or devices there are allocated to claims.
        ClusterError: the stack is not up, or MIG manager failed.
        TimedOut: MIG manager or the DRA driver took too long; run again to go on.
    """
    started = time.monotonic()
    groups = session.stack.node_groups
    if group not in groups:
        raise UsageError(
            f"There is no node group {shown(group)}; {suggestion(group, groups, 'node groups')}", code="unknown-group"
        )
    check_config(group, groups[group], config)
    session.require_up()
    done: list[MigNode] = []
    async with session.mutate("mig") as journal:
        async with session.connect() as kube:
            api = await resource_api(kube)

            async def work(report: Report) -> bool:
                done.extend(await set_mig(session, kube, api, group, config, report))
                return any(node.changed for node in done)

            await run_steps([Step("mig", work)], journal=journal, emit=session.emit)
        journal.close()
    declared = groups[group].mig
    differs = session.file is not None and (declared or ALL_DISABLED) != config
    return MigResult(
        group=group,
        config=config,
        nodes=tuple(done),
        seconds=round(time.monotonic() - started, 3),
        warnings=(
            f"Nodes that come later get {declared or ALL_DISABLED}: "
            f"nodeGroups.{group}.mig is {declared or 'not set'} in the stack file.",
        )
        if differs
        else (),
    )


def check_config(group: str, definition: NodeGroup, config: str) -> None:
    """Refuse a MIG configuration that the GPUs of a group cannot have.

    Raises:
        UsageError: saying what they can have.
    """
    kind = instance_type(definition.instance_type)
    if kind.gpu is None or not kind.gpu.mig:
        has = f"{kind.gpu.product_name} has no MIG" if kind.gpu else "it has no GPU"
        raise UsageError(
            f"The node group {group} ({kind.name}) cannot be partitioned: {has}.",
            hint="MIG needs an A100, H100 or H200, as p4d.24xlarge and p5.48xlarge have them.",
            code="no-mig",
        )
    try:
        layout(kind.gpu, config)
    except UnknownMigConfig as error:
        raise UsageError(f"{group} ({kind.name}): {error}", code="unknown-mig-config") from error


async def set_mig(
    session: Session, kube: Kube, api: ResourceApi, group: str, config: str, report: Report
) -> tuple[MigNode, ...]:
    """Partition every node of a group, and wait until just those partitions are published.

    Raises:
        PreflightError, ClusterError, TimedOut: as for `mig_set`.
    """
    nodes, _ = await kube.list(NODE)
    nodes = [node for node in nodes if group_of(node) == group]
    if not nodes:
        raise PreflightError(
            f"The node group {group} has no nodes.",
            hint=f"`drakit scale {group}=1` gives it one.",
            code="group-empty",
        )
    return await partition(
        kube, api, dict.fromkeys((node["metadata"]["name"] for node in nodes), config), report, session.timeout
    )


@dataclass(frozen=True)
class _Goal:
    """What a node shall have."""

    config: str
    content: Content


async def partition(
    kube: Kube, api: ResourceApi, configs: Mapping[str, str], report: Report, timeout: float
) -> tuple[MigNode, ...]:
    """Bring nodes to their MIG configurations; those that are there already are left alone.

    Args:
        configs: the configuration by the node's name.
        timeout: seconds, for each wait.

    Raises:
        PreflightError: a device of a node that must change is allocated to a claim.
        ClusterError: MIG manager failed.
        TimedOut: MIG manager or the driver took too long.
    """
    nodes = {n["metadata"]["name"]: n for n in (await kube.list(NODE))[0] if n["metadata"]["name"] in configs}
    goals = {name: _Goal(configs[name], expected(_kind(node), configs[name])) for name, node in nodes.items()}
    before = await _published(kube, api)
    late = [n for n, goal in goals.items() if not _configured(nodes[n], goal) or _content(before, n) != goal.content]
    if late:
        _refuse_if_allocated([device for device in before if device.node in late])
        asked = {name: goals[name] for name in late if not _asked(nodes[name], goals[name])}
        # A run for the label that is there would report its own success as that of the new one.
        await _wait_for_manager(
            kube, {n: _label(nodes[n]) for n in asked if _label(nodes[n])}, report, timeout, idle=True
        )
        for name, goal in asked.items():
            report(f"asking for {goal.config} on {name}")
            metadata: Object = {"labels": {CONFIG_LABEL: goal.config, STATE_LABEL: None}}
            if _label(nodes[name]) == goal.config:
                metadata["annotations"] = {AGAIN: goal.config}
            await kube.patch(NODE, name, {"metadata": metadata})
        await _try_again(kube, [n for n in late if _is_to_try_again(nodes[n], goals[n])])
        await _wait_for_manager(kube, {name: goals[name].config for name in late}, report, timeout)
        await _restart_driver(kube, late, report, timeout)
        report("waiting for the ResourceSlices")
        await wait_for(
            kube, api.slice, lambda slices: _all_published(slices.values(), goals), timeout=timeout,
            what=f"the devices of {', '.join(sorted({goals[n].config for n in late}))} on {counted(len(late), 'node')}",
            hint=f"The DRA driver's pods publish them: `kubectl get pods -n {DRA_DRIVER}`.",
        )  # fmt: skip
    after = await _published(kube, api)
    return tuple(
        MigNode(name, name in late, {profile or type_: n for (type_, profile), n in _content(after, name).items()})
        for name in goals
    )


async def refuse_partitioning(kube: Kube, api: ResourceApi, configs: Mapping[str, str]) -> None:
    """Refuse a change of nodes' labels that MIG manager would act on while claims hold their devices.

    Args:
        configs: the configuration that each node is to have, by its name; those that have it are left alone.

    Raises:
        PreflightError: as for `partition`.
    """
    nodes, _ = await kube.list(NODE)
    names = {node["metadata"]["name"] for node in nodes}
    other = {node["metadata"]["name"] for node in nodes if _label(node) != configs.get(node["metadata"]["name"], "")}
    if changing := names & configs.keys() & other:
        _refuse_if_allocated([device for device in await _published(kube, api) if device.node in changing])


def declared(
    groups: Mapping[str, NodeGroup], nodes: Iterable[Object], before: Mapping[str, NodeGroup] | None = None
) -> dict[str, str]:
    """The MIG configuration that the stack file has for each of the nodes, by name; without those it has none for.

    Without those, too, of instance types that the catalogue does not know: preflight tells of them.

    Args:
        before: the groups as they were applied last. One that had a configuration then, and has none now, gets whole
            GPUs: EKS takes the label away, and the operator's default for that is all-disabled.
    """
    wanted = {n: group.mig or (ALL_DISABLED if had_mig(before or {}, n) else None) for n, group in groups.items()}
    configs = {n: mig for n, mig in wanted.items() if mig and groups[n].instance_type in INSTANCE_TYPES}
    return {node["metadata"]["name"]: configs[str(group_of(node))] for node in nodes if group_of(node) in configs}


def had_mig(before: Mapping[str, NodeGroup], group: str) -> bool:
    """Whether a group had a MIG configuration of the stack file's."""
    return group in before and before[group].mig is not None


def outdated(nodes: Iterable[Object], devices: Sequence[Device]) -> list[tuple[str, str | None, str]]:
    """Nodes whose driver has not been restarted since their GPUs were partitioned: name, node group, configuration."""
    found = []
    for node in nodes:
        labels, name = node["metadata"].get("labels", {}), node["metadata"]["name"]
        kind = INSTANCE_TYPES.get(labels.get(INSTANCE_TYPE_LABEL, ""))
        if kind is None or kind.gpu is None or labels.get(CONFIG_LABEL) not in mig_configs(kind.gpu):
            continue
        published = _content(devices, name)
        if labels.get(STATE_LABEL) == "success" and published and published != expected(kind, labels[CONFIG_LABEL]):
            found.append((name, group_of(node), labels[CONFIG_LABEL]))
    return found


def expected(kind: InstanceType, config: str) -> Content:
    """What a node of an instance type publishes under a MIG configuration.

    Raises:
        UnknownMigConfig: its GPU has no such configuration.
    """
    assert kind.gpu is not None
    placements = layout(kind.gpu, config)
    if placements is None:
        return Counter({("gpu", None): kind.gpus})
    return Counter([("mig", placement.profile.name) for placement in placements] * kind.gpus)


def _kind(node: Object) -> InstanceType:
    return INSTANCE_TYPES[node["metadata"]["labels"][INSTANCE_TYPE_LABEL]]


def _label(node: Object) -> str:
    return str(node["metadata"]["labels"].get(CONFIG_LABEL) or "")


def _asked(node: Object, goal: _Goal) -> bool:
    return _label(node) == goal.config and node["metadata"]["labels"].get(STATE_LABEL) != "failed"


def _is_to_try_again(node: Object, goal: _Goal) -> bool:
    """Whether MIG manager has failed at this; also in a run of drakit's that was interrupted before it could say so."""
    again = node["metadata"].get("annotations", {}).get(AGAIN) == goal.config
    return _label(node) == goal.config and (again or node["metadata"]["labels"].get(STATE_LABEL) == "failed")


def _configured(node: Object, goal: _Goal) -> bool:
    return _label(node) == goal.config and node["metadata"]["labels"].get(STATE_LABEL) == "success"


async def _published(kube: Kube, api: ResourceApi) -> Sequence[Device]:
    slices, _ = await kube.list(api.slice)
    claims, _ = await kube.list(api.claim)
    return devices_of(slices, claims)


def _content(devices: Iterable[Device], node: str) -> Content:
    return Counter((device.type, device.profile) for device in devices if device.node == node)


def _all_published(slices: Iterable[Object], goals: Mapping[str, _Goal]) -> bool:
    devices = devices_of(slices)
    return all(_content(devices, name) == goal.content for name, goal in goals.items())


def _refuse_if_allocated(devices: Iterable[Device]) -> None:
    taken = [
        f"{device.node}/{device.name}: {holder.namespace}/{holder.claim}"
        + (f" (pods {', '.join(holder.pods)})" if holder.pods else "")
        for device in devices
        for holder in device.allocated_to
    ]
    if taken:
        raise PreflightError(
            "\n".join(["GPUs cannot be partitioned while their devices are allocated:", *(f"  {t}" for t in taken)]),
            hint="Delete those pods and claims first; `drakit status` shows them.",
            code="devices-allocated",
            details={"allocated": taken},
        )


async def _wait_for_manager(
    kube: Kube, configs: Mapping[str, str], report: Report, timeout: float, *, idle: bool = False
) -> None:
    """Wait until MIG manager has brought nodes to their configurations; `idle`: or has given up on them."""
    told: list[str] = []

    def settled(nodes: Mapping[Key, Object]) -> bool:
        states = {name: _state(nodes.get(("", name)), config) for name, config in configs.items()}
        news = [f"{name} {state}" for name, state in states.items() if state not in ("success", "failed")]
        if news and news != told:
            told[:] = news
            report(f"waiting for MIG manager: {', '.join(news)}")
        failed = [name for name, state in states.items() if state == "failed"]
        if failed and not idle:
            raise ClusterError(
                f"MIG manager could not set {configs[failed[0]]} on {', '.join(failed)}.",
                hint="Its log says why: `kubectl logs -n gpu-operator -l app=nvidia-mig-manager`.",
                code="mig-failed",
            )
        return not news

    if not configs:
        return
    await wait_for(
        kube, NODE, settled, what=lambda: f"MIG manager: {', '.join(told)}", timeout=timeout,
        hint="The GPU Operator brings MIG manager (gpu.operator.enabled in the stack file): "
        "`kubectl get pods -n gpu-operator -l app=nvidia-mig-manager`.",
    )  # fmt: skip


def _state(node: Object | None, config: str) -> str:
    if node is None:
        return "gone"
    if _label(node) != config:
        return f"changed to {_label(node) or 'nothing'} by somebody else"
    return str(node["metadata"]["labels"].get(STATE_LABEL) or "not picked up yet")


async def _try_again(kube: Kube, nodes: Sequence[str]) -> None:
    """Replace MIG manager's pods: it acts on the label that it starts with, and then only on others."""
    if not nodes:
        return
    for pod in (await kube.list(POD, OPERATOR))[0]:
        if pod["spec"].get("nodeName") in nodes and pod["metadata"].get("labels", {}).get("app") == MANAGER_APP:
            await kube.delete(POD, pod["metadata"]["name"], OPERATOR)
    for name in nodes:
        await kube.patch(NODE, name, {"metadata": {"annotations": {AGAIN: None}}})


async def _restart_driver(kube: Kube, nodes: Sequence[str], report: Report, timeout: float) -> None:
    """Have the DaemonSet replace the driver's pods on these nodes; the others' pods run on."""
    report(f"restarting the DRA driver on {counted(len(nodes), 'node')}")
    old = set()
    for pod in (await kube.list(POD, DRA_DRIVER))[0]:
        if _is_plugin(pod) and pod["spec"].get("nodeName") in nodes:
            old.add(pod["metadata"]["uid"])
            await kube.delete(POD, pod["metadata"]["name"], DRA_DRIVER)

    def replaced(pods: Mapping[Key, Object]) -> bool:
        new = {
            p["spec"].get("nodeName")
            for p in pods.values()
            if p["metadata"]["uid"] not in old and _is_plugin(p) and is_ready(p)
        }
        return set(nodes) <= new

    await wait_for(
        kube, POD, replaced, what=f"the DRA driver's pods on {counted(len(nodes), 'node')}", timeout=timeout,
        namespace=DRA_DRIVER,
        hint=f"`kubectl get pods -n {DRA_DRIVER}`: the DaemonSet's pods must run on the group's nodes.",
    )  # fmt: skip


def _is_plugin(pod: Object) -> bool:
    return any(container["name"] == PLUGIN_CONTAINER for container in pod["spec"]["containers"])
