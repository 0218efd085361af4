"""The devices of a cluster, read from its objects: what is published, and who has it. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]
_WHOLE = re.compile(r"[0-9]{1,18}")
DRIVER = "gpu.nvidia.com"
PLUGIN_CONTAINER = "gpus"
"""The container of the driver's kubelet plugin, in its DaemonSet, that serves GPUs."""
MPS_DAEMON = "mps-control-daemon-"
"""How the names of the driver's MPS control daemons begin; the claim's UID follows."""


@dataclass(frozen=True)
class Holder:
    """A claim that has a device, and the pods it is reserved for."""

    namespace: str
    claim: str
    pods: tuple[str, ...] = ()


@dataclass(frozen=True)
class Device:
    """A device that the NVIDIA driver publishes.

    `memory` is a Kubernetes quantity. The driver publishes `multiprocessors` of MIG partitions alone.
    """

    node: str
    name: str
    type: str
    product: str | None
    memory: str | None
    uuid: str | None
    profile: str | None = None
    parent: str | None = None
    allocated_to: tuple[Holder, ...] = field(default=())
    multiprocessors: int | None = None


@dataclass(frozen=True)
class AllocatedDevice:
    """A device in a claim's allocation. `uuid` is the published one, None when the slice is gone."""

    request: str
    pool: str
    device: str
    uuid: str | None = None
    type: str | None = None
    driver: str = DRIVER


def devices_of(slices: Iterable[Object], claims: Iterable[Object] = ()) -> tuple[Device, ...]:
    """Every device of the newest generation of every pool, sorted by node and name, each with its holders."""
    slices = [obj for obj in slices if obj["spec"]["driver"] == DRIVER]
    newest: dict[str, int] = {}
    for obj in slices:
        pool = obj["spec"]["pool"]
        newest[pool["name"]] = max(newest.get(pool["name"], 0), pool["generation"])
    holders = _holders(claims)
    found = {}
    for obj in slices:
        pool = obj["spec"]["pool"]
        if pool["generation"] == newest[pool["name"]]:
            for device in obj["spec"].get("devices") or ():
                found[pool["name"], device["name"]] = _device(obj, device, holders)
    return tuple(sorted(found.values(), key=lambda device: (device.node, _natural(device.name))))


def allocated_devices(claim: Object, devices: Iterable[Device]) -> tuple[AllocatedDevice, ...]:
    """The devices of a claim's allocation, looked up among the published ones; none when it is not allocated."""
    published = {(device.node, device.name): device for device in devices}
    results = ((claim.get("status") or {}).get("allocation") or {}).get("devices", {}).get("results", ())
    allocated = []
    for result in results:
        # Another driver may have a pool and a device of the same names.
        ours = result["driver"] == DRIVER
        device = published.get((result["pool"], result["device"])) if ours else None
        allocated.append(
            AllocatedDevice(
                result["request"],
                result["pool"],
                result["device"],
                device.uuid if device else None,
                device.type if device else None,
                result["driver"],
            )
        )
    return tuple(allocated)


def reserved_for(claim: Object) -> tuple[str, ...]:
    """Names of the pods that a claim is reserved for."""
    return tuple(consumer["name"] for consumer in (claim.get("status") or {}).get("reservedFor") or ())


def _holders(claims: Iterable[Object]) -> Mapping[tuple[str, str], tuple[Holder, ...]]:
    holders: dict[tuple[str, str], tuple[Holder, ...]] = {}
    for claim in claims:
        metadata = claim["metadata"]
        holder = Holder(metadata["namespace"], metadata["name"], reserved_for(claim))
        for device in allocated_devices(claim, ()):
            if device.driver != DRIVER:
                continue
            key = device.pool, device.device
            holders[key] = (*holders.get(key, ()), holder)
    return holders


def _device(obj: Object, device: Object, holders: Mapping[tuple[str, str], tuple[Holder, ...]]) -> Device:
    pool = obj["spec"]["pool"]["name"]
    spec = device.get("basic") or device  # v1beta1 keeps them one level down
    attributes = spec.get("attributes") or {}
    capacity = spec.get("capacity") or {}
    multiprocessors = capacity.get("multiprocessors", {}).get("value", "")
    return Device(
        node=obj["spec"].get("nodeName") or pool,
        name=device["name"],
        type=_attribute(attributes, "type") or "unknown",
        product=_attribute(attributes, "productName"),
        memory=capacity.get("memory", {}).get("value"),
        uuid=_attribute(attributes, "uuid"),
        profile=_attribute(attributes, "profile"),
        parent=_attribute(attributes, "parentUUID"),
        allocated_to=holders.get((pool, device["name"]), ()),
        multiprocessors=int(multiprocessors) if _WHOLE.fullmatch(multiprocessors) else None,
    )


def _attribute(attributes: Mapping[str, Mapping[str, Any]], name: str) -> str | None:
    value = attributes.get(name) or attributes.get(f"{DRIVER}/{name}")
    return str(next(iter(value.values()))) if value else None


def _natural(name: str) -> Sequence[tuple[int, str]]:
    return [(int(part), "") if _WHOLE.fullmatch(part) else (-1, part) for part in name.replace("-", " ").split()]
