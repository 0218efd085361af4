import copy
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from drakit.dra.catalogue import A100_40GB, L4
from drakit.dra.gates import FeatureGates, feature_gates
from drakit.dra.hardware import PhysicalGpu
from drakit.dra.machine import Machine
from drakit.dra.nodedriver import NodeDriver, PluginPanic, Preparation, PrepareError

Object = dict[str, Any]

BOTH = {"TimeSlicingSettings": True, "MPSSupport": True}
PREFIX = "error preparing devices for claim ns/c:u1: "
L4S = Machine(tuple(PhysicalGpu(i, f"GPU-{'dcba'[i]}", L4, f"0000:3{i}:00.0") for i in range(4)))
A100S = Machine(tuple(PhysicalGpu(i, f"GPU-{i}", A100_40GB, f"0000:1{i}:1c.0") for i in range(2)))
LARGE, SMALL = "gpu-0-mig-3g20gb-9-0", "gpu-0-mig-3g20gb-9-4"


def node(machine: Machine = L4S, gates: Mapping[str, bool] | None = None, version: str = "0.4.1") -> NodeDriver:
    return NodeDriver("n1", machine.gpus, feature_gates(BOTH if gates is None else gates, version))


def mig_node(gates: Mapping[str, bool] | None = None) -> NodeDriver:
    return node(A100S.set_mig("all-3g.20gb", in_use=False), gates)


def parameters(kind: str, **fields: Any) -> Object:
    return {"apiVersion": "resource.nvidia.com/v1beta1", "kind": kind, **fields}


def gpu_config(strategy: str, **fields: Any) -> Object:
    return parameters("GpuConfig", sharing={"strategy": strategy, **fields})


def time_slice(interval: str) -> Object:
    return gpu_config("TimeSlicing", timeSlicingConfig={"interval": interval})


def mps(**fields: Any) -> Object:
    return gpu_config("MPS", mpsConfig=fields)


def mig_config(strategy: str, **fields: Any) -> Object:
    return parameters("MigDeviceConfig", sharing={"strategy": strategy, **fields})


def config(value: Object, *requests: str, source: str = "FromClaim", driver: str = "gpu.nvidia.com") -> Object:
    return {"source": source, "requests": list(requests), "opaque": {"driver": driver, "parameters": value}}


def claim(*devices: str | tuple[str, str], configs: Sequence[Object] = (), uid: str = "u1", **fields: Any) -> Object:
    """A claim with these devices, each for the request "gpu" or the one named before it."""
    pairs = [device if isinstance(device, tuple) else ("gpu", device) for device in devices]
    results = [{"request": r, "driver": "gpu.nvidia.com", "pool": "n1", "device": d, **fields} for r, d in pairs]
    return {
        "metadata": {"namespace": "ns", "name": "c", "uid": uid},
        "status": {"allocation": {"devices": {"results": results, "config": list(configs)}}},
    }


def refused(driver: NodeDriver, wanted: Object) -> str:
    with pytest.raises(PrepareError) as caught:
        driver.prepare(wanted)
    assert wanted["metadata"]["uid"] not in driver.prepared
    return str(caught.value)


def intervals(preparation: Preparation) -> list[tuple[str, int | None]]:
    return [(device.device.name, device.interval) for device in preparation.devices]


# What a device gets


def test_without_a_configuration_nothing_is_set() -> None:
    preparation = node().prepare(claim("gpu-1"))
    assert (preparation.claim_uid, preparation.namespace, preparation.name) == ("u1", "ns", "c")
    (device,) = preparation.devices
    assert (device.request, device.device.uuid, device.interval, device.mps) == ("gpu", "GPU-c", None, None)
    assert preparation.mps == ()


@pytest.mark.parametrize(("version", "interval"), [("25.8.1", 0), ("25.12.0", 0), ("0.4.0", 0), ("0.4.1", None)])
def test_before_0_4_1_the_gate_alone_sets_the_default_time_slice(version: str, interval: int | None) -> None:
    assert intervals(node(version=version).prepare(claim("gpu-0"))) == [("gpu-0", interval)]
    assert intervals(node(gates={}, version=version).prepare(claim("gpu-0"))) == [("gpu-0", None)]


def test_25_3_has_no_gates_and_slices_every_gpu() -> None:
    machine = Machine((A100S.set_mig("all-7g.40gb", in_use=False).gpus[0], A100S.gpus[1]))
    preparation = node(machine, gates={}, version="25.3.2").prepare(claim("gpu-0-mig-0-0-8", "gpu-1"))
    assert [device.interval for device in preparation.devices] == [None, 0]


@pytest.mark.parametrize(("interval", "number"), [("Default", 0), ("Short", 1), ("Medium", 2), ("Long", 3)])
def test_a_time_slice(interval: str, number: int) -> None:
    assert intervals(node().prepare(claim("gpu-0", configs=[config(time_slice(interval))]))) == [("gpu-0", number)]


def test_time_slicing_without_an_interval_is_the_default_one() -> None:
    assert intervals(node().prepare(claim("gpu-0", configs=[config(gpu_config("TimeSlicing"))]))) == [("gpu-0", 0)]


def test_mps_for_every_device_of_the_configuration() -> None:
    wanted = config(mps(defaultActiveThreadPercentage=50, defaultPinnedDeviceMemoryLimit="10Gi"))
    preparation = node().prepare(claim("gpu-0", "gpu-2", configs=[wanted]))
    (settings,) = preparation.mps
    assert settings.uuids == ("GPU-b", "GPU-d")
    assert settings.name_suffix == "u1-" + hashlib.sha256(b"GPU-b,GPU-d").hexdigest()[:5]
    assert settings.thread_percentage == 50
    assert settings.limits == {"GPU-b": "10240M", "GPU-d": "10240M"}
    assert [(device.device.name, device.mps) for device in preparation.devices] == [
        ("gpu-0", settings),
        ("gpu-2", settings),
    ]


def test_an_index_of_a_memory_limit_counts_the_sorted_uuids() -> None:
    wanted = config(mps(defaultPerDevicePinnedMemoryLimit={"0": "1Gi", "GPU-d": "2Gi"}))
    (settings,) = node().prepare(claim("gpu-0", "gpu-3", configs=[wanted])).mps
    assert settings.limits == {"GPU-a": "1024M", "GPU-d": "2048M"}


def test_two_configurations_make_two_control_daemons() -> None:
    configs = [config(mps(), "one"), config(mps(), "two")]
    first, second = node().prepare(claim(("one", "gpu-0"), ("two", "gpu-1"), configs=configs)).mps
    assert (first.uuids, second.uuids) == (("GPU-d",), ("GPU-c",))
    assert first.name_suffix != second.name_suffix


def test_mps_on_mig_partitions() -> None:
    driver = mig_node()
    wanted = config(mig_config("MPS", mpsConfig={"defaultActiveThreadPercentage": 25}))
    (settings,) = driver.prepare(claim(LARGE, configs=[wanted])).mps
    assert settings.uuids == (driver.devices[LARGE].uuid,)
    assert settings.uuids[0].startswith("MIG-")
    assert settings.thread_percentage == 25


def test_time_slicing_on_mig_partitions_sets_nothing() -> None:
    preparation = mig_node().prepare(claim(LARGE, configs=[config(mig_config("TimeSlicing"))]))
    assert intervals(preparation) == [(LARGE, None)]


def test_results_of_other_drivers_are_left_alone() -> None:
    wanted = claim("gpu-0")
    results = wanted["status"]["allocation"]["devices"]["results"]
    results.insert(0, {**results[0], "driver": "nic.example.com", "device": "nic-7"})
    wanted["status"]["allocation"]["devices"]["config"] = [
        config({"kind": "Nic"}, driver="nic.example.com"),
        config(time_slice("Short")),
    ]
    assert intervals(node().prepare(wanted)) == [("gpu-0", 1)]


# Which configuration


def test_the_claims_configuration_beats_the_classs_wherever_it_stands() -> None:
    configs = [config(time_slice("Long")), config(time_slice("Short"), "gpu", source="FromClass")]
    assert intervals(node().prepare(claim("gpu-0", configs=configs))) == [("gpu-0", 3)]


def test_of_one_source_the_later_one_wins() -> None:
    configs = [config(time_slice("Long"), "gpu"), config(time_slice("Short"))]
    assert intervals(node().prepare(claim("gpu-0", configs=configs))) == [("gpu-0", 1)]


def test_a_configuration_is_for_the_requests_it_names() -> None:
    configs = [config(time_slice("Long"), "two")]
    preparation = node().prepare(claim(("one", "gpu-0"), ("two", "gpu-1"), configs=configs))
    assert intervals(preparation) == [("gpu-0", None), ("gpu-1", 3)]


def test_the_name_of_a_request_does_not_match_its_subrequests() -> None:
    configs = [config(time_slice("Long"), "gpu")]
    assert intervals(node().prepare(claim(("gpu/fast", "gpu-0"), configs=configs))) == [("gpu-0", None)]
    named = [config(time_slice("Long"), "gpu/fast")]
    assert intervals(node().prepare(claim(("gpu/fast", "gpu-1"), uid="u2", configs=named))) == [("gpu-1", 3)]


def test_one_for_all_requests_skips_devices_of_another_type_silently() -> None:
    driver = NodeDriver("n1", [*A100S.set_mig("all-3g.20gb", in_use=False).gpus[:1], A100S.gpus[1]], gates())
    configs = [config(time_slice("Long"))]
    assert intervals(driver.prepare(claim(LARGE, "gpu-1", configs=configs))) == [(LARGE, None), ("gpu-1", 3)]


def test_what_is_overridden_is_decoded_but_not_validated() -> None:
    invalid, unknown = time_slice("Longest"), parameters("GpuConfig", colour="red")
    configs = [config(invalid, source="FromClass"), config(time_slice("Short"))]
    assert intervals(node().prepare(claim("gpu-0", configs=configs))) == [("gpu-0", 1)]
    configs = [config(unknown, source="FromClass"), config(time_slice("Short"))]
    assert "strict decoding error" in refused(node(), claim("gpu-0", configs=configs))


# Refusals


def gates() -> FeatureGates:
    return feature_gates(BOTH)


VALIDATING = PREFIX + "prepare devices failed: error validating GPU config: "
DECODING = f"{PREFIX}prepare devices failed: error getting opaque device configs: error decoding config parameters: "
APPLYING = PREFIX + "prepare devices failed: error applying config: "
LIMITING = (
    f"{APPLYING}error starting MPS control daemon: error transforming DefaultPerDevicePinnedMemoryLimit into string: "
)
REFUSED: Mapping[str, tuple[Object, str]] = {
    "unknown field": (
        parameters("GpuConfig", sharing={"strategy": "TimeSlicing", "intervall": "Short"}),
        DECODING + 'strict decoding error: unknown field "sharing.intervall"',
    ),
    "unknown interval": (
        time_slice("short"),
        VALIDATING + "unknown time-slice interval: short, supported time-slice intervals: Default, Short, Medium, Long",
    ),
    "thread percentage": (
        mps(defaultActiveThreadPercentage=101),
        VALIDATING + "active thread percentage must not be greater than 100",
    ),
    "time-slicing with MPS settings": (
        gpu_config("TimeSlicing", mpsConfig={}),
        APPLYING + "error getting timeslice config for requests '[gpu gpu]' in claim 'u1': "
        "cannot use MpsConfig with the 'TimeSlicing' strategy",
    ),
    "MPS with time-slicing settings": (
        gpu_config("MPS", timeSlicingConfig={"interval": "Sometimes"}),
        APPLYING + "error getting MPS configuration: cannot use TimeSlicingConfig with the 'MPS' strategy",
    ),
    "a limit too low": (
        mps(defaultPinnedDeviceMemoryLimit="1023Ki"),
        LIMITING + "invalid limit: default value set too low",
    ),
    "no such device of the claim": (
        mps(defaultPerDevicePinnedMemoryLimit={"2": "1Gi"}),
        LIMITING + "invalid device: invalid device index: 2",
    ),
    "an object that is no configuration": (
        parameters("ComputeDomain"),
        PREFIX + "prepare devices failed: runtime object is not a recognized configuration",
    ),
    "a compute domain's": (
        parameters("ComputeDomainChannelConfig", domainID="d"),
        PREFIX + "prepare devices failed: runtime object is not a recognized configuration",
    ),
}


@pytest.mark.parametrize(("value", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_configuration_is_refused_in_the_drivers_words(value: Object, message: str) -> None:
    assert refused(node(), claim("gpu-0", "gpu-1", configs=[config(value)])).startswith(message)


def test_a_strategy_needs_its_gate() -> None:
    wanted = claim("gpu-0", configs=[config(time_slice("Short"))])
    assert refused(node(gates={"MPSSupport": True}), wanted) == (
        f'{VALIDATING}"TimeSlicing" is selected as the GPU sharing strategy, '
        'but the "TimeSlicingSettings" feature gate is not enabled'
    )


@pytest.mark.parametrize("kind", ["MigDeviceConfig", "VfioDeviceConfig"])
def test_a_configuration_of_another_type_for_a_named_request(kind: str) -> None:
    wanted = claim("gpu-0", configs=[config(parameters(kind), "gpu")])
    assert refused(node(), wanted) == (
        f'{PREFIX}prepare devices failed: cannot apply {kind} to device "gpu-0" of type "gpu" (request: gpu)'
    )
    assert intervals(node().prepare(claim("gpu-0", configs=[config(parameters(kind))]))) == [("gpu-0", None)]


def test_a_gpus_configuration_for_a_named_partition() -> None:
    wanted = claim(("x", LARGE), configs=[config(time_slice("Short"), "x")])
    assert refused(mig_node(), wanted) == (
        f'{PREFIX}prepare devices failed: cannot apply GpuConfig to device "{LARGE}" of type "mig" (request: x)'
    )


def test_a_device_that_the_driver_does_not_have() -> None:
    assert refused(node(), claim("gpu-9")) == (
        PREFIX + 'prepare devices failed: allocatable not found for device "gpu-9"'
    )


def test_earlier_drivers_word_it_otherwise() -> None:
    assert refused(node(version="25.8.1"), claim("gpu-9")) == (
        "error preparing devices for claim u1: prepare devices failed: requested device is not allocatable: gpu-9"
    )
    wanted = claim("gpu-0", configs=[config(parameters("MigDeviceConfig"), "gpu")])
    assert refused(node(version="25.8.1"), wanted).endswith(": cannot apply MIG device config to request: gpu")
    assert refused(node(version="25.12.0"), wanted).endswith(
        ": cannot apply MigDeviceConfig to device type gpu (request: gpu)"
    )


def test_only_opaque_configurations_from_class_or_claim() -> None:
    getting = PREFIX + "prepare devices failed: error getting opaque device configs: "
    for entry, message in (
        ({"source": "FromMars", "opaque": {}}, "invalid config source: FromMars"),
        ({"source": "FromClaim"}, "only opaque parameters are supported by this driver"),
    ):
        assert refused(node(), claim("gpu-0", configs=[entry])) == getting + message


def test_a_claim_without_an_allocation() -> None:
    wanted: Object = {"metadata": {"namespace": "ns", "name": "c", "uid": "u1"}, "status": {}}
    assert refused(node(), wanted) == PREFIX + "prepare devices failed: claim not yet allocated"


def test_an_empty_time_slicing_configuration_crashes_the_plugin() -> None:
    wanted = claim("gpu-0", configs=[config(gpu_config("TimeSlicing", timeSlicingConfig={}))])
    driver = node()
    with pytest.raises(PluginPanic, match=r"rpc error: code = Unavailable.*the kubelet plugin crashed"):
        driver.prepare(wanted)
    assert driver.prepared == {}
    # The gate is looked at first: without it, a refusal as any other.
    assert "feature gate is not enabled" in refused(node(gates={}), wanted)


# One device, one claim


def test_a_device_belongs_to_the_claim_that_has_it_until_it_is_given_back() -> None:
    driver = node()
    first = driver.prepare(claim("gpu-0"))
    second = claim("gpu-1", "gpu-0", uid="u2")
    assert refused(driver, second) == (
        "error preparing devices for claim ns/c:u2: unable to prepare claim u2: "
        "requested device gpu-0 is already allocated to different claim u1"
    )
    assert driver.unprepare("u1") == first
    assert driver.prepare(second).claim_uid == "u2"
    assert set(driver.prepared) == {"u2"}


def test_the_overlap_is_seen_before_the_configuration_is() -> None:
    driver = node()
    driver.prepare(claim("gpu-0"))
    assert "already allocated" in refused(driver, claim("gpu-0", uid="u2", configs=[config({})]))


def test_admin_access_takes_no_device() -> None:
    driver = node()
    driver.prepare(claim("gpu-0"))
    assert driver.prepare(claim("gpu-0", uid="u2", adminAccess=True)).devices[0].admin
    driver.unprepare("u1")
    assert driver.prepare(claim("gpu-0", uid="u3")).claim_uid == "u3"


def test_until_25_12_the_driver_did_not_look() -> None:
    driver = node(version="25.8.1")
    driver.prepare(claim("gpu-0"))
    assert driver.prepare(claim("gpu-0", uid="u2")).claim_uid == "u2"


def test_a_prepared_claim_stays_as_it_is() -> None:
    driver = node()
    first = driver.prepare(claim("gpu-0", configs=[config(time_slice("Short"))]))
    assert driver.prepare(claim("gpu-0", configs=[config(time_slice("Longest"))])) is first


def test_what_failed_can_be_prepared_once_the_cause_is_gone() -> None:
    driver = node()
    assert refused(driver, claim("gpu-0", configs=[config(time_slice("Longest"))]))
    assert intervals(driver.prepare(claim("gpu-0", configs=[config(time_slice("Long"))]))) == [("gpu-0", 3)]


def test_unprepare_of_what_is_not_prepared_is_no_error() -> None:
    assert node().unprepare("u1") is None


def test_the_claim_is_not_changed() -> None:
    wanted = claim("gpu-0", configs=[config(gpu_config("TimeSlicing"))])
    before = copy.deepcopy(wanted)
    node().prepare(wanted)
    assert wanted == before


# Restarts and MIG


def test_a_restart_takes_over_what_is_prepared() -> None:
    before = node()
    first = before.prepare(claim("gpu-0", configs=[config(mps())]))
    after = node()
    after.restore(before.prepared)
    before.unprepare("u1")
    assert after.prepare(claim("gpu-0")) == first
    assert "already allocated" in refused(after, claim("gpu-0", uid="u2"))


def test_the_driver_sees_partitions_after_a_restart_alone() -> None:
    machine = A100S.set_mig("all-3g.20gb", in_use=False)
    assert set(node(A100S).devices) == {"gpu-0", "gpu-1"}
    assert set(node(machine).devices) == {f"gpu-{i}-mig-3g20gb-9-{start}" for i in (0, 1) for start in (0, 4)}
    assert node(A100S.set_mig("all-enabled", in_use=False)).devices == {}


def test_a_device_that_has_gone_since_the_start_is_not_prepared() -> None:
    driver, machine = node(A100S), A100S.set_mig("all-3g.20gb", in_use=False)
    with pytest.raises(PrepareError, match="device gpu-0 has gone since the kubelet plugin started"):
        driver.prepare(claim("gpu-0"), present=machine.gpus)
    assert driver.prepared == {}
    assert driver.prepare(claim("gpu-0"), present=A100S.gpus).claim_uid == "u1"


def test_earlier_drivers_name_partitions_otherwise() -> None:
    machine = Machine(A100S.gpus[:1]).set_mig("all-3g.20gb", in_use=False)
    driver = node(machine, version="25.8.1")
    assert set(driver.devices) == {"gpu-0-mig-9-0-4", "gpu-0-mig-9-4-4"}
    (prepared,) = driver.prepare(claim("gpu-0-mig-9-4-4")).devices
    assert prepared.device.placement is not None
    assert prepared.device.placement.start == 4
