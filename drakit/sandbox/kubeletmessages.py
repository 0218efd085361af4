"""What a kubelet says of claims that it cannot prepare, word for word, in the version that the node runs.

Wording: pkg/kubelet/cm/dra/manager.go and pkg/kubelet/kuberuntime/kuberuntime_manager.go of Kubernetes 1.33 and 1.35.
"""

from dataclasses import dataclass

from drakit.kube.kinds import Object

PREFIX = "Failed to prepare dynamic resources: "


@dataclass(frozen=True)
class ClaimMessages:
    """The messages about one claim. `kubernetes` is the kubelet's version, "v1.33.13"."""

    kubernetes: str
    namespace: str
    claim: str

    @property
    def _old(self) -> bool:
        minor = self.kubernetes.split(".")[1]
        return int(minor) < 34

    def not_registered(self, driver: str) -> str:
        """The driver's plugin is not there."""
        if self._old:
            text = f"plugin name {driver} not found in the list of registered DRA plugins"
            return f"{PREFIX}failed to get gRPC client for driver {driver}: {text}"
        return f"{PREFIX}prepare dynamic resources: DRA driver {driver} is not registered"

    def not_reserved(self, pod: Object, claim_uid: str) -> str:
        """The claim is not reserved for the pod."""
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        if self._old:
            return f"{PREFIX}pod {name}({uid}) is not allowed to use resource claim {self.claim}({claim_uid})"
        text = f"pod {name} ({uid}) is not allowed to use ResourceClaim {self.claim} ({claim_uid})"
        return f"{PREFIX}prepare dynamic resources: {text}"

    def not_found(self, pod: Object) -> str:
        """There is no such claim."""
        text = f'resourceclaims.resource.k8s.io "{self.claim}" not found'
        if self._old:
            name = pod["metadata"]["name"]
            return f"{PREFIX}failed to fetch ResourceClaim {self.claim} referenced by pod {name}: {text}"
        return f"{PREFIX}prepare dynamic resources: fetch ResourceClaim {self.claim}: {text}"

    def not_allocated(self) -> str:
        """The claim has no allocation."""
        if self._old:
            return f"{PREFIX}locked cache operation: claim {self.namespace}/{self.claim}: not allocated"
        return f"{PREFIX}prepare dynamic resources: ResourceClaim {self.claim}: not allocated"

    def failed(self, error: Exception) -> str:
        """The driver answered with an error for this claim."""
        if self._old:
            return f"{PREFIX}NodePrepareResources failed for claim {self.namespace}/{self.claim}: {error}"
        inner = f"NodePrepareResources failed for ResourceClaim {self.claim}: {error}"
        return f"{PREFIX}prepare dynamic resources: {inner}"

    def crashed(self, error: Exception) -> str:
        """The driver went away while it was asked."""
        if self._old:
            return f"{PREFIX}NodePrepareResources failed: {error}"
        return f"{PREFIX}prepare dynamic resources: NodePrepareResources: {error}"
