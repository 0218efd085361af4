"""The kinds of the driver's API group, resource.nvidia.com/v1beta1: their fields, and which kind an object is.

Source: api/nvidia.com/resource/v1beta1 of the driver at each tag of `gates.DRIVER_VERSIONS`. Pure.
"""

from collections.abc import Mapping

from drakit.dra.gates import FeatureGates
from drakit.dra.strictdecode import (
    Boolean,
    DecodeError,
    Field,
    Integer,
    Node,
    QuantityField,
    QuantityMap,
    Struct,
    Text,
    quote,
)

API_VERSION = "resource.nvidia.com/v1beta1"


class OtherKind(Exception):
    """The driver knows the kind, and it is no configuration. The text is its Go type."""


_TYPE_META: Mapping[str, Field] = {"kind": Text(), "apiVersion": Text()}
_MPS = Struct(
    "MpsConfig",
    {
        "defaultActiveThreadPercentage": Integer(),
        "defaultPinnedDeviceMemoryLimit": QuantityField(),
        "defaultPerDevicePinnedMemoryLimit": QuantityMap("v1beta1.MpsPerDevicePinnedMemoryLimit"),
    },
)
_STRATEGY = Text("v1beta1.GpuSharingStrategy")
_TIME_SLICING = Struct("TimeSlicingConfig", {"interval": Text("v1beta1.TimeSliceInterval", pointer=True)})
_GPU_SHARING = Struct("GpuSharing", {"strategy": _STRATEGY, "timeSlicingConfig": _TIME_SLICING, "mpsConfig": _MPS})
_MIG_SHARING = Struct("MigDeviceSharing", {"strategy": _STRATEGY, "mpsConfig": _MPS})
_IOMMU = Struct("IOMMUConfig", {"backendPolicy": Text("v1beta1.IOMMUBackendPolicy"), "enableAPIDevice": Boolean()})

# Other kinds that the driver's scheme knows: they are decoded, and are no configurations.
_OTHER_KINDS = {
    "ComputeDomain": "v1beta1", "WatchEvent": "v1", "ListOptions": "v1", "GetOptions": "v1", "DeleteOptions": "v1",
    "CreateOptions": "v1", "UpdateOptions": "v1", "PatchOptions": "v1",
}  # fmt: skip
_UNVERSIONED = ("Status", "APIVersions", "APIGroupList", "APIGroup", "APIResourceList")

# Where the driver makes its scheme, whose name is file and line.
_SCHEME_LINES = {"25.3.2": 52, "25.8.0": 61, "25.8.1": 61}


def structs(driver: FeatureGates) -> Mapping[str, Struct]:
    """The kinds that are configurations, as a driver of that version has them."""
    mode: dict[str, Field] = {"allocationMode": Text()} if driver.since("25.8.0") else {}
    known = {
        "GpuConfig": Struct("GpuConfig", {**_TYPE_META, "sharing": _GPU_SHARING}),
        "MigDeviceConfig": Struct("MigDeviceConfig", {**_TYPE_META, "sharing": _MIG_SHARING}),
        "ComputeDomainChannelConfig": Struct("ComputeDomainChannelConfig", {**_TYPE_META, "domainID": Text(), **mode}),
        "ComputeDomainDaemonConfig": Struct("ComputeDomainDaemonConfig", {**_TYPE_META, "domainID": Text()}),
    }
    if driver.since("25.12.0"):
        iommu: dict[str, Field] = {"iommu": _IOMMU} if driver.since("0.4.0") else {}
        known["VfioDeviceConfig"] = Struct("VfioDeviceConfig", {**_TYPE_META, **iommu})
    return known


def kind_of(node: Node, text: str, driver: FeatureGates) -> str:
    """The kind of the object that the driver would make.

    Raises:
        OtherKind: it is known, and no configuration.
        DecodeError: it has none, or one that the driver does not know.
    """
    api_version, kind = _type_meta(node)
    group, _, version = api_version.rpartition("/")
    if api_version.count("/") > 1:
        raise DecodeError(f"unexpected GroupVersion string: {api_version}")
    if not kind:
        raise DecodeError(f"Object 'Kind' is missing in '{text}'")
    if not version:
        raise DecodeError(f"Object 'apiVersion' is missing in '{text}'")
    if api_version == API_VERSION and kind in structs(driver):
        return kind
    others = _OTHER_KINDS | ({"ComputeDomainClique": "v1beta1"} if driver.since("25.12.0") else {})
    if api_version == API_VERSION and kind in others:
        raise OtherKind(f"*{others[kind]}.{kind}")
    if kind in _UNVERSIONED:
        raise OtherKind(f"*v1.{kind}")
    where = f'version "{api_version if group else version}"'
    if version == "__internal":
        where = f'the internal version of group "{group}"'
    line = _SCHEME_LINES.get(driver.version, 63)
    raise DecodeError(
        f'no kind {quote(kind)} is registered for {where} in scheme "api/nvidia.com/resource/v1beta1/api.go:{line}"'
    )


def _type_meta(node: Node) -> tuple[str, str]:
    """`apiVersion` and `kind`, whatever their case: this first look is not strict."""
    broken = "couldn't get version/kind; json parse error: json: cannot unmarshal"
    if node.kind not in ("object", "null"):
        tags = r'APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\""'
        raise DecodeError(f"{broken} {node.kind} into Go value of type struct {{ {tags} }}")
    found, wrong = {"apiVersion": "", "kind": ""}, None
    for name, value in node.value or ():
        field = {"apiversion": "apiVersion", "kind": "kind"}.get(name.casefold())
        if not field or value.kind == "null":
            continue
        if value.kind == "string":
            found[field] = value.value
        else:
            wrong = wrong or f"{broken} {value.kind} into Go struct field .{field} of type string"
    if wrong:
        raise DecodeError(wrong)
    return found["apiVersion"], found["kind"]
