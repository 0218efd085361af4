import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from drakit.kube.kinds import CONFIG_MAP, EVENT, POD, Object
from drakit.sandbox import kubelet as module
from drakit.sandbox.driver import Plugin
from drakit.sandbox.kubelet import Kubelet
from tests.unit.sandbox.fakekube import FakeKube
from tests.unit.sandbox.objects import API, GPUS, NODE, UID, claim, plugin

DELETED = {"metadata": {"deletionTimestamp": "2026-11-23T12:00:00Z"}}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
def driver(kube: FakeKube) -> Plugin:
    return plugin(kube)


@pytest.fixture
async def kubelet(kube: FakeKube, driver: Plugin) -> AsyncIterator[Kubelet]:
    obj = Kubelet(kube, API, "v1.33.13", {NODE: driver}.get)
    yield obj
    await obj.close()


def pod(
    name: str = "p", script: str = "nvidia-smi -L; sleep infinity", claims: tuple[str, ...] = (), **spec: Any
) -> Object:
    resources = {"claims": [{"name": claim} for claim in claims]}
    container = {"name": "ctr", "image": "busybox", "command": ["sh", "-c", script], "resources": resources}
    return {
        "metadata": {"name": name, "namespace": "ns", "uid": f"uid-{name}"},
        "spec": {
            "nodeName": NODE,
            "restartPolicy": "Never",
            "containers": [container],
            "resourceClaims": [{"name": claim, "resourceClaimName": claim} for claim in claims],
            **spec,
        },
    }


def claim_for(*pods: str) -> Object:
    obj = claim("gpu-0")
    obj["status"]["reservedFor"] = [{"resource": "pods", "name": name, "uid": f"uid-{name}"} for name in pods]
    return obj


async def until(reached: Callable[[], object], turns: int = 2000) -> None:
    """Let the others run until `reached`; nothing here takes time."""
    for _ in range(turns):
        if reached():
            return
        await asyncio.sleep(0)
    raise AssertionError("never reached")


def phase(kube: FakeKube, name: str = "p") -> str | None:
    found = [obj for obj in kube.all(POD) if obj["metadata"]["name"] == name]
    return found[0].get("status", {}).get("phase") if found else None


def events(kube: FakeKube, reason: str) -> list[str]:
    return [event["message"] for event in kube.all(EVENT) if event["reason"] == reason]


def delete(kube: FakeKube, kubelet: Kubelet, name: str) -> None:
    kubelet.take(kube.merge(POD, name, DELETED, "ns"))


async def test_a_pod_with_a_claim(kube: FakeKube, kubelet: Kubelet, driver: Plugin) -> None:
    kube.put(API.claim, claim_for("p"))
    kubelet.take(kube.put(POD, pod(claims=("c",))))
    await until(lambda: phase(kube) == "Running")
    run = kubelet.find("ns", "p")
    assert run is not None
    assert [line for _, line in run.containers["ctr"].timeline.lines] == [f"GPU 0: NVIDIA L4 (UUID: {GPUS[0].uuid})"]
    assert list(driver.model.prepared) == [UID]
    first = kube.asked("patch", POD)[0]["status"]["containerStatuses"][0]
    assert first["state"] == {"waiting": {"reason": "ContainerCreating"}}


async def test_what_keeps_a_pod_is_told_once_and_mended(kube: FakeKube, kubelet: Kubelet) -> None:
    kubelet.take(kube.put(POD, pod(claims=("c",), volumes=[{"name": "v", "configMap": {"name": "late"}}])))
    await until(lambda: len(kube.all(EVENT)) == 1)
    looks = 0

    def look(*_: object) -> None:
        nonlocal looks
        looks += 1

    kube.looks.append(look)
    await until(lambda: looks > 5)
    assert events(kube, "FailedMount") == ['MountVolume.SetUp failed for volume "v" : configmap "late" not found']
    kube.put(CONFIG_MAP, {"metadata": {"name": "late", "namespace": "ns"}})
    await until(lambda: events(kube, "FailedPrepareDynamicResources"))
    assert phase(kube) == "Pending"
    kube.put(API.claim, claim_for("p"))
    await until(lambda: phase(kube) == "Running")
    assert len(events(kube, "FailedMount")) == len(events(kube, "FailedPrepareDynamicResources")) == 1


async def test_an_optional_volume_may_be_missing(kube: FakeKube, kubelet: Kubelet) -> None:
    kubelet.take(kube.put(POD, pod(volumes=[{"name": "v", "configMap": {"name": "late", "optional": True}}])))
    await until(lambda: phase(kube) == "Running")


async def test_the_last_pod_gives_a_shared_claim_back(kube: FakeKube, kubelet: Kubelet, driver: Plugin) -> None:
    kube.put(API.claim, claim_for("a", "b"))
    for name in ("a", "b"):
        kubelet.take(kube.put(POD, pod(name, claims=("c",))))
    await until(lambda: phase(kube, "a") == phase(kube, "b") == "Running")
    delete(kube, kubelet, "a")
    await until(lambda: phase(kube, "a") is None)
    assert list(driver.model.prepared) == [UID]
    delete(kube, kubelet, "b")
    await until(lambda: phase(kube, "b") is None)
    assert not driver.model.prepared


async def test_a_pod_that_has_ended_gives_its_claim_back(kube: FakeKube, kubelet: Kubelet, driver: Plugin) -> None:
    kube.put(API.claim, claim_for("p"))
    kubelet.take(kube.put(POD, pod(script="exit 3", claims=("c",))))
    await until(lambda: phase(kube) == "Failed" and not driver.model.prepared)
    (status,) = kube.all(POD)[0]["status"]["containerStatuses"]
    assert status["state"]["terminated"]["exitCode"] == 3


async def test_a_pod_that_is_gone_at_once_gives_its_claim_back(
    kube: FakeKube, kubelet: Kubelet, driver: Plugin
) -> None:
    kube.put(API.claim, claim_for("p"))
    kubelet.take(kube.put(POD, pod(claims=("c",))))
    await until(lambda: phase(kube) == "Running")
    gone = kube.remove(POD, "p", "ns")
    assert gone is not None
    kubelet.drop(gone)
    await until(lambda: not driver.model.prepared)
    assert kubelet.find("ns", "p") is None


async def test_a_pod_that_never_started_gives_back_what_was_prepared(
    kube: FakeKube, kubelet: Kubelet, driver: Plugin
) -> None:
    """Its second claim is missing."""
    kube.put(API.claim, claim_for("p"))
    kubelet.take(kube.put(POD, pod(claims=("c", "missing"))))
    await until(lambda: events(kube, "FailedPrepareDynamicResources"))
    assert list(driver.model.prepared) == [UID]
    delete(kube, kubelet, "p")
    await until(lambda: phase(kube) is None)
    assert not driver.model.prepared


async def test_a_pod_that_ran_before_has_run_on(kube: FakeKube, kubelet: Kubelet, driver: Plugin) -> None:
    kube.put(API.claim, claim_for("p"))
    started = "2026-11-23T12:00:00Z"
    status = {"name": "ctr", "restartCount": 2, "state": {"running": {"startedAt": started}}}
    before = pod(claims=("c",)) | {"status": {"phase": "Running", "containerStatuses": [status]}}
    kubelet.take(kube.put(POD, before))
    await until(lambda: kube.asked("patch", POD))
    (after,) = kube.asked("patch", POD)[0]["status"]["containerStatuses"]
    assert (after["restartCount"], after["state"]) == (2, {"running": {"startedAt": started}})
    assert list(driver.model.prepared) == [UID]
    assert kube.all(EVENT) == []


async def test_a_pod_that_had_ended_is_left_alone(kube: FakeKube, kubelet: Kubelet) -> None:
    kubelet.take(kube.put(POD, pod() | {"status": {"phase": "Succeeded"}}))
    assert kubelet.pods == {}
