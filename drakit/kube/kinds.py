"""The kinds of object drakit reads and writes. Objects are plain dictionaries, as in their manifests."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
"""A Kubernetes object as JSON."""


@dataclass(frozen=True)
class Kind:
    """A kind of object: its API group and version as in a manifest's `apiVersion`, and its names."""

    api_version: str
    name: str
    plural: str
    namespaced: bool = True


POD = Kind("v1", "Pod", "pods")
NODE = Kind("v1", "Node", "nodes", namespaced=False)
NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
SECRET = Kind("v1", "Secret", "secrets")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
EVENT = Kind("v1", "Event", "events")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")
DAEMON_SET = Kind("apps/v1", "DaemonSet", "daemonsets")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
STATEFUL_SET = Kind("apps/v1", "StatefulSet", "statefulsets")
SERVICE = Kind("v1", "Service", "services")
INGRESS = Kind("networking.k8s.io/v1", "Ingress", "ingresses")
PERSISTENT_VOLUME_CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
PERSISTENT_VOLUME = Kind("v1", "PersistentVolume", "persistentvolumes", namespaced=False)
CUSTOM_RESOURCE = Kind(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)

RESOURCE_GROUP = "resource.k8s.io"
RESOURCE_VERSIONS = ("v1", "v1beta2", "v1beta1")
"""The versions of resource.k8s.io that drakit can speak, best first."""


@dataclass(frozen=True)
class ResourceApi:
    """The kinds of Dynamic Resource Allocation in the version that a cluster serves."""

    version: str

    @property
    def api_version(self) -> str:
        """As in a manifest: "resource.k8s.io/v1"."""
        return f"{RESOURCE_GROUP}/{self.version}"

    @property
    def device_class(self) -> Kind:
        """DeviceClass."""
        return Kind(self.api_version, "DeviceClass", "deviceclasses", namespaced=False)

    @property
    def slice(self) -> Kind:
        """ResourceSlice."""
        return Kind(self.api_version, "ResourceSlice", "resourceslices", namespaced=False)

    @property
    def claim(self) -> Kind:
        """ResourceClaim."""
        return Kind(self.api_version, "ResourceClaim", "resourceclaims")

    @property
    def claim_template(self) -> Kind:
        """ResourceClaimTemplate."""
        return Kind(self.api_version, "ResourceClaimTemplate", "resourceclaimtemplates")

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """All of them, by name."""
        return {kind.name: kind for kind in (self.device_class, self.slice, self.claim, self.claim_template)}


CORE_KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (POD, NODE, NAMESPACE, CONFIG_MAP, SERVICE_ACCOUNT, EVENT, LEASE, DAEMON_SET, DEPLOYMENT)
}
