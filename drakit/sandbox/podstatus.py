"""A pod's status, as the kubelet of its node writes it."""

import datetime
import zlib
from dataclasses import dataclass, field

from drakit.kube.kinds import Object
from drakit.sandbox.programs import FOREVER, Timeline


@dataclass
class ContainerRun:
    """One run of a container: when it started, what it does, and the runs before it."""

    timeline: Timeline
    started: datetime.datetime
    restarts: int = 0
    ended: datetime.datetime | None = None
    exit_code: int = 0
    waiting: str | None = None
    last: Object | None = None

    def text(self, now: datetime.datetime) -> list[tuple[datetime.datetime, str]]:
        """What it has printed by `now`, with times."""
        end = self.ended or now
        lines = ((self.started + datetime.timedelta(seconds=offset), line) for offset, line in self.timeline.lines)
        return [(when, line) for when, line in lines if when <= end]

    def next_line(self, now: datetime.datetime) -> float:
        """Seconds until it prints again; `FOREVER` when it does not."""
        passed = (now - self.started).total_seconds()
        return next((offset - passed for offset, _ in self.timeline.lines if offset > passed), FOREVER)


@dataclass
class PodRun:
    """A pod on its node."""

    pod: Object
    containers: dict[str, ContainerRun] = field(default_factory=dict)
    claims: tuple[str, ...] = ()
    """UIDs of the claims that are prepared for it."""


def pod_status(run: PodRun, phase: str, waiting: str) -> Object:
    """The status of a pod as a kubelet writes it."""
    pod, now = run.pod, stamp(now_utc())
    containers = [_container_status(c, run.containers.get(c["name"]), waiting) for c in pod["spec"]["containers"]]
    initial = [
        _container_status(c, run.containers.get(c["name"]), waiting) for c in pod["spec"].get("initContainers", ())
    ]
    ready = phase == "Running" and all(status["ready"] for status in containers)
    initialised = phase != "Pending" or not initial
    done = "PodCompleted" if phase == "Succeeded" else "PodFailed" if phase == "Failed" else None
    unready = None if ready else done or "ContainersNotReady"
    wanted = (
        ("PodReadyToStartContainers", phase == "Running", None),
        ("Initialized", initialised, None if initialised else "ContainersNotInitialized"),
        ("ContainersReady", ready, unready),
        ("Ready", ready, unready),
    )
    kept = {condition["type"]: condition for condition in pod.get("status", {}).get("conditions", ())}
    for kind, value, reason in wanted:
        text = str(value)
        since = kept[kind]["lastTransitionTime"] if kept.get(kind, {}).get("status") == text else now
        condition = {"type": kind, "status": text, "lastProbeTime": None, "lastTransitionTime": since}
        kept[kind] = {**condition, "reason": reason} if reason else condition
    address = _pod_address(pod)
    status: Object = {
        "phase": phase,
        "conditions": list(kept.values()),
        "containerStatuses": containers,
        "startTime": pod.get("status", {}).get("startTime") or now,
        "hostIP": _host_address(pod),
        "hostIPs": [{"ip": _host_address(pod)}],
    }
    if initial:
        status["initContainerStatuses"] = initial
    if phase != "Pending":
        status |= {"podIP": address, "podIPs": [{"ip": address}]}
    return status


def _container_status(container: Object, current: ContainerRun | None, waiting: str) -> Object:
    image, name = container.get("image", ""), container["name"]
    status: Object = {
        "name": name,
        "image": image,
        "imageID": f"{image.partition('@')[0]}@sha256:{zlib.crc32(image.encode()):064x}" if current else "",
        "ready": False,
        "started": False,
        "restartCount": current.restarts if current else 0,
        "lastState": (current.last or {}) if current else {},
    }
    if current is None:
        return {**status, "state": {"waiting": {"reason": waiting}}}
    status["containerID"] = f"containerd://{zlib.crc32(name.encode()):064x}"
    if current.waiting and current.ended:
        last = {"terminated": terminated(current)}
        return {**status, "state": {"waiting": {"reason": current.waiting}}, "lastState": last}
    if current.ended:
        return {**status, "state": {"terminated": terminated(current)}}
    return {**status, "ready": True, "started": True, "state": {"running": {"startedAt": stamp(current.started)}}}


def terminated(current: ContainerRun) -> Object:
    """The terminated state of a run that has ended."""
    ended = current.ended or now_utc()
    return {
        "exitCode": current.exit_code,
        "reason": "Completed" if current.exit_code == 0 else "Error",
        "startedAt": stamp(current.started),
        "finishedAt": stamp(ended),
    }


def known_status(pod: Object, container: str) -> Object:
    """What the API knows of a container; empty when nothing."""
    status = pod.get("status", {})
    known = (*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ()))
    return next((dict(item) for item in known if item["name"] == container), {})


def _host_address(pod: Object) -> str:
    return str(pod["spec"]["nodeName"]).removeprefix("ip-").partition(".")[0].replace("-", ".")


def _pod_address(pod: Object) -> str:
    if pod["spec"].get("hostNetwork"):
        return _host_address(pod)
    digest = zlib.crc32(pod["metadata"]["uid"].encode())
    return f"100.64.{128 + digest % 128}.{4 + digest // 128 % 248}"


def is_deleted(pod: Object) -> bool:
    """Whether somebody has asked for the pod's deletion."""
    return "deletionTimestamp" in pod["metadata"]


def now_utc() -> datetime.datetime:
    """The time."""
    return datetime.datetime.now(datetime.UTC)


def stamp(when: datetime.datetime) -> str:
    """A time as Kubernetes writes it, to the second."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
