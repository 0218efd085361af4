"""Nodes as commands see them: their group, whether they are Ready, whether their devices are published."""

from collections.abc import Container, Iterable, Mapping

from drakit.dra.devices import DRIVER
from drakit.engine.events import Report
from drakit.kube.client import Kube
from drakit.kube.kinds import NODE, Object, ResourceApi
from drakit.kube.watch import Key, wait_for
from drakit.results import GroupStatus
from drakit.targets.base import NODE_GROUP_LABEL, GroupSize

INSTANCE_TYPE_LABEL = "node.kubernetes.io/instance-type"
GPU_LABEL = "nvidia.com/gpu.present"
DEVICE_PLUGIN_RESOURCES = ("nvidia.com/gpu", "nvidia.com/mig-")
"""What NVIDIA's device plugin offers: GPUs, replicas of GPUs, and with the MIG strategy `mixed` nvidia.com/mig-3g.20gb
and the like."""


def group_of(node: Object) -> str | None:
    """The node group of the stack that a node belongs to."""
    labels: dict[str, str] = node["metadata"].get("labels", {})
    return labels.get(NODE_GROUP_LABEL)


def is_ready(node: Object) -> bool:
    """Whether a node's Ready condition is True and nobody is removing it."""
    conditions = node.get("status", {}).get("conditions", ())
    return "deletionTimestamp" not in node["metadata"] and any(
        c["type"] == "Ready" and c["status"] == "True" for c in conditions
    )


def group_statuses(sizes: Mapping[str, GroupSize], nodes: Mapping[Key, Object]) -> dict[str, GroupStatus]:
    """How many nodes of each group are wanted and Ready."""
    ready = [group_of(node) for node in nodes.values() if is_ready(node)]
    return {name: GroupStatus(size.desired, ready.count(name)) for name, size in sizes.items()}


async def wait_for_nodes(
    kube: Kube, api: ResourceApi, sizes: Mapping[str, GroupSize], report: Report, timeout: float, *, devices: bool
) -> dict[Key, Object]:
    """Watch until every group has as many Ready nodes as it shall have, and just those with GPUs have published them.

    Args:
        timeout: seconds, for the nodes and again for the devices.
        devices: whether a DRA driver is there to publish them.

    Raises:
        TimedOut: naming the groups or the nodes that are late.
    """

    def missing(nodes: Mapping[Key, Object]) -> list[str]:
        there = [(group_of(node), is_ready(node)) for node in nodes.values()]
        return [
            f"{name} ({there.count((name, True))} of {size.desired})"
            for name, size in sizes.items()
            # A node that is still leaving counts too: the group is not yet what it shall be.
            if there.count((name, True)) != size.desired or there.count((name, False))
        ]

    def complete(nodes: Mapping[Key, Object]) -> bool:
        late = missing(nodes)
        if late and late != told:
            told[:] = late
            report(f"waiting for nodes: {', '.join(late)}")
        return not late

    told: list[str] = []
    nodes = await wait_for(kube, NODE, complete, what=lambda: f"nodes: {', '.join(told)}", timeout=timeout)
    with_gpus = {name for (_, name), node in nodes.items() if node["metadata"]["labels"].get(GPU_LABEL) == "true"}
    if devices:
        report("waiting for the ResourceSlices")
        await wait_for(
            kube,
            api.slice,
            lambda slices: with_gpus == _publishing(slices.values()),
            what=f"the ResourceSlices of {len(with_gpus)} nodes with GPUs",
            timeout=timeout,
            hint="The pods of the DRA driver's DaemonSet publish them: look at the pods in dra-driver-nvidia-gpu.",
        )
    return nodes


def handed_out_twice(nodes: Iterable[Object], slices: Iterable[Object]) -> tuple[str, ...]:
    """A warning for nodes whose GPUs two drivers would hand out: the DRA driver, and NVIDIA's device plugin.

    Neither knows what the other has given away. `extendedResourceName` of a DeviceClass adds nothing to a node's
    allocatable resources, so what is there is a device plugin's.
    """
    names = sorted(offered_twice(nodes, _publishing(slices)))
    if not names:
        return ()
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return (
        f"The GPUs of {shown} are handed out twice, by the DRA driver and by a device plugin: pods can get a GPU that "
        "is another's. Remove the device plugin; drakit's values of the GPU Operator leave it off.",
    )


def offered_twice(nodes: Iterable[Object], publishing: Container[str]) -> list[str]:
    """The nodes among those that publish devices whose GPUs a device plugin offers as well."""
    return [
        node["metadata"]["name"]
        for node in nodes
        if node["metadata"]["name"] in publishing
        and any(
            str(count) != "0"
            for resource, count in (node.get("status", {}).get("allocatable") or {}).items()
            if resource.startswith(DEVICE_PLUGIN_RESOURCES)
        )
    ]


def _publishing(slices: Iterable[Object]) -> set[str]:
    return {obj["spec"].get("nodeName", "") for obj in slices if obj["spec"]["driver"] == DRIVER}
