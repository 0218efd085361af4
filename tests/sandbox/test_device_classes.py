"""What NVIDIA's DeviceClasses select, and what `nvidia.com/gpu: 1` gets; the real scheduler decides."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from drakit.helm import Helm, Release
from drakit.kube.client import Kube
from drakit.kube.kinds import POD, Kind, Object, ResourceApi
from drakit.kube.watch import wait_for
from drakit.packaged import packaged
from drakit.tools import HELM, ensure

pytestmark = pytest.mark.sandbox

NAMESPACE = "default"
CHART = str(packaged("blueprints", "sandbox", "charts", "dra-driver-nvidia-gpu"))

DEVICES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "gpu.nvidia.com": {
        "gpu-0": {"type": {"string": "gpu"}},
        "gpu-1": {"type": {"string": "gpu"}},
        "gpu-2-mig-1g5gb-19-0": {"type": {"string": "mig"}, "profile": {"string": "1g.5gb"}},
        "gpu-vfio-3": {"type": {"string": "vfio"}},
        "of-no-type-known-here": {"type": {"string": "GPU"}},
    },
    "compute-domain.nvidia.com": {
        "channel-0": {"type": {"string": "channel"}, "id": {"int": 0}},
        "channel-1": {"type": {"string": "channel"}, "id": {"int": 1}},
        "daemon-0": {"type": {"string": "daemon"}, "id": {"int": 0}},
    },
    # Another vendor may call its devices what it likes.
    "gpu.example.com": {
        "gpu-0": {"type": {"string": "gpu"}, "gpu.nvidia.com/type": {"string": "gpu"}},
        "daemon-0": {"compute-domain.nvidia.com/type": {"string": "daemon"}},
    },
}
SELECTED = {
    "gpu.nvidia.com": {"gpu-0", "gpu-1"},
    "mig.nvidia.com": {"gpu-2-mig-1g5gb-19-0"},
    "vfio.gpu.nvidia.com": {"gpu-vfio-3"},
    "compute-domain-daemon.nvidia.com": {"daemon-0"},
    "compute-domain-default-channel.nvidia.com": {"channel-0"},
}


@pytest.fixture
async def kube(any_sandbox) -> AsyncIterator[Kube]:
    async with Kube(any_sandbox.kubeconfig, field_manager="tests") as client:
        yield client


@pytest.fixture
async def api(kube: Kube) -> ResourceApi:
    found = await kube.resource_api()
    assert found is not None
    return found


@pytest.fixture
async def make(kube: Kube) -> AsyncIterator[Any]:
    """Creates objects, and deletes them after the test: the last first, each when the one after it has gone."""
    made: list[tuple[Kind, str, str | None]] = []

    async def create(kind: Kind, obj: Object) -> Object:
        created = await kube.create(kind, obj)
        made.append((kind, created["metadata"]["name"], created["metadata"].get("namespace")))
        return created

    yield create
    for kind, name, namespace in reversed(made):
        await kube.delete(kind, name, namespace, grace_seconds=0)
        key = (namespace or "", name)
        with contextlib.suppress(KeyError):
            await wait_for(kube, kind, lambda there, k=key: k not in there, what=f"{name} to go", timeout=30)


async def classes(api: ResourceApi, folder: Path) -> list[Object]:
    """The DeviceClasses of the chart, those of compute domains too, which drakit's values leave out."""
    helm = Helm((await ensure([HELM], print))[HELM.name].path, folder / "none", folder, folder)
    values = {"gpuResourcesEnabledOverride": True, "resourceApiVersion": api.api_version}
    text = await helm.template(Release("dra", "dra", CHART, values=values), kubernetes="1.35")
    return [obj for obj in yaml.safe_load_all(text) if obj and obj["kind"] == "DeviceClass"]


def slice_of(driver: str, api: ResourceApi) -> Object:
    """Devices that every node can reach, so that no simulated driver feels responsible."""
    devices = [{"name": name, "attributes": attributes} for name, attributes in DEVICES[driver].items()]
    if api.version == "v1beta1":
        devices = [{"name": d["name"], "basic": {"attributes": d["attributes"]}} for d in devices]
    pool = {"name": "by-hand", "generation": 1, "resourceSliceCount": 1}
    return {
        "apiVersion": api.api_version,
        "kind": "ResourceSlice",
        "metadata": {"name": f"by-hand-{driver}"},
        "spec": {"driver": driver, "pool": pool, "allNodes": True, "devices": devices},
    }


def claim_of(name: str, device_class: str, api: ResourceApi, **more: Any) -> Object:
    asked: Object = {"deviceClassName": device_class, **more}
    request = {"name": "r", **asked} if api.version == "v1beta1" else {"name": "r", "exactly": asked}
    return {
        "apiVersion": api.api_version,
        "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"devices": {"requests": [request]}},
    }


def pod_of(name: str, resources: Object, **spec: Any) -> Object:
    container = {"name": "c", "image": "busybox", "command": ["sleep", "infinity"], "resources": resources}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "containers": [container],
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "terminationGracePeriodSeconds": 0,
            **spec,
        },
    }


async def test_each_class_selects_its_devices_and_no_other(kube, api, make, tmp_path) -> None:
    found = await classes(api, tmp_path)
    assert {each["metadata"]["name"] for each in found} == set(SELECTED)
    for each in found:
        # Beside the release's own, some of which are there already.
        name = f"by-hand.{each['metadata']['name']}"
        await make(api.device_class, {**each, "metadata": {"name": name}})
    for driver in DEVICES:
        await make(api.slice, slice_of(driver, api))
    claims = [name.split(".", 1)[0] for name in SELECTED]
    for claim, name in zip(claims, SELECTED, strict=True):
        await make(api.claim, claim_of(claim, f"by-hand.{name}", api, allocationMode="All"))
    resource_claims = [{"name": claim, "resourceClaimName": claim} for claim in claims]
    await make(POD, pod_of("wants-all", {"claims": [{"name": c} for c in claims]}, resourceClaims=resource_claims))
    allocated = await wait_for(
        kube,
        api.claim,
        lambda there: all("allocation" in there[NAMESPACE, claim].get("status", {}) for claim in claims),
        what="the claims to be allocated",
        timeout=30,
        namespace=NAMESPACE,
    )
    results = {
        name: allocated[NAMESPACE, claim]["status"]["allocation"]["devices"]["results"]
        for claim, name in zip(claims, SELECTED, strict=True)
    }
    assert {name: {r["device"] for r in each} for name, each in results.items()} == SELECTED
    assert {r["driver"] for each in results.values() for r in each} == {"gpu.nvidia.com", "compute-domain.nvidia.com"}


async def test_a_class_without_a_device_leaves_a_pod_pending(kube, api, make, tmp_path) -> None:
    await make(api.claim, claim_of("vfio", "vfio.gpu.nvidia.com", api))
    wants = [{"name": "vfio", "resourceClaimName": "vfio"}]
    await make(POD, pod_of("wants-vfio", {"claims": [{"name": "vfio"}]}, resourceClaims=wants))
    assert "cannot allocate all claims" in await unschedulable(kube, "wants-vfio")


async def test_an_extended_resource_is_nobodys(any_sandbox, kube, api, make) -> None:
    """Without the device plugin no node has `nvidia.com/gpu`, and through DRA it comes with Kubernetes 1.36 only."""
    with any_sandbox.nodes(g6=1):
        await make(POD, pod_of("extended", {"limits": {"nvidia.com/gpu": 1}}))
        message = await unschedulable(kube, "extended")
        assert message.startswith("0/2 nodes are available: 2 Insufficient nvidia.com/gpu.")
        # The GPU is there: a claim gets it, at once and after the scheduler has looked at the other pod.
        await make(api.claim, claim_of("gpu", "gpu.nvidia.com", api))
        wants = [{"name": "gpu", "resourceClaimName": "gpu"}]
        await make(POD, pod_of("claims", {"claims": [{"name": "gpu"}]}, resourceClaims=wants))
        pods = await wait_for(
            kube,
            POD,
            lambda there: there[NAMESPACE, "claims"]["status"]["phase"] == "Running",
            what="the pod with a claim",
            timeout=30,
            namespace=NAMESPACE,
        )
        assert pods[NAMESPACE, "extended"]["status"]["phase"] == "Pending"
        assert "nodeName" not in pods[NAMESPACE, "extended"]["spec"]
        made, _ = await kube.list(api.claim)
        assert [obj["metadata"]["name"] for obj in made] == ["gpu"]
        assert (await kube.get(api.device_class, "gpu.nvidia.com"))["spec"].get("extendedResourceName") is None


async def unschedulable(kube: Kube, name: str) -> str:
    """What the scheduler says of a pod that it cannot place."""
    pods = await wait_for(
        kube,
        POD,
        lambda there: scheduled(there[NAMESPACE, name]).get("reason") == "Unschedulable",
        what=f"the scheduler's word on {name}",
        timeout=30,
        namespace=NAMESPACE,
    )
    return str(scheduled(pods[NAMESPACE, name])["message"])


def scheduled(obj: Object) -> Object:
    conditions = obj["status"].get("conditions", ())
    return next((each for each in conditions if each["type"] == "PodScheduled"), {})
