"""Rules for ResourceClaims, ResourceClaimTemplates and DeviceClasses: their shape, and what their parts refer to.

Sources: k8s.io/api/resource of 1.33 and 1.35, and the API server's validation in pkg/apis/resource/validation.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from drakit.dra.deviceconfig import DeviceConfig
from drakit.dra.devices import DRIVER
from drakit.dra.gates import FeatureGates
from drakit.dra.lint import configs, selectors
from drakit.dra.lint.items import Item, Part
from drakit.dra.lint.requests import Request, check_names, named

GROUP = "resource.k8s.io"
VERSIONS = ("v1", "v1beta2", "v1beta1")

TYPES: Mapping[str, str] = {
    "gpu.nvidia.com": "gpu",
    "mig.nvidia.com": "mig",
    "vfio.gpu.nvidia.com": "vfio",
    "compute-domain-daemon.nvidia.com": "daemon",
    "compute-domain-default-channel.nvidia.com": "channel",
}
"""NVIDIA's DeviceClasses, and the type of the devices that each selects."""

_EXACT = ("deviceClassName", "selectors", "allocationMode", "count", "adminAccess", "tolerations", "capacity")


@dataclass(frozen=True)
class Claim:
    """A claim, or a template for claims, as pods use it. `configs` are those of the NVIDIA driver that are valid."""

    item: Item
    requests: tuple[Request, ...]
    configs: tuple[DeviceConfig, ...]

    @property
    def is_template(self) -> bool:
        """Whether each pod gets a claim of its own from it."""
        return self.item.kind == "ResourceClaimTemplate"


def check_class(item: Item, gates: FeatureGates) -> str | None:
    """Check a DeviceClass. Returns the type of the devices that it selects, None when that cannot be told."""
    spec = item.root.mapping("spec")
    kind = selectors.type_of(selectors.expressions(spec)) or TYPES.get(item.name)
    configs.check_class(spec, kind, gates)
    return kind


def check_claim(item: Item, types: Mapping[str, str], gates: FeatureGates) -> Claim:
    """Check a ResourceClaim or ResourceClaimTemplate. `types` has the type of devices of each known DeviceClass."""
    if item.version not in VERSIONS:
        message = f"{item.api_version} has no {item.kind}; it is there in {', '.join(VERSIONS)} of {GROUP}"
        item.root.get("apiVersion").error("api-version", message)
    spec = item.root.mapping("spec")
    if item.kind == "ResourceClaimTemplate":
        if not spec.has("spec") and spec.has("devices"):
            spec.get("devices").error("template-spec", "a template has the claim's spec below spec: spec.spec.devices")
        spec = spec.mapping("spec")
    elif spec.has("spec"):
        spec.get("spec").error("template-spec", "a claim has no spec.spec: it is a ResourceClaimTemplate that does")
    devices = spec.mapping("devices")
    requests = _requests(devices, types)
    for request in requests:
        _check_class_name(request, types)
        selectors.check(request.part, request.type, gates.version)
    _check_constraints(devices, requests, gates)
    return Claim(item, requests, configs.check_configs(devices, requests, gates))


def _requests(devices: Part, types: Mapping[str, str]) -> tuple[Request, ...]:
    found: list[Request] = []
    names: set[str] = set()
    for part in devices.each("requests"):
        name = part.text("name")
        if not name:
            part.error("request-name", "a request has a name: the API server answers Required value")
        elif name in names:
            part.get("name").error("request-name", f'there is a request "{name}" already: the API server refuses it')
        names.add(name)
        alternatives = part.each("firstAvailable")
        if alternatives:
            found += [_request(f"{name}/{inner.text('name')}", inner, types) for inner in alternatives]
        if (body := _body(part, bool(alternatives))) is not None:
            found.append(_request(name, body, types))
    return tuple(found)


def _body(part: Part, has_alternatives: bool) -> Part | None:
    """What has the class of a request: the request itself in v1beta1, `exactly` in later versions."""
    item = part.item
    flat = [name for name in _EXACT if part.has(name)]
    if item.version == "v1beta1":
        if part.has("exactly"):
            part.get("exactly").error(
                "request-shape",
                f"v1beta1 has no exactly: deviceClassName and what goes with it stand in the request itself, and the "
                f'API server answers unknown field "{part.where}.exactly"',
            )
            return part.mapping("exactly")
        if not flat and not has_alternatives:
            part.error("request-shape", "a request has a deviceClassName, or firstAvailable")
            return None
        return part if flat else None
    if flat:
        part.get(flat[0]).error(
            "request-shape",
            f"{item.version} has {flat[0]} below exactly: the API server answers unknown field "
            f'"{part.where}.{flat[0]}"',
        )
        return part
    if part.has("exactly") and has_alternatives:
        part.error("request-shape", "a request has either exactly or firstAvailable: here are both")
    if part.has("exactly"):
        return part.mapping("exactly")
    if not has_alternatives:
        part.error("request-shape", "exactly one of `exactly` or `firstAvailable` is required")
    return None


def _request(name: str, part: Part, types: Mapping[str, str]) -> Request:
    class_name = part.text("deviceClassName")
    mode, count = part.get("allocationMode").value, part.get("count").value
    known = count if isinstance(count, int) else 1
    return Request(
        name,
        part,
        class_name,
        types.get(class_name) or selectors.type_of(selectors.expressions(part)),
        known if mode in (None, "", "ExactCount") else None,
    )


def _check_class_name(request: Request, types: Mapping[str, str]) -> None:
    name = request.class_name
    if not name:
        request.part.error("device-class", "deviceClassName is missing: the API server answers Required value")
    elif name not in types:
        near = difflib.get_close_matches(name, types, n=1, cutoff=0.75)
        if near:
            message = f'"{name}" is not one of NVIDIA\'s DeviceClasses, nor in this stream; did you mean {near[0]}?'
            request.part.get("deviceClassName").warning("device-class", message)


def _check_constraints(devices: Part, requests: tuple[Request, ...], gates: FeatureGates) -> None:
    for part in devices.each("constraints"):
        names = check_names(part, requests)
        attribute = part.text("matchAttribute")
        domain, _, key = attribute.partition("/")
        if domain != DRIVER:
            continue
        for request in requests:
            if names and not any(request in named(requests, name) for name in names):
                continue
            published = selectors.attributes_of(request.type, gates.version)
            if published and key not in published:
                part.get("matchAttribute").error(
                    "match-attribute",
                    f'devices of type "{request.type}" (request: {request.name}) have no attribute {attribute}: the '
                    f"claim is never allocated",
                )
                break
