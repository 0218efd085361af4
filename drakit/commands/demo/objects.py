"""The objects that a demo makes: labelled as drakit's, and removed by that label, so nothing foreign is touched."""

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from drakit.commands.demo.foreign import contents
from drakit.commands.nodes import is_ready
from drakit.dra.strategies import Strategy
from drakit.engine.events import Report
from drakit.errors import ClusterError, TimedOut
from drakit.kube.client import Kube
from drakit.kube.kinds import CORE_KINDS, NAMESPACE, NODE, POD, Kind, Object, ResourceApi
from drakit.kube.watch import Key, wait_for
from drakit.manifests import Manifest

MANAGED_BY, DRAKIT = "app.kubernetes.io/managed-by", "drakit"
DEMO = "drakit.dev/demo"
GONE_SECONDS = 60.0
KUBELET_SECONDS = 15.0
"""How long a node has to stop a demo's pods before it is asked whether the node is still there."""


class DemoObjects:
    """The objects of one demo in one cluster."""

    def __init__(self, kube: Kube, api: ResourceApi, strategy: Strategy, manifests: Sequence[Manifest]) -> None:
        self.kube = kube
        self.manifests = manifests
        self.namespace = strategy.namespace
        self.labels: Mapping[str, str] = {MANAGED_BY: DRAKIT, DEMO: strategy.name}
        self._api = api
        self._all_kinds = {**CORE_KINDS, **api.kinds}
        # Also those that this version's manifests have not: an earlier version may have left them.
        self.kinds = (POD, api.claim, api.claim_template, CORE_KINDS["ConfigMap"])

    @property
    def pods(self) -> frozenset[str]:
        """The names of the demo's pods."""
        return frozenset(m["metadata"]["name"] for m in self.manifests if m["kind"] == "Pod")

    def claims_wanted(self) -> int:
        """How many ResourceClaims the demo's pods need."""
        pods = [m for m in self.manifests if m["kind"] == "Pod"]
        shared = {c["resourceClaimName"] for p in pods for c in p["spec"]["resourceClaims"] if "resourceClaimName" in c}
        generated = sum(1 for p in pods for c in p["spec"]["resourceClaims"] if "resourceClaimTemplateName" in c)
        return len(shared) + generated

    async def foreign(self) -> list[str]:
        """Objects that have the name of one of the demo's, but are not drakit's."""
        wanted = [
            (self._all_kinds[m["kind"]], m["metadata"]["name"]) for m in self.manifests if m["kind"] != "Namespace"
        ]
        found = await asyncio.gather(*(self.kube.get(kind, name, self.namespace) for kind, name in wanted))
        return [
            f"{kind.name} {self.namespace}/{name}"
            for (kind, name), obj in zip(wanted, found, strict=True)
            if obj is not None and not self._is_ours(obj)
        ]

    async def apply(self) -> None:
        """Apply every object, labelled. A namespace that is there already is used as it is.

        Raises:
            ClusterError: Kubernetes refuses one, or it is there and not drakit's.
        """
        if taken := await self.foreign():
            raise ClusterError(
                f"Not drakit's, and of the same name as what the demo makes: {', '.join(taken)}.",
                hint="Rename or remove them; drakit touches nothing that it has not made.",
                code="foreign-objects",
            )
        for manifest in self.manifests:
            kind = self._all_kinds[manifest["kind"]]
            if kind == NAMESPACE:
                await self._make_namespace(manifest)
            else:
                await self.kube.apply(kind, self._labelled(manifest))

    async def remove(self, report: Report | None = None) -> bool:
        """Remove what carries the demo's labels, and wait until it has gone, the claims of its pods included.

        Returns:
            Whether anything was there.

        Raises:
            TimedOut: something stays; the message names it.
        """
        lists = await asyncio.gather(*(self.kube.list(kind, self.namespace, labels=self.labels) for kind in self.kinds))
        found = [(kind, obj) for kind, (objects, _) in zip(self.kinds, lists, strict=True) for obj in objects]
        if not found:
            return False
        if report:
            report(f"removing {len(found)} objects")
        await asyncio.gather(*(self.kube.delete(k, o["metadata"]["name"], self.namespace) for k, o in found))
        pods = {o["metadata"]["name"] for k, o in found if k == POD}
        if pods:
            await self._wait_for_pods()
        kinds = dict.fromkeys(kind for kind, _ in found if kind != POD)
        await asyncio.gather(*(self._wait_gone(kind, GONE_SECONDS) for kind in kinds))
        # Claims that were made from a template carry no label; they go with their pods.
        await self._wait_for_generated(pods)
        return True

    async def remove_namespace(self) -> list[str]:
        """Ask for the namespace's removal, when drakit made it and nothing else is in it. It is not waited for.

        Returns:
            What is in it and keeps it.
        """
        existing = await self.kube.get(NAMESPACE, self.namespace)
        if existing is None or _labels(existing).get(MANAGED_BY) != DRAKIT:
            return []
        if others := await contents(self.kube, self._api, self.namespace):
            return others
        await self.kube.delete(NAMESPACE, self.namespace)
        return []

    async def how_to_remove(self, kubeconfig: Path) -> str:
        """The command that removes what the demo has made, and nothing else."""
        kubectl = f"kubectl --kubeconfig {shlex.quote(str(kubeconfig))}"
        namespace = await self.kube.get(NAMESPACE, self.namespace)
        own = set()
        for kind in self.kinds:
            objects, _ = await self.kube.list(kind, self.namespace)
            own |= {f"{kind.name} {_name(o)}" for o in objects if self._is_ours(o) or generated_for(o) in self.pods}
        ours = namespace is not None and _labels(namespace).get(MANAGED_BY) == DRAKIT
        if ours and set(await contents(self.kube, self._api, self.namespace)) <= own:
            return f"{kubectl} delete namespace {self.namespace}"
        kinds = ",".join(kind.plural for kind in self.kinds)
        return f"{kubectl} delete {kinds} -n {self.namespace} -l {DEMO}={self.labels[DEMO]}"

    async def _wait_for_pods(self) -> None:
        try:
            await self._wait_gone(POD, KUBELET_SECONDS)
            return
        except TimedOut:
            pods, _ = await self.kube.list(POD, self.namespace, labels=self.labels)
            ready = {node["metadata"]["name"] for node in (await self.kube.list(NODE))[0] if is_ready(node)}
        for pod in pods:
            # Nobody is left there to say that its containers have ended.
            if pod["spec"].get("nodeName") not in ready:
                await self.kube.delete(POD, pod["metadata"]["name"], self.namespace, grace_seconds=0)
        await self._wait_gone(POD, GONE_SECONDS)

    async def _wait_gone(self, kind: Kind, timeout: float) -> None:
        left: list[str] = []

        def gone(objects: Mapping[Key, Object]) -> bool:
            left[:] = [name for _, name in objects]
            return not objects

        await wait_for(
            self.kube, kind, gone, what=lambda: f"the removal of {kind.plural} {', '.join(left)} in {self.namespace}",
            timeout=timeout, namespace=self.namespace, labels=self.labels,
        )  # fmt: skip

    async def _wait_for_generated(self, pods: set[str]) -> None:
        def gone(claims: Mapping[Key, Object]) -> bool:
            return not any(generated_for(claim) in pods for claim in claims.values())

        await wait_for(
            self.kube, self._api.claim, gone, what=f"the removal of the pods' claims in {self.namespace}",
            timeout=GONE_SECONDS, namespace=self.namespace,
        )  # fmt: skip

    async def _make_namespace(self, manifest: Manifest) -> None:
        existing = await self.kube.get(NAMESPACE, self.namespace)
        if existing and "deletionTimestamp" in existing["metadata"]:
            # Kubernetes takes five seconds for an empty one.
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

    def _labelled(self, manifest: Manifest) -> Object:
        metadata = manifest["metadata"]
        return {**manifest, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), **self.labels}}}

    def _is_ours(self, obj: Object) -> bool:
        labels = _labels(obj)
        return all(labels.get(key) == value for key, value in self.labels.items())


def generated_for(claim: Object) -> str | None:
    """The pod that a claim was made for from a template."""
    owners = claim["metadata"].get("ownerReferences", ())
    return next((owner["name"] for owner in owners if owner["kind"] == "Pod"), None)


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def _labels(obj: Object) -> Mapping[str, str]:
    return obj["metadata"].get("labels") or {}
