"""Feature gates of the NVIDIA DRA driver: which there are in a version, their defaults, and what may not be combined.

Source: pkg/featuregates of the driver at each tag. Helm does not check them: the driver's pods crash instead. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from drakit.dra.strictdecode import quote

DRIVER_VERSIONS = ("25.3.2", "25.8.0", "25.8.1", "25.12.0", "0.4.0", "0.4.1")
"""The versions that are modelled, oldest first: 0.4 came after 25.12."""

DEFAULT_DRIVER_VERSION = "0.4.1"

_ALL_ALPHA, _ALL_BETA = "AllAlpha", "AllBeta"
_ALPHA, _BETA = False, True

# Each gate with its stage, which is also its default, and the version it came with.
_GATES: Mapping[str, tuple[bool, str]] = {
    "TimeSlicingSettings": (_ALPHA, "25.8.0"),
    "MPSSupport": (_ALPHA, "25.8.0"),
    "IMEXDaemonsWithDNSNames": (_BETA, "25.8.0"),
    "PassthroughSupport": (_ALPHA, "25.12.0"),
    "DynamicMIG": (_ALPHA, "25.12.0"),
    "NVMLDeviceHealthCheck": (_ALPHA, "25.12.0"),
    "ComputeDomainCliques": (_BETA, "25.12.0"),
    "CrashOnNVLinkFabricErrors": (_BETA, "25.12.0"),
    "DeviceMetadata": (_ALPHA, "0.4.0"),
    # Of k8s.io/component-base/logs, which the driver adds to its own; it turns the first one on.
    "ContextualLogging": (_BETA, "25.8.0"),
    "LoggingAlphaOptions": (_ALPHA, "25.8.0"),
    "LoggingBetaOptions": (_BETA, "25.8.0"),
}

_REQUIRES, _EXCLUDES = "requires", "excludes"

# In the order in which the driver looks, which says the first only; each with the version it came with.
_RULES = (
    ("ComputeDomainCliques", _REQUIRES, "IMEXDaemonsWithDNSNames", "25.12.0"),
    ("DynamicMIG", _EXCLUDES, "PassthroughSupport", "25.12.0"),
    ("DynamicMIG", _EXCLUDES, "NVMLDeviceHealthCheck", "25.12.0"),
    ("DynamicMIG", _EXCLUDES, "MPSSupport", "25.12.0"),
    ("PassthroughSupport", _EXCLUDES, "NVMLDeviceHealthCheck", "0.4.0"),
    ("DeviceMetadata", _REQUIRES, "PassthroughSupport", "0.4.0"),
)

# What Go's strconv.ParseBool takes.
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


class GateError(ValueError):
    """The driver would not start with these gates; the text is its own. `stage`: "GATES" or "GATEVALIDATE"."""

    def __init__(self, message: str, stage: str = "GATES") -> None:
        super().__init__(message)
        self.stage = stage


@dataclass(frozen=True)
class FeatureGates:
    """The gates of a driver. `values` has every gate of that version; any other is off."""

    version: str
    values: Mapping[str, bool]

    def __getitem__(self, name: str) -> bool:
        return self.values.get(name, False)

    def enabled(self, name: str) -> bool:
        """Whether the gate is on."""
        return self[name]

    def since(self, version: str) -> bool:
        """Whether the driver is of `version`, one of `DRIVER_VERSIONS`, or newer."""
        return _since(self.version, version)


def feature_gates(
    given: Mapping[str, bool] = MappingProxyType({}), version: str = DEFAULT_DRIVER_VERSION
) -> FeatureGates:
    """The gates of a driver of `version` that was started with `given`.

    25.3 has no gates: what is given is ignored, and time-slicing and MPS are on.

    Raises:
        GateError: the driver would not start: a gate it does not know, or a combination it refuses.
        ValueError: `version` is not one of `DRIVER_VERSIONS`.
    """
    if version not in DRIVER_VERSIONS:
        raise ValueError(f"driver version {version} is not known; known: {', '.join(DRIVER_VERSIONS)}")
    if version == "25.3.2":
        return FeatureGates(version, MappingProxyType({"TimeSlicingSettings": True, "MPSSupport": True}))
    known = {name: stage for name, (stage, since) in _GATES.items() if _since(version, since)}
    for name in given:
        if name not in known and name not in (_ALL_ALPHA, _ALL_BETA):
            raise GateError(f"unrecognized feature gate: {name}")
    values = {name: given.get(name, _default(name, stage, given)) for name, stage in known.items()}
    gates = FeatureGates(version, MappingProxyType(values))
    for name, kind, other, since in _RULES:
        if not (gates[name] and _since(version, since)):
            continue
        if kind is _REQUIRES and not gates[other]:
            raise GateError(f"feature gate {name} requires {other} to also be enabled", "GATEVALIDATE")
        if kind is _EXCLUDES and gates[other]:
            raise GateError(f"feature gate {name} is currently mutually exclusive with {other}", "GATEVALIDATE")
    return gates


def parse_gates(text: str) -> dict[str, bool]:
    """`A=true,B=false`, as the driver's FEATURE_GATES has it.

    Raises:
        GateError: a part is no assignment of a boolean.
    """
    gates = {}
    for part in text.split(","):
        if not part:
            continue
        name, assigned, value = part.partition("=")
        name, value = name.strip(), value.strip()
        if not assigned:
            raise GateError(f"missing bool value for {name}")
        if value not in _BOOLEANS:
            reason = f"strconv.ParseBool: parsing {quote(value)}: invalid syntax"
            raise GateError(f"invalid value of {name}={value}, err: {reason}")
        gates[name] = _BOOLEANS[value]
    return gates


def _default(name: str, stage: bool, given: Mapping[str, bool]) -> bool:
    if name == "ContextualLogging":  # the driver itself sets it, before it reads what is given
        return True
    return given.get(_ALL_BETA if stage is _BETA else _ALL_ALPHA, stage)


def _since(version: str, first: str) -> bool:
    return DRIVER_VERSIONS.index(version) >= DRIVER_VERSIONS.index(first)
