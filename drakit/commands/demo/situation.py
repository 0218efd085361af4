"""The cluster as the demos find it: one look at everything that their preflight asks about."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from drakit.commands.demo.capacity import Groups, free_devices
from drakit.commands.demo.objects import DEMO, DRAKIT, MANAGED_BY, generated_for
from drakit.commands.session import Session
from drakit.dra.devices import PLUGIN_CONTAINER, Device, Holder, devices_of
from drakit.dra.gates import (
    DEFAULT_DRIVER_VERSION,
    DRIVER_VERSIONS,
    FeatureGates,
    GateError,
    feature_gates,
    parse_gates,
)
from drakit.dra.strategies import Strategy
from drakit.kube.client import Kube
from drakit.kube.kinds import DAEMON_SET, NODE, POD, Object, ResourceApi
from drakit.targets.base import group_of
from drakit.targets.releases import DRA_DRIVER


@dataclass(frozen=True)
class Situation:
    """The cluster as the demos find it.

    Args:
        devices: every published device.
        free: those that a demo could get.
        daemon_sets: of every namespace.
        gates: the DRA driver's feature gates as it runs; None when they cannot be seen.
        refused: why the driver does not start with its gates.
    """

    device_classes: frozenset[str]
    devices: tuple[Device, ...]
    free: tuple[Device, ...]
    nodes: tuple[Object, ...]
    publishing: frozenset[str]
    daemon_sets: tuple[Object, ...]
    gates: FeatureGates | None
    refused: str | None
    groups: Groups


async def look(session: Session, kube: Kube, api: ResourceApi, strategies: Sequence[Strategy]) -> Situation:
    """The situation for these demos; what earlier runs of theirs left counts as free."""
    objects = await asyncio.gather(
        *(kube.list(kind) for kind in (api.device_class, api.slice, api.claim, NODE, DAEMON_SET)),
        kube.list(POD, labels={MANAGED_BY: DRAKIT}),
    )
    classes, slices, claims, nodes, daemon_sets, pods = (found for found, _ in objects)
    sizes, prices = await asyncio.gather(session.target.group_sizes(kube), session.target.node_prices(session.stack))
    devices = devices_of(slices, claims)
    gates, refused = driver_gates(daemon_sets)
    group = {node["metadata"]["name"]: group_of(node) for node in nodes}
    return Situation(
        device_classes=frozenset(obj["metadata"]["name"] for obj in classes),
        devices=devices,
        free=tuple(free_devices(devices, nodes, leftovers(strategies, claims, pods))),
        nodes=tuple(nodes),
        publishing=frozenset(obj["spec"].get("nodeName", "") for obj in slices),
        daemon_sets=tuple(daemon_sets),
        gates=gates,
        refused=refused,
        groups=Groups(
            stack=session.stack.node_groups,
            sizes=sizes,
            busy={str(group.get(device.node)) for device in devices if device.allocated_to},
            prices=prices,
        ),
    )


def leftovers(strategies: Sequence[Strategy], claims: Sequence[Object], pods: Sequence[Object]) -> list[Holder]:
    """The claims of earlier runs of these demos: they go before the demo starts."""
    names = {strategy.namespace: strategy.name for strategy in strategies}

    def ours(obj: Object) -> bool:
        labels = obj["metadata"].get("labels") or {}
        name = names.get(obj["metadata"]["namespace"])
        return labels.get(MANAGED_BY) == DRAKIT and name is not None and labels.get(DEMO) == name

    own_pods = {(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in pods if ours(pod)}
    return [
        Holder(claim["metadata"]["namespace"], claim["metadata"]["name"])
        for claim in claims
        if ours(claim) or (claim["metadata"]["namespace"], generated_for(claim)) in own_pods
    ]


def driver_gates(daemon_sets: Sequence[Object]) -> tuple[FeatureGates | None, str | None]:
    """The gates that the DRA driver's DaemonSet has, or why it cannot start with them."""
    containers = (
        container
        for daemon_set in daemon_sets
        if daemon_set["metadata"]["namespace"] == DRA_DRIVER
        for container in daemon_set["spec"]["template"]["spec"]["containers"]
        if container["name"] == PLUGIN_CONTAINER
    )
    container = next(containers, None)
    if container is None:
        return None, None
    given = next((item.get("value") or "" for item in container.get("env", ()) if item["name"] == "FEATURE_GATES"), "")
    try:
        return feature_gates(parse_gates(given), _version(container["image"])), None
    except GateError as error:
        return None, str(error)


def _version(image: str) -> str:
    tag = image.partition("@")[0].rpartition(":")[2].removeprefix("v")
    near = [version for version in DRIVER_VERSIONS if version.rpartition(".")[0] == tag.rpartition(".")[0]]
    return tag if tag in DRIVER_VERSIONS else near[-1] if near else DEFAULT_DRIVER_VERSION
