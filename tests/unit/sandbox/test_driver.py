from typing import Any

import pytest

from drakit.dra.catalogue import INSTANCE_TYPES
from drakit.dra.devices import devices_of
from drakit.kube.kinds import ResourceApi
from drakit.sandbox.driver import Plugin, PrepareError, is_plugin, slice_object, slice_spec
from drakit.sandbox.machines import gpus_of
from drakit.sandbox.programs import VisibleGpu

NODE = "ip-100-64-12-34.us-west-2.compute.internal"
GPUS = gpus_of(NODE, INSTANCE_TYPES["g6.12xlarge"])
VERSIONS = ["v1beta1", "v1beta2", "v1"]


def spec_of(device: dict[str, Any], version: str) -> dict[str, Any]:
    assert ("basic" in device) == (version == "v1beta1")
    return device["basic"] if version == "v1beta1" else device


@pytest.mark.parametrize("version", VERSIONS)
def test_one_slice_for_a_node(version: str) -> None:
    spec = slice_spec(NODE, GPUS, ResourceApi(version), generation=3)
    assert (spec["driver"], spec["nodeName"]) == ("gpu.nvidia.com", NODE)
    assert spec["pool"] == {"name": NODE, "generation": 3, "resourceSliceCount": 1}
    assert [device["name"] for device in spec["devices"]] == ["gpu-0", "gpu-1", "gpu-2", "gpu-3"]


@pytest.mark.parametrize("version", VERSIONS)
def test_attributes_and_capacity(version: str) -> None:
    device = spec_of(slice_spec(NODE, GPUS, ResourceApi(version))["devices"][1], version)
    attributes = device["attributes"]
    assert (
        attributes.items()
        >= {
            "type": {"string": "gpu"},
            "uuid": {"string": GPUS[1].uuid},
            "productName": {"string": "NVIDIA L4"},
            "brand": {"string": "Nvidia"},
            "architecture": {"string": "Ada Lovelace"},
            "cudaComputeCapability": {"version": "8.9.0"},
            "resource.kubernetes.io/pciBusID": {"string": GPUS[1].pci_bus_id},
            "resource.kubernetes.io/pcieRoot": {"string": f"pci{GPUS[1].pci_bus_id[:7]}"},
        }.items()
    )
    assert all(set(attributes[name]) == {"version"} for name in ("driverVersion", "cudaDriverVersion"))
    # The API takes no leading zeros in a version.
    for value in attributes.values():
        parts = value.get("version", "0").split(".")
        assert [str(int(part)) for part in parts] == parts
    assert device["capacity"] == {"memory": {"value": "23034Mi"}}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_published_can_be_read(version: str) -> None:
    devices = devices_of([{"spec": slice_spec(NODE, GPUS, ResourceApi(version))}])
    assert [(d.node, d.type, d.uuid, d.memory) for d in devices] == [(NODE, "gpu", g.uuid, "23034Mi") for g in GPUS]


def test_a_slice_goes_with_its_node() -> None:
    api = ResourceApi("v1")
    spec = slice_spec(NODE, GPUS, api)
    obj = slice_object({"metadata": {"name": NODE, "uid": "42"}}, spec, api)
    assert (obj["apiVersion"], obj["kind"], obj["spec"]) == ("resource.k8s.io/v1", "ResourceSlice", spec)
    assert obj["metadata"]["generateName"] == f"00000-gpu.nvidia.com-{NODE}-"
    (owner,) = obj["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == ("Node", NODE, "42", True)


@pytest.mark.parametrize(
    ("owner", "container", "plugin"),
    [
        ({"kind": "DaemonSet", "name": "dra-driver-nvidia-gpu-kubelet-plugin"}, "gpus", True),
        ({"kind": "DaemonSet", "name": "dra-driver-nvidia-gpu-kubelet-plugin"}, "compute-domains", False),
        ({"kind": "ReplicaSet", "name": "dra-driver-nvidia-gpu-kubelet-plugin"}, "gpus", False),
        ({"kind": "DaemonSet", "name": "dcgm-exporter"}, "gpus", False),
        (None, "gpus", False),
    ],
)
def test_which_pod_is_the_driver(owner: dict[str, str] | None, container: str, plugin: bool) -> None:
    metadata = {"name": "p", **({"ownerReferences": [owner]} if owner else {})}
    assert is_plugin({"metadata": metadata, "spec": {"containers": [{"name": container}]}}) is plugin


def claim(uid: str, *devices: str, pool: str = NODE, driver: str = "gpu.nvidia.com") -> dict[str, Any]:
    results = [{"request": "gpu", "driver": driver, "pool": pool, "device": device} for device in devices]
    metadata = {"namespace": "ns", "name": f"claim-{uid}", "uid": uid}
    return {"metadata": metadata, "status": {"allocation": {"devices": {"results": results}}}}


@pytest.fixture
def plugin() -> Plugin:
    return Plugin(NODE, {f"gpu-{gpu.minor}": gpu for gpu in GPUS})


def test_prepare_gives_each_request_its_devices(plugin: Plugin) -> None:
    obj = claim("1", "gpu-0", "gpu-1", "gpu-2")
    obj["status"]["allocation"]["devices"]["results"][2]["request"] = "extra"
    visible = [VisibleGpu(gpu.uuid, "NVIDIA L4") for gpu in GPUS]
    assert plugin.prepare(obj) == {"gpu": tuple(visible[:2]), "extra": (visible[2],)}
    assert plugin.prepared == {"1": ("gpu-0", "gpu-1", "gpu-2")}


def test_prepare_again_gives_the_same(plugin: Plugin) -> None:
    assert plugin.prepare(claim("1", "gpu-0")) == plugin.prepare(claim("1", "gpu-0"))


def test_devices_of_other_drivers_are_not_ours_to_prepare(plugin: Plugin) -> None:
    assert plugin.prepare(claim("1", "eth0", driver="net.example")) == {}


@pytest.mark.parametrize("obj", [claim("1", "gpu-9"), claim("1", "gpu-0", pool="another-node")], ids=["device", "pool"])
def test_a_foreign_device_is_refused(plugin: Plugin, obj: dict[str, Any]) -> None:
    with pytest.raises(PrepareError, match="requested device is not allocatable: gpu-"):
        plugin.prepare(obj)
    assert plugin.prepared == {}


def test_a_device_has_one_claim(plugin: Plugin) -> None:
    plugin.prepare(claim("1", "gpu-0"))
    with pytest.raises(PrepareError) as caught:
        plugin.prepare(claim("2", "gpu-1", "gpu-0"))
    assert str(caught.value) == (
        "NodePrepareResources failed for ResourceClaim claim-2: error preparing devices for claim ns/claim-2:2: "
        "prepare devices failed: requested device gpu-0 is already allocated to different claim 1"
    )
    assert plugin.prepared == {"1": ("gpu-0",)}


def test_a_device_is_free_again_after_unprepare(plugin: Plugin) -> None:
    plugin.prepare(claim("1", "gpu-0"))
    for _ in range(2):
        plugin.unprepare("1")
    assert plugin.prepare(claim("2", "gpu-0"))
