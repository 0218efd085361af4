"""The ResourceSlice that the NVIDIA driver publishes for a node."""

from collections.abc import Iterable, Mapping
from typing import Any

from drakit.dra.devices import DRIVER
from drakit.dra.gates import DEFAULT_DRIVER_VERSION
from drakit.dra.hardware import GpuDevice, device_entry

Object = dict[str, Any]


def slice_spec(
    node: str,
    devices: Iterable[GpuDevice],
    api_version: str,
    generation: int = 1,
    driver_version: str = DEFAULT_DRIVER_VERSION,
) -> Object:
    """The spec of the one slice of a node's pool; without devices too, as when MIG is on and nothing is partitioned.

    Args:
        api_version: the version of resource.k8s.io alone, "v1beta1".
        generation: of the pool. The driver's library keeps it when it changes the only slice that there is.
    """
    return {
        "driver": DRIVER,
        "nodeName": node,
        "pool": {"name": node, "generation": generation, "resourceSliceCount": 1},
        "devices": [device_entry(device, api_version, driver_version) for device in devices],
    }


def slice_object(
    node: Mapping[str, Any], spec: Object, api_version: str, driver_version: str = DEFAULT_DRIVER_VERSION
) -> Object:
    """A new ResourceSlice with `spec`, owned by its Node and named as the driver's library names it.

    Args:
        api_version: as in a manifest, "resource.k8s.io/v1".
    """
    name = node["metadata"]["name"]
    # The library numbers the slices of a pool since the one that 0.4.0 is built with.
    prefix = f"{name}-{DRIVER}-" if driver_version.startswith("25.") else f"00000-{DRIVER}-{name}-"
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"], "controller": True}
    return {
        "apiVersion": api_version,
        "kind": "ResourceSlice",
        "metadata": {"generateName": prefix, "ownerReferences": [owner]},
        "spec": spec,
    }
