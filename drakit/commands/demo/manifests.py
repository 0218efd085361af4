"""The manifests of the demos, for a cluster as it is, or for one that there is not yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drakit.commands.demo.capacity import devices_to_come
from drakit.dra.catalogue import INSTANCE_TYPES
from drakit.dra.devices import Device
from drakit.dra.mig import ALL_BALANCED
from drakit.dra.profiles import NoMigLayout
from drakit.dra.strategies import Strategy, template_context
from drakit.manifests import Manifest, render_manifests
from drakit.packaged import packaged
from drakit.stack.model import NodeGroup, Stack
from drakit.targets.groups import tolerations

ANY_A100 = "p4d.24xlarge"
"""The instance type whose MIG profiles stand in the manifests of a stack without MIG."""


@dataclass(frozen=True)
class Rendered:
    """A demo's objects, and the MIG profile that each request of its claim is promised."""

    objects: list[Manifest]
    profiles: Mapping[str, str]


def render(strategy: Strategy, api_version: str, devices: Sequence[Device], stack: Stack) -> Rendered:
    """A demo's objects for a version of resource.k8s.io, the devices that are free, and the nodes' taints.

    Raises:
        NoMigLayout: they have no three MIG partitions of different profiles on one GPU.
    """
    text = packaged_workload()
    context = template_context(strategy, api_version, devices, workload=text, tolerations=tolerations(stack))
    return Rendered(render_manifests(packaged("templates", "demos", strategy.template), context), context["profiles"])


def render_anyway(strategy: Strategy, api_version: str, devices: Sequence[Device], stack: Stack) -> Rendered:
    """The same, with the profiles that the stack's node groups would have where no device has them."""
    try:
        return render(strategy, api_version, devices, stack)
    except NoMigLayout:
        return render(strategy, api_version, _devices_of(stack.node_groups), stack)


def packaged_workload() -> str:
    """The text of the program that every demo's pod runs."""
    return packaged("workload.py").read_text(encoding="utf-8")


def _devices_of(groups: Mapping[str, NodeGroup]) -> Sequence[Device]:
    for group in groups.values():
        kind = INSTANCE_TYPES.get(group.instance_type)
        if kind and kind.gpu and kind.gpu.mig:
            return devices_to_come("node", kind, ALL_BALANCED)
    return devices_to_come("node", INSTANCE_TYPES[ANY_A100], ALL_BALANCED)
