"""Claims on their node: what the driver accepts and refuses, and what becomes of the pod."""

import json

import pytest

from drakit.dra.devices import devices_of
from drakit.kube.kinds import DEPLOYMENT, NODE, POD
from drakit.kube.watch import wait_for
from tests.sandbox.gpupods import claim, creating, event, gpu_config, pod, remove, running, until

pytestmark = pytest.mark.sandbox

DRIVER_NAMESPACE = "dra-driver-nvidia-gpu"
PREFIX = "Failed to prepare dynamic resources: NodePrepareResources failed"
WORKLOAD = {
    "image": "python:3.13-slim",
    "command": ["python3", "-u", "/drakit/workload.py", "--memory-limit", str(4 * 1024**3)],
    "volumeMounts": [{"name": "workload", "mountPath": "/drakit"}],
}


@pytest.fixture
def l4(sandbox):
    with sandbox.nodes(g6=1):
        yield sandbox


async def start(kube, api, name: str, **more):
    await kube.create(api.claim, claim(api, name, **more))
    await kube.create(POD, pod(name, name))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            gpu_config(strategy="TimeSlicing", timeSlicingConfig={"interval": "Longest"}),
            "prepare devices failed: error validating GPU config: unknown time-slice interval: Longest, supported "
            "time-slice intervals: Default, Short, Medium, Long",
        ),
        (
            gpu_config(strategy="TimeSlicing", intervall=1),
            "prepare devices failed: error getting opaque device configs: error decoding config parameters: strict "
            'decoding error: unknown field "sharing.intervall"',
        ),
        (
            gpu_config(strategy="TimeSlicing", mpsConfig={}),
            "cannot use MpsConfig with the 'TimeSlicing' strategy",
        ),
        (
            gpu_config(strategy="MPS", mpsConfig={"defaultPinnedDeviceMemoryLimit": "1k"}),
            "invalid limit: default value set too low",
        ),
        (gpu_config(strategy="TimeSlicing", timeSlicingConfig={}), "the kubelet plugin crashed"),
    ],
    ids=["interval", "unknown-field", "mps-in-timeslicing", "limit-too-low", "panic"],
)
async def test_a_config_that_the_driver_refuses(l4, kube, api, config, message, request):
    name = f"bad-{request.node.callspec.id}"
    try:
        await start(kube, api, name, config=config)
        await until(kube, name, creating)
        told = await event(kube, name, "FailedPrepareDynamicResources")
        assert told.startswith((f"{PREFIX} for claim default/{name}: ", f"{PREFIX}: rpc error"))
        assert message in told
    finally:
        await remove(kube, api, name)
    # The device is free again.
    try:
        await start(kube, api, "good")
        await until(kube, "good", running)
    finally:
        await remove(kube, api, "good")


async def test_fixing_the_cause_lets_the_pod_start(l4, kube, api):
    """The driver's pod is away: nothing can be prepared until it is back."""
    nodes, _ = await kube.list(NODE, labels={"eks.amazonaws.com/nodegroup": "g6"})
    name = nodes[0]["metadata"]["name"]
    try:
        await kube.create(api.claim, claim(api, "early"))
        await kube.create(POD, pod("early", "early"))
        await until(kube, "early", running)
        pods, _ = await kube.list(POD, DRIVER_NAMESPACE)
        (plugin,) = (p for p in pods if p["spec"].get("nodeName") == name)
        # Not schedulable for the DaemonSet: its pod does not come back.
        taint = {"key": "away", "value": "", "effect": "NoExecute"}
        node = await kube.get(NODE, name)
        taints = node["spec"].get("taints", [])
        await kube.patch(NODE, name, {"spec": {"taints": [*taints, taint]}})
        await kube.delete(POD, plugin["metadata"]["name"], DRIVER_NAMESPACE)
        late = pod("late", "early")
        late["spec"]["tolerations"].append({"key": "away", "operator": "Exists"})
        await kube.create(POD, late)
        told = await event(kube, "late", "FailedPrepareDynamicResources")
        assert "gpu.nvidia.com not found in the list of registered DRA plugins" in told
        await kube.patch(NODE, name, {"spec": {"taints": taints}})
        await until(kube, "late", running)
    finally:
        await remove(kube, api, "early", "late")


async def test_an_mps_claim_has_a_control_daemon(l4, kube, api):
    config = gpu_config(
        strategy="MPS", mpsConfig={"defaultActiveThreadPercentage": 50, "defaultPinnedDeviceMemoryLimit": "4Gi"}
    )
    workload = pod("mps", "mps")
    workload["spec"]["containers"][0] |= WORKLOAD
    workload["spec"]["volumes"] = [{"name": "workload", "emptyDir": {}}]
    try:
        await kube.create(api.claim, claim(api, "mps", config=config))
        await kube.create(POD, workload)
        await until(kube, "mps", running)
        uid = (await kube.get(api.claim, "mps", "default"))["metadata"]["uid"]
        deployments, _ = await kube.list(DEPLOYMENT, DRIVER_NAMESPACE)
        (daemon,) = (d for d in deployments if d["metadata"]["name"].startswith(f"mps-control-daemon-{uid}-"))
        assert daemon["status"]["readyReplicas"] == 1
        spec = daemon["spec"]["template"]["spec"]
        assert spec["nodeName"] == (await kube.get(POD, "mps", "default"))["spec"]["nodeName"]
        (argument,) = spec["containers"][0]["args"]
        assert "set_default_active_thread_percentage 50" in argument
        slices, _ = await kube.list(api.slice)
        (device,) = devices_of(slices)
        lines = [json.loads(line) async for line in first_lines(kube, "mps", 3)]
        assert all(line["simulated"] for line in lines)
        seen, memory, window = lines
        assert (seen["uuid"], seen["multiprocessors"], seen["mpsPipe"]) == (device.uuid, 28, "/tmp/nvidia-mps")
        assert memory["refused"]
        assert memory["tried"] > 4 * 1024**3
        assert window["launches"] > 0
    finally:
        await remove(kube, api, "mps")
    await wait_for(
        kube, DEPLOYMENT, lambda found: not any(name.startswith("mps-") for _, name in found),
        what="the daemon to go", timeout=30, namespace=DRIVER_NAMESPACE,
    )  # fmt: skip


async def first_lines(kube, name: str, count: int):
    async for line in kube.follow_log("default", name, "c"):
        yield line
        count -= 1
        if not count:
            return


@pytest.mark.parametrize(
    ("selector", "device_class"),
    [
        ("device.capacity['gpu.nvidia.com'].memory.compareTo(quantity('24Gi')) >= 0", "gpu.nvidia.com"),
        ("device.attributes['gpu.nvidia.com'].type == 'mig'", "mig.nvidia.com"),
    ],
    ids=["24Gi-on-an-L4", "mig-on-an-L4"],
)
async def test_a_claim_that_no_device_satisfies_stays_pending(l4, kube, api, selector, device_class):
    try:
        await start(kube, api, "picky", selector=selector, device_class=device_class)
        assert "cannot allocate all claims" in await event(kube, "picky", "FailedScheduling")
        assert (await kube.get(POD, "picky", "default"))["status"]["phase"] == "Pending"
    finally:
        await remove(kube, api, "picky")


async def test_a_partition_of_9728_mi_is_not_10_gi(sandbox, kube, api):
    with sandbox.nodes(p4de=1):
        sandbox.drakit("mig", "set", "p4de", "all-1g.10gb")
        memory = "device.capacity['gpu.nvidia.com'].memory.compareTo(quantity('{}')) >= 0"
        try:
            await start(kube, api, "ten", selector=memory.format("10Gi"), device_class="mig.nvidia.com")
            assert "cannot allocate all claims" in await event(kube, "ten", "FailedScheduling")
            await start(kube, api, "exact", selector=memory.format("9728Mi"), device_class="mig.nvidia.com")
            await until(kube, "exact", running)
        finally:
            await remove(kube, api, "ten", "exact")
