from dataclasses import replace

import pytest

from drakit.dra.catalogue import A100_40GB, A100_80GB
from drakit.dra.devices import Device, Holder, devices_of
from drakit.dra.hardware import PhysicalGpu, device_entry, devices_on
from drakit.dra.mig import layout
from drakit.dra.profiles import NoMigLayout, choose_profiles

BALANCED_40 = ("3g.20gb", "2g.10gb", "1g.5gb")
BALANCED_80 = ("3g.40gb", "2g.20gb", "1g.10gb")


def published(*configs: str, node: str = "n1", model: object = A100_40GB) -> tuple[Device, ...]:
    """What a node publishes whose GPUs have these MIG configurations."""
    gpu = A100_80GB if model is A100_80GB else A100_40GB
    gpus = [
        PhysicalGpu(minor, f"GPU-{minor:08}-0000-0000-0000-000000000000", gpu, "0000:10:1c.0", layout(gpu, config))
        for minor, config in enumerate(configs)
    ]
    spec = {
        "driver": "gpu.nvidia.com",
        "nodeName": node,
        "pool": {"name": node, "generation": 1, "resourceSliceCount": 1},
        "devices": [device_entry(device, "v1") for device in devices_on(gpus)],
    }
    return devices_of([{"spec": spec}])


def taken(device: Device, namespace: str) -> Device:
    return replace(device, allocated_to=(Holder(namespace, "c", ("p",)),))


def named(profiles: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(("large", "medium", "small"), profiles, strict=True))


@pytest.mark.parametrize(("model", "profiles"), [(A100_40GB, BALANCED_40), (A100_80GB, BALANCED_80)])
def test_all_balanced(model: object, profiles: tuple[str, ...]) -> None:
    assert choose_profiles(published("all-balanced", model=model), "ns") == named(profiles)
    assert choose_profiles(reversed(published("all-balanced", model=model)), "ns") == named(profiles)


def test_the_gpu_that_offers_most() -> None:
    devices = published("all-1g.5gb", "all-disabled", "all-balanced", "all-enabled")
    assert choose_profiles(devices, "ns") == named(BALANCED_40)


@pytest.mark.parametrize(
    "configs",
    [("all-1g.5gb", "all-2g.10gb", "all-3g.20gb"), ("all-disabled",), ("all-enabled",), ()],
    ids=["three profiles on three GPUs", "whole GPUs", "no instances", "no GPUs"],
)
def test_too_few_on_one_gpu(configs: tuple[str, ...]) -> None:
    with pytest.raises(NoMigLayout, match="three profiles on one GPU") as raised:
        choose_profiles(published(*configs), "ns")
    assert "drakit mig set GROUP all-balanced" in raised.value.hint


def test_it_says_what_there_is() -> None:
    with pytest.raises(NoMigLayout, match=r"4 of 1g\.10gb, 7 of 1g\.5gb; 11 of 11 are free"):
        choose_profiles(published("all-1g.5gb", "all-1g.10gb"), "ns")
    with pytest.raises(NoMigLayout, match="no node publishes a partition"):
        choose_profiles((), "ns")


def test_partitions_of_two_nodes_are_not_of_one_gpu() -> None:
    first, second = published("all-balanced"), published("all-balanced", node="n2")
    devices = [d for d in first if d.profile == "3g.20gb"] + [d for d in second if d.profile != "3g.20gb"]
    with pytest.raises(NoMigLayout):
        choose_profiles(devices, "ns")


def test_a_partition_in_use_is_not_free() -> None:
    devices = published("all-balanced")
    in_use = [taken(d, "other") if d.profile == "2g.10gb" else d for d in devices]
    with pytest.raises(NoMigLayout, match="3 of 4 are free"):
        choose_profiles(in_use, "ns")
    own = [taken(d, "ns") for d in devices]
    assert choose_profiles(own, "ns") == named(BALANCED_40), "what an earlier run left is removed before this one"


def test_one_of_two_equal_partitions_may_be_in_use() -> None:
    devices = list(published("all-balanced"))
    index = next(index for index, device in enumerate(devices) if device.profile == "1g.5gb")
    devices[index] = taken(devices[index], "other")
    assert choose_profiles(devices, "ns") == named(BALANCED_40)


def test_partitions_that_are_not_made_yet_are_none() -> None:
    """The driver publishes a partition without a UUID when it would only make it on demand: not all fit together."""
    devices = [replace(device, uuid=None) for device in published("all-balanced")]
    with pytest.raises(NoMigLayout):
        choose_profiles(devices, "ns")


def test_the_middle_one_of_many() -> None:
    sizes = {"4g.20gb": 56, "2g.10gb": 28, "1g.10gb": 14, "1g.5gb": 14}
    memory = {"4g.20gb": "19968Mi", "2g.10gb": "9856Mi", "1g.10gb": "9856Mi", "1g.5gb": "4864Mi"}
    devices = [
        Device("n1", profile, "mig", None, memory[profile], profile, profile, "GPU-1", multiprocessors=count)
        for profile, count in sizes.items()
    ]
    chosen = choose_profiles(devices, "ns")
    assert (chosen["large"], chosen["small"]) == ("4g.20gb", "1g.5gb")
    assert chosen["medium"] in ("2g.10gb", "1g.10gb")
