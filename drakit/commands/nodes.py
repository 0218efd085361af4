"""Nodes as commands see them: their group, whether they are Ready, whether their devices are published."""

from collections.abc import Container, Iterable, Mapping

from drakit.dra.devices import DRIVER
from drakit.kube.kinds import Object
from drakit.kube.watch import Key
from drakit.results import GroupStatus
from drakit.targets.base import GroupSize, group_of

INSTANCE_TYPE_LABEL = "node.kubernetes.io/instance-type"
GPU_LABEL = "nvidia.com/gpu.present"
DEVICE_PLUGIN_RESOURCES = ("nvidia.com/gpu", "nvidia.com/mig-")
"""What NVIDIA's device plugin offers: GPUs, replicas of GPUs, and with the MIG strategy `mixed` nvidia.com/mig-3g.20gb
and the like."""


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


def handed_out_twice(nodes: Iterable[Object], slices: Iterable[Object]) -> tuple[str, ...]:
    """A warning for nodes whose GPUs two drivers would hand out: the DRA driver, and NVIDIA's device plugin.

    Neither knows what the other has given away. `extendedResourceName` of a DeviceClass adds nothing to a node's
    allocatable resources, so what is there is a device plugin's.
    """
    names = sorted(offered_twice(nodes, publishing(slices)))
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


def publishing(slices: Iterable[Object]) -> set[str]:
    """The nodes whose GPUs the DRA driver has published."""
    return {obj["spec"].get("nodeName", "") for obj in slices if obj["spec"]["driver"] == DRIVER}
