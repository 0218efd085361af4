"""Node groups as every blueprint takes them, with the labels and taints of the JARK stack."""

from collections.abc import Mapping
from typing import Any

from drakit.dra.mig import CONFIG_LABEL
from drakit.stack.model import NodeGroup
from drakit.targets.base import NODE_GROUP_LABEL

GPU_TAINT = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}


def definition(name: str, group: NodeGroup, *, gpu: bool, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A node group. The stack file's own labels come last.

    Args:
        gpu: whether its instance type has NVIDIA GPUs.
        labels: the blueprint's own, beside the stack's.
    """
    made = {"NodeGroupType": name, **(labels or {})}
    if gpu:
        made |= {"nvidia.com/gpu.present": "true", "accelerator": "nvidia"}
    else:
        made["WorkerType"] = "ON_DEMAND"
    if group.mig:
        made[CONFIG_LABEL] = group.mig
    return {
        "instance_type": group.instance_type,
        "min": group.min,
        "max": group.max,
        "desired": group.desired,
        "labels": {**made, **group.labels, NODE_GROUP_LABEL: name},
        "taints": [*([GPU_TAINT] if gpu else []), *(taint.model_dump() for taint in group.taints)],
    }
