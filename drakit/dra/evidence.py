"""What a demo left to look at, and what its result shows of it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from drakit.dra.devices import DRIVER, AllocatedDevice, Device, allocated_devices
from drakit.dra.report import WorkloadReport, read_report

Object = Mapping[str, Any]
Sharer = tuple[str, str]
"""A pod and one of its containers: what shares a device."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `evidence` is what was seen, whether good or bad."""

    name: str
    ok: bool
    evidence: str


@dataclass(frozen=True)
class PodProof:
    """A pod of a demo: where it runs, the devices of its containers, and the UUIDs that its logs show."""

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
class SharerProof:
    """A container of a demo, and what its workload saw of its device. Memory is in bytes.

    Args:
        memory_refused: the size of the allocation that the driver refused; None when it granted it.
        simulated: the figures are the sandbox's, not a GPU's.
    """

    pod: str
    container: str
    uuid: str | None
    multiprocessors: int | None
    memory_total: int | None
    memory_refused: int | None
    launches_per_second: float | None
    simulated: bool = False


@dataclass(frozen=True)
class Evidence:
    """What a demo left to look at.

    Args:
        pods: the demo's pods, and no others of the namespace.
        claims: the ResourceClaims that its pods have, by name.
        logs: the log of each container, by pod and container.
        devices: every published device, with its holders.
        daemons: the Deployments of the driver's namespace.
        profiles: the MIG profile promised to each request; `template_context` chooses them.
    """

    pods: Sequence[Object]
    claims: Mapping[str, Object]
    logs: Mapping[Sharer, str]
    devices: Sequence[Device]
    daemons: Sequence[Object] = ()
    profiles: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def sharers(self) -> tuple[Sharer, ...]:
        """The containers that have a claim, in order of the pods. Others, such as injected proxies, have no part."""
        return tuple(
            (pod["metadata"]["name"], container["name"])
            for pod in self.pods
            for container in pod["spec"].get("containers", ())
            if _claims_in(container)
        )

    @cached_property
    def reports(self) -> Mapping[Sharer, WorkloadReport]:
        """What each sharer's log says; an empty report when there is no log."""
        return {sharer: read_report(self.logs.get(sharer, "")) for sharer in self.sharers}

    def expected(self, pod: str, container: str) -> tuple[AllocatedDevice, ...]:
        """The devices that a container should see: those of its claims, and of just the requests that it names."""
        return tuple(
            device
            for claim, request in self._references(pod, container)
            for device in allocated_devices(claim, self.devices)
            if _answers(device.request, request)
        )

    def claims_in(self, pod: str, container: str) -> tuple[Object, ...]:
        """The claims that a container has."""
        return tuple(claim for claim, _ in self._references(pod, container))

    def published(self, allocated: AllocatedDevice) -> Device | None:
        """The published device of an allocation; None when it is another driver's, or no longer published."""
        key = allocated.pool, allocated.device
        ours = allocated.driver == DRIVER
        return next((device for device in self.devices if ours and (device.node, device.name) == key), None)

    def pod_proofs(self) -> tuple[PodProof, ...]:
        """The pods, in order."""
        return tuple(self._pod_proof(pod) for pod in self.pods)

    def claim_proofs(self) -> tuple[ClaimProof, ...]:
        """The claims, in order of their names."""
        return tuple(
            ClaimProof(claim["metadata"]["namespace"], name, allocated_devices(claim, self.devices))
            for name, claim in sorted(self.claims.items())
        )

    def sharer_proofs(self) -> tuple[SharerProof, ...]:
        """The containers, in order of the pods."""
        return tuple(
            SharerProof(
                pod=pod,
                container=container,
                uuid=report.uuids[0] if report.uuids else None,
                multiprocessors=report.multiprocessors,
                memory_total=report.memory_total,
                memory_refused=report.memory_tried if report.memory_refused else None,
                launches_per_second=report.launches_per_second,
                simulated=report.simulated,
            )
            for (pod, container), report in self.reports.items()
        )

    def _references(self, pod: str, container: str) -> Iterator[tuple[Object, str | None]]:
        """The claims of a container, each with the request that the container names, if it names one."""
        for holder in self.pods:
            names = claims_of(holder) if holder["metadata"]["name"] == pod else {}
            for spec in holder["spec"].get("containers", ()):
                for reference in _claims_in(spec) if spec["name"] == container else ():
                    claim = self.claims.get(names.get(reference["name"], ""))
                    if claim is not None:
                        yield claim, reference.get("request")

    def _pod_proof(self, pod: Object) -> PodProof:
        name = pod["metadata"]["name"]
        sharers = [sharer for sharer in self.sharers if sharer[0] == name]
        return PodProof(
            namespace=pod["metadata"]["namespace"],
            name=name,
            phase=pod.get("status", {}).get("phase", "Unknown"),
            node=pod["spec"].get("nodeName"),
            devices=tuple(dict.fromkeys(device.device for sharer in sharers for device in self.expected(*sharer))),
            uuids=tuple(dict.fromkeys(uuid for sharer in sharers for uuid in self.reports[sharer].uuids)),
        )


def claims_of(pod: Object) -> Mapping[str, str]:
    """The names of a pod's ResourceClaims, by the names that its containers use for them.

    A claim from a template has no name before Kubernetes has made it; it is left out until then.
    """
    statuses = pod.get("status", {}).get("resourceClaimStatuses") or ()
    generated = {status["name"]: status.get("resourceClaimName") for status in statuses}
    named = {
        claim["name"]: claim.get("resourceClaimName") or generated.get(claim["name"])
        for claim in pod["spec"].get("resourceClaims") or ()
    }
    return {name: claim for name, claim in named.items() if claim}


def _claims_in(container: Object) -> Sequence[Object]:
    return (container.get("resources") or {}).get("claims") or ()


def _answers(request: str, wanted: str | None) -> bool:
    """Whether a result is of a request; a result of an alternative is called "request/alternative"."""
    return wanted is None or request.split("/")[0] == wanted
