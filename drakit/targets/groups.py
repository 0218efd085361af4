"""Node groups as every blueprint takes them, with the labels and taints of the JARK stack."""

from collections.abc import Mapping
from typing import Any

from drakit.dra.catalogue import INSTANCE_TYPES
from drakit.dra.mig import CONFIG_LABEL
from drakit.dra.strategies import GPU_TOLERATION
from drakit.stack.model import NodeGroup, Stack
from drakit.targets.base import NODE_GROUP_LABEL

GPU_TAINT = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}


def tolerations(stack: Stack) -> list[Mapping[str, str]]:
    """What a pod needs to run on every node with GPUs: NVIDIA's own toleration, and those of the groups' taints."""
    taints = [taint for group in stack.node_groups.values() if _has_gpus(group) for taint in group.taints]
    own = [{"key": t.key, "operator": "Equal", "value": t.value, "effect": str(t.effect)} for t in taints]
    return [GPU_TOLERATION, *(each for n, each in enumerate(own) if each not in own[:n])]


def _has_gpus(group: NodeGroup) -> bool:
    # Of a type that the catalogue does not know it is not known here.
    kind = INSTANCE_TYPES.get(group.instance_type)
    return kind is None or kind.gpu is not None


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
