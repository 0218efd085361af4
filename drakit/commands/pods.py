"""Pods as commands see them: where they belong, and what stands in their way in the words of scheduler and kubelet."""

from collections.abc import Sequence

from drakit.kube.kinds import Object


def warnings_of(pod: Object, events: Sequence[Object]) -> list[Object]:
    """The pod's events of type Warning, the latest last."""
    uid = pod["metadata"]["uid"]
    own = [e for e in events if e.get("involvedObject", {}).get("uid") == uid and e.get("type") == "Warning"]
    return sorted(own, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))


def unschedulable(pod: Object) -> str | None:
    """Why the scheduler finds no node for the pod; None when it has not said so."""
    conditions = pod.get("status", {}).get("conditions", ())
    return next((str(c["message"]) for c in conditions if c.get("reason") == "Unschedulable"), None)


def reason_of(pod: Object, events: Sequence[Object]) -> str:
    """Why a pod does not run yet."""
    own = warnings_of(pod, events)
    if own and pod["spec"].get("nodeName"):
        return str(own[-1]["message"])
    if why := unschedulable(pod):
        return why
    for container in pod.get("status", {}).get("containerStatuses", ()):
        waiting = container.get("state", {}).get("waiting", {})
        if waiting:
            return f"container {container['name']}: {waiting.get('message') or waiting.get('reason')}"
    return str(own[-1]["message"]) if own else f"its phase is {pod.get('status', {}).get('phase', 'unknown')}"


def is_ready(pod: Object) -> bool:
    """Whether the pod's Ready condition is True."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def node_of(pod: Object) -> str | None:
    """The node that a DaemonSet's pod runs on, or was made for: its controller names it in the pod's node affinity."""
    if name := pod["spec"].get("nodeName"):
        return str(name)
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", ())
    fields = [field for term in terms for field in term.get("matchFields", ()) if field["key"] == "metadata.name"]
    return str(fields[0]["values"][0]) if fields else None
