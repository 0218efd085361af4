"""The NVIDIA DRA driver's kubelet plugin on simulated nodes: what it does, as `drakit.dra.nodedriver` decides.

Everything about it is read from its pod: the feature gates and the version that the chart installed, and, noted on
the pod when it started, the GPUs it found.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from drakit.dra.devices import PLUGIN_CONTAINER
from drakit.dra.gates import DEFAULT_DRIVER_VERSION, DRIVER_VERSIONS, FeatureGates, feature_gates, parse_gates
from drakit.dra.hardware import PhysicalGpu
from drakit.dra.nodedriver import NodeDriver, Preparation, PreparedDevice, PrepareError
from drakit.kube.client import Kube
from drakit.kube.kinds import Object, ResourceApi
from drakit.sandbox import mps

PLUGIN_OWNER_SUFFIX = "kubelet-plugin"
DISCOVERED = "drakit.dev/discovered"
"""Annotation of the driver's pod: the MIG partitions it found when it started."""


def is_plugin(pod: Object) -> bool:
    """Whether a pod is the driver's kubelet plugin: a DaemonSet's, with the container that serves GPUs."""
    owners = pod["metadata"].get("ownerReferences", ())
    return any(
        owner["kind"] == "DaemonSet" and owner["name"].endswith(PLUGIN_OWNER_SUFFIX) for owner in owners
    ) and any(container["name"] == PLUGIN_CONTAINER for container in pod["spec"]["containers"])


def serves(pod: Object) -> bool:
    """Whether the driver's pod is up: its container runs, and nobody has asked for the pod's deletion."""
    statuses = pod.get("status", {}).get("containerStatuses", ())
    ready = any(status["name"] == PLUGIN_CONTAINER and status["ready"] for status in statuses)
    return ready and "deletionTimestamp" not in pod["metadata"]


def gates_of(container: Object) -> FeatureGates:
    """The feature gates that the driver's container is started with, in the version that its image names.

    Raises:
        GateError: the driver would refuse to start, and say this.
    """
    given = next((str(e.get("value", "")) for e in container.get("env", ()) if e["name"] == "FEATURE_GATES"), "")
    return feature_gates(parse_gates(given), version_of(container))


def version_of(container: Object) -> str:
    """The driver's version by its image's tag; the default where the tag is none that is known."""
    tag = str(container.get("image", "")).partition("@")[0].rpartition(":")[2]
    version = re.sub(r"^v|-(ubi|distroless).*$", "", tag)
    return version if version in DRIVER_VERSIONS else DEFAULT_DRIVER_VERSION


def driver_container(pod: Object) -> Object:
    """The container of the driver's pod that serves GPUs."""
    return next(container for container in pod["spec"]["containers"] if container["name"] == PLUGIN_CONTAINER)


@dataclass
class Plugin:
    """The driver on one node while its pod runs. `hardware`: asks for the node's GPUs as they are now."""

    kube: Kube
    api: ResourceApi
    pod: Object
    model: NodeDriver
    hardware: Callable[[], Sequence[PhysicalGpu]]

    @property
    def uid(self) -> str:
        """The UID of its pod."""
        return str(self.pod["metadata"]["uid"])

    async def clean_up(self) -> None:
        """Remove what was left for claims that have gone while nobody looked."""
        claims, _ = await self.kube.list(self.api.claim)
        uids = {claim["metadata"]["uid"] for claim in claims}
        for uid in [uid for uid in self.model.prepared if uid not in uids]:
            self.model.unprepare(uid)
        await mps.stop_strays(self.kube, self.model.node, self.pod["metadata"]["namespace"], uids)

    async def prepare(self, claim: Object) -> Mapping[str, Sequence[PreparedDevice]]:
        """Prepare an allocated claim's devices; again for a claim that is prepared already.

        Returns:
            The devices for each request of the claim.

        Raises:
            PrepareError: they cannot be prepared, or not yet.
        """
        preparation = self.model.prepare(claim, self.hardware())
        for settings in preparation.mps:
            await mps.start(self.kube, settings, self.pod)
            try:
                await mps.wait_ready(self.kube, settings, self.pod)
            except mps.NotReady as error:
                # The claim stays half prepared, as the driver leaves it, until it is asked for again or given back.
                raise PrepareError(_not_ready(self.model.gates, preparation, error)) from error
        devices: dict[str, list[PreparedDevice]] = {}
        for prepared in preparation.devices:
            # Towards the kubelet a subrequest has its request's name.
            devices.setdefault(prepared.request.partition("/")[0], []).append(prepared)
        return devices

    async def unprepare(self, claim_uid: str) -> None:
        """Undo `prepare`; harmless when nothing is prepared."""
        preparation = self.model.unprepare(claim_uid)
        for settings in preparation.mps if preparation else ():
            await mps.stop(self.kube, settings, self.pod["metadata"]["namespace"])


def _not_ready(gates: FeatureGates, preparation: Preparation, error: Exception) -> str:
    claim, what = preparation.claim_uid, "GPU config"
    if gates.since("25.12.0"):
        claim, what = f"{preparation.namespace}/{preparation.name}:{claim}", "config"
    return (
        f"error preparing devices for claim {claim}: prepare devices failed: error applying {what}: "
        f"MPS control daemon is not yet ready: {error}"
    )
