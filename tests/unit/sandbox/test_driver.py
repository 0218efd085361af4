from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from drakit.dra.gates import GateError
from drakit.dra.nodedriver import MpsSettings, PluginPanic, PrepareError
from drakit.kube.kinds import DEPLOYMENT, Kind, Object
from drakit.sandbox import mps
from drakit.sandbox.driver import driver_container, gates_of, is_plugin, serves, version_of
from tests.unit.sandbox.fakekube import FakeKube
from tests.unit.sandbox.objects import (
    API,
    DAEMON_SET,
    GATES,
    GPUS,
    NAMESPACE,
    NODE,
    UID,
    claim,
    driver_pod,
    mps_config,
    partitioned,
    plugin,
)


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver looks for a daemon once."""
    monkeypatch.setattr(mps, "LONGEST_WAIT_SECONDS", 0.0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver looks again and again without a pause."""
    monkeypatch.setattr(mps, "FIRST_LOOK_SECONDS", 0.0)


def ready_at_once(kube: FakeKube) -> None:
    """Play the controllers that run a Deployment."""

    def react(verb: str, kind: Kind, obj: Object) -> None:
        if (verb, kind) == ("create", DEPLOYMENT):
            metadata = obj["metadata"]
            kube.merge(DEPLOYMENT, metadata["name"], {"status": {"readyReplicas": 1}}, metadata["namespace"])

    kube.reactions.append(react)


# Its pod


@pytest.mark.parametrize(
    ("owner", "container", "expected"),
    [
        (DAEMON_SET, "gpus", True),
        (DAEMON_SET, "compute-domains", False),
        ({"kind": "ReplicaSet", "name": "dra-driver-nvidia-gpu-kubelet-plugin"}, "gpus", False),
        ({"kind": "DaemonSet", "name": "dcgm-exporter"}, "gpus", False),
        (None, "gpus", False),
    ],
)
def test_which_pod_is_the_driver(owner: dict[str, str] | None, container: str, expected: bool) -> None:
    metadata = {"name": "p", **({"ownerReferences": [owner]} if owner else {})}
    assert is_plugin({"metadata": metadata, "spec": {"containers": [{"name": container}]}}) is expected


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([("gpus", True)], True),
        ([("gpus", False)], False),
        ([("gpus", False), ("compute-domains", True)], False),
        ([("compute-domains", False), ("gpus", True)], True),
        ([], False),
    ],
)
def test_the_driver_serves_while_its_container_is_ready(statuses: list[tuple[str, bool]], expected: bool) -> None:
    pod = driver_pod()
    pod["status"]["containerStatuses"] = [{"name": name, "ready": ready} for name, ready in statuses]
    assert serves(pod) is expected


def test_a_pod_that_is_deleted_or_new_does_not_serve() -> None:
    assert not serves(driver_pod(deletionTimestamp="2026-11-23T12:00:00Z"))
    pod = driver_pod()
    del pod["status"]
    assert not serves(pod)


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("registry.k8s.io/dra-driver-nvidia/dra-driver-nvidia-gpu:v0.4.0", "0.4.0"),
        ("nvcr.io/nvidia/k8s-dra-driver-gpu:v25.8.1-ubi9", "25.8.1"),
        ("nvcr.io/nvidia/k8s-dra-driver-gpu:v25.12.0-distroless-dev", "25.12.0"),
        ("mirror:5000/driver:25.3.2", "25.3.2"),
        ("registry.k8s.io/driver:v0.4.0@sha256:25.3.2", "0.4.0"),
        # None that is known: the newest.
        ("registry.k8s.io/driver:v0.9.0", "0.4.1"),
        ("mirror:5000/driver", "0.4.1"),
        ("driver", "0.4.1"),
        ("driver@sha256:00ff", "0.4.1"),
    ],
)
def test_the_version_is_in_the_images_tag(image: str, version: str) -> None:
    assert version_of({"image": image}) == version


def container(gates: str | None, tag: str = "v0.4.1") -> Object:
    obj = driver_container(driver_pod(tag=tag))
    obj["env"] = [{"name": "NODE_NAME", "valueFrom": {}}]
    if gates is not None:
        obj["env"].append({"name": "FEATURE_GATES", "value": gates})
    return obj


@pytest.mark.parametrize(
    ("gates", "time_slicing", "sharing"),
    [
        # The chart writes a comma after each.
        (GATES, True, True),
        ("TimeSlicingSettings=true,MPSSupport=false,", True, False),
        ("MPSSupport=true", False, True),
        ("AllAlpha=false,TimeSlicingSettings=true", True, False),
        ("", False, False),
        (None, False, False),
    ],
)
def test_the_gates_are_in_the_containers_environment(gates: str | None, time_slicing: bool, sharing: bool) -> None:
    found = gates_of(container(gates))
    assert (found["TimeSlicingSettings"], found["MPSSupport"]) == (time_slicing, sharing)
    assert found.version == "0.4.1"


def test_gates_are_those_of_the_images_version() -> None:
    assert gates_of(container("DeviceMetadata=false", "v0.4.0")).version == "0.4.0"
    with pytest.raises(GateError, match="unrecognized feature gate: DeviceMetadata"):
        gates_of(container("DeviceMetadata=false", "v25.8.1"))
    # 25.3 has none, and shares without being told.
    assert gates_of(container(None, "v25.3.2"))["MPSSupport"]


# Prepare


async def test_prepare_gives_each_request_its_devices(kube: FakeKube) -> None:
    driver = plugin(kube)
    devices = await driver.prepare(claim("gpu-0", "gpu-1", "extra=gpu-2"))
    assert {request: [d.device.name for d in found] for request, found in devices.items()} == {
        "gpu": ["gpu-0", "gpu-1"],
        "extra": ["gpu-2"],
    }
    assert list(driver.model.prepared) == [UID]
    assert kube.changes == []


async def test_a_subrequest_has_its_requests_name_towards_the_kubelet(kube: FakeKube) -> None:
    devices = await plugin(kube).prepare(claim("gpu/large=gpu-0", "gpu/small=gpu-1"))
    assert {request: [d.device.name for d in found] for request, found in devices.items()} == {
        "gpu": ["gpu-0", "gpu-1"]
    }


async def test_a_refusal_is_the_models(kube: FakeKube) -> None:
    driver = plugin(kube)
    with pytest.raises(PrepareError, match='allocatable not found for device "gpu-9"'):
        await driver.prepare(claim("gpu-9", config=mps_config()))
    assert driver.model.prepared == {}
    assert kube.changes == []


async def test_a_crash_is_not_a_refusal(kube: FakeKube) -> None:
    """`timeSlicingConfig: {}` is a nil pointer to 0.4.1."""
    config = mps_config() | {"sharing": {"strategy": "TimeSlicing", "timeSlicingConfig": {}}}
    with pytest.raises(PluginPanic, match="the kubelet plugin crashed"):
        await plugin(kube).prepare(claim("gpu-0", config=config))


async def test_devices_that_have_gone_since_the_start_are_noticed(kube: FakeKube) -> None:
    before, after = partitioned("all-balanced"), partitioned("all-disabled")
    driver = plugin(kube, gpus=before)
    assert await driver.prepare(claim("gpu-0-mig-3g20gb-9-4", uid="1"))
    driver.hardware = lambda: after
    with pytest.raises(PrepareError, match="device gpu-1-mig-3g20gb-9-4 has gone since the kubelet plugin started"):
        await driver.prepare(claim("gpu-1-mig-3g20gb-9-4", uid="2"))


async def test_a_claim_with_mps_gets_a_daemon(kube: FakeKube) -> None:
    ready_at_once(kube)
    config = mps_config(defaultActiveThreadPercentage=50, defaultPinnedDeviceMemoryLimit="4Gi")
    (device,) = (await plugin(kube).prepare(claim("gpu-2", config=config)))["gpu"]
    assert isinstance(device.mps, MpsSettings)
    (daemon,) = kube.all(DEPLOYMENT)
    assert daemon["metadata"]["name"] == f"mps-control-daemon-{device.mps.name_suffix}"
    assert daemon["metadata"]["namespace"] == NAMESPACE
    assert daemon["spec"]["template"]["spec"]["nodeName"] == NODE
    (told,) = daemon["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "set_default_active_thread_percentage 50 |" in told
    assert f"set_default_device_pinned_mem_limit {GPUS[2].uuid} 4096M |" in told


async def test_the_daemon_is_waited_for(kube: FakeKube, quick: None) -> None:
    looks = 0

    def look(kind: Kind, name: str) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            kube.merge(kind, name, {"status": {"readyReplicas": 1}}, NAMESPACE)

    kube.looks.append(look)
    assert await plugin(kube).prepare(claim("gpu-0", config=mps_config()))
    assert looks == 3


@pytest.mark.parametrize(
    ("version", "reference", "what"),
    [("0.4.1", f"ns/c:{UID}", "config"), ("25.12.0", f"ns/c:{UID}", "config"), ("25.8.1", UID, "GPU config")],
)
async def test_a_daemon_that_does_not_come_online_is_an_error(
    kube: FakeKube, impatient: None, version: str, reference: str, what: str
) -> None:
    with pytest.raises(PrepareError) as caught:
        await plugin(kube, version=version).prepare(claim("gpu-0", config=mps_config()))
    assert str(caught.value) == (
        f"error preparing devices for claim {reference}: prepare devices failed: error applying {what}: "
        "MPS control daemon is not yet ready: waiting for MPS control daemon to come online"
    )


async def test_asked_again_the_daemon_is_the_same(kube: FakeKube, impatient: None) -> None:
    driver, wanted = plugin(kube), claim("gpu-0", config=mps_config())
    for _ in range(2):
        with pytest.raises(PrepareError):
            await driver.prepare(wanted)
    (daemon,) = kube.all(DEPLOYMENT)
    kube.merge(DEPLOYMENT, daemon["metadata"]["name"], {"status": {"readyReplicas": 1}}, NAMESPACE)
    first = await driver.prepare(wanted)
    assert await driver.prepare(wanted) == first
    assert len(kube.asked("create", DEPLOYMENT)) == 1


# Unprepare


@pytest.mark.parametrize("ready", [True, False])
async def test_unprepare_stops_the_daemon(kube: FakeKube, impatient: None, ready: bool) -> None:
    driver, wanted = plugin(kube), claim("gpu-0", config=mps_config())
    if ready:
        ready_at_once(kube)
        await driver.prepare(wanted)
    else:
        with pytest.raises(PrepareError):
            await driver.prepare(wanted)
    await driver.unprepare("another")
    assert len(kube.all(DEPLOYMENT)) == 1
    for _ in range(2):
        await driver.unprepare(UID)
    assert kube.all(DEPLOYMENT) == []
    assert await driver.prepare(claim("gpu-0", uid="next"))


async def test_at_its_start_the_driver_cleans_up_for_claims_that_have_gone(kube: FakeKube) -> None:
    ready_at_once(kube)
    driver = plugin(kube)
    kept, gone = UID, UID.replace("1", "9")
    for number, uid in enumerate((kept, gone)):
        await driver.prepare(claim(f"gpu-{number}", uid=uid, config=mps_config()))
    kube.put(API.claim, claim("gpu-0", uid=kept))
    await driver.clean_up()
    assert list(driver.model.prepared) == [kept]
    assert [mps.claim_uid(daemon) for daemon in kube.all(DEPLOYMENT)] == [kept]


@pytest.fixture
def daemon_of() -> Callable[..., Object]:
    def of(uid: str, **plugin_fields: Any) -> Object:
        return mps.deployment(MpsSettings(f"{uid}-0a1b2", ("GPU-1",), None, {}), driver_pod(**plugin_fields))

    return of


async def test_strays_are_daemons_of_this_node_for_no_claim(kube: FakeKube, daemon_of: Callable[..., Object]) -> None:
    stray, used, elsewhere = (str(digit) * 36 for digit in (1, 2, 3))
    kube.put(DEPLOYMENT, daemon_of(stray))
    kube.put(DEPLOYMENT, daemon_of(used))
    kube.put(DEPLOYMENT, daemon_of(elsewhere, node="another-node"))
    other = daemon_of("4" * 36)
    other["metadata"] |= {"name": "somebody-elses", "labels": {"app": "web"}}
    kube.put(DEPLOYMENT, other)
    await mps.stop_strays(kube, NODE, NAMESPACE, {used})
    assert [mps.claim_uid(deleted) for deleted in kube.asked("delete", DEPLOYMENT)] == [stray]


async def test_what_the_checkpoint_has_is_prepared_after_a_restart(kube: FakeKube) -> None:
    before = plugin(kube)
    await before.prepare(claim("gpu-0", uid="1"))
    after = replace(before, model=plugin(kube).model)
    after.model.restore(before.model.prepared)
    with pytest.raises(PrepareError, match="already allocated to different claim 1"):
        await after.prepare(claim("gpu-0", uid="2"))
