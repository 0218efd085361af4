"""What the driver publishes: compared with the shapes of its releases, deviceinfo.go."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drakit.dra.catalogue import A100_40GB, A100_80GB, H100, H200, L4
from drakit.dra.hardware import GpuDevice, PhysicalGpu, device_entry, device_name, devices_on
from drakit.dra.mig import Placement, layout, mig_configs, place, profile_named

PLAIN = PhysicalGpu(1, "GPU-18db0e85-99e9-c746-8531-ffeb86328b39", L4, "0000:33:00.0")
UUID = "GPU-d1ea5e92-1f5d-4b3e-9c1a-2f3b4c5d6e7f"
SLICED = PhysicalGpu(0, UUID, A100_40GB, "0000:10:1c.0", place(A100_40GB, ["3g.20gb", "1g.5gb+me"]))
LARGE, SMALL = devices_on([SLICED])
VERSIONS = ["v1beta1", "v1beta2", "v1"]


def string(value: str) -> dict[str, str]:
    return {"string": value}


def version(value: str) -> dict[str, str]:
    return {"version": value}


A100_ATTRIBUTES: dict[str, Any] = {
    "productName": string("NVIDIA A100-SXM4-40GB"),
    "brand": string("Nvidia"),
    "architecture": string("Ampere"),
    "cudaComputeCapability": version("8.0.0"),
    "driverVersion": version("580.126.9"),
    "cudaDriverVersion": version("13.0.0"),
    "resource.kubernetes.io/pcieRoot": string("pci0000:10"),
}
BUS_ID = "0000:10:1c.0"


@pytest.mark.parametrize("api", VERSIONS)
def test_a_whole_gpu(api: str) -> None:
    entry = device_entry(GpuDevice(PLAIN), api)
    assert entry.pop("name") == "gpu-1"
    assert set(entry) == ({"basic"} if api == "v1beta1" else {"attributes", "capacity"})
    assert entry.get("basic", entry) == {
        "attributes": {
            "type": string("gpu"),
            "uuid": string(PLAIN.uuid),
            "productName": string("NVIDIA L4"),
            "brand": string("Nvidia"),
            "architecture": string("Ada Lovelace"),
            "cudaComputeCapability": version("8.9.0"),
            "driverVersion": version("580.126.9"),
            "cudaDriverVersion": version("13.0.0"),
            "resource.kubernetes.io/pciBusID": string("0000:33:00.0"),
            "resource.kubernetes.io/pcieRoot": string("pci0000:33"),
            "addressingMode": string("HMM"),
        },
        "capacity": {"memory": {"value": "23034Mi"}},
    }


@pytest.mark.parametrize("api", VERSIONS)
def test_a_mig_device(api: str) -> None:
    entry = device_entry(LARGE, api)
    assert entry.pop("name") == "gpu-0-mig-3g20gb-9-4"
    assert set(entry) == ({"basic"} if api == "v1beta1" else {"attributes", "capacity"})
    assert entry.get("basic", entry) == {
        "attributes": {
            **A100_ATTRIBUTES,
            "type": string("mig"),
            "uuid": string(LARGE.uuid),
            "parentUUID": string(UUID),
            "profile": string("3g.20gb"),
            "resource.kubernetes.io/pciBusID": string(BUS_ID),
            "addressingMode": string("HMM"),
        },
        "capacity": {
            "multiprocessors": {"value": "42"},
            "copyEngines": {"value": "3"},
            "decoders": {"value": "2"},
            "encoders": {"value": "0"},
            "jpegEngines": {"value": "0"},
            "ofaEngines": {"value": "0"},
            "memory": {"value": "19968Mi"},
            "memorySlice4": {"value": "1"},
            "memorySlice5": {"value": "1"},
            "memorySlice6": {"value": "1"},
            "memorySlice7": {"value": "1"},
        },
    }


@pytest.mark.parametrize(
    ("driver", "mig_name", "added"),
    [
        ("25.3.2", "gpu-0-mig-9-4-4", {"pcieBusID": string(BUS_ID), "index": {"int": 0}, "parentIndex": {"int": 0}}),
        ("25.8.0", "gpu-0-mig-9-4-4", {"pcieBusID": string(BUS_ID)}),
        ("25.8.1", "gpu-0-mig-9-4-4", {"pcieBusID": string(BUS_ID)}),
        *(
            (
                driver,
                "gpu-0-mig-3g20gb-9-4",
                {"resource.kubernetes.io/pciBusID": string(BUS_ID), "addressingMode": string("HMM")},
            )
            for driver in ("25.12.0", "0.4.0", "0.4.1", "v0.4.1", "0.5.0-rc.1")
        ),
    ],
)
def test_what_differs_between_releases_of_the_driver(driver: str, mig_name: str, added: dict[str, Any]) -> None:
    entry = device_entry(LARGE, "v1", driver)
    assert entry["name"] == mig_name == device_name(LARGE, driver)
    attributes = entry["attributes"]
    for name in ("type", "uuid", "parentUUID", "profile"):
        del attributes[name]
    assert attributes == {**A100_ATTRIBUTES, **added}
    assert entry["capacity"] == device_entry(LARGE, "v1")["capacity"]


def test_the_oldest_release_numbers_its_gpus_and_mig_devices() -> None:
    attributes = device_entry(GpuDevice(PLAIN), "v1beta1", "25.3.2")["basic"]["attributes"]
    assert (attributes["minor"], attributes["index"]) == ({"int": 1}, {"int": 1})
    assert device_entry(SMALL, "v1beta1", "25.3.2")["basic"]["attributes"]["index"] == {"int": 1}


@pytest.mark.parametrize("driver", ["25.4.0", "latest", ""])
def test_no_version_of_the_driver(driver: str) -> None:
    with pytest.raises(ValueError, match=f"not a version of the NVIDIA DRA driver: '{driver}'"):
        device_entry(LARGE, "v1", driver)


def test_what_a_device_is_to_a_program() -> None:
    whole = GpuDevice(PLAIN)
    assert (whole.name, whole.type, whole.uuid) == ("gpu-1", "gpu", PLAIN.uuid)
    assert (whole.memory, whole.multiprocessors, whole.product_name) == ("23034Mi", 58, "NVIDIA L4")
    assert (SMALL.name, SMALL.type) == ("gpu-0-mig-1g5gb-me-20-0", "mig")
    assert (SMALL.memory, SMALL.multiprocessors) == ("4864Mi", 14)
    assert SMALL.product_name == "NVIDIA A100-SXM4-40GB MIG 1g.5gb+me"


def test_the_uuid_of_a_mig_device_is_its_own() -> None:
    # NVIDIA's are version 5 as well.
    assert re.fullmatch(r"MIG-[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", SMALL.uuid)
    again = devices_on([SLICED])[1]
    other = GpuDevice(PhysicalGpu(1, "GPU-2", A100_40GB, "0000:10:1d.0", SLICED.mig), SMALL.placement)
    assert again.uuid == SMALL.uuid
    assert len({SMALL.uuid, LARGE.uuid, other.uuid}) == 3


@pytest.mark.parametrize(
    ("model", "mig", "message"),
    [
        (L4, (), "NVIDIA L4 has no MIG"),
        (A100_80GB, SLICED.mig, "is not a MIG profile of NVIDIA A100-SXM4-80GB"),
        (A100_40GB, (Placement(profile_named(A100_40GB, "7g.40gb"), 0),) * 2, "it can have 1"),
    ],
)
def test_a_gpu_that_cannot_be(model: Any, mig: tuple[Placement, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PhysicalGpu(0, UUID, model, BUS_ID, mig)


@st.composite
def nodes(draw: st.DrawFn) -> list[PhysicalGpu]:
    """GPUs of a node, each with a configuration of its own; L4s among A100s occur nowhere, but break no rule."""
    found = []
    for minor in range(draw(st.integers(0, 8))):
        model = draw(st.sampled_from([L4, A100_40GB, A100_80GB, H100, H200]))
        config = draw(st.sampled_from(list(mig_configs(model)))) if model.mig else None
        mig = layout(model, config) if config else None
        found.append(PhysicalGpu(minor, f"GPU-{minor}", model, f"0000:{minor:02x}:00.0", mig))
    return found


@given(nodes(), st.sampled_from(["25.8.0", "0.4.1"]))
def test_what_a_node_publishes(gpus: list[PhysicalGpu], driver: str) -> None:
    devices = devices_on(gpus)
    entries = [device_entry(device, "v1", driver) for device in devices]
    names = [entry["name"] for entry in entries]
    assert len(names) == len(set(names)) == len({device.uuid for device in devices})
    # What the API server takes: DNS labels, and at most 32 attributes and capacities of a device.
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name) for name in names)
    assert all(len(entry["attributes"]) + len(entry["capacity"]) <= 32 for entry in entries)
    for gpu in gpus:
        own = [device for device in devices if device.gpu == gpu]
        if gpu.mig is None:
            assert [device.type for device in own] == ["gpu"]
        else:
            assert [device.type for device in own] == ["mig"] * len(gpu.mig)
            slices = [n for device in own if device.placement for n in device.placement.slices]
            assert len(slices) == len(set(slices))
