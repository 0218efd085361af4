"""What in a cluster stands for things outside of it, and how it is removed: controllers do the work, so it is watched.

A load balancer goes when its Service, Ingress or Gateway does, and a volume when its PersistentVolumeClaim does: each
has a finalizer that its controller takes away once the thing itself has gone.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drakit.engine.events import Report
from drakit.errors import ClusterError
from drakit.kube.client import Kube
from drakit.kube.kinds import (
    CUSTOM_RESOURCE,
    INGRESS,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    SERVICE,
    STATEFUL_SET,
    Kind,
    Object,
)
from drakit.kube.watch import Key, wait_for

GATEWAYS = "gateways.gateway.networking.k8s.io"
SHOWN = 5


@dataclass(frozen=True)
class Found:
    """An object that was found, and its kind."""

    kind: Kind
    obj: Object

    @property
    def uid(self) -> str:
        """Tells it from a later one of the same name."""
        return str(self.obj["metadata"]["uid"])

    @property
    def label(self) -> str:
        """As people say it: "Service web/front"."""
        metadata = self.obj["metadata"]
        return f"{self.kind.name} {'/'.join(filter(None, (metadata.get('namespace'), metadata['name'])))}"


async def load_balancers(kube: Kube) -> list[Found]:
    """What load balancers are made for: Services of that type, Ingresses, and Gateways where there is such a thing."""
    kinds = [SERVICE, INGRESS, *await _gateways(kube)]
    lists = await asyncio.gather(*(kube.list(kind) for kind in kinds))
    found = [Found(kind, obj) for kind, (objects, _) in zip(kinds, lists, strict=True) for obj in objects]
    return [each for each in found if each.kind != SERVICE or each.obj["spec"].get("type") == "LoadBalancer"]


async def volume_claims(kube: Kube) -> list[Found]:
    """Every PersistentVolumeClaim."""
    return [Found(PERSISTENT_VOLUME_CLAIM, obj) for obj in (await kube.list(PERSISTENT_VOLUME_CLAIM))[0]]


async def volumes(kube: Kube) -> list[Found]:
    """Every PersistentVolume."""
    return [Found(PERSISTENT_VOLUME, obj) for obj in (await kube.list(PERSISTENT_VOLUME))[0]]


def is_retained(volume: Found) -> bool:
    """Whether what a PersistentVolume stands for outlives its claim."""
    return bool(volume.obj["spec"].get("persistentVolumeReclaimPolicy", "Retain") == "Retain")


def is_of(volume: Found, claims: Sequence[Found]) -> bool:
    """Whether a PersistentVolume is bound to one of these claims."""
    return (volume.obj["spec"].get("claimRef") or {}).get("uid") in {claim.uid for claim in claims}


async def claim_makers(kube: Kube) -> list[Found]:
    """The StatefulSets that would make their PersistentVolumeClaims anew."""
    return [Found(STATEFUL_SET, e) for e in (await kube.list(STATEFUL_SET))[0] if e["spec"].get("volumeClaimTemplates")]


async def users(kube: Kube, claims: Sequence[Found]) -> list[Found]:
    """The pods that use these PersistentVolumeClaims, which stay as long as they do.

    Made anew they do no harm: the scheduler places no pod whose claim is being deleted.
    """
    wanted = {(each.obj["metadata"]["namespace"], each.obj["metadata"]["name"]) for each in claims}
    return [Found(POD, pod) for pod in (await kube.list(POD))[0] if _claims_of(pod) & wanted]


async def delete(kube: Kube, found: Sequence[Found]) -> None:
    """Ask for the deletion of all of these.

    Raises:
        ClusterError: one was refused; the others were asked for all the same.
    """
    answers = await asyncio.gather(
        *(kube.delete(e.kind, e.obj["metadata"]["name"], e.obj["metadata"].get("namespace")) for e in found),
        return_exceptions=True,
    )
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer


async def wait_gone(kube: Kube, found: Sequence[Found], report: Report, timeout: float) -> None:
    """Watch until these very objects have gone, finalizers included.

    Args:
        timeout: seconds, for all of them together.

    Raises:
        TimedOut: some stay; the message names them.
        ClusterError: the API does not answer any more.
    """
    kinds = dict.fromkeys(each.kind for each in found)
    deadline = time.monotonic() + timeout
    await asyncio.gather(*(_wait_gone(kube, kind, found, report, deadline) for kind in kinds))


async def _wait_gone(kube: Kube, kind: Kind, found: Sequence[Found], report: Report, deadline: float) -> None:
    labels = {each.uid: each.label for each in found if each.kind == kind}
    told: list[str] = []

    def gone(objects: Mapping[Key, Object]) -> bool:
        there = sorted(labels[obj["metadata"]["uid"]] for obj in objects.values() if obj["metadata"]["uid"] in labels)
        if there and there != told:
            told[:] = there
            report(f"waiting for the removal of {listed(there)}")
        return not there

    while True:
        try:
            await wait_for(
                kube, kind, gone, what=lambda: f"the removal of {listed(told)}",
                timeout=max(deadline - time.monotonic(), 0.1),
            )  # fmt: skip
            return
        except ClusterError as error:
            # A watch that broke is one thing, for load balancers cut idle ones; an API that has gone is another.
            if error.code not in ("unreachable", "expired"):
                raise
            await kube.server_version()


def listed(words: Sequence[str]) -> str:
    """The first few of them, and how many more there are."""
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more


async def _gateways(kube: Kube) -> list[Kind]:
    definition = await kube.get(CUSTOM_RESOURCE, GATEWAYS)
    versions = definition["spec"]["versions"] if definition else []
    served = next((version["name"] for version in versions if version["served"]), None)
    return [Kind(f"gateway.networking.k8s.io/{served}", "Gateway", "gateways")] if served else []


def _claims_of(pod: Object) -> set[tuple[str, str]]:
    """Namespace and name of each PersistentVolumeClaim that a pod uses, those of ephemeral volumes included."""
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    volumes = pod["spec"].get("volumes") or ()
    named = [each["persistentVolumeClaim"]["claimName"] for each in volumes if each.get("persistentVolumeClaim")]
    made_for_it = [f"{name}-{each['name']}" for each in volumes if each.get("ephemeral")]
    return {(namespace, claim) for claim in (*named, *made_for_it)}
