"""Waiting for nodes: what ends it, what it follows, and what it says of why."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from drakit.commands import waiting
from drakit.commands.waiting import NodeWait, driver_troubles
from drakit.errors import ClusterError, TimedOut
from drakit.kube.kinds import EVENT, NODE, POD, Object
from drakit.targets.base import GroupSize, Trouble
from drakit.targets.releases import DRA_DRIVER
from tests.unit.commands.scaled import API, Cluster, Place, node, resource_slice

G6 = {"g6": GroupSize(2, "g6.xlarge")}
NO_CAPACITY = Trouble("g6", "1", "aws-insufficient-capacity", "no capacity", "Try another zone.")


@pytest.fixture(autouse=True)
def look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.0)


class Waiting:
    """A wait under way for `sizes`."""

    def __init__(self, kube: Cluster, place: Place, timeout: float = 20.0, sizes: Any = None, **options: Any) -> None:
        self.said: list[str] = []
        self.news = asyncio.Event()
        wanted = dict(sizes or place.sizes)
        self.wait = NodeWait(kube, API, place, wanted, self.report, timeout, True, **options)  # type: ignore[arg-type]
        self.task = asyncio.create_task(self.wait.wait())

    def report(self, words: str) -> None:
        self.said.append(words)
        self.news.set()

    async def until(self, words: str) -> None:
        while not any(words in each for each in self.said):
            self.news.clear()
            assert not self.task.done(), self.task
            await asyncio.wait_for(self.news.wait(), 10)

    async def nodes(self) -> set[str]:
        return {name for _, name in await self.task}


def ready(kube: Cluster, name: str, **options: Any) -> None:
    kube.put(NODE, node(name, **options))
    kube.put(API.slice, resource_slice(name))


async def test_what_is_there_is_not_waited_for() -> None:
    kube = Cluster()
    for name in ("a", "b"):
        ready(kube, name)
    run = Waiting(kube, Place(G6))
    assert await run.nodes() == {"a", "b"}
    assert run.said == []


async def test_each_stage_is_named() -> None:
    kube = Cluster()
    run = Waiting(kube, Place(G6))
    await run.until("waiting for nodes: g6 (0 of 2 Ready; 2 to launch)")
    kube.put(NODE, node("a", ready=False))
    await run.until("g6 (0 of 2 Ready; 1 to launch, 1 to become Ready)")
    kube.put(NODE, node("a"))
    kube.put(NODE, node("b"))
    await run.until("waiting for ResourceSlices of a, b")
    kube.put(API.slice, resource_slice("a"))
    await run.until("waiting for ResourceSlices of b")
    kube.put(API.slice, resource_slice("b"))
    assert await run.nodes() == {"a", "b"}


async def test_nodes_that_go_are_waited_for_with_their_devices() -> None:
    kube = Cluster()
    for name in ("a", "b", "c"):
        ready(kube, name)
    run = Waiting(kube, Place(G6))
    await run.until("g6 (3 of 2 Ready; 1 to go)")
    kube.merge(NODE, "c", {"metadata": {"deletionTimestamp": "2026-11-23T12:00:00Z"}})
    await run.until("g6 (2 of 2 Ready; 1 to go)")
    kube.remove(NODE, "c")
    for _ in range(50):
        await asyncio.sleep(0)
    assert not run.task.done()
    kube.remove(API.slice, "slice-c")
    assert await run.nodes() == {"a", "b"}


async def test_without_a_driver_nobody_publishes_anything() -> None:
    kube = Cluster((NODE, node("a")), (NODE, node("b")))
    run = NodeWait(kube, API, Place(G6), dict(G6), lambda _: None, 20, devices=False)  # type: ignore[arg-type]
    assert len(await run.wait()) == 2


async def test_an_external_change_is_followed() -> None:
    kube, place = Cluster(), Place(G6)
    ready(kube, "a")
    run = Waiting(kube, place)
    await run.until("g6 (1 of 2 Ready; 1 to launch)")
    place.sizes["g6"] = GroupSize(1, "g6.xlarge")
    await run.until("somebody else has scaled g6 from 2 to 1: waiting for that")
    assert await run.nodes() == {"a"}
    assert run.wait.sizes["g6"].desired == 1


async def test_a_new_final_trouble_ends_it() -> None:
    place = Place(G6)
    run = Waiting(Cluster(), place)
    await run.until("2 to launch")
    place.found = [NO_CAPACITY]
    with pytest.raises(ClusterError) as caught:
        await run.task
    assert caught.value.code == "aws-insufficient-capacity"
    assert caught.value.message == ("g6 does not get its nodes (g6 (0 of 2 Ready; 2 to launch)). no capacity")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("Try another zone. The group stays at 2")
    assert "`drakit scale g6=2` waits for that" in caught.value.hint
    assert caught.value.details == {"group": "g6", "desired": 2}


async def test_a_trouble_from_before_does_not() -> None:
    kube, place = Cluster(), Place(G6)
    place.found = [NO_CAPACITY]
    run = Waiting(kube, place, known=frozenset({NO_CAPACITY.id}))
    await run.until("g6: no capacity")
    for name in ("a", "b"):
        ready(kube, name)
    assert await run.nodes() == {"a", "b"}
    assert run.said.count("g6: no capacity") == 1


async def test_the_same_refusal_of_a_later_try_does() -> None:
    place = Place(G6)
    place.found = [NO_CAPACITY]
    run = Waiting(Cluster(), place, known=frozenset({NO_CAPACITY.id}))
    await run.until("g6: no capacity")
    place.found = [replace(NO_CAPACITY, id="2")]
    with pytest.raises(ClusterError):
        await run.task


async def test_one_that_may_pass_is_told_once() -> None:
    kube, place = Cluster(), Place(G6)
    place.found = [replace(NO_CAPACITY, final=False)]
    run = Waiting(kube, place)
    await run.until("g6: no capacity")
    for _ in range(50):
        await asyncio.sleep(0)
    for name in ("a", "b"):
        ready(kube, name)
    await run.nodes()
    assert run.said.count("g6: no capacity") == 1


async def test_a_time_out_tells_the_last_cause() -> None:
    place = Place(G6)
    place.found = [replace(NO_CAPACITY, final=False)]
    with pytest.raises(TimedOut) as caught:
        await Waiting(Cluster(), place, timeout=0.2).task
    assert "g6 (0 of 2 Ready; 2 to launch)" in caught.value.message
    assert caught.value.message.endswith("\n  g6: no capacity")
    assert caught.value.hint == "Try another zone."


async def test_a_time_out_without_a_cause() -> None:
    with pytest.raises(TimedOut, match="2 to launch") as caught:
        await Waiting(Cluster(), Place(G6), timeout=0.1).task
    assert "\n" not in caught.value.message


async def test_other_groups_are_nobodys_business() -> None:
    """Another group has no capacity, a node that never becomes Ready, one that joins and publishes meanwhile."""
    kube, place = Cluster(), Place({**G6, "p4d": GroupSize(3, "p4d.24xlarge")})
    place.found = [replace(NO_CAPACITY, group="p4d")]
    kube.put(NODE, node("broken", "p4d", ready=False))
    ready(kube, "a")
    run = Waiting(kube, place, sizes=G6)
    await run.until("1 to launch")
    for _ in range(50):
        await asyncio.sleep(0)
    ready(kube, "b")
    ready(kube, "new", group="p4d")
    assert {"a", "b"} <= await run.nodes()
    assert not any("p4d" in words for words in run.said)


@pytest.mark.parametrize("code", ["aws-throttled", "aws-unreachable", "aws-unavailable", "unreachable"])
async def test_a_question_without_an_answer_ends_no_wait(code: str) -> None:
    kube, place = Cluster(), Place(G6)
    asked, ask = 0, place.group_sizes

    async def fail(kube: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked < 5:
            raise ClusterError("no answer", code=code)
        return await ask(kube)

    place.group_sizes = fail  # type: ignore[method-assign]
    place.found = [replace(NO_CAPACITY, final=False)]
    run = Waiting(kube, place)
    await run.until("g6: no capacity")
    for name in ("a", "b"):
        ready(kube, name)
    assert await run.nodes() == {"a", "b"}


async def test_an_outage_that_lasts_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "OUTAGE_SECONDS", 0.0)
    place = Place(G6)

    async def fail(_: Any) -> Any:
        raise ClusterError("no answer", code="aws-unreachable")

    place.group_sizes = fail  # type: ignore[method-assign]
    with pytest.raises(ClusterError, match="no answer"):
        await Waiting(Cluster(), place).task


async def test_a_target_that_cannot_be_asked_ends_it() -> None:
    place = Place(G6)

    async def refuse(_: Any) -> Any:
        raise ClusterError("no", code="aws-access-denied")

    place.group_sizes = refuse  # type: ignore[method-assign]
    with pytest.raises(ClusterError, match="no"):
        await Waiting(Cluster(), place).task


# The driver's pods


def driver_pod(on: str, **waiting: str) -> Object:
    return {
        "metadata": {"name": f"plugin-{on}", "namespace": DRA_DRIVER, "uid": f"uid-{on}"},
        "spec": {"nodeName": on},
        "status": {"containerStatuses": [{"state": {"waiting": waiting} if waiting else {"running": {}}}]},
    }


def serving(pod: Object) -> Object:
    pod["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    return pod


def unscheduled(on: str, message: str) -> Object:
    """A pod that the DaemonSet's controller made for a node which cannot take it."""
    pod = driver_pod(on)
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [on]}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {**pod, "spec": {"affinity": {"nodeAffinity": required}}, "status": {"conditions": [condition]}}


def event(on: str, reason: str, message: str, *, at: int) -> Object:
    return {
        "metadata": {"name": f"plugin-{on}.{at}", "namespace": DRA_DRIVER},
        "involvedObject": {"kind": "Pod", "uid": f"uid-{on}"},
        "type": "Warning", "reason": reason, "message": message, "lastTimestamp": f"2026-11-23T10:00:0{at}Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        (driver_pod("a", reason="ImagePullBackOff", message="not found"),
         ["driver pod plugin-a on a: ImagePullBackOff: not found"]),
        (driver_pod("a", reason="CrashLoopBackOff"), ["driver pod plugin-a on a: CrashLoopBackOff"]),
        (driver_pod("a", reason="ContainerCreating"),
         ["driver pod plugin-a on a: FailedCreatePodSandBox: no network"]),
        (unscheduled("a", "0/2 nodes are available: 1 Too many pods."),
         ["driver pod plugin-a on a: Unschedulable: 0/2 nodes are available: 1 Too many pods."]),
        (serving(driver_pod("a")), []),
        (driver_pod("b", reason="ContainerCreating"), []),
        (driver_pod("elsewhere", reason="CrashLoopBackOff"), []),
    ],
)  # fmt: skip
async def test_what_keeps_the_driver_from_running(pod: Object, words: list[str]) -> None:
    kube = Cluster((POD, pod), (EVENT, event("a", "FailedMount", "no hostPath", at=1)),
                   (EVENT, event("a", "FailedCreatePodSandBox", "no network", at=2)))  # fmt: skip
    found = await driver_troubles(kube, {("", name): node(name) for name in "ab"})
    assert [each.message for each in found] == words
    # An image that cannot be pulled now may be pulled later.
    assert not any(each.final for each in found)
    assert {each.group for each in found} <= {"g6"}


async def test_the_drivers_trouble_is_told_while_devices_are_waited_for() -> None:
    kube = Cluster((NODE, node("a")), (NODE, node("b")), (POD, driver_pod("a", reason="CrashLoopBackOff")))
    run = Waiting(kube, Place(G6))
    await run.until("g6: driver pod plugin-a on a: CrashLoopBackOff")
    for name in ("a", "b"):
        kube.put(API.slice, resource_slice(name))
    await run.nodes()
