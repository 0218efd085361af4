"""What a demo's pods say of themselves, and what ends the wait for them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from drakit.commands.demo.run import unbroken
from drakit.commands.demo.watch import DemoWatch, Expected, failure_of, watching
from drakit.commands.pods import reason_of
from drakit.errors import ClusterError
from drakit.kube.kinds import Kind, Object, ResourceApi

API = ResourceApi("v1")
EXPECTED = Expected("ns", {"app": "demo"}, frozenset({"a", "b"}), 1)


def pod(name: str = "a", **status: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "ns", "uid": name, "resourceVersion": "1", "labels": {"app": "demo"}},
        "spec": {
            "nodeName": "n",
            "containers": [{"name": "ctr"}],
            "resourceClaims": [{"name": "gpu", "resourceClaimName": "c"}],
        },
        "status": status,
    }


def running(name: str, **more: Any) -> Object:
    return pod(name, phase="Running", containerStatuses=[{"name": "ctr", "state": {"running": {}}}], **more)


def terminated(code: int) -> dict[str, Any]:
    return {"name": "ctr", "state": {"terminated": {"exitCode": code}}}


def ready_node(name: str = "n") -> Object:
    conditions = [{"type": "Ready", "status": "True"}]
    return {"metadata": {"name": name, "resourceVersion": "1"}, "spec": {}, "status": {"conditions": conditions}}


CLAIM = {
    "metadata": {"name": "c", "namespace": "ns", "resourceVersion": "1", "labels": {"app": "demo"}},
    "status": {"allocation": {"devices": {}}},
}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"phase": "Running"}, None),
        ({"phase": "Succeeded", "containerStatuses": [terminated(0)]}, None),
        ({"phase": "Failed", "message": "The node was low on resource: memory."}, "low on resource"),
        ({"phase": "Failed", "reason": "Evicted"}, "Evicted"),
        ({"phase": "Running", "containerStatuses": [terminated(1)]}, "container ctr ended with exit status 1"),
        (
            {
                "phase": "Running",
                "containerStatuses": [{"name": "ctr", "lastState": {"terminated": {"exitCode": 137}}, "state": {}}],
            },
            "exit status 137",
        ),
    ],
)
def test_a_pod_that_will_not_do_its_work(status: dict[str, Any], said: str | None) -> None:
    found = failure_of(pod(**status))
    assert found is None if said is None else said in str(found)


def test_a_pod_that_is_being_deleted_has_not_failed() -> None:
    obj = pod(phase="Running", containerStatuses=[terminated(143)])
    obj["metadata"]["deletionTimestamp"] = "now"
    assert failure_of(obj) is None


def event(message: str, uid: str = "a", kind: str = "Warning", when: str = "2026-01-01T00:00:00Z") -> Object:
    return {"involvedObject": {"uid": uid}, "type": kind, "message": message, "lastTimestamp": when}


def test_the_kubelets_last_warning_is_the_reason() -> None:
    events = [
        event("newer", when="2026-01-02T00:00:00Z"),
        event("older"),
        event("of another", uid="b", when="2026-01-03T00:00:00Z"),
        event("good news", kind="Normal", when="2026-01-03T00:00:00Z"),
    ]
    assert reason_of(pod(phase="Pending"), events) == "newer"


def test_the_schedulers_word_before_a_pod_is_bound() -> None:
    condition = {"type": "PodScheduled", "reason": "Unschedulable", "message": "0/1 nodes: cannot allocate all claims"}
    obj = pod(phase="Pending", conditions=[condition])
    del obj["spec"]["nodeName"]
    assert "cannot allocate all claims" in reason_of(obj, [event("FailedScheduling")])
    del obj["status"]["conditions"]
    assert reason_of(obj, [event("FailedScheduling")]) == "FailedScheduling"
    assert reason_of(obj, []) == "its phase is Pending"


def test_what_a_container_waits_for() -> None:
    waiting = {"name": "ctr", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    assert reason_of(pod(phase="Pending", containerStatuses=[waiting]), []) == "container ctr: no such image"


class FakeKube:
    """A cluster of lists; what is put into `news` is what its watches bring."""

    def __init__(self, **objects: list[Object]) -> None:
        self.objects = objects
        self.news: dict[str, asyncio.Queue[tuple[str, Object] | ClusterError]] = {}
        self.log: list[str] = ["first"]
        self.log_ends = asyncio.Event()

    def queue(self, kind: str) -> asyncio.Queue[tuple[str, Object] | ClusterError]:
        return self.news.setdefault(kind, asyncio.Queue())

    async def list(self, kind: Kind, *_: object, **__: object) -> tuple[list[Object], str]:
        return self.objects.get(kind.plural, []), "1"

    async def watch(self, kind: Kind, *_: object, **__: object) -> AsyncIterator[tuple[str, Object]]:
        while True:
            news = await self.queue(kind.plural).get()
            if isinstance(news, ClusterError):
                raise news
            yield news

    async def follow_log(self, *_: str) -> AsyncIterator[str]:
        for line in self.log:
            yield line
        await self.log_ends.wait()


def cluster(**objects: list[Object]) -> FakeKube:
    return FakeKube(**{"nodes": [ready_node()], "resourceclaims": [CLAIM], **objects})


def watch(kube: FakeKube) -> Any:
    return watching(kube, API, EXPECTED)  # type: ignore[arg-type]


async def test_everything_comes() -> None:
    kube = cluster(pods=[running("a")])
    async with watch(kube) as seen:
        assert await seen.until(lambda: seen.allocated is not None, 5)
        assert seen.running is None
        kube.queue("pods").put_nowait(("ADDED", running("b")))
        assert await seen.until(lambda: seen.running is not None, 5)
        assert await seen.until(lambda: len(seen.logs) == 2, 5)
        assert seen.logs["a", "ctr"] == "first"
        assert not seen.logs_ended
        kube.log_ends.set()
        assert await seen.until(lambda: seen.logs_ended, 5)
    assert seen.created <= seen.allocated <= seen.running


async def test_what_does_not_come_is_waited_for_so_long() -> None:
    async with watch(cluster()) as seen:
        assert not await seen.until(lambda: seen.running is not None, 0.01)
        assert seen.broken is None


LOST = {
    "the node is deleted": ("nodes", ("DELETED", ready_node()), "node n of pod a has gone"),
    "the node is not ready": (
        "nodes",
        ("MODIFIED", {**ready_node(), "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}),
        "node n of pod a is not Ready",
    ),
    "the pod is deleted": ("pods", ("DELETED", running("a")), "pod a was deleted"),
    "the pod fails": ("pods", ("MODIFIED", pod("a", phase="Failed", reason="Evicted")), "pod a failed: Evicted"),
}


@pytest.mark.parametrize(("kind", "news", "why"), LOST.values(), ids=LOST)
async def test_what_ends_the_wait_at_once(kind: str, news: tuple[str, Object], why: str) -> None:
    kube = cluster(pods=[running("a")])
    async with watch(kube) as seen:
        assert await seen.until(lambda: seen.allocated is not None, 5)
        kube.queue(kind).put_nowait(news)
        assert not await seen.until(lambda: seen.running is not None, 60)
        assert seen.broken == why


async def test_a_node_that_is_back_under_its_name_has_gone_all_the_same() -> None:
    kube = cluster(pods=[running("a")])
    async with watch(kube) as seen:
        assert await seen.until(lambda: seen.allocated is not None, 5)
        kube.queue("nodes").put_nowait(("DELETED", ready_node()))
        kube.queue("nodes").put_nowait(("ADDED", ready_node()))
        assert not await seen.until(lambda: seen.running is not None, 60)
        assert seen.broken == "node n of pod a has gone"


async def test_pods_that_are_not_the_demos_are_nobodys_business() -> None:
    kube = cluster(pods=[running("a"), pod("stranger", phase="Failed")])
    async with watch(kube) as seen:
        assert await seen.until(lambda: seen.allocated is not None, 5)
        assert seen.broken is None
        assert [p["metadata"]["name"] for p in seen.pods] == ["a"]


async def test_an_api_that_refuses_is_raised_as_it_is() -> None:
    kube = cluster()
    kube.queue("pods").put_nowait(ClusterError("Kubernetes refused: pods are not yours", code="forbidden"))

    async def wait() -> None:
        async with watch(kube) as seen:
            await seen.until(lambda: seen.running is not None, 60)

    with pytest.raises(ClusterError, match="not yours"):
        await wait()


async def test_an_error_in_the_block_is_raised_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with watch(cluster()):
            raise KeyError


async def test_the_last_lines_of_what_has_ended_are_waited_for() -> None:
    failed = pod("a", phase="Running", containerStatuses=[terminated(1)])
    kube = cluster(pods=[failed])
    kube.log = ["first", '{"event": "error"}']
    kube.log_ends.set()
    async with watch(kube) as seen:
        assert not await seen.until(lambda: seen.running is not None, 60)
        await seen.last_lines(5)
        assert seen.logs["a", "ctr"].endswith('{"event": "error"}')


async def test_clean_up_goes_on_however_often_it_is_interrupted() -> None:
    go_on, cleaned = asyncio.Event(), []

    async def clean_up() -> None:
        await go_on.wait()
        cleaned.append(True)

    task = asyncio.ensure_future(unbroken(clean_up()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == [True]


async def test_clean_up_that_fails_or_succeeds() -> None:
    async def fail() -> None:
        raise ClusterError("it stays")

    async def succeed() -> int:
        return 1

    with pytest.raises(ClusterError, match="it stays"):
        await unbroken(fail())
    assert await unbroken(succeed()) == 1


def test_a_watch_starts_with_nothing() -> None:
    empty = DemoWatch(FakeKube(), API, EXPECTED)  # type: ignore[arg-type]
    assert (empty.pods, empty.logs_ended, empty.broken) == ([], False, None)
