"""Rules for opaque configurations: what the driver's webhook answers, and what becomes of them at prepare.

Sources: cmd/webhook/main.go and cmd/gpu-kubelet-plugin/device_state.go of the NVIDIA DRA driver.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from drakit.dra import deviceconfig
from drakit.dra.deviceconfig import (
    MPS,
    TIME_SLICING,
    ComputeDomainChannelConfig,
    ComputeDomainDaemonConfig,
    ConfigError,
    DeviceConfig,
    GpuConfig,
    MigDeviceConfig,
    MpsConfig,
    VfioDeviceConfig,
)
from drakit.dra.devices import DRIVER
from drakit.dra.gates import FeatureGates
from drakit.dra.lint.items import Part
from drakit.dra.lint.requests import Request, check_names

DOMAIN_DRIVER = "compute-domain.nvidia.com"

_TYPES: Mapping[type, str] = {GpuConfig: "gpu", MigDeviceConfig: "mig", VfioDeviceConfig: "vfio"}
_AT_PREPARE = "the API server and the webhook accept it, and the pod stays in ContainerCreating"


def strategy_of(config: DeviceConfig) -> str:
    """The sharing strategy of a configuration, "" when it has none."""
    sharing = config.sharing if isinstance(config, GpuConfig | MigDeviceConfig) else None
    return sharing.strategy if sharing else ""


def check_class(spec: Part, kind: str | None, gates: FeatureGates) -> None:
    """Check the configurations of a DeviceClass for devices of type `kind`; no webhook looks at them."""
    for part in spec.each("config"):
        opaque = part.mapping("opaque")
        if opaque.text("driver") == DRIVER:
            parameters = opaque.get("parameters")
            try:
                config = deviceconfig.check(_raw(parameters.value), gates)
            except ConfigError as error:
                _say_refused(parameters, error, webhook=False)
            else:
                _check_values(parameters, config, None, gates)
                if kind and _TYPES.get(type(config), kind) != kind:
                    parameters.error("config-type", _mismatch(config, kind, "each of this class"))


def check_configs(devices: Part, requests: tuple[Request, ...], gates: FeatureGates) -> tuple[DeviceConfig, ...]:
    """Check the configurations of a claim. Returns the valid ones that are the NVIDIA driver's."""
    valid, applied = [], []
    for part in devices.each("config"):
        names = check_names(part, requests)
        opaque = part.mapping("opaque")
        parameters = opaque.get("parameters")
        driver = opaque.text("driver")
        if driver not in (DRIVER, DOMAIN_DRIVER):
            _check_driver(opaque, driver)
            continue
        if not isinstance(parameters.value, Mapping):
            parameters.error("config", "parameters must be an object: the API server refuses it")
            continue
        try:
            config = deviceconfig.check(_raw(parameters.value), gates)
        except ConfigError as error:
            _say_refused(parameters, error, webhook=driver == DRIVER)
            continue
        if driver == DOMAIN_DRIVER:
            continue
        valid.append(config)
        meant = _meant(part, config, names, requests)
        applied.append((part, {request.name for request in meant}))
        _check_values(parameters, config, meant, gates)
    _check_overridden(applied)
    return tuple(valid)


def _raw(parameters: Any) -> str:
    """The text that kubectl sends: sorted, whole floating-point numbers without their point."""
    return json.dumps(_plain(parameters), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and abs(value) < 1e21 and value.is_integer() else value


def _say_refused(parameters: Part, error: ConfigError, *, webhook: bool) -> None:
    where = parameters.where
    if error.stage == "PANIC":
        parameters.error(
            "config-panic",
            f"it crashes the kubelet plugin, and the webhook with it: {error}. timeSlicingConfig is there and has no "
            f"interval; write one (Default, Short, Medium, Long), or leave timeSlicingConfig out",
        )
    elif not webhook:
        step = "getting opaque device configs: error decoding config parameters" if error.stage == "DECODE" else ""
        parameters.error("config", f"error {step or 'validating GPU config'}: {error}")
    elif error.stage == "TYPE":
        parameters.error("config", f"expected a recognized configuration type at {where} but got: {error.go_type}")
    elif error.stage == "DECODE":
        parameters.error("config", f"error decoding object at {where}: {error}")
    else:
        parameters.error("config", f"object at {where} is invalid: {error}")


def _check_driver(opaque: Part, driver: str) -> None:
    api_version = opaque.mapping("parameters").get("apiVersion").value
    if isinstance(api_version, str) and api_version.startswith("resource.nvidia.com/"):
        message = f'the driver "{driver}" is not {DRIVER}: NVIDIA\'s driver ignores this configuration'
        opaque.get("driver").warning("config-driver", message)


def _meant(
    part: Part, config: DeviceConfig, names: Iterable[str], requests: tuple[Request, ...]
) -> tuple[Request, ...]:
    """The requests whose devices get the configuration; what gets it wrongly, or not at all, is said."""
    kind, wanted = type(config).__name__, _TYPES.get(type(config))
    if not names:
        meant = tuple(request for request in requests if request.type in (None, wanted))
        if requests and not meant and wanted:
            part.warning(
                "config-skipped",
                f"{kind} is for devices of type {wanted}, and no request asks for one: without requests it is silently "
                f"skipped",
            )
        return meant
    found: list[Request] = []
    for name in names:
        exact = [request for request in requests if request.name == name]
        alternatives = [request.name for request in requests if request.main == name and request.name != name]
        found += exact
        for request in exact:
            if wanted and request.type not in (None, wanted):
                part.error("config-type", _mismatch(config, str(request.type), name))
        if alternatives and not exact:
            part.warning(
                "config-subrequest",
                f'the result of this request is named "{name}/…", and the driver compares whole names: it silently '
                f"ignores a configuration for {name}; name the subrequests: {', '.join(alternatives)}",
            )
    return tuple(found)


def _mismatch(config: DeviceConfig, kind: str, request: str) -> str:
    return f'cannot apply {type(config).__name__} to device … of type "{kind}" (request: {request}); {_AT_PREPARE}'


def _check_overridden(applied: list[tuple[Part, set[str]]]) -> None:
    for index, (part, names) in enumerate(applied):
        later = set().union(*(others for _, others in applied[index + 1 :]))
        if names and names <= later:
            message = (
                f"a later configuration is for {', '.join(sorted(names))} too, and the last one wins: this is unused"
            )
            part.warning("config-overridden", message)


def _check_values(
    parameters: Part, config: DeviceConfig, requests: tuple[Request, ...] | None, gates: FeatureGates
) -> None:
    """What passes Validate and is refused at prepare, or does not do what it says."""
    match config:
        case GpuConfig(sharing) if sharing:
            if sharing.strategy == MPS and gates.version == "0.4.1" and not gates["TimeSlicingSettings"]:
                parameters.warning(
                    "mps-exclusive",
                    "0.4.1 leaves a GPU in EXCLUSIVE_PROCESS after MPS unless the feature gate TimeSlicingSettings is "
                    "on as well",
                )
            try:
                sharing.applicable()
            except ConfigError as error:
                parameters.error("config-prepare", f"{error}; {_AT_PREPARE}")
                return
            if sharing.strategy == MPS:
                _check_limits(parameters, sharing.mps or MpsConfig(), requests)
        case MigDeviceConfig(sharing) if sharing:
            if sharing.strategy == MPS:
                _check_limits(parameters, sharing.mps or MpsConfig(), requests)
            elif sharing.strategy == TIME_SLICING:
                parameters.info("mig-time-slicing", "time-slicing does nothing on MIG devices")
        case VfioDeviceConfig():
            message = "the webhook, where it is on, refuses every VfioDeviceConfig"
            parameters.warning("config-vfio", message)
            if not gates["PassthroughSupport"]:
                message = "the feature gate PassthroughSupport is off: no vfio devices are published"
                parameters.warning("config-vfio", message)
        case ComputeDomainChannelConfig() | ComputeDomainDaemonConfig():
            message = (
                f"runtime object is not a recognized configuration: {type(config).__name__} is for {DOMAIN_DRIVER}"
            )
            parameters.error("config-prepare", f"{message}; {_AT_PREPARE}")


def _check_limits(parameters: Part, mps: MpsConfig, requests: tuple[Request, ...] | None) -> None:
    default = mps.default_pinned_device_memory_limit
    if default is not None and default.floor_mib() <= 0:
        parameters.error(
            "mps-limit", f"invalid limit: default value set too low: {default} is less than 1Mi; {_AT_PREPARE}"
        )
    counts = [request.count for request in requests or ()]
    most = sum(count or 0 for count in counts) if counts and None not in counts else None
    for key, value in (mps.default_per_device_pinned_memory_limit or {}).items():
        if value.floor_mib() <= 0:
            parameters.error("mps-limit", f"invalid limit: value set too low: {key}: {value}; {_AT_PREPARE}")
        if re.fullmatch("(GPU|MIG)-[0-9a-fA-F-]+", key):
            message = f"the limit of {key} is for one device, and prepare fails when the claim is given another"
            parameters.warning("mps-limit", message)
        elif not re.fullmatch("[+-]?[0-9]{1,18}", key):
            text = f"invalid device: unable to parse key as an integer: {key}"
            parameters.error("mps-limit", f"{text}; {_AT_PREPARE}")
        elif int(key) < 0 or (most is not None and int(key) >= most):
            parameters.error("mps-limit", f"invalid device: invalid device index: {int(key)}; {_AT_PREPARE}")
