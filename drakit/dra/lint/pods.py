"""Rules for pods and what makes pods: the claims that they name, and what does not go together with claims.

Sources: the API server's validation in pkg/apis/core/validation, and the traps that users of the driver met.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from drakit.dra.deviceconfig import MPS
from drakit.dra.lint.claims import Claim
from drakit.dra.lint.configs import strategy_of
from drakit.dra.lint.items import Item, Part
from drakit.dra.lint.requests import named

MAX_CONSUMERS = 256
"""Pods that one claim can be reserved for: ResourceClaimReservedForMaxSize."""

_TEMPLATES: Mapping[str, tuple[tuple[str, ...], str | None]] = {
    "Pod": ((), None),
    "Deployment": (("spec", "template"), "replicas"),
    "ReplicaSet": (("spec", "template"), "replicas"),
    "ReplicationController": (("spec", "template"), "replicas"),
    "StatefulSet": (("spec", "template"), "replicas"),
    "DaemonSet": (("spec", "template"), None),
    "Job": (("spec", "template"), "parallelism"),
    "CronJob": (("spec", "jobTemplate", "spec", "template"), None),
}
"""Where each kind has its pod, and the field of its spec that says how many there are at once."""

KINDS = frozenset(_TEMPLATES)


@dataclass(frozen=True)
class Use:
    """A pod's entry in resourceClaims. `pods` is how many such pods there are at once, as far as the manifest says."""

    part: Part
    spec: Part
    name: str
    pods: int


def check_pods(items: Iterable[Item], claims: Sequence[Claim]) -> None:
    """Check the pods of a stream against its claims and templates."""
    uses = [use for item in items for use in _check_pod(item)]
    found: dict[int, list[Use]] = {}
    for use in uses:
        claim = _resolve(use, claims)
        if claim is not None:
            found.setdefault(id(claim), []).append(use)
            _check_requests(use, claim)
    for claim in claims:
        _check_sharing(claim, found.get(id(claim), []))


def _check_pod(item: Item) -> list[Use]:
    path, number = _TEMPLATES[item.kind]
    pod = item.root
    for name in path:
        pod = pod.mapping(name)
    count = item.root.mapping("spec").get(number).value if number else 1
    spec = pod.mapping("spec")
    uses: dict[str, Use] = {}
    for part in spec.each("resourceClaims"):
        name = part.text("name")
        if name in uses:
            part.get("name").error("pod-claim", f'there is an entry "{name}" already: the API server refuses it')
        uses[name] = Use(part, spec, name, count if isinstance(count, int) else 1)
        _check_entry(part)
    used = _check_containers(spec, set(uses))
    for name in uses.keys() - used:
        uses[name].part.warning(
            "claim-unused",
            f'no container names "{name}" in resources.claims: its devices are allocated, and no container sees them',
        )
    _check_extended_resources(spec, bool(uses))
    return list(uses.values())


def _check_entry(part: Part) -> None:
    sources = [name for name in ("resourceClaimName", "resourceClaimTemplateName") if part.has(name)]
    if part.has("source"):
        message = "source is of Kubernetes 1.30 and older: resourceClaimName or resourceClaimTemplateName stand here"
        part.get("source").error("pod-claim", message)
    elif not sources:
        part.error("pod-claim", "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`")
    elif len(sources) > 1:
        part.error("pod-claim", "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified")


def _containers(spec: Part) -> list[Part]:
    return [*spec.each("initContainers"), *spec.each("containers")]


def _check_containers(spec: Part, names: set[str]) -> set[str]:
    """The entries that containers use; what is no entry is said."""
    used = set()
    for container in _containers(spec):
        for part in container.mapping("resources").each("claims"):
            name = part.text("name")
            used.add(name)
            if name not in names:
                known = ", ".join(sorted(names)) or "none"
                message = f'"{name}" is not in the pod\'s resourceClaims ({known}): the API server refuses the pod'
                part.get("name").error("claim-unknown", message)
    return used


def _check_extended_resources(spec: Part, has_claims: bool) -> None:
    for container in _containers(spec):
        resources = container.mapping("resources")
        asked = [
            found.get(str(name)) for found in map(resources.mapping, ("limits", "requests")) for name in found.value
        ]
        plugins = [part for part in asked if str(part.path[-1]).startswith("nvidia.com/")]
        if plugins:
            also = "; this pod has claims too, so it asks for devices of both" if has_claims else ""
            plugins[0].warning(
                "device-plugin",
                f"{plugins[0].path[-1]} is the device plugin's: where DRA has taken its place the pod stays Pending "
                f"(up to Kubernetes 1.35), and where both are on a GPU is given away twice{also}",
            )


def _resolve(use: Use, claims: Sequence[Claim]) -> Claim | None:
    """The claim or template of the stream that an entry names; what is strange about it is said."""
    template = use.part.has("resourceClaimTemplateName")
    field = "resourceClaimTemplateName" if template else "resourceClaimName"
    name = use.part.get(field).value
    if not isinstance(name, str):
        return None
    kind = "ResourceClaimTemplate" if template else "ResourceClaim"
    same = [claim for claim in claims if claim.item.name == name]
    right = [claim for claim in same if claim.is_template == template]
    pod = use.part.item.namespace
    for claim in right:
        # Without a namespace it is wherever kubectl's context says, which may be the same.
        if claim.item.namespace == pod or not (claim.item.namespace and pod):
            return claim
    if right:
        there = right[0].item.namespace
        use.part.get(field).error(
            "claim-namespace", f"{kind} {name} is in namespace {there}, and the pod in {pod}: it can only use its own"
        )
    elif same:
        other = "resourceClaimName" if template else "resourceClaimTemplateName"
        use.part.get(field).error("claim-kind", f"{name} is a {same[0].item.kind} here: name it by {other}")
    else:
        message = f"{kind} {name} is not in this stream: what it asks for was not checked with this pod"
        use.part.get(field).info("claim-elsewhere", message)
    return None


def _check_requests(use: Use, claim: Claim) -> None:
    if not claim.requests:
        return
    for container in _containers(use.spec):
        for part in container.mapping("resources").each("claims"):
            request = part.get("request").value
            if part.get("name").value == use.name and isinstance(request, str) and not named(claim.requests, request):
                known = ", ".join(dict.fromkeys(each.main for each in claim.requests))
                part.get("request").error(
                    "claim-request",
                    f'{claim.item.label} has no request "{request}" ({known}): the container gets no device',
                )


def _check_sharing(claim: Claim, uses: Sequence[Use]) -> None:
    strategies = sorted({strategy_of(config) for config in claim.configs} - {""})
    pods = sum(use.pods for use in uses)
    if claim.is_template:
        if strategies and pods > 1:
            uses[0].part.warning(
                "template-shared",
                f"{claim.item.label} sets {' and '.join(strategies)}, and {pods} pods use it: each gets a claim and a "
                f"device of its own, so nothing is shared; make one ResourceClaim, and name it by resourceClaimName",
            )
        return
    if pods > MAX_CONSUMERS:
        message = f"{pods} pods use {claim.item.label}, and a claim is reserved for {MAX_CONSUMERS} at most"
        uses[0].part.error("claim-consumers", message)
    users = {user for use in uses for user in _users(use)}
    if MPS in strategies and len(users) > 1:
        shown = ", ".join(str(user) for user in sorted(users))
        uses[0].part.warning(
            "mps-users", f"clients of one MPS daemon run as one user, and here runAsUser is {shown}: only one gets in"
        )


def _users(use: Use) -> set[int]:
    """The users that the containers with this claim run as, where the manifest says."""
    default = use.spec.mapping("securityContext").get("runAsUser").value
    users = set()
    for container in _containers(use.spec):
        if any(part.get("name").value == use.name for part in container.mapping("resources").each("claims")):
            own = container.mapping("securityContext").get("runAsUser").value
            user = default if own is None else own
            if isinstance(user, int):
                users.add(user)
    return users
