"""The GPUs of a node, and the devices that the NVIDIA DRA driver makes of them.

Names and shapes: kubernetes-sigs/dra-driver-nvidia-gpu 25.3 to 0.4.1, cmd/gpu-kubelet-plugin/deviceinfo.go.
"""

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from drakit.dra.catalogue import Gpu
from drakit.dra.gates import DEFAULT_DRIVER_VERSION
from drakit.dra.mig import Placement, verify

NVIDIA_DRIVER_VERSION = "580.126.9"
"""580.126.09 as the DRA driver publishes it, normalised to a semantic version."""
CUDA_DRIVER_VERSION = "13.0.0"
# The minor number in the driver's numbering since 0.4.0, of the releases that were numbered by year and month.
_RELEASES = {(25, 3): 1, (25, 8): 2, (25, 12): 3}


@dataclass(frozen=True)
class PhysicalGpu:
    """A GPU of a node.

    Attributes:
        minor: its device minor number, the N of /dev/nvidiaN.
        uuid: "GPU-...".
        pci_bus_id: with a domain of four digits, "0000:10:1c.0".
        mig: its MIG instances; None when MIG mode is off.

    Raises:
        ValueError: the hardware cannot have these instances.
    """

    minor: int
    uuid: str
    model: Gpu
    pci_bus_id: str
    mig: tuple[Placement, ...] | None = None

    def __post_init__(self) -> None:
        if self.mig is not None:
            if not self.model.mig:
                raise ValueError(f"{self.model.product_name} has no MIG")
            verify(self.model, self.mig)


@dataclass(frozen=True)
class GpuDevice:
    """What a claim can get: a whole GPU, or the MIG instance at `placement`."""

    gpu: PhysicalGpu
    placement: Placement | None = None

    @property
    def name(self) -> str:
        """Its name in the ResourceSlice, "gpu-0" or "gpu-0-mig-1g5gb-19-0"; of older drivers: `device_name`."""
        return device_name(self)

    @property
    def type(self) -> Literal["gpu", "mig"]:
        """The value of its attribute `type`."""
        return "gpu" if self.placement is None else "mig"

    @property
    def uuid(self) -> str:
        """The UUID of the GPU, or a MIG device's, "MIG-...": the same for the same instance of the same GPU."""
        if self.placement is None:
            return self.gpu.uuid
        return f"MIG-{uuid.uuid5(uuid.NAMESPACE_OID, f'{self.gpu.uuid}/{self.placement.suffix}')}"

    @property
    def memory(self) -> str:
        """A Kubernetes quantity."""
        return self.gpu.model.memory if self.placement is None else self.placement.profile.memory

    @property
    def multiprocessors(self) -> int:
        """How many a program sees."""
        if self.placement is None:
            return self.gpu.model.multiprocessors
        return self.placement.profile.multiprocessors

    @property
    def product_name(self) -> str:
        """What CUDA's cuDeviceGetName says. The attribute `productName` is always the GPU's."""
        product = self.gpu.model.product_name
        return product if self.placement is None else f"{product} MIG {self.placement.profile.name}"


def devices_on(gpus: Iterable[PhysicalGpu]) -> tuple[GpuDevice, ...]:
    """The devices that the driver publishes, without the feature gate DynamicMIG.

    A GPU in MIG mode is not there, only its instances are; without instances there is nothing of it.
    """
    return tuple(GpuDevice(gpu, placement) for gpu in gpus for placement in ((None,) if gpu.mig is None else gpu.mig))


def device_name(device: GpuDevice, driver_version: str = DEFAULT_DRIVER_VERSION) -> str:
    """The name of a device in the ResourceSlice.

    Args:
        driver_version: of the DRA driver, "0.4.1".
    """
    gpu, placement = f"gpu-{device.gpu.minor}", device.placement
    if placement is None:
        return gpu
    if _release(driver_version) < 3:
        return f"{gpu}-mig-{placement.profile.id}-{placement.start}-{placement.profile.size}"
    return f"{gpu}-mig-{placement.suffix}"


def device_entry(device: GpuDevice, api_version: str, driver_version: str = DEFAULT_DRIVER_VERSION) -> dict[str, Any]:
    """The entry of a device in a ResourceSlice's spec.devices.

    Args:
        api_version: of resource.k8s.io, "v1beta1".
        driver_version: of the DRA driver, "0.4.1".
    """
    spec = {"attributes": _attributes(device, _release(driver_version)), "capacity": _capacity(device)}
    name = device_name(device, driver_version)
    return {"name": name, "basic": spec} if api_version == "v1beta1" else {"name": name, **spec}


def _attributes(device: GpuDevice, release: int) -> dict[str, dict[str, str | int]]:
    gpu, model, placement = device.gpu, device.gpu.model, device.placement
    found: dict[str, dict[str, str | int]] = {
        "type": {"string": device.type},
        "uuid": {"string": device.uuid},
        "productName": {"string": model.product_name},
        "brand": {"string": model.brand},
        "architecture": {"string": model.architecture},
        "cudaComputeCapability": {"version": model.cuda_compute_capability},
        "driverVersion": {"version": NVIDIA_DRIVER_VERSION},
        "cudaDriverVersion": {"version": CUDA_DRIVER_VERSION},
        "resource.kubernetes.io/pcieRoot": {"string": f"pci{gpu.pci_bus_id[:7]}"},
    }
    if placement is not None:
        found |= {"parentUUID": {"string": gpu.uuid}, "profile": {"string": placement.profile.name}}
    if release >= 3:
        found |= {
            "resource.kubernetes.io/pciBusID": {"string": gpu.pci_bus_id},
            "addressingMode": {"string": "HMM"},
        }
    else:
        found["pcieBusID"] = {"string": gpu.pci_bus_id}
    if release == 1 and placement is None:
        found |= {"minor": {"int": gpu.minor}, "index": {"int": gpu.minor}}
    elif release == 1:
        found |= {"index": {"int": (gpu.mig or ()).index(placement)}, "parentIndex": {"int": gpu.minor}}
    return found


def _capacity(device: GpuDevice) -> dict[str, dict[str, str]]:
    placement = device.placement
    if placement is None:
        return {"memory": {"value": device.memory}}
    profile = placement.profile
    values = {
        "multiprocessors": profile.multiprocessors,
        "copyEngines": profile.copy_engines,
        "decoders": profile.decoders,
        "encoders": profile.encoders,
        "jpegEngines": profile.jpeg_engines,
        "ofaEngines": profile.ofa_engines,
        "memory": profile.memory,
        **{f"memorySlice{number}": 1 for number in placement.slices},
    }
    return {name: {"value": str(value)} for name, value in values.items()}


def _release(version: str) -> int:
    """25.3 is 1, 25.8 is 2, 25.12 is 3, 0.4 is 4.

    Raises:
        ValueError: not a version, or an unknown release of 2025.
    """
    match = re.match(r"v?(\d+)\.(\d+)", version)
    major, minor = (int(match[1]), int(match[2])) if match else (-1, -1)
    if major == 0:
        return minor
    if (major, minor) not in _RELEASES:
        raise ValueError(f"not a version of the NVIDIA DRA driver: {version!r}")
    return _RELEASES[major, minor]
