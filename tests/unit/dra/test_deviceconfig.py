"""Device configurations: compared with what the driver's own decode, Normalize and Validate made of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from drakit.dra.deviceconfig import (
    ComputeDomainChannelConfig,
    ConfigError,
    DeviceConfig,
    GpuConfig,
    GpuSharing,
    MigDeviceConfig,
    MpsConfig,
    TimeSlicingConfig,
    VfioDeviceConfig,
    check,
    decode,
    to_json,
)
from drakit.dra.gates import GateError, feature_gates
from drakit.dra.quantity import Quantity

HERE = Path(__file__).parent
BOTH = {"TimeSlicingSettings": True, "MPSSupport": True}


def cases(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / name).read_text().splitlines()]


def outcome(gates: dict[str, bool], raw: str) -> tuple[str, str]:
    """The stage reached and the driver's text, or the object as it is written."""
    try:
        return "OK", json.dumps(to_json(check(raw, feature_gates(gates))), separators=(",", ":"))
    except GateError as error:
        return error.stage, str(error)
    except ConfigError as error:
        return error.stage, str(error)


@pytest.mark.parametrize("case", cases("device-config-cases.jsonl"), ids=lambda case: case["id"])
def test_as_the_driver_says(case: dict[str, Any]) -> None:
    stage, text = outcome(case["gates"], case["raw"])
    assert stage == case["stage"]
    # Where the driver made its scheme is a line of its source.
    assert text.partition(" in scheme ")[0] == case["result"].partition(" in scheme ")[0]


@pytest.mark.parametrize("case", cases("device-config-recorded.jsonl"), ids=lambda case: case["raw"][:60])
def test_as_the_driver_said(case: dict[str, Any]) -> None:
    assert outcome(case["gates"], case["raw"]) == (case["stage"], case["result"])
    config = check(case["raw"], feature_gates(case["gates"])) if case["stage"] == "OK" else None
    mps = config.sharing.mps if isinstance(config, GpuConfig | MigDeviceConfig) and config.sharing else None
    if "limitsError" in case:
        with pytest.raises(ConfigError) as refused:
            (mps or MpsConfig()).limits(["GPU-a", "GPU-b"])
        assert (refused.value.stage, str(refused.value)) == ("PREPARE", case["limitsError"])
    elif mps:
        assert mps.limits(["GPU-b", "GPU-a"]) == case.get("limits", {})


def test_the_recorded_objects_reach_every_stage() -> None:
    assert {case["stage"] for case in cases("device-config-recorded.jsonl")} == {"DECODE", "VALIDATE", "PANIC", "OK"}


def gpu(sharing: object = None, **fields: object) -> dict[str, Any]:
    more = {} if sharing is None else {"sharing": sharing}
    return {"apiVersion": "resource.nvidia.com/v1beta1", "kind": "GpuConfig", **more, **fields}


def refusal(raw: dict[str, Any] | str, version: str = "0.4.1", **gates: bool) -> tuple[str, str]:
    with pytest.raises(ConfigError) as refused:
        check(raw, feature_gates(gates or BOTH, version))
    return refused.value.stage, str(refused.value)


def test_a_mapping_is_decoded_as_its_text_is() -> None:
    sharing = {"strategy": "MPS", "mpsConfig": {"defaultPinnedDeviceMemoryLimit": "10Gi"}}
    assert check(gpu(sharing), feature_gates(BOTH)) == check(json.dumps(gpu(sharing)), feature_gates(BOTH))
    assert refusal({"kind": "GpuConfig"}) == ("DECODE", "Object 'apiVersion' is missing in '{\"kind\":\"GpuConfig\"}'")


def test_values_come_out_typed() -> None:
    raw = gpu({"strategy": "MPS", "mpsConfig": {"defaultPinnedDeviceMemoryLimit": "1024Mi"}})
    limit = Quantity.parse("1Gi")
    assert decode(raw) == GpuConfig(GpuSharing("MPS", None, MpsConfig(None, limit)))


def test_an_empty_time_slicing_config_crashes_the_driver() -> None:
    for empty in ({}, {"interval": None}):
        stage, text = refusal(gpu({"strategy": "TimeSlicing", "timeSlicingConfig": empty}))
        assert (stage, text) == ("PANIC", "runtime error: invalid memory address or nil pointer dereference")


def test_fields_that_are_there_twice() -> None:
    raw = '{"apiVersion":"resource.nvidia.com/v1beta1","kind":"GpuConfig","sharing":null,"sharing":{"strategy":"MPS"}}'
    assert refusal(raw) == ("DECODE", 'strict decoding error: duplicate field "sharing"')


def test_a_kind_that_is_no_configuration() -> None:
    with pytest.raises(ConfigError) as refused:
        decode(gpu() | {"kind": "ComputeDomain"})
    assert (refused.value.stage, refused.value.go_type) == ("TYPE", "*v1beta1.ComputeDomain")
    assert str(refused.value) == "runtime object is not a recognized configuration"


@pytest.mark.parametrize("raw", ["", "{", "nonsense", '{"a": NaN}', "[" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000])
def test_what_is_no_json(raw: str) -> None:
    stage, text = refusal(raw)
    assert (stage, text[:13]) == ("DECODE", "invalid JSON:")


def test_settings_of_the_other_strategy_are_refused_at_prepare() -> None:
    slicing, mps = TimeSlicingConfig("Short"), MpsConfig()
    assert GpuSharing("MPS", None, mps).applicable() is mps
    assert GpuSharing("TimeSlicing", slicing).applicable() is slicing
    for strategy, name in (("MPS", "TimeSlicingConfig"), ("TimeSlicing", "MpsConfig")):
        with pytest.raises(ConfigError, match=f"cannot use {name} with the '{strategy}' strategy") as refused:
            GpuSharing(strategy, slicing, mps).applicable()
        assert refused.value.stage == "PREPARE"


def test_limits_by_position_are_of_the_sorted_uuids() -> None:
    mps = MpsConfig(None, Quantity.parse("10Gi"), {"1": Quantity.parse("2Gi"), "GPU-a": Quantity.parse("1Gi")})
    assert mps.limits(["GPU-c", "GPU-a", "GPU-b"]) == {"GPU-a": "1024M", "GPU-b": "2048M", "GPU-c": "10240M"}
    assert MpsConfig().limits(["GPU-a"]) == {}


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("25.3.2", None),
        ("25.8.1", "unknown GPU sharing strategy: MPS"),
        ("25.12.0", "unknown GPU sharing strategy: MPS"),
        ("0.4.0", '"MPS" is selected as the GPU sharing strategy, but the "MPSSupport" feature gate is not enabled'),
    ],
)
def test_a_gate_that_is_off_by_version(version: str, said: str | None) -> None:
    raw = gpu({"strategy": "MPS"})
    if said is None:
        check(raw, feature_gates({}, version))
    else:
        assert refusal(raw, version, MPSSupport=False) == ("VALIDATE", said)


@pytest.mark.parametrize(
    ("version", "kind", "sharing"),
    [
        ("25.3.2", "GpuConfig", {"strategy": "TimeSlicing", "timeSlicingConfig": {"interval": "Default"}}),
        ("25.8.0", "GpuConfig", {"strategy": "TimeSlicing", "timeSlicingConfig": {"interval": "Default"}}),
        ("0.4.0", "GpuConfig", {"strategy": "TimeSlicing", "timeSlicingConfig": {"interval": "Default"}}),
        ("0.4.1", "GpuConfig", None),
        ("25.12.0", "MigDeviceConfig", {"strategy": "TimeSlicing"}),
        ("0.4.1", "MigDeviceConfig", None),
    ],
)
def test_sharing_that_older_drivers_imply(version: str, kind: str, sharing: object) -> None:
    config = check(gpu() | {"kind": kind}, feature_gates(BOTH, version))
    assert to_json(config).get("sharing") == sharing


def test_25_3_refuses_a_mig_config_without_sharing_and_drops_what_it_does_not_know() -> None:
    assert refusal(gpu() | {"kind": "MigDeviceConfig"}, "25.3.2") == ("VALIDATE", "no sharing strategy set")
    config = check(gpu({"strategy": "MPS"}, metadata={}), feature_gates({}, "25.3.2"))
    assert config == GpuConfig(GpuSharing("MPS", None, MpsConfig()))


@pytest.mark.parametrize(
    ("version", "config"),
    [
        ("25.12.0", VfioDeviceConfig()),
        ("0.4.1", check(gpu() | {"kind": "VfioDeviceConfig"}, feature_gates())),
        ("25.8.1", None),
    ],
)
def test_passthrough_by_version(version: str, config: DeviceConfig | None) -> None:
    raw = gpu() | {"kind": "VfioDeviceConfig"}
    if config is None:
        assert refusal(raw, version)[1].startswith('no kind "VfioDeviceConfig" is registered for version')
    else:
        assert check(raw, feature_gates({}, version)) == config


def test_what_came_with_a_version_is_unknown_before() -> None:
    channel = gpu(domainID="x", allocationMode="All") | {"kind": "ComputeDomainChannelConfig"}
    assert check(channel, feature_gates({}, "25.8.0")) == ComputeDomainChannelConfig("x", "All")
    vfio = gpu(iommu={}) | {"kind": "VfioDeviceConfig"}
    assert refusal(vfio, "25.12.0") == ("DECODE", 'strict decoding error: unknown field "iommu"')


def test_the_interval_message_was_shorter() -> None:
    raw = gpu({"strategy": "TimeSlicing", "timeSlicingConfig": {"interval": "short"}})
    assert refusal(raw, "25.12.0") == ("VALIDATE", "unknown time-slice interval: short")
