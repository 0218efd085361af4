"""NVIDIA's MIG manager on simulated nodes: partitions a node's GPUs as its label says, and reports how it went.

The layout is the hardware's, and outlives every process: an annotation of the Node. Labels and states: NVIDIA GPU
Operator 26.3, assets/state-mig-manager.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence

from drakit.dra.devices import DRIVER
from drakit.dra.hardware import PhysicalGpu
from drakit.dra.machine import Machine, MigFailed
from drakit.dra.mig import CONFIG_LABEL, STATE_LABEL
from drakit.kube.client import Kube
from drakit.kube.kinds import NODE, Object, ResourceApi

LAYOUT = "drakit.dev/mig-layout"
"""Annotation of the Node: the partitions of its GPUs."""
APPLIED = "drakit.dev/mig-applied"
"""Annotation of the Node: the configuration that the state is about."""
MANAGER = "drakit.dev/mig-manager"
"""Annotation of the Node: the uid of the pod that has tried it."""
WORK_SECONDS = 0.2
"""How long a change takes here. On a node: seconds, or minutes where it needs a reboot."""

log = logging.getLogger("drakit.sandbox")


def machine_of(node: Object, gpus: Sequence[PhysicalGpu]) -> Machine:
    """The hardware of a node as its annotation has it; as new where that is missing or damaged."""
    text = node["metadata"].get("annotations", {}).get(LAYOUT)
    if text:
        try:
            return Machine.from_annotation(gpus, text)
        except ValueError as error:
            log.warning("%s: %s", node["metadata"]["name"], error)
    return Machine(tuple(gpus))


def has_work(node: Object, manager: str) -> bool:
    """Whether a MIG manager's pod, of that uid, has anything to do on the node.

    It acts on the label that it finds when it starts, and then on each other value; removing the state moves it not:
    NVIDIA/mig-parted v0.14.2, cmd/nvidia-mig-manager.
    """
    metadata = node["metadata"]
    wanted, annotations = metadata["labels"].get(CONFIG_LABEL), metadata.get("annotations", {})
    under_way = metadata["labels"].get(STATE_LABEL) in ("pending", "rebooting")
    tried = (annotations.get(APPLIED), annotations.get(MANAGER)) == (wanted, manager)
    return bool(wanted) and (under_way or not tried)


async def configure(
    kube: Kube, api: ResourceApi, node: Object, gpus: Sequence[PhysicalGpu], manager: str, *, reboots: bool
) -> Object:
    """Bring a node's GPUs to the configuration that its label names: state pending, then success or failed.

    Args:
        manager: the uid of MIG manager's pod.
        reboots: whether the manager may reboot the node, which a change of MIG mode then does.

    Returns:
        The node as it is now.
    """
    name = node["metadata"]["name"]
    wanted = node["metadata"]["labels"][CONFIG_LABEL]
    tried = {APPLIED: wanted, MANAGER: manager}
    await _write(kube, name, "pending")
    await asyncio.sleep(WORK_SECONDS)
    machine = machine_of(node, gpus)
    claims, _ = await kube.list(api.claim)
    try:
        changed = machine.set_mig(wanted, in_use=_in_use(claims, name))
    except MigFailed as error:
        log.warning("%s: mig.config %s: %s", name, wanted, error)
        return await _write(kube, name, "failed", tried)
    if reboots and any(
        (old.mig is None) != (new.mig is None) for old, new in zip(machine.gpus, changed.gpus, strict=True)
    ):
        await _write(kube, name, "rebooting")
        await asyncio.sleep(WORK_SECONDS)
    return await _write(kube, name, "success", {**tried, LAYOUT: changed.to_annotation()})


def _in_use(claims: Iterable[Object], node: str) -> bool:
    """Whether a device of the node is allocated to a claim."""
    results = (
        result
        for claim in claims
        for result in (claim.get("status", {}).get("allocation") or {}).get("devices", {}).get("results", ())
    )
    return any(result["driver"] == DRIVER and result["pool"] == node for result in results)


async def _write(kube: Kube, node: str, state: str, annotations: Object | None = None) -> Object:
    metadata: Object = {"labels": {STATE_LABEL: state}}
    if annotations:
        metadata["annotations"] = annotations
    return await kube.patch(NODE, node, {"metadata": metadata})
