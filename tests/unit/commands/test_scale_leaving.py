"""Which nodes go when a group gets smaller, and how they are emptied."""

import asyncio

import pytest

from drakit.commands.scale import leaving
from drakit.commands.scale.leaving import CORDONED, choose, cordon, drain, refuse_in_use, uncordon
from drakit.errors import ExitCode, Refused, TimedOut
from drakit.kube.kinds import NODE, POD
from tests.unit.commands.scaled import API, Cluster, claim, node, owned_by, pod


async def chosen(kube: Cluster, **sizes: int) -> list[str]:
    return [each["metadata"]["name"] for each in (await choose(kube, API, sizes)).all]


async def test_idle_nodes_go_before_those_in_use() -> None:
    kube = Cluster((NODE, node("old", age=5)), (NODE, node("busy", age=1)), (NODE, node("idle", age=9)))
    kube.put(POD, pod("p", "busy"))
    kube.put(POD, pod("q", "old"))
    kube.put(POD, pod("r", "old"))
    assert await chosen(kube, g6=2) == ["idle"]
    assert await chosen(kube, g6=1) == ["idle", "busy"]
    assert await chosen(kube, g6=0) == ["idle", "busy", "old"]
    assert await chosen(kube, g6=3) == []


async def test_of_idle_nodes_the_youngest_goes() -> None:
    kube = Cluster(*((NODE, node(name, age=age)) for name, age in (("a", 3), ("b", 1), ("c", 2))))
    assert await chosen(kube, g6=1) == ["b", "c"]


async def test_a_claim_in_use_keeps_a_node_longer_than_pods_do() -> None:
    kube = Cluster(
        (NODE, node("claimed", age=1)), (NODE, node("crowded", age=9)), (API.claim, claim("c", "claimed", "p"))
    )
    for name in ("a", "b", "c"):
        kube.put(POD, pod(name, "crowded"))
    assert await chosen(kube, g6=1) == ["crowded"]


async def test_what_is_not_ready_goes_first() -> None:
    kube = Cluster((NODE, node("idle", age=1)), (NODE, node("broken", age=9, ready=False)))
    kube.put(POD, pod("p", "broken"))
    kube.put(API.claim, claim("c", "broken", "p"))
    assert await chosen(kube, g6=1) == ["broken"]


async def test_groups_are_chosen_from_by_themselves() -> None:
    kube = Cluster((NODE, node("a")), (NODE, node("b", "p4d")), (NODE, node("c", "core")))
    found = await choose(kube, API, {"g6": 0, "p4d": 0})
    assert {group: [n["metadata"]["name"] for n in nodes] for group, nodes in found.nodes.items()} == {
        "g6": ["a"], "p4d": ["b"]
    }  # fmt: skip


async def test_the_others_stay() -> None:
    kube = Cluster(
        (NODE, node("a", age=1)), (NODE, node("b", age=2)), (NODE, node("c", "p4d")), (NODE, node("d", "core"))
    )
    found = await choose(kube, API, {"g6": 1, "p4d": 1})
    assert {each["metadata"]["name"] for each in found.staying} == {"b", "c"}


@pytest.mark.parametrize(
    "kept",
    [
        owned_by("DaemonSet"),
        {"annotations": {"kubernetes.io/config.mirror": "x"}},
    ],
)
async def test_some_pods_keep_no_node(kept: dict[str, object]) -> None:
    kube = Cluster((NODE, node("a", age=1)), (NODE, node("b", age=2)))
    kube.put(POD, pod("own", "a", **kept))
    kube.put(POD, {**pod("done", "a"), "status": {"phase": "Succeeded"}})
    assert await chosen(kube, g6=1) == ["a"]
    assert await drain(kube, API, kube.all(NODE), lambda _: None, 5) == []
    assert kube.evicted == []


async def test_claims_in_use_are_named() -> None:
    kube = Cluster((NODE, node("a")), (API.claim, claim("shared", "a", "p", "q")), (API.claim, claim("kept", "a")))
    found = await choose(kube, API, {"g6": 0})
    # A claim that nobody holds keeps no work.
    assert found.claims == ("ns/shared of p, q",)
    with pytest.raises(Refused) as caught:
        refuse_in_use(found)
    assert (caught.value.exit_code, caught.value.code) == (ExitCode.REFUSED, "claims-in-use")
    assert "--drain" in str(caught.value.hint)
    assert caught.value.details == {"claims": ["ns/shared of p, q"]}


async def test_claims_on_nodes_that_stay_are_nobodys_business() -> None:
    kube = Cluster((NODE, node("a")), (NODE, node("b")), (API.claim, claim("c", "a", "p")))
    refuse_in_use(await choose(kube, API, {"g6": 1}))


async def test_cordoned_and_taken_back() -> None:
    kube = Cluster((NODE, node("a")), (NODE, node("b")))
    kube.merge(NODE, "b", {"spec": {"unschedulable": True}})
    await cordon(kube, kube.all(NODE))
    assert kube.cordoned() == {"a", "b"}
    await uncordon(kube, kube.all(NODE))
    # Somebody else has cordoned b.
    assert kube.cordoned() == {"b"}
    (a, _) = kube.all(NODE)
    assert CORDONED not in a["metadata"]["annotations"]


async def test_drained_until_claims_are_free() -> None:
    kube = Cluster((NODE, node("a")), (NODE, node("b")), (API.claim, claim("c", "a", "p")))
    for each in (pod("p", "a"), pod("made", "a", **owned_by("ReplicaSet")), pod("elsewhere", "b")):
        kube.put(POD, each)
    said: list[str] = []
    assert await drain(kube, API, kube.all(NODE)[:1], said.append, 20) == ["ns/p"]
    assert sorted(kube.evicted) == ["made", "p"]
    assert said == ["evicting 2 pods from a"]


async def test_a_budget_is_told_once_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "EVICTION_PAUSE_SECONDS", 0.0)
    kube = Cluster((NODE, node("a")), (POD, pod("p", "a")))
    kube.held["p"] = ["needs 1 healthy pods"] * 3 + ["something else"]
    said: list[str] = []
    await drain(kube, API, kube.all(NODE), said.append, 20)
    assert kube.evicted == ["p"]
    assert said == [
        "evicting 1 pod from a", "ns/p has to stay: needs 1 healthy pods", "ns/p has to stay: something else",
    ]  # fmt: skip


async def test_a_budget_that_never_lets_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "EVICTION_PAUSE_SECONDS", 0.001)
    kube = Cluster((NODE, node("a")), (POD, pod("p", "a")))
    kube.held["p"] = ["needs 1 healthy pods"] * 100_000
    with pytest.raises(TimedOut) as caught:
        await drain(kube, API, kube.all(NODE), lambda _: None, 0.05)
    assert caught.value.code == "not-drained"
    assert "ns/p" in caught.value.message
    assert "needs 1 healthy pods" in caught.value.message


async def test_a_pod_that_takes_its_time_is_waited_for() -> None:
    kube = Cluster((NODE, node("a")), (POD, pod("p", "a")))

    async def evict(name: str, namespace: str) -> str:
        kube.evicted.append(name)
        return ""

    kube.evict = evict  # type: ignore[method-assign]
    task = asyncio.create_task(drain(kube, API, kube.all(NODE), lambda _: None, 20))
    while not kube.evicted:
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not task.done()
    kube.remove(POD, "p", "ns")
    assert await task == ["ns/p"]
