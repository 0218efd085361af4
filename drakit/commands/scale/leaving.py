"""Nodes that go: which, what is in use on them, and how they are emptied."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from drakit.commands.nodes import is_ready
from drakit.dra.devices import allocated_devices, reserved_for
from drakit.engine.events import Report
from drakit.errors import Refused, TimedOut
from drakit.kube.client import Kube
from drakit.kube.kinds import NODE, POD, Object, ResourceApi
from drakit.kube.watch import Key, wait_for
from drakit.targets.base import group_of

CORDONED = "drakit.dev/cordoned"
"""Annotation of the Nodes that drakit has cordoned, so that a later run can take it back."""
EVICTION_PAUSE_SECONDS = 1.0
"""Before a pod that a PodDisruptionBudget holds is asked to go again; the API has nothing to watch for that."""


@dataclass(frozen=True)
class Leaving:
    """The nodes that go when groups get smaller.

    Args:
        nodes: the Nodes, by group.
        claims: those in use on them, as "namespace/name of pod, pod".
        staying: the Nodes of the same groups that do not go.
    """

    nodes: Mapping[str, tuple[Object, ...]]
    claims: tuple[str, ...] = ()
    staying: tuple[Object, ...] = ()

    @property
    def all(self) -> list[Object]:
        """The Nodes of all groups."""
        return [node for nodes in self.nodes.values() for node in nodes]


async def choose(kube: Kube, api: ResourceApi, sizes: Mapping[str, int]) -> Leaving:
    """The nodes that are to go for groups to have `sizes`: those that are not Ready, then idle ones, then the youngest.

    A claim is in use while a pod holds it: a claim that is allocated alone keeps nobody's work.
    """
    (nodes, _), (pods, _), (claims, _) = await asyncio.gather(kube.list(NODE), kube.list(POD), kube.list(api.claim))
    used = _in_use(claims)
    busy = {node["metadata"]["name"]: 0 for node in nodes}
    for pod in pods:
        if (name := pod["spec"].get("nodeName")) in busy and _has_to_go(pod):
            busy[name] += 1

    def rank(node: Object) -> tuple[bool, bool, int]:
        name = node["metadata"]["name"]
        return is_ready(node), name in used, busy[name]

    nodes.sort(key=lambda node: str(node["metadata"]["creationTimestamp"]), reverse=True)
    chosen: dict[str, tuple[Object, ...]] = {}
    staying: list[Object] = []
    for group, size in sizes.items():
        members = sorted((node for node in nodes if group_of(node) == group), key=rank)
        surplus = max(len(members) - size, 0)
        if surplus:
            chosen[group] = tuple(members[:surplus])
        staying += members[surplus:]
    going = {node["metadata"]["name"] for each in chosen.values() for node in each}
    held = tuple(words for name in sorted(going & set(used)) for words in used[name])
    return Leaving(chosen, held, tuple(staying))


async def look_again(kube: Kube, api: ResourceApi, leaving: Leaving) -> Leaving:
    """The same nodes, with the claims that are in use on them now."""
    used = _in_use((await kube.list(api.claim))[0])
    names = sorted({node["metadata"]["name"] for node in leaving.all} & set(used))
    return replace(leaving, claims=tuple(words for name in names for words in used[name]))


def refuse_in_use(leaving: Leaving) -> None:
    """Go on only when no claim is in use on the nodes that go.

    Raises:
        Refused: naming the claims.
    """
    if leaving.claims:
        raise Refused(
            f"Claims are in use on the nodes that would go: {'; '.join(leaving.claims)}.",
            hint="`--drain` evicts their pods first; or delete the pods, or wait for them.",
            code="claims-in-use",
            details={"claims": list(leaving.claims)},
        )


async def cordon(kube: Kube, nodes: Sequence[Object]) -> None:
    """Let nothing new be scheduled on nodes that go; the place lets cordoned nodes go first."""
    patch: Object = {"metadata": {"annotations": {CORDONED: "scale"}}, "spec": {"unschedulable": True}}
    names = [n["metadata"]["name"] for n in nodes if not n["spec"].get("unschedulable")]
    await asyncio.gather(*(kube.patch(NODE, name, patch) for name in names))


async def uncordon(kube: Kube, nodes: Iterable[Object]) -> None:
    """Take back what `cordon` did to nodes that stay."""
    patch: Object = {"metadata": {"annotations": {CORDONED: None}}, "spec": {"unschedulable": None}}
    names = [n["metadata"]["name"] for n in nodes if CORDONED in n["metadata"].get("annotations", {})]
    await asyncio.gather(*(kube.patch(NODE, name, patch) for name in names))


async def drain(kube: Kube, api: ResourceApi, nodes: Sequence[Object], report: Report, timeout: float) -> list[str]:
    """Evict the pods of cordoned nodes, and wait until they have gone and their claims are free.

    Args:
        timeout: seconds.

    Returns:
        The pods that nobody will make again, as namespace/name.

    Raises:
        TimedOut: a PodDisruptionBudget let a pod stay, or a pod did not end.
    """
    names = {node["metadata"]["name"] for node in nodes}
    pods = [pod for name in names for pod in (await kube.list(POD, fields={"spec.nodeName": name}))[0]]
    pods = [pod for pod in pods if _has_to_go(pod)]
    if not pods:
        return []
    report(f"evicting {len(pods)} pod{'s' if len(pods) > 1 else ''} from {', '.join(sorted(names))}")
    await asyncio.gather(*(_evict(kube, pod, report, timeout) for pod in pods))
    going = {pod["metadata"]["uid"] for pod in pods}

    def gone(there: Mapping[Key, Object]) -> bool:
        return not any(pod["metadata"]["uid"] in going for pod in there.values())

    await wait_for(kube, POD, gone, what=f"the pods of {', '.join(sorted(names))} to end", timeout=timeout)

    def released(claims: Mapping[Key, Object]) -> bool:
        return not names & set(_in_use(claims.values()))

    what = f"the claims on {', '.join(sorted(names))} to be released"
    await wait_for(kube, api.claim, released, what=what, timeout=timeout)
    return [_name(pod) for pod in pods if not pod["metadata"].get("ownerReferences")]


async def _evict(kube: Kube, pod: Object, report: Report, timeout: float) -> None:
    """Ask until the pod goes."""
    told = ""
    try:
        async with asyncio.timeout(timeout):
            while held := await kube.evict(pod["metadata"]["name"], pod["metadata"]["namespace"]):
                if held != told:
                    report(f"{_name(pod)} has to stay: {held}")
                    told = held
                await asyncio.sleep(EVICTION_PAUSE_SECONDS)
    except TimeoutError as error:
        raise TimedOut(
            f"Waited {timeout:.0f} s for the pod {_name(pod)} to be evicted. {told}".strip(),
            hint="Its PodDisruptionBudget forbids it: let more pods of it run, or change the budget.",
            code="not-drained",
        ) from error


def _in_use(claims: Iterable[Object]) -> dict[str, list[str]]:
    """The claims that pods hold, in words, by the node that their devices are on."""
    found: dict[str, list[str]] = {}
    for claim in claims:
        if pods := reserved_for(claim):
            words = f"{_name(claim)} of {', '.join(pods)}"
            for node in {device.pool for device in allocated_devices(claim, ())}:
                found.setdefault(node, []).append(words)
    return found


def _has_to_go(pod: Object) -> bool:
    """Whether a node is not empty for this pod. DaemonSets bring theirs back, a mirror pod is the kubelet's own."""
    metadata = pod["metadata"]
    owners = {owner["kind"] for owner in metadata.get("ownerReferences", ())}
    ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return (
        not ended and "DaemonSet" not in owners and "kubernetes.io/config.mirror" not in metadata.get("annotations", {})
    )


def _name(obj: Object) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
