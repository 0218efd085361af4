"""The kubelet of every simulated node: takes the pods that are bound to it through their life.

A pod's status is written as a kubelet writes it: ContainerCreating while volumes and devices are prepared, Running,
Succeeded or Failed, and restarts with back-off. What its containers do comes from `drakit.sandbox.programs`.
"""

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Mapping, Sequence

from drakit.dra.nodedriver import PreparedDevice
from drakit.errors import ClusterError
from drakit.kube.client import Kube
from drakit.kube.kinds import CONFIG_MAP, EVENT, POD, SECRET, Object, ResourceApi
from drakit.sandbox.driver import Plugin
from drakit.sandbox.podclaims import NotYet, PodClaims
from drakit.sandbox.podstatus import (
    ContainerRun,
    PodRun,
    is_deleted,
    known_status,
    now_utc,
    pod_status,
    stamp,
    terminated,
)
from drakit.sandbox.programs import FOREVER, play

RETRY_SECONDS = 1.0
"""How soon the kubelet tries again what a pod still lacks."""
FIRST_BACKOFF_SECONDS, LAST_BACKOFF_SECONDS = 10.0, 300.0
TERMINATED_BY_SIGTERM = 143


class Kubelet:
    """All simulated kubelets: one object, because they share the connection to the API.

    Args:
        kubernetes: the version it has, "v1.33.13".
        plugin: the DRA driver on a node, or None while its pod does not run there.
    """

    def __init__(self, kube: Kube, api: ResourceApi, kubernetes: str, plugin: Callable[[str], Plugin | None]) -> None:
        self._kube = kube
        self._claims = PodClaims(kube, api, kubernetes, plugin)
        self._plugin = plugin
        self.pods: dict[str, PodRun] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._background: set[asyncio.Task[None]] = set()

    def take(self, pod: Object) -> None:
        """A pod that is bound to a simulated node was added or changed."""
        uid = pod["metadata"]["uid"]
        run = self.pods.get(uid)
        if run is None:
            if pod.get("status", {}).get("phase") in ("Succeeded", "Failed") and not is_deleted(pod):
                return
            run = self.pods[uid] = PodRun(pod)
            self._spawn(uid, lambda: self._live(run))
        elif is_deleted(pod) and not is_deleted(run.pod):
            run.pod = pod
            self._spawn(uid, lambda: self._terminate(run))
        else:
            run.pod = pod

    def drop(self, pod: Object) -> None:
        """A pod has gone from the API."""
        uid = pod["metadata"]["uid"]
        run = self.pods.pop(uid, None)
        if task := self._tasks.pop(uid, None):
            task.cancel()
        if run and run.claims:
            self._in_background(lambda: self._unprepare(run))

    def find(self, namespace: str, name: str) -> PodRun | None:
        """The pod of that name, if it is on a simulated node."""
        names = (namespace, name)
        found = (r for r in self.pods.values() if (r.pod["metadata"]["namespace"], r.pod["metadata"]["name"]) == names)
        return next(found, None)

    async def close(self) -> None:
        """Stop everything; the pods' status stays as it is."""
        tasks = [*self._tasks.values(), *self._background]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, uid: str, work: Callable[[], Awaitable[object]]) -> None:
        if previous := self._tasks.get(uid):
            previous.cancel()
        self._tasks[uid] = asyncio.create_task(_persist(work))

    async def _live(self, run: PodRun) -> None:
        if is_deleted(run.pod):
            await self._terminate(run)
            return
        # A pod that ran before the simulator was started has run on, as a real one does.
        resumed = run.pod.get("status", {}).get("phase") == "Running"
        if not resumed:
            await self._write(run, phase="Pending", waiting="ContainerCreating")
        devices = await self._prepare(run)
        for container in run.pod["spec"].get("initContainers", ()):
            if not await self._initialise(run, container, devices, resumed=resumed):
                return
        for container in run.pod["spec"]["containers"]:
            self._begin(run, container, devices)
        await self._write(run, phase="Running")
        for container in () if resumed else run.pod["spec"]["containers"]:
            image = f'Container image "{container.get("image", "")}" is simulated: nothing was pulled'
            self._event(run, "Normal", "Pulled", image)
            self._event(run, "Normal", "Started", f"Started container {container['name']}")
        async with asyncio.TaskGroup() as group:
            for container in run.pod["spec"]["containers"]:
                group.create_task(self._play(run, container, devices))
        failed = any(run.containers[c["name"]].exit_code for c in run.pod["spec"]["containers"])
        await self._write(run, phase="Failed" if failed else "Succeeded")
        await self._unprepare(run)

    async def _initialise(
        self, run: PodRun, container: Object, devices: Mapping[str, Sequence[PreparedDevice]], *, resumed: bool
    ) -> bool:
        """Run an init container to its end. Returns False when the pod has failed with it."""
        name = container["name"]
        self._begin(run, container, devices)
        if resumed:
            if container.get("restartPolicy") != "Always":
                self._end(run.containers[name], 0)
            return True
        if container.get("restartPolicy") == "Always":  # a sidecar: started, and left running
            return True
        while True:
            current = run.containers[name]
            await self._write(run, phase="Pending", waiting="PodInitializing")
            await asyncio.sleep(current.timeline.seconds if current.timeline.seconds != FOREVER else 86400 * 365)
            self._end(current, current.timeline.exit_code)
            if current.exit_code == 0:
                return True
            if run.pod["spec"].get("restartPolicy") == "Never":
                await self._write(run, phase="Failed")
                return False
            await self._back_off(run, name, phase="Pending")

    async def _play(self, run: PodRun, container: Object, devices: Mapping[str, Sequence[PreparedDevice]]) -> None:
        """Let a container run, and restart it as the pod's policy says."""
        name = container["name"]
        policy = run.pod["spec"].get("restartPolicy", "Always")
        while True:
            current = run.containers[name]
            if current.timeline.seconds == FOREVER:
                await asyncio.Event().wait()
            elapsed = (now_utc() - current.started).total_seconds()
            await asyncio.sleep(max(current.timeline.seconds - elapsed, 0))
            self._end(current, current.timeline.exit_code)
            if policy == "Never" or (policy == "OnFailure" and current.exit_code == 0):
                return
            await self._back_off(run, name, phase="Running")

    async def _back_off(self, run: PodRun, name: str, *, phase: str) -> None:
        current = run.containers[name]
        delay = min(FIRST_BACKOFF_SECONDS * 2**current.restarts, LAST_BACKOFF_SECONDS)
        current.waiting = "CrashLoopBackOff"
        await self._write(run, phase=phase)
        metadata = run.pod["metadata"]
        self._event(
            run, "Warning", "BackOff",
            f"Back-off restarting failed container {name} in pod {metadata['name']}_{metadata['namespace']}"
            f"({metadata['uid']})",
        )  # fmt: skip
        await asyncio.sleep(delay)
        run.containers[name] = ContainerRun(
            current.timeline, now_utc(), current.restarts + 1, last={"terminated": terminated(current)}
        )
        await self._write(run, phase=phase)

    def _begin(self, run: PodRun, container: Object, devices: Mapping[str, Sequence[PreparedDevice]]) -> None:
        name = container["name"]
        known = known_status(run.pod, name)
        started = known.get("state", {}).get("running", {}).get("startedAt")
        when = datetime.datetime.fromisoformat(started) if started else now_utc()
        serves = (
            run.pod["spec"].get("restartPolicy", "Always") == "Always" and container in run.pod["spec"]["containers"]
        )
        serves = serves or container.get("restartPolicy") == "Always"
        timeline = play(container, devices.get(name, ()), serves=serves, started=when.timestamp())
        run.containers[name] = ContainerRun(timeline, when, known.get("restartCount", 0), last=known.get("lastState"))

    @staticmethod
    def _end(current: ContainerRun, exit_code: int) -> None:
        current.ended, current.exit_code = now_utc(), exit_code

    async def _prepare(self, run: PodRun) -> Mapping[str, Sequence[PreparedDevice]]:
        """Wait for volumes and devices. Returns the devices that each container sees."""
        told = None
        while True:
            try:
                await self._check_volumes(run.pod)
                return await self._claims.prepare(run)
            except NotYet as reason:
                if told != str(reason):
                    told = str(reason)
                    self._event(run, "Warning", reason.reason, told)
            await asyncio.sleep(RETRY_SECONDS)

    async def _check_volumes(self, pod: Object) -> None:
        namespace = pod["metadata"]["namespace"]
        for volume in pod["spec"].get("volumes", ()):
            for source, kind, key in (("configMap", CONFIG_MAP, "name"), ("secret", SECRET, "secretName")):
                wanted = volume.get(source)
                if not wanted or wanted.get("optional"):
                    continue
                if await self._kube.get(kind, wanted[key], namespace) is None:
                    text = f'MountVolume.SetUp failed for volume "{volume["name"]}" : '
                    raise NotYet("FailedMount", f'{text}{kind.name.lower()} "{wanted[key]}" not found')

    async def _unprepare(self, run: PodRun) -> None:
        """Give back the claims that no other pod here uses."""
        mine, run.claims = run.claims, ()
        for uid in mine:
            if any(uid in other.claims for other in self.pods.values()):
                continue
            if plugin := self._plugin(run.pod["spec"]["nodeName"]):
                await plugin.unprepare(uid)

    async def _terminate(self, run: PodRun) -> None:
        """Stop a pod's containers and remove it from the API, as a kubelet does once they have ended."""
        metadata = run.pod["metadata"]
        for current in run.containers.values():
            if current.ended is None:
                self._end(current, TERMINATED_BY_SIGTERM)
                current.waiting = None
        if run.containers:
            self._event(run, "Normal", "Killing", f"Stopping container {next(iter(run.containers))}")
            await self._write(run, phase=run.pod.get("status", {}).get("phase", "Running"))
        await self._unprepare(run)
        await self._kube.delete(POD, metadata["name"], metadata["namespace"], grace_seconds=0)

    async def _write(self, run: PodRun, *, phase: str, waiting: str = "ContainerCreating") -> None:
        metadata = run.pod["metadata"]
        status = pod_status(run, phase, waiting)
        patch = {"metadata": {"uid": metadata["uid"]}, "status": status}
        answer = await self._kube.patch(POD, metadata["name"], patch, metadata["namespace"], subresource="status")
        run.pod = {**run.pod, "status": answer["status"]}

    def _event(self, run: PodRun, kind: str, reason: str, message: str) -> None:
        metadata, now = run.pod["metadata"], stamp(now_utc())
        node = run.pod["spec"]["nodeName"]
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{metadata['name']}.", "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": "v1", "kind": "Pod",
                "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            },
            "type": kind,
            "reason": reason,
            "message": message,
            "source": {"component": "kubelet", "host": node},
            "reportingComponent": "kubelet",
            "reportingInstance": node,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }  # fmt: skip
        self._in_background(lambda: self._kube.create(EVENT, event))

    def _in_background(self, work: Callable[[], Awaitable[object]]) -> None:
        task = asyncio.create_task(_persist(work))
        self._background.add(task)
        task.add_done_callback(self._background.discard)


async def _persist(work: Callable[[], Awaitable[object]]) -> None:
    """Do `work` for a pod, from the start again while the API does not answer; that the pod has gone ends it."""
    while True:
        try:
            await work()
        except ClusterError as error:
            if error.code != "unreachable":
                return
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return
