"""The life of a pod on a simulated node: states, events, logs, restarts, deletion."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from drakit.kube.kinds import CONFIG_MAP, EVENT, POD, Object
from drakit.kube.watch import wait_for

pytestmark = pytest.mark.sandbox

NAMESPACE = "default"


def pod(name: str, script: str | None = None, *, restart: str = "Never", **spec: Any) -> Object:
    container: Object = {"name": "c", "image": "busybox", **spec.pop("container", {})}
    if script is not None:
        container |= {"command": ["sh", "-c", script]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"restartPolicy": restart, "containers": [container], **spec},
    }


@pytest.fixture
async def run_pod(kube) -> AsyncIterator[Callable[..., Any]]:
    """Create a pod and wait until `reached` holds of it; it is deleted after the test."""
    made = []

    async def run(manifest: Object, reached: Callable[[Object], bool]) -> Object:
        name = manifest["metadata"]["name"]
        await kube.create(POD, manifest)
        made.append(name)
        found = await wait_for(
            kube,
            POD,
            lambda pods: (NAMESPACE, name) in pods and reached(pods[NAMESPACE, name]),
            what=f"pod {name}",
            timeout=30,
            namespace=NAMESPACE,
        )
        return found[NAMESPACE, name]

    yield run
    for name in made:
        await kube.delete(POD, name, NAMESPACE)
    await wait_for(kube, POD, lambda pods: not pods, what="pods to go", timeout=30, namespace=NAMESPACE)


def phase(wanted: str) -> Callable[[Object], bool]:
    return lambda obj: obj["status"].get("phase") == wanted


def state(obj: Object) -> Object:
    return obj["status"]["containerStatuses"][0]["state"]


def waiting_for(reason: str) -> Callable[[Object], bool]:
    return lambda obj: "containerStatuses" in obj["status"] and state(obj).get("waiting", {}).get("reason") == reason


async def events_of(kube, name: str, reason: str) -> list[Object]:
    found = await wait_for(
        kube,
        EVENT,
        lambda events: any(e["involvedObject"].get("name") == name and e["reason"] == reason for e in events.values()),
        what=f"event {reason}",
        timeout=20,
        namespace=NAMESPACE,
    )
    return [e for e in found.values() if e["involvedObject"].get("name") == name and e["reason"] == reason]


async def test_a_pod_that_ends_well(sandbox, kube, run_pod):
    done = await run_pod(pod("ends", "echo hello; sleep 0.2"), phase("Succeeded"))
    assert state(done)["terminated"]["exitCode"] == 0
    assert state(done)["terminated"]["reason"] == "Completed"
    assert [line async for line in kube.follow_log(NAMESPACE, "ends", "c")] == ["hello"]


async def test_a_pod_that_fails(sandbox, run_pod):
    done = await run_pod(pod("fails", "exit 3"), phase("Failed"))
    assert state(done)["terminated"]["exitCode"] == 3


async def test_a_server_keeps_running(sandbox, run_pod):
    running = await run_pod(pod("serves", restart="Always"), phase("Running"))
    conditions = {c["type"]: c["status"] for c in running["status"]["conditions"]}
    assert conditions["Ready"] == conditions["ContainersReady"] == conditions["PodScheduled"] == "True"
    assert running["status"]["podIP"].startswith("100.64.")
    assert running["status"]["containerStatuses"][0]["ready"]


async def test_a_crash_backs_off(sandbox, kube, run_pod):
    crashed = await run_pod(pod("crashes", "exit 7", restart="Always"), waiting_for("CrashLoopBackOff"))
    assert crashed["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 7
    await events_of(kube, "crashes", "BackOff")


async def test_a_missing_config_map_holds_a_pod_until_it_is_there(sandbox, kube, run_pod):
    manifest = pod("mounts", restart="Always", volumes=[{"name": "v", "configMap": {"name": "late"}}])
    await run_pod(manifest, waiting_for("ContainerCreating"))
    (event,) = await events_of(kube, "mounts", "FailedMount")
    assert event["message"] == 'MountVolume.SetUp failed for volume "v" : configmap "late" not found'
    metadata = {"name": "late", "namespace": NAMESPACE}
    await kube.create(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    await wait_for(
        kube,
        POD,
        lambda pods: phase("Running")(pods[NAMESPACE, "mounts"]),
        what="the pod to start",
        timeout=20,
        namespace=NAMESPACE,
    )
    await kube.delete(CONFIG_MAP, "late", NAMESPACE)


async def test_init_containers_go_first(sandbox, run_pod):
    init = [{"name": "first", "image": "busybox", "command": ["sleep", "0.1"]}]
    running = await run_pod(pod("inits", restart="Always", initContainers=init), phase("Running"))
    (first,) = running["status"]["initContainerStatuses"]
    assert first["state"]["terminated"]["exitCode"] == 0


async def test_deletion_ends_a_pod(sandbox, kube, run_pod):
    await run_pod(pod("leaves", restart="Always"), phase("Running"))
    await kube.delete(POD, "leaves", NAMESPACE)
    await wait_for(
        kube, POD, lambda pods: (NAMESPACE, "leaves") not in pods, what="the pod to go", timeout=20, namespace=NAMESPACE
    )


async def test_kubectl_logs(sandbox, run_pod):
    await run_pod(pod("talks", "echo one; sleep 0.3; echo two"), phase("Succeeded"))
    kubectl = ["kubectl", "--kubeconfig", str(sandbox.kubeconfig), "logs", "talks"]

    def logs(*options: str) -> str:
        return subprocess.run([*kubectl, *options], capture_output=True, text=True, check=True).stdout

    assert await asyncio.to_thread(logs) == "one\ntwo\n"
    assert await asyncio.to_thread(logs, "--tail=1") == "two\n"
    assert await asyncio.to_thread(logs, "-f") == "one\ntwo\n"
    assert (await asyncio.to_thread(logs, "--timestamps")).count("Z ") == 2


async def test_a_claim_that_another_pod_holds_keeps_the_second_pending(sandbox, kube, api, run_pod):
    """What the upstream time-slicing example runs into: a template makes a claim, and takes a GPU, for each pod."""
    template = {
        "apiVersion": api.api_version,
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": "one-gpu", "namespace": NAMESPACE},
        "spec": {"spec": {"devices": {"requests": [{"name": "gpu", "deviceClassName": "gpu.nvidia.com"}]}}},
    }

    def with_claim(name: str) -> Object:
        return pod(
            name,
            "nvidia-smi -L; sleep infinity",
            container={"resources": {"claims": [{"name": "gpu"}]}},
            resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}],
            tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists"}],
        )

    with sandbox.nodes(g6=1):
        await kube.create(api.claim_template, template)
        await run_pod(with_claim("first"), phase("Running"))
        second = await run_pod(
            with_claim("second"),
            lambda obj: any(c.get("reason") == "Unschedulable" for c in obj["status"].get("conditions", ())),
        )
        assert "cannot allocate all claims" in str(second["status"]["conditions"])
        await kube.delete(POD, "first", NAMESPACE)
        await wait_for(
            kube,
            POD,
            lambda pods: phase("Running")(pods[NAMESPACE, "second"]),
            what="the second pod to get the GPU",
            timeout=30,
            namespace=NAMESPACE,
        )
        await kube.delete(POD, "second", NAMESPACE)
        await kube.delete(api.claim_template, "one-gpu", NAMESPACE)
