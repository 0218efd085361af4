"""Opaque device configurations of the NVIDIA DRA driver: decoded, completed and checked as it does, in its words.

Source: api/nvidia.com/resource/v1beta1 of the driver at each tag of `gates.DRIVER_VERSIONS`. Its webhook and its
kubelet plugin do the same, so what is refused here is refused there. Pure.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from drakit.dra import strictdecode
from drakit.dra.configscheme import API_VERSION, OtherKind, kind_of, structs
from drakit.dra.gates import DEFAULT_DRIVER_VERSION, FeatureGates, feature_gates
from drakit.dra.quantity import Quantity

TIME_SLICING, MPS = "TimeSlicing", "MPS"
INTERVALS = ("Default", "Short", "Medium", "Long")
"""Time slice intervals; the position is the number that nvidia-smi takes."""


class ConfigError(Exception):
    """The driver refuses a configuration; the text is its own.

    `stage`: "DECODE" (no such object), "TYPE" (an object that the driver knows, and no configuration; `go_type` says
    which), "VALIDATE" (wrong values), "PANIC" (the driver crashes) or "PREPARE" (the webhook lets it through, the
    kubelet plugin refuses).
    """

    def __init__(self, stage: str, message: str, go_type: str | None = None) -> None:
        super().__init__(message)
        self.stage = stage
        self.go_type = go_type


@dataclass(frozen=True)
class TimeSlicingConfig:
    """`interval`: one of `INTERVALS`."""

    interval: str | None = None


@dataclass(frozen=True)
class MpsConfig:
    """Limits of the MPS control daemon: a percentage of the multiprocessors, and of pinned memory for each client."""

    default_active_thread_percentage: int | None = None
    default_pinned_device_memory_limit: Quantity | None = None
    default_per_device_pinned_memory_limit: Mapping[str, Quantity] | None = None

    def limits(self, uuids: Sequence[str]) -> dict[str, str]:
        """The pinned memory limit of each device by UUID, "10240M", as the daemon is told it; the M means MiB.

        A key of `default_per_device_pinned_memory_limit` is a UUID, or the position among the sorted `uuids`.

        Raises:
            ConfigError: stage "PREPARE": a limit below 1 MiB, or a key that names none of the devices.
        """
        uuids = sorted(uuids)
        limits = {}
        default = self.default_pinned_device_memory_limit
        if default is not None and uuids:
            if default.floor_mib() <= 0:
                raise ConfigError("PREPARE", f"invalid limit: default value set too low: &{_go_struct(default)}")
            limits = dict.fromkeys(uuids, f"{default.floor_mib()}M")
        for key, value in sorted((self.default_per_device_pinned_memory_limit or {}).items()):
            uuid = _device(key, uuids)
            if value.floor_mib() <= 0:
                raise ConfigError("PREPARE", f"invalid limit: value set too low: {key}: {_go_struct(value)}")
            limits[uuid] = f"{value.floor_mib()}M"
        return limits


@dataclass(frozen=True)
class GpuSharing:
    """How the clients of a GPU share it."""

    strategy: str = ""
    time_slicing: TimeSlicingConfig | None = None
    mps: MpsConfig | None = None

    def applicable(self) -> TimeSlicingConfig | MpsConfig | None:
        """The settings of the strategy.

        Raises:
            ConfigError: stage "PREPARE": those of the other one are there as well.
        """
        if self.strategy == TIME_SLICING:
            if self.mps is not None:
                raise ConfigError("PREPARE", "cannot use MpsConfig with the 'TimeSlicing' strategy")
            return self.time_slicing
        if self.time_slicing is not None:
            raise ConfigError("PREPARE", "cannot use TimeSlicingConfig with the 'MPS' strategy")
        return self.mps


@dataclass(frozen=True)
class MigSharing:
    """How the clients of a MIG device share it."""

    strategy: str = ""
    mps: MpsConfig | None = None


@dataclass(frozen=True)
class IommuConfig:
    """How a VFIO device is bound."""

    backend_policy: str = ""
    enable_api_device: bool | None = None


@dataclass(frozen=True)
class GpuConfig:
    """Of a whole GPU."""

    sharing: GpuSharing | None = None


@dataclass(frozen=True)
class MigDeviceConfig:
    """Of a MIG device."""

    sharing: MigSharing | None = None


@dataclass(frozen=True)
class VfioDeviceConfig:
    """Of a GPU that is passed through to a virtual machine."""

    iommu: IommuConfig | None = None


@dataclass(frozen=True)
class ComputeDomainChannelConfig:
    """Of a channel of a compute domain."""

    domain_id: str = ""
    allocation_mode: str = ""


@dataclass(frozen=True)
class ComputeDomainDaemonConfig:
    """Of the daemon of a compute domain."""

    domain_id: str = ""


DeviceConfig = GpuConfig | MigDeviceConfig | VfioDeviceConfig | ComputeDomainChannelConfig | ComputeDomainDaemonConfig


def check(raw: Mapping[str, Any] | str, gates: FeatureGates) -> DeviceConfig:
    """A configuration as the driver uses it: decoded, completed and valid.

    Raises:
        ConfigError: the driver refuses it, or crashes.
    """
    config = normalise(decode(raw, gates.version), gates)
    validate(config, gates)
    return config


def decode(raw: Mapping[str, Any] | str, version: str = DEFAULT_DRIVER_VERSION) -> DeviceConfig:
    """The configuration that `raw` is, strictly decoded by a driver of `version`.

    Args:
        raw: the value of `opaque.parameters`. Only its text shows fields that are there twice.

    Raises:
        ConfigError: stage "DECODE" or "TYPE".
    """
    text = raw if isinstance(raw, str) else json.dumps(raw, separators=(",", ":"), ensure_ascii=False)
    driver = feature_gates(version=version)
    try:
        node = strictdecode.parse(text)
        kind = kind_of(node, text, driver)
        # 25.3 still dropped what it did not know.
        fields = strictdecode.decode(node, structs(driver)[kind], strict=driver.since("25.8.0"))
    except strictdecode.DecodeError as error:
        raise ConfigError("DECODE", str(error)) from error
    except OtherKind as error:
        raise ConfigError("TYPE", "runtime object is not a recognized configuration", str(error)) from error
    match kind:
        case "GpuConfig":
            return GpuConfig(_sharing(fields.get("sharing")))
        case "MigDeviceConfig":
            sharing = _sharing(fields.get("sharing"))
            return MigDeviceConfig(MigSharing(sharing.strategy, sharing.mps) if sharing else None)
        case "VfioDeviceConfig":
            iommu = fields.get("iommu")
            policy = (iommu or {}).get("backendPolicy") or ""
            return VfioDeviceConfig(None if iommu is None else IommuConfig(policy, iommu.get("enableAPIDevice")))
        case "ComputeDomainChannelConfig":
            return ComputeDomainChannelConfig(fields.get("domainID") or "", fields.get("allocationMode") or "")
        case _:
            return ComputeDomainDaemonConfig(fields.get("domainID") or "")


def normalise(config: DeviceConfig, gates: FeatureGates) -> DeviceConfig:
    """`config` with what it leaves out filled in, as far as the gates are on."""
    # Until 0.4.0 a configuration without sharing meant time-slicing; 25.3 left out MIG devices.
    implied = gates["TimeSlicingSettings"] and not gates.since("0.4.1")
    match config:
        case GpuConfig(sharing):
            if sharing is None and implied:
                sharing = GpuSharing(TIME_SLICING)
            if sharing and sharing.strategy == TIME_SLICING and gates["TimeSlicingSettings"]:
                sharing = replace(sharing, time_slicing=sharing.time_slicing or TimeSlicingConfig(INTERVALS[0]))
            if sharing and sharing.strategy == MPS and gates["MPSSupport"]:
                sharing = replace(sharing, mps=sharing.mps or MpsConfig())
            return GpuConfig(sharing)
        case MigDeviceConfig(mig):
            if mig is None and implied and gates.since("25.8.0"):
                mig = MigSharing(TIME_SLICING)
            if mig and mig.strategy == MPS and gates["MPSSupport"]:
                mig = replace(mig, mps=mig.mps or MpsConfig())
            return MigDeviceConfig(mig)
        case VfioDeviceConfig(iommu) if gates.since("0.4.0"):
            iommu = iommu or IommuConfig()
            return VfioDeviceConfig(IommuConfig(iommu.backend_policy or "LegacyOnly", bool(iommu.enable_api_device)))
    return config


def validate(config: DeviceConfig, gates: FeatureGates) -> None:
    """Check a normalised configuration.

    Raises:
        ConfigError: stage "VALIDATE", or "PANIC".
    """
    match config:
        case GpuConfig(None) | MigDeviceConfig(None):
            if not gates.since("25.8.0"):
                raise ConfigError("VALIDATE", "no sharing strategy set")
        case GpuConfig(GpuSharing(strategy, time_slicing, mps)):
            _validate_strategy(strategy, gates)
            if strategy == TIME_SLICING:
                _validate_interval(time_slicing or TimeSlicingConfig(), gates)
            else:
                _validate_mps(mps or MpsConfig())
        case MigDeviceConfig(MigSharing(strategy, mps)):
            _validate_strategy(strategy, gates)
            if strategy == MPS:
                _validate_mps(mps or MpsConfig())
        case VfioDeviceConfig(IommuConfig(policy)) if policy not in ("LegacyOnly", "PreferIommuFD"):
            known = "LegacyOnly, PreferIommuFD"
            message = f"unknown IOMMU backend policy: {policy}, supported IOMMU backend policies: {known}"
            raise ConfigError("VALIDATE", message)
        case ComputeDomainChannelConfig(domain_id="") | ComputeDomainDaemonConfig(domain_id=""):
            raise ConfigError("VALIDATE", "domainID cannot be empty")


def to_json(config: DeviceConfig) -> dict[str, Any]:
    """The object as Go writes it."""
    document: dict[str, Any] = {"kind": type(config).__name__, "apiVersion": API_VERSION}
    match config:
        case GpuConfig(sharing) | MigDeviceConfig(sharing):
            if sharing:
                document["sharing"] = _sharing_json(sharing)
        case VfioDeviceConfig(iommu):
            if iommu:
                document["iommu"] = {"backendPolicy": iommu.backend_policy}
                if iommu.enable_api_device is not None:
                    document["iommu"]["enableAPIDevice"] = iommu.enable_api_device
        case ComputeDomainChannelConfig(domain_id, mode):
            document |= {"domainID": domain_id} | ({"allocationMode": mode} if mode else {})
        case ComputeDomainDaemonConfig(domain_id):
            document["domainID"] = domain_id
    return document


def _sharing_json(sharing: GpuSharing | MigSharing) -> dict[str, Any]:
    document: dict[str, Any] = {"strategy": sharing.strategy}
    if isinstance(sharing, GpuSharing) and (slicing := sharing.time_slicing):
        document["timeSlicingConfig"] = {} if slicing.interval is None else {"interval": slicing.interval}
    if (mps := sharing.mps) is not None:
        fields: dict[str, Any] = {}
        if mps.default_active_thread_percentage is not None:
            fields["defaultActiveThreadPercentage"] = mps.default_active_thread_percentage
        if mps.default_pinned_device_memory_limit is not None:
            fields["defaultPinnedDeviceMemoryLimit"] = mps.default_pinned_device_memory_limit.canonical()
        if each := mps.default_per_device_pinned_memory_limit:
            fields["defaultPerDevicePinnedMemoryLimit"] = {key: each[key].canonical() for key in sorted(each)}
        document["mpsConfig"] = fields
    return document


def _validate_strategy(strategy: str, gates: FeatureGates) -> None:
    gate = {TIME_SLICING: "TimeSlicingSettings", MPS: "MPSSupport"}.get(strategy)
    if gate and gates[gate]:
        return
    if not gates.since("0.4.0"):
        raise ConfigError("VALIDATE", f"unknown GPU sharing strategy: {strategy}")
    if gate:
        raise ConfigError(
            "VALIDATE",
            f'"{strategy}" is selected as the GPU sharing strategy, but the "{gate}" feature gate is not enabled',
        )
    raise ConfigError(
        "VALIDATE",
        f"unknown GPU sharing strategy: {strategy}, supported GPU sharing strategies: {TIME_SLICING}, {MPS}",
    )


def _validate_interval(config: TimeSlicingConfig, gates: FeatureGates) -> None:
    if config.interval is None:
        raise ConfigError("PANIC", "runtime error: invalid memory address or nil pointer dereference")
    if config.interval not in INTERVALS:
        supported = f", supported time-slice intervals: {', '.join(INTERVALS)}" if gates.since("0.4.0") else ""
        raise ConfigError("VALIDATE", f"unknown time-slice interval: {config.interval}{supported}")


def _validate_mps(config: MpsConfig) -> None:
    percentage = config.default_active_thread_percentage
    if percentage is not None and percentage < 0:
        raise ConfigError("VALIDATE", "active thread percentage must not be negative")
    if percentage is not None and percentage > 100:
        raise ConfigError("VALIDATE", "active thread percentage must not be greater than 100")


def _sharing(fields: Mapping[str, Any] | None) -> GpuSharing | None:
    if fields is None:
        return None
    slicing, mps = fields.get("timeSlicingConfig"), fields.get("mpsConfig")
    return GpuSharing(
        fields.get("strategy") or "",
        None if slicing is None else TimeSlicingConfig(slicing.get("interval")),
        None
        if mps is None
        else MpsConfig(
            mps.get("defaultActiveThreadPercentage"),
            mps.get("defaultPinnedDeviceMemoryLimit"),
            mps.get("defaultPerDevicePinnedMemoryLimit"),
        ),
    )


def _device(key: str, uuids: Sequence[str]) -> str:
    if key in uuids:
        return key
    if not re.fullmatch(r"[+-]?[0-9]+", key, re.ASCII) or abs(int(key)) >= 2**63:
        raise ConfigError("PREPARE", f"invalid device: unable to parse key as an integer: {key}")
    if not 0 <= int(key) < len(uuids):
        raise ConfigError("PREPARE", f"invalid device: invalid device index: {int(key)}")
    return uuids[int(key)]


def _go_struct(quantity: Quantity) -> str:
    """A quantity as Go prints the struct; of one in arbitrary precision it prints an address."""
    number = "{0 0} {0xc000000000}" if quantity.exact else f"{{{quantity.unscaled} {quantity.scale}}} {{<nil>}}"
    return f"{{{number} {quantity.text or ''} {quantity.format}}}"
