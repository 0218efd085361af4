"""Node groups of the sandbox: a ConfigMap each in the cluster, which the node simulator watches.

The cluster keeps them, so they outlive every process, and whoever may write them scales the group.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from drakit.kube.client import Kube
from drakit.kube.kinds import CONFIG_MAP, Object

NAMESPACE = "kube-system"
LABEL = "drakit.dev/node-group"
NODE_GROUP_LABEL = "eks.amazonaws.com/nodegroup"
"""The label by which EKS tells a node's group; simulated nodes carry it too."""


@dataclass(frozen=True)
class NodeGroup:
    """A group of simulated nodes, as an EKS managed node group has it."""

    name: str
    instance_type: str
    min: int
    max: int
    desired: int
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Mapping[str, str], ...] = ()
    """Each with `key`, `value` and `effect` as Kubernetes spells it ("NoSchedule")."""

    def to_config_map(self) -> Object:
        """The object that stands for the group."""
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": _object_name(self.name), "namespace": NAMESPACE, "labels": {LABEL: self.name}},
            "data": {"nodeGroup": json.dumps(asdict(self))},
        }

    @classmethod
    def from_config_map(cls, obj: Object) -> "NodeGroup":
        """The group that an object stands for.

        Raises:
            ValueError: the object was damaged by hand.
        """
        try:
            data: dict[str, Any] = json.loads(obj["data"]["nodeGroup"])
            return cls(**{**data, "taints": tuple(data["taints"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"{obj['metadata']['name']} does not describe a node group: {error}") from error


async def read_groups(kube: Kube) -> dict[str, NodeGroup]:
    """The node groups of a sandbox, by name."""
    objects, _ = await kube.list(CONFIG_MAP, NAMESPACE)
    groups = [NodeGroup.from_config_map(obj) for obj in objects if LABEL in obj["metadata"].get("labels", {})]
    return {group.name: group for group in groups}


async def apply_group(kube: Kube, group: NodeGroup) -> None:
    """Create or change a group's definition. The size of a group that exists is kept, within its new bounds."""
    existing = await kube.get(CONFIG_MAP, _object_name(group.name), NAMESPACE)
    if existing is not None:
        size = NodeGroup.from_config_map(existing).desired
        group = replace(group, desired=max(group.min, min(group.max, size)))
    await kube.apply(CONFIG_MAP, group.to_config_map())


async def scale_group(
    kube: Kube, group: NodeGroup, desired: int | None = None, *, min: int | None = None, max: int | None = None
) -> None:
    """Set how many nodes a group shall have, and may have; None leaves a number as it is."""
    changed = replace(
        group,
        desired=group.desired if desired is None else desired,
        min=group.min if min is None else min,
        max=group.max if max is None else max,
    )
    await kube.apply(CONFIG_MAP, changed.to_config_map())


async def delete_group(kube: Kube, name: str) -> None:
    """Delete a group; its nodes go."""
    await kube.delete(CONFIG_MAP, _object_name(name), NAMESPACE)


def _object_name(name: str) -> str:
    return f"drakit-node-group-{name}"
