"""Proof that a demo's sharing happened: named checks over what the cluster and the pods say. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drakit.dra.devices import AllocatedDevice, Device, allocated_devices, reserved_for

Object = Mapping[str, Any]

_UUID = re.compile(r"\b(?:GPU|MIG)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `evidence` is what was seen, whether good or bad."""

    name: str
    ok: bool
    evidence: str


@dataclass(frozen=True)
class PodProof:
    """A pod of a demo: where it runs, the devices of its claims, and the UUIDs that its log shows."""

    namespace: str
    name: str
    phase: str
    node: str | None
    devices: tuple[str, ...]
    uuids: tuple[str, ...]


@dataclass(frozen=True)
class ClaimProof:
    """A claim of a demo with the devices allocated to it."""

    namespace: str
    name: str
    devices: tuple[AllocatedDevice, ...]


@dataclass(frozen=True)
class Evidence:
    """What a demo left to look at: its pods, its claims by name, each pod's claims, each pod's log, the devices."""

    pods: Sequence[Object]
    claims: Mapping[str, Object]
    claims_of_pods: Mapping[str, Sequence[str]]
    logs: Mapping[str, str]
    devices: Sequence[Device]

    def pod_proofs(self) -> tuple[PodProof, ...]:
        """The pods, in order."""
        return tuple(self._pod_proof(pod) for pod in self.pods)

    def claim_proofs(self) -> tuple[ClaimProof, ...]:
        """The claims, in order of their names."""
        return tuple(
            ClaimProof(claim["metadata"]["namespace"], name, allocated_devices(claim, self.devices))
            for name, claim in sorted(self.claims.items())
        )

    def allocated(self, pod: str) -> tuple[AllocatedDevice, ...]:
        """The devices of all claims of a pod."""
        claims = [self.claims[name] for name in self.claims_of_pods.get(pod, ()) if name in self.claims]
        return tuple(device for claim in claims for device in allocated_devices(claim, self.devices))

    def _pod_proof(self, pod: Object) -> PodProof:
        name = pod["metadata"]["name"]
        return PodProof(
            namespace=pod["metadata"]["namespace"],
            name=name,
            phase=pod.get("status", {}).get("phase", "Unknown"),
            node=pod["spec"].get("nodeName"),
            devices=tuple(device.device for device in self.allocated(name)),
            uuids=uuids_in(self.logs.get(name, "")),
        )


def uuids_in(text: str) -> tuple[str, ...]:
    """The UUIDs of GPUs and MIG devices in a text, each once, in order."""
    return tuple(dict.fromkeys(_UUID.findall(text)))


def prove_basic(evidence: Evidence) -> tuple[Check, ...]:
    """That one pod has one whole GPU to itself, and sees just that one."""
    return (
        _allocated(evidence),
        _reserved(evidence),
        _one_whole_gpu(evidence),
        _running(evidence),
        _sees_its_own(evidence),
        _nobody_else(evidence),
    )


def _allocated(evidence: Evidence) -> Check:
    claims = evidence.claim_proofs()
    missing = [claim.name for claim in claims if not claim.devices]
    seen = [f"{claim.name}: {_listed(claim.devices)}" for claim in claims]
    return Check("claims-allocated", bool(claims) and not missing, "; ".join(seen) or "there are no claims")


def _reserved(evidence: Evidence) -> Check:
    expected: dict[str, set[str]] = {}
    for pod, names in evidence.claims_of_pods.items():
        for name in names:
            expected.setdefault(name, set()).add(pod)
    holders = {name: reserved_for(evidence.claims[name]) if name in evidence.claims else () for name in expected}
    seen = [f"{name} for {', '.join(pods) or 'nobody'}" for name, pods in holders.items()]
    ok = bool(seen) and all(set(holders[name]) == pods for name, pods in expected.items())
    return Check("claims-reserved", ok, "; ".join(seen) or "no pod has a claim")


def _one_whole_gpu(evidence: Evidence) -> Check:
    devices = [device for pod in evidence.pods for device in evidence.allocated(pod["metadata"]["name"])]
    ok = len(devices) == 1 and devices[0].type == "gpu"
    seen = ", ".join(f"{device.device} of type {device.type}" for device in devices)
    return Check("one-whole-gpu", ok, seen or "no device")


def _running(evidence: Evidence) -> Check:
    pods = evidence.pod_proofs()
    ok = bool(pods) and all(pod.phase in ("Running", "Succeeded") for pod in pods)
    pools = {device.pool for pod in pods for device in evidence.allocated(pod.name)}
    # A pool of the NVIDIA driver has the name of its node.
    on_device = all(pod.node in pools for pod in pods)
    seen = "; ".join(f"{pod.name} {pod.phase} on {pod.node}" for pod in pods)
    return Check("pods-run-beside-device", ok and on_device, seen or "there are no pods")


def _sees_its_own(evidence: Evidence) -> Check:
    wrong, seen = [], []
    for pod in evidence.pod_proofs():
        expected = tuple(device.uuid for device in evidence.allocated(pod.name))
        seen.append(f"{pod.name} printed {', '.join(pod.uuids) or 'no UUID'}")
        if not pod.uuids or sorted(pod.uuids) != sorted(str(uuid) for uuid in expected):
            wrong.append(f"the slice has {', '.join(map(str, expected)) or 'none'}")
    return Check("uuid-agrees-with-slice", bool(seen) and not wrong, "; ".join([*seen, *wrong]) or "there are no pods")


def _nobody_else(evidence: Evidence) -> Check:
    own = {(claim["metadata"]["namespace"], name) for name, claim in evidence.claims.items()}
    mine = {(d.pool, d.device) for pod in evidence.pods for d in evidence.allocated(pod["metadata"]["name"])}
    others = [
        f"{device.name} is also in {holder.namespace}/{holder.claim}"
        for device in evidence.devices
        if (device.node, device.name) in mine
        for holder in device.allocated_to
        if (holder.namespace, holder.claim) not in own
    ]
    seen = "; ".join(others) or ("no other claim has the device" if mine else "no device")
    return Check("device-not-shared", not others and bool(mine), seen)


def _listed(devices: Iterable[AllocatedDevice]) -> str:
    return ", ".join(f"{device.pool}/{device.device}" for device in devices) or "not allocated"
