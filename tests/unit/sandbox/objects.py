"""Objects of a cluster with the driver, for tests."""

from collections.abc import Sequence
from typing import Any

from drakit.dra.catalogue import INSTANCE_TYPES
from drakit.dra.gates import feature_gates
from drakit.dra.hardware import GpuDevice, PhysicalGpu
from drakit.dra.machine import Machine
from drakit.dra.mig import Placement, profile_named
from drakit.dra.nodedriver import MpsSettings, NodeDriver, PreparedDevice
from drakit.kube.client import Kube
from drakit.kube.kinds import Object, ResourceApi
from drakit.sandbox.driver import Plugin
from drakit.sandbox.machines import gpus_of

NODE = "ip-100-64-12-34.us-west-2.compute.internal"
NAMESPACE = "dra-driver-nvidia-gpu"
API = ResourceApi("v1beta1")
GPUS = gpus_of(NODE, INSTANCE_TYPES["g6.12xlarge"])
A100S = gpus_of(NODE, INSTANCE_TYPES["p4d.24xlarge"])
UID = "11111111-2222-3333-4444-555555555555"
GATES = "TimeSlicingSettings=true,MPSSupport=true,"
DAEMON_SET = {"kind": "DaemonSet", "name": "dra-driver-nvidia-gpu-kubelet-plugin"}


def driver_pod(gates: str = GATES, tag: str = "v0.4.1", node: str = NODE, **metadata: Any) -> Object:
    """The driver's pod on a node, running."""
    image = f"registry.k8s.io/dra-driver-nvidia/dra-driver-nvidia-gpu:{tag}"
    container = {"name": "gpus", "image": image, "env": [{"name": "FEATURE_GATES", "value": gates}]}
    named = {"name": "driver-x7k2p", "namespace": NAMESPACE, "uid": "driver-1", "ownerReferences": [DAEMON_SET]}
    return {
        "metadata": {**named, **metadata},
        "spec": {"nodeName": node, "serviceAccountName": "kubelet-plugin", "containers": [container]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "gpus", "ready": True}]},
    }


def plugin(kube: Kube, *, gpus: Sequence[PhysicalGpu] = GPUS, version: str = "0.4.1") -> Plugin:
    """The driver on a node that has MPS and time-slicing on."""
    gates = feature_gates({"TimeSlicingSettings": True, "MPSSupport": True}, version)
    return Plugin(kube, API, driver_pod(tag=f"v{version}"), NodeDriver(NODE, gpus, gates), lambda: gpus)


def claim(*devices: str, name: str = "c", uid: str = UID, config: Object | None = None, **fields: Any) -> Object:
    """An allocated claim: devices as "gpu-0", for the request "gpu", or as "request=gpu-0".

    Args:
        config: the driver's parameters, for all requests.
        fields: of each result, such as `pool`.
    """
    pairs = [tuple(device.rsplit("=", 1)) if "=" in device else ("gpu", device) for device in devices]
    results = [{"request": r, "driver": "gpu.nvidia.com", "pool": NODE, "device": d, **fields} for r, d in pairs]
    configs = []
    if config is not None:
        opaque = {"driver": "gpu.nvidia.com", "parameters": config}
        configs = [{"source": "FromClaim", "requests": [], "opaque": opaque}]
    return {
        "metadata": {"namespace": "ns", "name": name, "uid": uid},
        "spec": {},
        "status": {"allocation": {"devices": {"results": results, "config": configs}}},
    }


def mps_config(**fields: Any) -> Object:
    """Parameters for a GPU that is shared through MPS."""
    sharing = {"strategy": "MPS", **({"mpsConfig": fields} if fields else {})}
    return {"apiVersion": "resource.nvidia.com/v1beta1", "kind": "GpuConfig", "sharing": sharing}


def whole(gpu: PhysicalGpu = GPUS[0], mps: MpsSettings | None = None) -> PreparedDevice:
    """A whole GPU, prepared."""
    return PreparedDevice("gpu", GpuDevice(gpu), mps=mps)


def partition(profile: str, start: int, gpu: PhysicalGpu = A100S[0], mps: MpsSettings | None = None) -> PreparedDevice:
    """A MIG partition, prepared."""
    return PreparedDevice("gpu", GpuDevice(gpu, Placement(profile_named(gpu.model, profile), start)), mps=mps)


def partitioned(config: str) -> tuple[PhysicalGpu, ...]:
    """The A100s of a p4d.24xlarge in a MIG configuration."""
    return Machine(A100S).set_mig(config, in_use=False).gpus


def settings(*devices: PreparedDevice, percentage: int | None = None, limit: str | None = None) -> MpsSettings:
    """What an MPS control daemon for these devices is told."""
    uuids = tuple(sorted(device.device.uuid for device in devices))
    return MpsSettings(f"{UID}-0a1b2", uuids, percentage, dict.fromkeys(uuids, limit) if limit else {})
