import pytest

from drakit.dra.catalogue import A100_40GB, L4
from drakit.dra.devices import devices_of
from drakit.dra.hardware import PhysicalGpu, devices_on
from drakit.dra.machine import Machine
from drakit.dra.slices import slice_object, slice_spec

NODE = {"metadata": {"name": "n1", "uid": "node-uid"}}
GPUS = [PhysicalGpu(0, "GPU-a", L4, "0000:31:00.0"), PhysicalGpu(1, "GPU-b", L4, "0000:33:00.0")]


@pytest.mark.parametrize("version", ["v1beta1", "v1beta2", "v1"])
def test_one_slice_has_every_device_of_the_node(version: str) -> None:
    spec = slice_spec("n1", devices_on(GPUS), version, generation=3)
    assert {key: spec[key] for key in ("driver", "nodeName", "pool")} == {
        "driver": "gpu.nvidia.com",
        "nodeName": "n1",
        "pool": {"name": "n1", "generation": 3, "resourceSliceCount": 1},
    }
    assert [("basic" in device) == (version == "v1beta1") for device in spec["devices"]] == [True, True]
    read = devices_of([slice_object(NODE, spec, f"resource.k8s.io/{version}")])
    assert [(d.node, d.name, d.type, d.uuid) for d in read] == [
        ("n1", "gpu-0", "gpu", "GPU-a"),
        ("n1", "gpu-1", "gpu", "GPU-b"),
    ]


def test_partitions_say_whose_they_are() -> None:
    machine = Machine((PhysicalGpu(0, "GPU-a", A100_40GB, "0000:10:1c.0"),)).set_mig("all-3g.20gb", in_use=False)
    read = devices_of([slice_object(NODE, slice_spec("n1", devices_on(machine.gpus), "v1"), "resource.k8s.io/v1")])
    assert [(d.name, d.type, d.profile, d.parent) for d in read] == [
        ("gpu-0-mig-3g20gb-9-0", "mig", "3g.20gb", "GPU-a"),
        ("gpu-0-mig-3g20gb-9-4", "mig", "3g.20gb", "GPU-a"),
    ]


def test_mig_without_instances_is_a_slice_without_devices() -> None:
    machine = Machine((PhysicalGpu(0, "GPU-a", A100_40GB, "0000:10:1c.0"),)).set_mig("all-enabled", in_use=False)
    assert slice_spec("n1", devices_on(machine.gpus), "v1")["devices"] == []


def test_the_slice_belongs_to_its_node() -> None:
    made = slice_object(NODE, slice_spec("n1", (), "v1beta1"), "resource.k8s.io/v1beta1")
    assert (made["apiVersion"], made["kind"]) == ("resource.k8s.io/v1beta1", "ResourceSlice")
    assert made["metadata"] == {
        "generateName": "00000-gpu.nvidia.com-n1-",
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "node-uid", "controller": True}
        ],
    }  # fmt: skip


def test_earlier_drivers_begin_the_name_with_the_node() -> None:
    made = slice_object(NODE, slice_spec("n1", (), "v1", driver_version="25.8.1"), "resource.k8s.io/v1", "25.8.1")
    assert made["metadata"]["generateName"] == "n1-gpu.nvidia.com-"
