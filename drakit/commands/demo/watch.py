"""A demo while it runs: its claims, pods, nodes and logs, followed side by side."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from drakit.commands.nodes import is_ready
from drakit.commands.pods import reason_of
from drakit.dra.evidence import Sharer, claims_of
from drakit.errors import ClusterError
from drakit.kube.client import Kube
from drakit.kube.kinds import EVENT, NODE, POD, Object, ResourceApi
from drakit.kube.watch import FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS, OUTAGE_SECONDS, Store


@dataclass(frozen=True)
class Expected:
    """What a demo shall bring: its namespace, the labels and names of its pods, and how many claims they have."""

    namespace: str
    labels: Mapping[str, str]
    pods: frozenset[str]
    claims: int


@dataclass
class DemoWatch:
    """What is known of a demo under way. `reached` and the properties look at it, nothing here asks the API again."""

    kube: Kube
    api: ResourceApi
    expected: Expected
    logs: dict[Sharer, str] = field(default_factory=dict)
    created: float | None = None
    allocated: float | None = None
    running: float | None = None
    """When the first claim was seen, when all were allocated, when all pods ran; of the monotonic clock."""
    broken: str | None = None
    """What happened that a demo does not survive."""

    def __post_init__(self) -> None:
        namespace = self.expected.namespace
        self._claims = Store(self.kube, self.api.claim, namespace)
        self._pods = Store(self.kube, POD, namespace, labels=self.expected.labels)
        self._nodes = Store(self.kube, NODE)
        self._nodes_listed = False
        self._changed = asyncio.Event()
        self._followers: dict[Sharer, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def pods(self) -> Sequence[Object]:
        """The demo's pods, in order of their names."""
        pods = (pod for (_, name), pod in self._pods.objects.items() if name in self.expected.pods)
        return sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))

    @property
    def logs_ended(self) -> bool:
        """Whether no log will get another line."""
        return bool(self._followers) and all(task.done() for task in self._followers.values())

    async def until(self, reached: Callable[[], bool], timeout: float) -> bool:
        """Wait until `reached` holds. False when the time is over before, or the demo is `broken`."""
        try:
            async with asyncio.timeout(timeout):
                while not reached():
                    if self.broken:
                        return False
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def last_lines(self, timeout: float) -> None:
        """Wait until the logs of containers that have ended are there to their last line."""
        ended = {
            (pod["metadata"]["name"], status["name"])
            for pod in self.pods
            for status in pod.get("status", {}).get("containerStatuses", ())
            if "terminated" in status.get("state", {})
        }
        if tasks := [task for sharer, task in self._followers.items() if sharer in ended]:
            await asyncio.wait(tasks, timeout=timeout)

    async def reasons(self) -> list[str]:
        """What stands in the way of each pod that does not run, in the words of scheduler and kubelet."""
        events, _ = await self.kube.list(EVENT, self.expected.namespace)
        return [f"pod {pod['metadata']['name']}: {reason_of(pod, events)}" for pod in self.pods if not _runs(pod)]

    async def follow(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Start to follow everything, until the returned tasks are cancelled."""
        self._tasks = tasks

        def look(_: Object | None = None) -> None:
            self._look()

        def nodes_listed() -> None:
            self._nodes_listed = True
            self._look()

        return [
            tasks.create_task(self._claims.follow(look, look, patience=OUTAGE_SECONDS)),
            tasks.create_task(self._pods.follow(look, self._pod_gone, patience=OUTAGE_SECONDS)),
            tasks.create_task(self._nodes.follow(look, self._node_gone, listed=nodes_listed, patience=OUTAGE_SECONDS)),
        ]

    def stop(self) -> None:
        """Stop following logs."""
        for task in self._followers.values():
            task.cancel()

    def _look(self) -> None:
        now = time.monotonic()
        own = {name for pod in self.pods for name in claims_of(pod).values()}
        claims = [c for (_, name), c in self._claims.objects.items() if name in own or self._is_ours(c)]
        if claims and self.created is None:
            self.created = now
        allocated = [claim for claim in claims if (claim.get("status") or {}).get("allocation")]
        if len(allocated) >= self.expected.claims and self.allocated is None:
            self.allocated = now
        if {pod["metadata"]["name"] for pod in self.pods if _runs(pod)} == self.expected.pods and self.running is None:
            self.running = now
        for pod in self.pods:
            self._look_at_pod(pod)
        self._changed.set()

    def _look_at_pod(self, pod: Object) -> None:
        name, node = pod["metadata"]["name"], pod["spec"].get("nodeName")
        if failed := failure_of(pod):
            self._break(f"pod {name} failed: {failed}")
        if node and self._nodes_listed and "deletionTimestamp" not in pod["metadata"]:
            known = self._nodes.objects.get(("", node))
            if known is None:
                self._break(f"node {node} of pod {name} has gone")
            elif not is_ready(known):
                self._break(f"node {node} of pod {name} is not Ready")
        statuses = {status["name"]: status for status in pod.get("status", {}).get("containerStatuses", ())}
        for container in pod["spec"]["containers"]:
            state = statuses.get(container["name"], {}).get("state", {})
            sharer = name, container["name"]
            if {"running", "terminated"} & set(state) and sharer not in self._followers:
                assert self._tasks is not None
                self._followers[sharer] = self._tasks.create_task(self._follow_log(*sharer))

    def _pod_gone(self, pod: Object) -> None:
        name, node = pod["metadata"]["name"], pod["spec"].get("nodeName")
        if name in self.expected.pods:
            left = self._nodes_listed and node and ("", node) not in self._nodes.objects
            self._break(f"node {node} of pod {name} has gone" if left else f"pod {name} was deleted")
        self._look()

    def _node_gone(self, node: Object) -> None:
        # Told here too: a node of the same name may be back before anybody looks.
        name = node["metadata"]["name"]
        for pod in self.pods:
            if pod["spec"].get("nodeName") == name:
                self._break(f"node {name} of pod {pod['metadata']['name']} has gone")
        self._look()

    def _is_ours(self, obj: Object) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(labels.get(key) == value for key, value in self.expected.labels.items())

    def _break(self, why: str) -> None:
        self.broken = self.broken or why

    async def _follow_log(self, pod: str, container: str) -> None:
        """Keep a container's log in `logs`, until the container has ended or the pod has gone."""
        delay = FIRST_RETRY_SECONDS
        while True:
            lines: list[str] = []
            try:
                async for line in self.kube.follow_log(self.expected.namespace, pod, container):
                    lines.append(line)
                    self.logs[pod, container] = "\n".join(lines)
                    self._changed.set()
                break
            except ClusterError as error:
                # The kubelet may need a moment; a pod that has gone is told of by its watch.
                if (self.expected.namespace, pod) not in self._pods.objects:
                    break
                self.logs.setdefault((pod, container), f"(no log: {error.message})")
            await asyncio.sleep(delay)
            delay = min(delay * 2, LAST_RETRY_SECONDS)
        self._changed.set()


@asynccontextmanager
async def watching(kube: Kube, api: ResourceApi, expected: Expected) -> AsyncIterator[DemoWatch]:
    """Follow a demo for the time of the block.

    Raises:
        ClusterError: the API does not answer any more.
    """
    watch = DemoWatch(kube, api, expected)
    try:
        async with asyncio.TaskGroup() as tasks:
            following = await watch.follow(tasks)
            try:
                yield watch
            finally:
                watch.stop()
                for task in following:
                    task.cancel()
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _runs(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Running", "Succeeded", "Failed")


def failure_of(pod: Object) -> str | None:
    """Why a pod will not do its work any more, None as long as it may."""
    status = pod.get("status", {})
    for container in status.get("containerStatuses", ()):
        ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated")
        if ended and ended.get("exitCode") and "deletionTimestamp" not in pod["metadata"]:
            return f"container {container['name']} ended with exit status {ended['exitCode']}"
    if status.get("phase") == "Failed":
        return str(status.get("message") or status.get("reason") or "its phase is Failed")
    return None
