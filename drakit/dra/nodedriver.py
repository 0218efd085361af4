"""NVIDIA's DRA driver on one node, as a model: what it discovers at its start, prepares and unprepares.

Rules and wording: kubernetes-sigs/dra-driver-nvidia-gpu v0.4.1, cmd/gpu-kubelet-plugin/device_state.go and sharing.go;
where earlier versions say or do something else, their tags. DynamicMIG and passthrough are not modelled.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from drakit.dra import deviceconfig
from drakit.dra.deviceconfig import (
    INTERVALS,
    MPS,
    TIME_SLICING,
    ConfigError,
    DeviceConfig,
    GpuConfig,
    GpuSharing,
    MigDeviceConfig,
    MigSharing,
    MpsConfig,
    TimeSlicingConfig,
    VfioDeviceConfig,
)
from drakit.dra.devices import DRIVER
from drakit.dra.gates import FeatureGates
from drakit.dra.hardware import GpuDevice, PhysicalGpu, device_name, devices_on

Object = Mapping[str, Any]

_TYPES: Mapping[type, str] = MappingProxyType({GpuConfig: "gpu", MigDeviceConfig: "mig", VfioDeviceConfig: "vfio"})
_SOURCES = ("FromClass", "FromClaim")  # the later one wins


class PrepareError(Exception):
    """A claim was not prepared, and nothing of it is. The text is the driver's answer to the kubelet."""


class PluginPanic(PrepareError):
    """Preparing the claim crashes the kubelet plugin. The text is what the kubelet is left with, and why."""


@dataclass(frozen=True)
class MpsSettings:
    """The MPS control daemon of one configuration of a claim.

    The Deployment is called `MPS_DAEMON` and `name_suffix`. `uuids` are the devices it serves, sorted;
    `limits` has the pinned memory that a client may take of each ("10240M"), those without a limit left out.
    """

    name_suffix: str
    uuids: tuple[str, ...]
    thread_percentage: int | None
    limits: Mapping[str, str]


@dataclass(frozen=True)
class PreparedDevice:
    """A device of a prepared claim. `request` is the result's, "main/sub" for a subrequest.

    `interval` is the time slice that was set, 0 (default) to 3 (long); None when none was. `admin`: with admin access.
    """

    request: str
    device: GpuDevice
    interval: int | None = None
    mps: MpsSettings | None = None
    admin: bool = False


@dataclass(frozen=True)
class Preparation:
    """A prepared claim, its devices in the order of the allocation's results."""

    claim_uid: str
    namespace: str
    name: str
    devices: tuple[PreparedDevice, ...]

    @property
    def mps(self) -> tuple[MpsSettings, ...]:
        """The MPS control daemons that the claim needs."""
        found = {device.mps.name_suffix: device.mps for device in self.devices if device.mps}
        return tuple(found.values())


class NodeDriver:
    """The driver on a node while its kubelet plugin runs; a restart is a new object.

    Args:
        gpus: the hardware as it is when the plugin starts. The driver does not look again.
    """

    def __init__(self, node: str, gpus: Sequence[PhysicalGpu], gates: FeatureGates) -> None:
        self.node = node
        self.gates = gates
        self.devices: Mapping[str, GpuDevice] = MappingProxyType(
            {device_name(device, gates.version): device for device in devices_on(gpus)}
        )
        self._prepared: dict[str, Preparation] = {}

    @property
    def prepared(self) -> Mapping[str, Preparation]:
        """The prepared claims by their UID."""
        return MappingProxyType(self._prepared)

    def restore(self, prepared: Mapping[str, Preparation]) -> None:
        """Take over what an earlier run of the plugin has prepared: its checkpoint, which is the node's."""
        self._prepared.update(prepared)

    def prepare(self, claim: Object, present: Iterable[PhysicalGpu] | None = None) -> Preparation:
        """Prepare an allocated ResourceClaim; for a claim that is prepared already, what was prepared then.

        Args:
            present: the hardware as it is now, to notice devices that have gone since the plugin started.

        Raises:
            PrepareError: with the driver's message; nothing is prepared.
        """
        metadata = claim["metadata"]
        uid = str(metadata["uid"])
        if uid in self._prepared:
            return self._prepared[uid]
        name = f"{metadata['namespace']}/{metadata['name']}:{uid}"
        try:
            self._check_overlap(claim)
            devices = self._devices_of(claim)
            if present is not None:
                _check_present(devices, present)
        except ConfigError as error:  # a panic: every other one has become a refusal
            text = "rpc error: code = Unavailable desc = error reading from server: EOF"
            raise PluginPanic(f"{text} (the kubelet plugin crashed: {error})") from error
        except _Refused as error:
            raise PrepareError(f"error preparing devices for claim {self._reference(name, uid)}: {error}") from error
        self._prepared[uid] = Preparation(uid, metadata["namespace"], metadata["name"], devices)
        return self._prepared[uid]

    def unprepare(self, claim_uid: str) -> Preparation | None:
        """Undo `prepare`. Returns what was prepared; None when nothing was, which is no error."""
        return self._prepared.pop(claim_uid, None)

    def _devices_of(self, claim: Object) -> tuple[PreparedDevice, ...]:
        uid = str(claim["metadata"]["uid"])
        try:
            allocation = (claim.get("status") or {}).get("allocation")
            if not allocation:
                raise _Refused("claim not yet allocated")
            results = _results(claim)
            configs = [*self._defaults(), *self._configs(allocation["devices"].get("config") or ())]
            groups: dict[int, list[int]] = {}  # index of a configuration to the indices of the results it is for
            for index, result in enumerate(results):
                groups.setdefault(self._choose(configs, result), []).append(index)
            prepared: dict[int, PreparedDevice] = {}
            for chosen, indices in groups.items():
                applied = self._apply(configs[chosen].config, uid, [results[index] for index in indices])
                prepared.update(zip(indices, applied, strict=True))
        except _Refused as error:
            raise _Refused(f"prepare devices failed: {error}") from error
        return tuple(prepared[index] for index in range(len(results)))

    def _defaults(self) -> "tuple[_Config, _Config]":
        """What a device gets that no configuration is for."""
        # `normalise` completes them, except this one of 25.3.
        mig = MigDeviceConfig(None if self.gates.since("25.8.0") else MigSharing(TIME_SLICING))
        return _Config((), GpuConfig()), _Config((), mig)

    def _configs(self, entries: Sequence[Object]) -> "list[_Config]":
        """The allocation's configurations for the driver, from the weakest to the strongest; each has to decode."""
        for entry in entries:
            if (source := entry.get("source") or "") not in _SOURCES:
                raise _Refused(f"error getting opaque device configs: invalid config source: {source}")
        found = []
        for entry in sorted(entries, key=lambda entry: _SOURCES.index(entry["source"])):
            opaque = entry.get("opaque")
            if opaque is None:
                text = "only opaque parameters are supported by this driver"
                raise _Refused(f"error getting opaque device configs: {text}")
            if opaque["driver"] != DRIVER:
                continue
            config: DeviceConfig | None = None
            try:
                config = deviceconfig.decode(opaque["parameters"], self.gates.version)
            except ConfigError as error:
                if error.stage != "TYPE":
                    prefix = "error getting opaque device configs: error decoding config parameters"
                    raise _Refused(f"{prefix}: {error}") from error
            found.append(_Config(tuple(entry.get("requests") or ()), config))
        return found

    def _choose(self, configs: "Sequence[_Config]", result: Object) -> int:
        """Index of the configuration for a result: the last that names its request, or is for all and of its type."""
        name, request = result["device"], result["request"]
        if name not in self.devices:
            if self.gates.since("0.4.0"):
                raise _Refused(f'allocatable not found for device "{name}"')
            raise _Refused(f"requested device is not allocatable: {name}")
        kind = self.devices[name].type
        for index in range(len(configs) - 1, -1, -1):
            config = configs[index].config
            # Those of compute domains are of no device's type: they fit all, and are refused when they are applied.
            fits = _TYPES.get(type(config), kind) == kind
            if request in configs[index].requests and not fits:
                raise _Refused(self._mismatch(type(config).__name__, name, kind, request))
            if fits and (request in configs[index].requests or not configs[index].requests):
                return index
        raise AssertionError("the default configurations fit every device")

    def _apply(self, config: DeviceConfig | None, uid: str, results: Sequence[Object]) -> list[PreparedDevice]:
        if not isinstance(config, (GpuConfig, MigDeviceConfig)):
            raise _Refused("runtime object is not a recognized configuration")
        try:
            config = deviceconfig.normalise(config, self.gates)
            deviceconfig.validate(config, self.gates)
        except ConfigError as error:
            if error.stage == "PANIC":
                raise
            raise _Refused(f"error validating GPU config: {error}") from error
        devices = [self.devices[result["device"]] for result in results]
        try:
            settings = _settings(config, uid, [result["request"] for result in results])
            mps = _mps_settings(settings, uid, devices) if isinstance(settings, MpsConfig) else None
        except _Refused as error:
            what = "config" if self.gates.since("25.12.0") else "GPU config"
            raise _Refused(f"error applying {what}: {error}") from error
        interval = None
        if isinstance(settings, TimeSlicingConfig) and settings.interval is not None:
            interval = INTERVALS.index(settings.interval)
        return [
            PreparedDevice(result["request"], device, interval, mps, bool(result.get("adminAccess")))
            for result, device in zip(results, devices, strict=True)
        ]

    def _check_overlap(self, claim: Object) -> None:
        if not self.gates.since("25.12.0"):
            return
        uid = str(claim["metadata"]["uid"])
        wanted = [result["device"] for result in _results(claim) if not result.get("adminAccess")]
        for preparation in self._prepared.values():
            taken = {device.device.name for device in preparation.devices if not device.admin}
            if name := next((name for name in wanted if name in taken), None):
                raise _Refused(
                    f"unable to prepare claim {uid}: requested device {name} is already allocated to different claim "
                    f"{preparation.claim_uid}"
                )

    def _mismatch(self, config: str, device: str, kind: str, request: str) -> str:
        if self.gates.since("0.4.0"):
            return f'cannot apply {config} to device "{device}" of type "{kind}" (request: {request})'
        if self.gates.since("25.12.0"):
            return f"cannot apply {config} to device type {kind} (request: {request})"
        noun = {"GpuConfig": "GPU config", "MigDeviceConfig": "MIG device config"}.get(config, config)
        return f"cannot apply {noun} to request: {request}"

    def _reference(self, name: str, uid: str) -> str:
        return name if self.gates.since("25.12.0") else uid


class _Refused(Exception):
    """Why a claim is not prepared, without the claim."""


@dataclass(frozen=True)
class _Config:
    """A configuration and the requests it is for; none: all those whose devices are of its type.

    `config` is None for another object of the driver's API, which is no configuration.
    """

    requests: tuple[str, ...]
    config: DeviceConfig | None


def _settings(config: DeviceConfig, uid: str, requests: Sequence[str]) -> TimeSlicingConfig | MpsConfig | None:
    """What has to be done for a valid configuration."""
    match config:
        case GpuConfig(GpuSharing() as sharing):
            try:
                return sharing.applicable()
            except ConfigError as error:
                what = "error getting MPS configuration"
                if sharing.strategy == TIME_SLICING:
                    names = " ".join(requests)
                    what = f"error getting timeslice config for requests '[{names}]' in claim '{uid}'"
                raise _Refused(f"{what}: {error}") from error
        case MigDeviceConfig(MigSharing(strategy, mps)) if strategy == MPS:
            return mps
    return None


def _mps_settings(config: MpsConfig, uid: str, devices: Iterable[GpuDevice]) -> MpsSettings:
    uuids = tuple(sorted({device.uuid for device in devices}))
    try:
        limits = config.limits(uuids)
    except ConfigError as error:
        what = "error transforming DefaultPerDevicePinnedMemoryLimit into string"
        raise _Refused(f"error starting MPS control daemon: {what}: {error}") from error
    digest = hashlib.sha256(",".join(uuids).encode()).hexdigest()
    percentage = config.default_active_thread_percentage
    return MpsSettings(f"{uid}-{digest[:5]}", uuids, percentage, MappingProxyType(limits))


def _results(claim: Object) -> list[Object]:
    allocation = (claim.get("status") or {}).get("allocation") or {}
    return [r for r in allocation.get("devices", {}).get("results") or () if r["driver"] == DRIVER]


def _check_present(devices: Iterable[PreparedDevice], gpus: Iterable[PhysicalGpu]) -> None:
    uuids = {device.uuid for device in devices_on(gpus)}
    for prepared in devices:
        if prepared.device.uuid not in uuids:
            name = prepared.device.name
            raise _Refused(
                f"unable to create CDI spec file for claim: device {name} has gone since the kubelet plugin started: "
                "the MIG configuration has changed, and the plugin needs a restart"
            )
