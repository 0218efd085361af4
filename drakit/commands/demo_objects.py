"""The objects that a demo makes: labelled as drakit's, and removed by that label, so nothing foreign is touched."""

from collections.abc import Mapping, Sequence

from drakit.dra.strategies import Strategy
from drakit.errors import ClusterError
from drakit.kube.client import Kube
from drakit.kube.kinds import CORE_KINDS, NAMESPACE, POD, Kind, Object, ResourceApi
from drakit.kube.watch import Key, wait_for
from drakit.manifests import Manifest

MANAGED_BY = "app.kubernetes.io/managed-by"
DEMO = "drakit.dev/demo"
GONE_SECONDS = 60.0


class DemoObjects:
    """The objects of one demo in one cluster."""

    def __init__(self, kube: Kube, api: ResourceApi, strategy: Strategy, manifests: Sequence[Manifest]) -> None:
        self.kube = kube
        self.manifests = manifests
        self.namespace = strategy.namespace
        self.labels: Mapping[str, str] = {MANAGED_BY: "drakit", DEMO: strategy.name}
        self._kinds = {**CORE_KINDS, **api.kinds}
        self._claim = api.claim

    def claims_wanted(self) -> int:
        """How many ResourceClaims the demo's pods need."""
        pods = [m for m in self.manifests if m["kind"] == "Pod"]
        shared = {c["resourceClaimName"] for p in pods for c in p["spec"]["resourceClaims"] if "resourceClaimName" in c}
        generated = sum(1 for p in pods for c in p["spec"]["resourceClaims"] if "resourceClaimTemplateName" in c)
        return len(shared) + generated

    async def apply(self) -> None:
        """Apply every object, labelled. A namespace that is there already is used as it is."""
        for manifest in self.manifests:
            kind = self._kinds[manifest["kind"]]
            if kind == NAMESPACE:
                await self._make_namespace(manifest)
            else:
                await self.kube.apply(kind, self._labelled(manifest))

    async def remove(self, *, namespace: bool = True) -> None:
        """Remove what carries the demo's labels, pods first, and wait until it has gone.

        Args:
            namespace: remove the namespace too, when drakit made it and nothing else is in it.
        """
        kinds = [self._kinds[m["kind"]] for m in self.manifests if m["kind"] != "Namespace"]
        for kind in dict.fromkeys([POD, *reversed(kinds)]):
            await self._remove_all(kind)
        # Claims that were made from a template go with their pods.
        await self._wait_gone(self._claim, None)
        if namespace:
            await self._remove_namespace()

    async def _remove_all(self, kind: Kind) -> None:
        objects, _ = await self.kube.list(kind, self.namespace, labels=self.labels)
        for obj in objects:
            await self.kube.delete(kind, obj["metadata"]["name"], self.namespace)
        if objects:
            await self._wait_gone(kind, self.labels)

    async def _wait_gone(self, kind: Kind, labels: Mapping[str, str] | None) -> None:
        def gone(objects: Mapping[Key, Object]) -> bool:
            return not any(labels or _generated_for(obj, self._pods()) for obj in objects.values())

        await wait_for(
            self.kube, kind, gone, what=f"the removal of the demo's {kind.plural}", timeout=GONE_SECONDS,
            namespace=self.namespace, labels=labels,
        )  # fmt: skip

    def _pods(self) -> set[str]:
        return {m["metadata"]["name"] for m in self.manifests if m["kind"] == "Pod"}

    async def _make_namespace(self, manifest: Manifest) -> None:
        existing = await self.kube.get(NAMESPACE, self.namespace)
        if existing and "deletionTimestamp" in existing["metadata"]:
            await wait_for(
                self.kube, NAMESPACE, lambda n: ("", self.namespace) not in n, timeout=GONE_SECONDS,
                what=f"the removal of namespace {self.namespace}",
            )  # fmt: skip
            existing = None
        if existing is None:
            try:
                await self.kube.create(NAMESPACE, self._labelled(manifest))
            except ClusterError as error:
                if error.code != "already-exists":
                    raise

    async def _remove_namespace(self) -> None:
        existing = await self.kube.get(NAMESPACE, self.namespace)
        if existing is None or existing["metadata"].get("labels", {}).get(MANAGED_BY) != "drakit":
            return
        for kind in (POD, CORE_KINDS["ConfigMap"], *(k for k in self._kinds.values() if k.namespaced)):
            objects, _ = await self.kube.list(kind, self.namespace)
            if any(_foreign(obj) for obj in objects):
                return
        await self.kube.delete(NAMESPACE, self.namespace)

    def _labelled(self, manifest: Manifest) -> Object:
        metadata = manifest["metadata"]
        return {**manifest, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), **self.labels}}}


_BROUGHT_BY_KUBERNETES = {"kube-root-ca.crt", "default"}


def _foreign(obj: Object) -> bool:
    metadata = obj["metadata"]
    return (
        metadata.get("labels", {}).get(MANAGED_BY) != "drakit"
        and metadata["name"] not in _BROUGHT_BY_KUBERNETES
        and obj.get("kind") not in ("Event", "Lease")
        and not obj.get("involvedObject")
    )


def _generated_for(claim: Object, pods: set[str]) -> bool:
    owners = claim["metadata"].get("ownerReferences", ())
    return any(owner["kind"] == "Pod" and owner["name"] in pods for owner in owners)
