"""Feature gates: those that each version of the driver knows, and what it refuses at its start."""

import pytest

from drakit.dra.gates import DRIVER_VERSIONS, GateError, feature_gates, parse_gates


def test_defaults_are_what_the_driver_has() -> None:
    gates = feature_gates()
    assert gates.version == "0.4.1"
    assert sorted(name for name, on in gates.values.items() if on) == [
        "ComputeDomainCliques", "ContextualLogging", "CrashOnNVLinkFabricErrors", "IMEXDaemonsWithDNSNames",
        "LoggingBetaOptions",
    ]  # fmt: skip
    assert len(gates.values) == 12


def test_what_is_given_is_on_and_what_is_not_there_is_off() -> None:
    gates = feature_gates({"MPSSupport": True})
    assert gates["MPSSupport"]
    assert gates.enabled("MPSSupport")
    assert not gates["TimeSlicingSettings"]
    assert not gates["ConsumableShares"]


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("0.4.1", "MpsSupport"),
        ("0.4.1", "ConsumableShares"),
        ("0.4.1", ""),
        ("25.12.0", "DeviceMetadata"),
        ("25.8.1", "DynamicMIG"),
        ("25.8.0", "PassthroughSupport"),
    ],
)
def test_an_unknown_gate(version: str, name: str) -> None:
    with pytest.raises(GateError) as refused:
        feature_gates({"MPSSupport": True, name: False}, version)
    assert str(refused.value) == f"unrecognized feature gate: {name}"
    assert refused.value.stage == "GATES"


@pytest.mark.parametrize("name", ["DeviceMetadata", "DynamicMIG", "MPSSupport", "AllBeta", "ContextualLogging"])
def test_a_gate_of_this_version(name: str) -> None:
    feature_gates({name: False}, "0.4.1")


@pytest.mark.parametrize(
    ("on", "said"),
    [
        ({"DynamicMIG", "PassthroughSupport"}, "DynamicMIG is currently mutually exclusive with PassthroughSupport"),
        ({"DynamicMIG", "MPSSupport"}, "DynamicMIG is currently mutually exclusive with MPSSupport"),
        (
            {"DynamicMIG", "MPSSupport", "NVMLDeviceHealthCheck"},
            "DynamicMIG is currently mutually exclusive with NVMLDeviceHealthCheck",
        ),
        (
            {"PassthroughSupport", "NVMLDeviceHealthCheck"},
            "PassthroughSupport is currently mutually exclusive with NVMLDeviceHealthCheck",
        ),
        ({"DeviceMetadata"}, "DeviceMetadata requires PassthroughSupport to also be enabled"),
        ({"AllAlpha"}, "DynamicMIG is currently mutually exclusive with PassthroughSupport"),
    ],
)
def test_forbidden_combinations(on: set[str], said: str) -> None:
    with pytest.raises(GateError) as refused:
        feature_gates(dict.fromkeys(on, True))
    assert str(refused.value) == f"feature gate {said}"
    assert refused.value.stage == "GATEVALIDATE"


def test_a_default_can_be_what_is_missing() -> None:
    with pytest.raises(GateError, match="ComputeDomainCliques requires IMEXDaemonsWithDNSNames to also be enabled"):
        feature_gates({"IMEXDaemonsWithDNSNames": False})
    feature_gates({"IMEXDaemonsWithDNSNames": False, "ComputeDomainCliques": False})
    feature_gates({"AllBeta": False})
    feature_gates({"IMEXDaemonsWithDNSNames": False}, "25.8.1")


def test_combinations_that_only_the_documentation_forbids() -> None:
    feature_gates({"MPSSupport": True, "NVMLDeviceHealthCheck": True})
    feature_gates({"TimeSlicingSettings": True, "DynamicMIG": True})


def test_rules_came_with_their_version() -> None:
    feature_gates({"PassthroughSupport": True, "NVMLDeviceHealthCheck": True}, "25.12.0")


def test_all_alpha_leaves_what_is_said() -> None:
    gates = feature_gates({"AllAlpha": True, "DynamicMIG": False, "NVMLDeviceHealthCheck": False})
    assert (gates["TimeSlicingSettings"], gates["DynamicMIG"]) == (True, False)
    assert feature_gates({"AllBeta": False})["ContextualLogging"]


def test_25_3_has_no_gates_and_shares_always() -> None:
    gates = feature_gates({"Nonsense": True, "MPSSupport": False}, "25.3.2")
    assert gates["MPSSupport"]
    assert gates["TimeSlicingSettings"]


@pytest.mark.parametrize("version", ["0.5.0", "v0.4.1", "25.12", ""])
def test_an_unknown_version(version: str) -> None:
    with pytest.raises(ValueError, match=r"is not known; known: 25\.3\.2, .*0\.4\.1") as refused:
        feature_gates(version=version)
    assert not isinstance(refused.value, GateError)


def test_versions_are_ordered_as_they_came() -> None:
    assert [feature_gates(version=version).since("25.12.0") for version in DRIVER_VERSIONS] == [False] * 3 + [True] * 3


@pytest.mark.parametrize(
    ("text", "gates"),
    [
        ("", {}),
        ("A=true,B=false", {"A": True, "B": False}),
        (" A = 1 ,,B=F,", {"A": True, "B": False}),
        ("A=true,A=false", {"A": False}),
        ("=true", {"": True}),
    ],
)
def test_gates_as_text(text: str, gates: dict[str, bool]) -> None:
    assert parse_gates(text) == gates


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A", "missing bool value for A"),
        ("A=true, B ", "missing bool value for B"),
        ("A=yes", 'invalid value of A=yes, err: strconv.ParseBool: parsing "yes": invalid syntax'),
        ("A=", 'invalid value of A=, err: strconv.ParseBool: parsing "": invalid syntax'),
        ("A=true=x", 'invalid value of A=true=x, err: strconv.ParseBool: parsing "true=x": invalid syntax'),
        ('A="', 'invalid value of A=", err: strconv.ParseBool: parsing "\\"": invalid syntax'),
    ],
)
def test_text_that_is_no_gates(text: str, said: str) -> None:
    with pytest.raises(GateError) as refused:
        parse_gates(text)
    assert str(refused.value) == said
