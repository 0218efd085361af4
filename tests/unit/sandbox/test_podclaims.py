from collections.abc import Callable
from typing import Any

import pytest

from drakit.dra.nodedriver import PrepareError
from drakit.kube.kinds import DEPLOYMENT, Kind, Object
from drakit.sandbox import mps
from drakit.sandbox.driver import Plugin
from drakit.sandbox.kubeletmessages import PREFIX, ClaimMessages
from drakit.sandbox.podclaims import NotYet, PodClaims, claim_names
from drakit.sandbox.podstatus import PodRun
from tests.unit.sandbox.fakekube import FakeKube
from tests.unit.sandbox.objects import API, NODE, UID, claim, mps_config, plugin

POD_UID = "pod-1"
NO_SUCH_DEVICE = PrepareError(
    f'error preparing devices for claim ns/c:{UID}: prepare devices failed: allocatable not found for device "gpu-9"'
)


def pod(*claims: str, containers: dict[str, list[Object]] | None = None, **spec: Any) -> Object:
    """A pod that calls each claim as it is called itself; its containers with their resources.claims."""
    wanted = containers if containers is not None else {"ctr": [{"name": name} for name in claims]}
    return {
        "metadata": {"name": "p", "namespace": "ns", "uid": POD_UID},
        "spec": {
            "nodeName": NODE,
            "resourceClaims": [{"name": name, "resourceClaimName": name} for name in claims],
            "containers": [{"name": name, "resources": {"claims": own}} for name, own in wanted.items()],
            **spec,
        },
    }


def reserved(obj: Object, *uids: str) -> Object:
    obj["status"]["reservedFor"] = [{"resource": "pods", "name": "p", "uid": uid} for uid in uids or (POD_UID,)]
    return obj


def cluster(*claims: Object) -> FakeKube:
    return FakeKube(*((API.claim, obj) for obj in claims))


def claims_of(kube: FakeKube, driver: Plugin | None, kubernetes: str = "v1.33.13") -> PodClaims:
    return PodClaims(kube, API, kubernetes, {NODE: driver}.get if driver else lambda _: None)


async def given(kube: FakeKube, obj: Object) -> dict[str, list[str]]:
    """The names of the devices that each container gets."""
    devices = await claims_of(kube, plugin(kube)).prepare(PodRun(obj))
    return {container: [device.device.name for device in found] for container, found in devices.items()}


async def refused(kube: FakeKube, run: PodRun, driver: Plugin | None, kubernetes: str = "v1.33.13") -> str:
    with pytest.raises(NotYet) as caught:
        await claims_of(kube, driver, kubernetes).prepare(run)
    assert caught.value.reason == "FailedPrepareDynamicResources"
    return str(caught.value)


# Names


def test_claims_by_name_and_from_templates() -> None:
    obj = {
        "spec": {
            "resourceClaims": [
                {"name": "shared", "resourceClaimName": "gpu"},
                {"name": "own", "resourceClaimTemplateName": "t"},
                {"name": "nothing", "resourceClaimTemplateName": "t"},
                {"name": "not-yet", "resourceClaimTemplateName": "t"},
            ]
        },
        "status": {"resourceClaimStatuses": [{"name": "own", "resourceClaimName": "p-own-x7k2p"}, {"name": "nothing"}]},
    }
    assert claim_names(obj) == {"shared": "gpu", "own": "p-own-x7k2p"}
    assert claim_names({"spec": {}}) == {}


# Devices


async def test_containers_get_the_devices_they_ask_for() -> None:
    kube = cluster(
        reserved(claim("large=gpu-0", "small=gpu-1", "small=gpu-2", name="one", uid="1")),
        reserved(claim("gpu-3", name="two", uid="2")),
    )
    containers = {
        "all-of-one": [{"name": "one"}],
        "large": [{"name": "one", "request": "large"}],
        "small": [{"name": "one", "request": "small"}],
        "both": [{"name": "two"}, {"name": "one", "request": "large"}],
        "no-such-request": [{"name": "two", "request": "large"}],
        "none": [],
    }
    assert await given(kube, pod("one", "two", containers=containers)) == {
        "all-of-one": ["gpu-0", "gpu-1", "gpu-2"],
        "large": ["gpu-0"],
        "small": ["gpu-1", "gpu-2"],
        "both": ["gpu-3", "gpu-0"],
        "no-such-request": [],
        "none": [],
    }


async def test_init_containers_get_theirs() -> None:
    kube = cluster(reserved(claim("gpu-0")))
    init = [{"name": "init", "resources": {"claims": [{"name": "c"}]}}, {"name": "bare"}]
    assert await given(kube, pod("c", initContainers=init)) == {"init": ["gpu-0"], "bare": [], "ctr": ["gpu-0"]}


async def test_a_subrequest_is_asked_for_by_its_requests_name() -> None:
    kube = cluster(reserved(claim("gpu/large=gpu-0", "other=gpu-1")))
    assert await given(kube, pod("c", containers={"ctr": [{"name": "c", "request": "gpu"}]})) == {"ctr": ["gpu-0"]}


async def test_a_pod_without_claims_needs_no_driver() -> None:
    kube = cluster()
    run = PodRun(pod())
    assert await claims_of(kube, None).prepare(run) == {"ctr": []}
    assert run.claims == ()


async def test_devices_of_another_driver_are_not_ours() -> None:
    kube = cluster(reserved(claim("eth0", driver="net.example.com")))
    assert await claims_of(kube, None).prepare(PodRun(pod("c"))) == {"ctr": []}


# Refusals


def unallocated() -> Object:
    obj = reserved(claim("gpu-0"))
    del obj["status"]["allocation"]
    return obj


@pytest.mark.parametrize(
    ("claims", "driver", "expected"),
    [
        ([], True, lambda messages: messages.not_found(pod())),
        ([claim("gpu-0")], True, lambda messages: messages.not_reserved(pod(), UID)),
        ([reserved(claim("gpu-0"), "pod-2")], True, lambda messages: messages.not_reserved(pod(), UID)),
        # Not reserved either, which is what the kubelet looks at first.
        ([{"metadata": claim()["metadata"]}], True, lambda messages: messages.not_reserved(pod(), UID)),
        ([unallocated()], True, lambda messages: messages.not_allocated()),
        ([reserved(claim("gpu-0"))], False, lambda messages: messages.not_registered("gpu.nvidia.com")),
        ([reserved(claim("gpu-9"))], True, lambda messages: messages.failed(NO_SUCH_DEVICE)),
    ],
    ids=["missing", "not-reserved", "reserved-for-another", "nothing-yet", "not-allocated", "no-driver", "refused"],
)
@pytest.mark.parametrize("kubernetes", ["v1.33.13", "v1.35.4"])
async def test_why_a_pod_cannot_start(
    claims: list[Object], driver: bool, expected: Callable[[ClaimMessages], str], kubernetes: str
) -> None:
    kube = cluster(*claims)
    told = await refused(kube, PodRun(pod("c")), plugin(kube) if driver else None, kubernetes)
    assert told == expected(ClaimMessages(kubernetes, "ns", "c"))


@pytest.mark.parametrize(
    ("kubernetes", "start"),
    [
        ("v1.33.13", "NodePrepareResources failed: "),
        ("v1.35.4", "prepare dynamic resources: NodePrepareResources: "),
    ],
)
async def test_a_driver_that_crashes(kubernetes: str, start: str) -> None:
    config = mps_config() | {"sharing": {"strategy": "TimeSlicing", "timeSlicingConfig": {}}}
    kube = cluster(reserved(claim("gpu-0", config=config)))
    told = await refused(kube, PodRun(pod("c")), plugin(kube), kubernetes)
    assert told.startswith(f"{PREFIX}{start}rpc error: code = Unavailable")


# What is to be given back


async def test_what_was_asked_of_the_driver_is_noted() -> None:
    kube = cluster(reserved(claim("gpu-0", name="a", uid="1")), claim("gpu-1", name="b", uid="2"))
    run = PodRun(pod("a", "b"))
    await refused(kube, run, plugin(kube))
    # The second is not this pod's to use.
    assert run.claims == ("1",)


async def test_what_is_half_prepared_is_noted_also_while_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mps, "LONGEST_WAIT_SECONDS", 0.0)
    kube = cluster(
        reserved(claim("gpu-0", name="a", uid="1")), reserved(claim("gpu-1", name="b", uid="2", config=mps_config()))
    )
    run, driver = PodRun(pod("a", "b")), plugin(kube)
    assert "MPS control daemon is not yet ready" in await refused(kube, run, driver)
    assert run.claims == ("1", "2")
    noted: list[tuple[str, ...]] = []

    def look(kind: Kind, name: str) -> None:
        noted.append(run.claims)
        if kind == DEPLOYMENT:
            kube.merge(DEPLOYMENT, name, {"status": {"readyReplicas": 1}}, "dra-driver-nvidia-gpu")

    kube.looks.append(look)
    assert await claims_of(kube, driver).prepare(run)
    assert set(noted) == {("1", "2")}
