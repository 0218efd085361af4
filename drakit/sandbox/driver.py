"""The NVIDIA DRA driver's kubelet plugin, simulated: what it publishes for a node, and what it prepares for a pod.

Shapes and names: kubernetes-sigs/dra-driver-nvidia-gpu v0.4.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drakit.kube.kinds import Object, ResourceApi
from drakit.sandbox.machines import SimulatedGpu
from drakit.sandbox.programs import VisibleGpu

DRIVER = "gpu.nvidia.com"
NVIDIA_DRIVER_VERSION = "580.126.9"
"""580.126.09 as the DRA driver publishes it, normalised to a semantic version."""
CUDA_DRIVER_VERSION = "13.0.0"
PLUGIN_CONTAINER = "gpus"
PLUGIN_OWNER_SUFFIX = "kubelet-plugin"


class PrepareError(Exception):
    """Devices cannot be prepared. The text is what the kubelet puts into the pod's event."""


def is_plugin(pod: Object) -> bool:
    """Whether a pod is the driver's kubelet plugin: a DaemonSet's, with the container that serves GPUs."""
    owners = pod["metadata"].get("ownerReferences", ())
    return any(
        owner["kind"] == "DaemonSet" and owner["name"].endswith(PLUGIN_OWNER_SUFFIX) for owner in owners
    ) and any(container["name"] == PLUGIN_CONTAINER for container in pod["spec"]["containers"])


def slice_spec(node: str, gpus: Sequence[SimulatedGpu], api: ResourceApi, *, generation: int = 1) -> Object:
    """The spec of the one ResourceSlice that the driver publishes for a node."""
    return {
        "driver": DRIVER,
        "nodeName": node,
        "pool": {"name": node, "generation": generation, "resourceSliceCount": 1},
        "devices": [_device(gpu, api) for gpu in gpus],
    }


def slice_object(node: Object, spec: Object, api: ResourceApi) -> Object:
    """A new ResourceSlice with `spec`, owned by its node and named as the driver's library names it."""
    metadata = node["metadata"]
    return {
        "apiVersion": api.api_version,
        "kind": "ResourceSlice",
        "metadata": {
            "generateName": f"00000-{DRIVER}-{metadata['name']}-",
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": spec,
    }


def _device(gpu: SimulatedGpu, api: ResourceApi) -> Object:
    model = gpu.model
    attributes = {
        "type": {"string": "gpu"},
        "uuid": {"string": gpu.uuid},
        "productName": {"string": model.product_name},
        "brand": {"string": model.brand},
        "architecture": {"string": model.architecture},
        "cudaComputeCapability": {"version": model.cuda_compute_capability},
        "driverVersion": {"version": NVIDIA_DRIVER_VERSION},
        "cudaDriverVersion": {"version": CUDA_DRIVER_VERSION},
        "resource.kubernetes.io/pciBusID": {"string": gpu.pci_bus_id},
        "resource.kubernetes.io/pcieRoot": {"string": f"pci{gpu.pci_bus_id[:7]}"},
        "addressingMode": {"string": "HMM"},
    }
    spec = {"attributes": attributes, "capacity": {"memory": {"value": model.memory}}}
    name = f"gpu-{gpu.minor}"
    return {"name": name, "basic": spec} if api.version == "v1beta1" else {"name": name, **spec}


@dataclass
class Plugin:
    """The driver on one node: which claims it has prepared, and with which devices."""

    node: str
    gpus: Mapping[str, SimulatedGpu]
    """By device name."""
    prepared: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Claim UID to device names."""

    def prepare(self, claim: Object) -> Mapping[str, tuple[VisibleGpu, ...]]:
        """Prepare an allocated claim's devices; again for a claim that is prepared already.

        Returns:
            The devices for each request of the claim.

        Raises:
            PrepareError: a device is not there, or belongs to another claim.
        """
        metadata = claim["metadata"]
        results = [r for r in claim["status"]["allocation"]["devices"]["results"] if r["driver"] == DRIVER]
        devices: dict[str, tuple[VisibleGpu, ...]] = {}
        for result in results:
            name = result["device"]
            if name not in self.gpus or result["pool"] != self.node:
                raise PrepareError(self._message(metadata, f"requested device is not allocatable: {name}"))
            holder = next((uid for uid, names in self.prepared.items() if name in names), metadata["uid"])
            if holder != metadata["uid"]:
                text = f"requested device {name} is already allocated to different claim {holder}"
                raise PrepareError(self._message(metadata, text))
            gpu = self.gpus[name]
            visible = VisibleGpu(gpu.uuid, gpu.model.product_name)
            devices[result["request"]] = (*devices.get(result["request"], ()), visible)
        self.prepared[metadata["uid"]] = tuple(result["device"] for result in results)
        return devices

    def unprepare(self, claim_uid: str) -> None:
        """Undo `prepare`; harmless when nothing is prepared."""
        self.prepared.pop(claim_uid, None)

    def _message(self, metadata: Mapping[str, str], text: str) -> str:
        claim = f"{metadata['namespace']}/{metadata['name']}:{metadata['uid']}"
        return (
            f"NodePrepareResources failed for ResourceClaim {metadata['name']}: error preparing devices for claim "
            f"{claim}: prepare devices failed: {text}"
        )
