"""A pod's claims on its node: prepared by the driver, and handed to the containers that ask for them."""

from collections.abc import Callable, Mapping, Sequence

from drakit.dra.devices import DRIVER
from drakit.dra.nodedriver import PluginPanic, PreparedDevice, PrepareError
from drakit.kube.client import Kube
from drakit.kube.kinds import Object, ResourceApi
from drakit.sandbox.driver import Plugin
from drakit.sandbox.kubeletmessages import ClaimMessages
from drakit.sandbox.podstatus import PodRun

ByRequest = Mapping[str, Sequence[PreparedDevice]]


class NotYet(Exception):
    """A pod cannot start yet; `reason` and the text become its event."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class PodClaims:
    """What a kubelet does about claims.

    Args:
        kubernetes: the kubelet's version, "v1.33.13".
        plugin: the DRA driver on a node, or None while its pod does not run there.
    """

    def __init__(self, kube: Kube, api: ResourceApi, kubernetes: str, plugin: Callable[[str], Plugin | None]) -> None:
        self._kube = kube
        self._api = api
        self._kubernetes = kubernetes
        self._plugin = plugin

    async def prepare(self, run: PodRun) -> ByRequest:
        """Prepare all claims of a pod. Returns the devices that each container gets, by its name.

        Raises:
            NotYet: one cannot be prepared now.
        """
        pod = run.pod
        namespace = pod["metadata"]["namespace"]
        by_claim: dict[str, ByRequest] = {}
        for name, claim_name in claim_names(pod).items():
            messages = ClaimMessages(self._kubernetes, namespace, claim_name)
            claim = await self._kube.get(self._api.claim, claim_name, namespace)
            if claim is None:
                raise _not_yet(messages.not_found(pod))
            _check(pod, claim, messages)
            # Noted before it is done: what is half prepared when the pod goes is given back too.
            run.claims = tuple(dict.fromkeys((*run.claims, claim["metadata"]["uid"])))
            by_claim[name] = await self._prepare(pod, claim, messages)
        return {container["name"]: _devices_of(container, by_claim) for container in _containers(pod)}

    async def _prepare(self, pod: Object, claim: Object, messages: ClaimMessages) -> ByRequest:
        if not any(r["driver"] == DRIVER for r in claim["status"]["allocation"]["devices"]["results"]):
            return {}
        plugin = self._plugin(pod["spec"]["nodeName"])
        if plugin is None:
            raise _not_yet(messages.not_registered(DRIVER))
        try:
            return await plugin.prepare(claim)
        except PluginPanic as error:
            raise _not_yet(messages.crashed(error)) from error
        except PrepareError as error:
            raise _not_yet(messages.failed(error)) from error


def claim_names(pod: Object) -> dict[str, str]:
    """The pod's own names of its claims, each with the name of the ResourceClaim (made from a template or given)."""
    generated = {
        status["name"]: status.get("resourceClaimName")
        for status in pod.get("status", {}).get("resourceClaimStatuses", ())
    }
    names = {
        claim["name"]: claim.get("resourceClaimName") or generated.get(claim["name"])
        for claim in pod["spec"].get("resourceClaims", ())
    }
    return {name: claim for name, claim in names.items() if claim}


def _check(pod: Object, claim: Object, messages: ClaimMessages) -> None:
    """What the kubelet itself makes sure of, in its order."""
    status = claim.get("status", {})
    if pod["metadata"]["uid"] not in {consumer["uid"] for consumer in status.get("reservedFor", ())}:
        raise _not_yet(messages.not_reserved(pod, claim["metadata"]["uid"]))
    if not status.get("allocation"):
        raise _not_yet(messages.not_allocated())


def _containers(pod: Object) -> Sequence[Object]:
    return (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])


def _devices_of(container: Object, by_claim: Mapping[str, ByRequest]) -> list[PreparedDevice]:
    return [
        device
        for wanted in container.get("resources", {}).get("claims", ())
        for request, devices in by_claim.get(wanted["name"], {}).items()
        if wanted.get("request") in (None, request)
        for device in devices
    ]


def _not_yet(message: str) -> NotYet:
    return NotYet("FailedPrepareDynamicResources", message)
