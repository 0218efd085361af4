from typing import Any

import pytest

from drakit.dra.devices import AllocatedDevice, Device, Holder, allocated_devices, devices_of, reserved_for

Object = dict[str, Any]
DRIVER = "gpu.nvidia.com"


def gpu(name: str, *, version: str = "v1", **attributes: str) -> Object:
    values = {"type": "gpu", "uuid": f"GPU-{name}", "productName": "NVIDIA L4", **attributes}
    spec = {
        "attributes": {**{k: {"string": v} for k, v in values.items()}, "driverVersion": {"version": "580.126.9"}},
        "capacity": {"memory": {"value": "23034Mi"}},
    }
    return {"name": name, "basic": spec} if version == "v1beta1" else {"name": name, **spec}


def slice_of(*devices: Object, node: str = "n1", generation: int = 1, driver: str = DRIVER) -> Object:
    pool = {"name": node, "generation": generation, "resourceSliceCount": 1}
    return {"spec": {"driver": driver, "nodeName": node, "pool": pool, "devices": list(devices)}}


def claim(name: str, *devices: str, pods: tuple[str, ...] = (), node: str = "n1", driver: str = DRIVER) -> Object:
    results = [{"request": "gpu", "driver": driver, "pool": node, "device": device} for device in devices]
    status: Object = {"allocation": {"devices": {"results": results}}} if devices else {}
    if pods:
        status["reservedFor"] = [{"resource": "pods", "name": pod, "uid": pod} for pod in pods]
    return {"metadata": {"namespace": "ns", "name": name}, "status": status}


@pytest.mark.parametrize("version", ["v1beta1", "v1beta2", "v1"])
def test_a_device_in_every_version_of_the_api(version: str) -> None:
    assert devices_of([slice_of(gpu("gpu-0", version=version))]) == (
        Device("n1", "gpu-0", "gpu", "NVIDIA L4", "23034Mi", "GPU-gpu-0"),
    )


def test_a_mig_device() -> None:
    mig = gpu("gpu-0-mig-1g5gb-19-0", type="mig", profile="1g.5gb", parentUUID="GPU-parent", uuid="MIG-1")
    (device,) = devices_of([slice_of(mig)])
    assert (device.type, device.profile, device.parent, device.uuid) == ("mig", "1g.5gb", "GPU-parent", "MIG-1")


def test_attributes_may_carry_the_drivers_domain() -> None:
    device = {"name": "gpu-0", "attributes": {f"{DRIVER}/uuid": {"string": "GPU-1"}}}
    (found,) = devices_of([slice_of(device)])
    assert (found.uuid, found.type, found.product, found.memory) == ("GPU-1", "unknown", None, None)


def test_only_the_newest_generation_of_a_pool_counts() -> None:
    slices = [
        slice_of(gpu("gpu-0"), generation=2),
        slice_of(gpu("gpu-0"), gpu("gpu-1"), generation=1),
        slice_of(gpu("gpu-7"), node="n2", generation=1),
    ]
    assert [(d.node, d.name) for d in devices_of(slices)] == [("n1", "gpu-0"), ("n2", "gpu-7")]


def test_a_pool_may_have_several_slices() -> None:
    assert [d.name for d in devices_of([slice_of(gpu("gpu-1")), slice_of(gpu("gpu-0"))])] == ["gpu-0", "gpu-1"]


def test_slices_of_other_drivers_and_empty_slices_are_left_out() -> None:
    empty = slice_of(node="n2")
    del empty["spec"]["devices"]
    assert devices_of([slice_of(gpu("eth0"), driver="net.example"), empty]) == ()


def test_devices_are_in_the_order_of_their_numbers() -> None:
    names = ["gpu-10", "gpu-2", "gpu-0-mig-1g5gb-19-1", "gpu-0"]
    devices = devices_of([slice_of(*map(gpu, names)), slice_of(gpu("gpu-0"), node="n0")])
    assert [(d.node, d.name) for d in devices] == [
        ("n0", "gpu-0"),
        ("n1", "gpu-0"),
        ("n1", "gpu-0-mig-1g5gb-19-1"),
        ("n1", "gpu-2"),
        ("n1", "gpu-10"),
    ]


def test_who_has_a_device() -> None:
    claims = [
        claim("one", "gpu-0", pods=("a", "b")),
        claim("two", "gpu-0"),
        claim("waiting"),
        claim("far", "gpu-1", node="n2"),
    ]
    first, second = devices_of([slice_of(gpu("gpu-0"), gpu("gpu-1"))], claims)
    assert first.allocated_to == (Holder("ns", "one", ("a", "b")), Holder("ns", "two"))
    assert second.allocated_to == ()


def test_a_device_of_another_driver_with_the_same_name() -> None:
    (device,) = devices_of([slice_of(gpu("gpu-0"))], [claim("other", "gpu-0", driver="gpu.example.com")])
    assert device.allocated_to == ()


def test_the_devices_of_a_claim() -> None:
    devices = devices_of([slice_of(gpu("gpu-0"))])
    assert allocated_devices(claim("c", "gpu-0", "gpu-9"), devices) == (
        AllocatedDevice("gpu", "n1", "gpu-0", "GPU-gpu-0", "gpu"),
        AllocatedDevice("gpu", "n1", "gpu-9"),
    )


@pytest.mark.parametrize("status", [{}, {"status": None}, {"status": {}}, {"status": {"allocation": {}}}], ids=str)
def test_a_claim_without_an_allocation(status: Object) -> None:
    obj = {"metadata": {"namespace": "ns", "name": "c"}, **status}
    assert allocated_devices(obj, ()) == ()
    assert reserved_for(obj) == ()
