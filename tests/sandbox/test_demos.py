"""The demos in a real cluster with simulated GPUs: what they prove, what they refuse, and what they leave: nothing."""

import asyncio
import contextlib
import json
import re
import shlex
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from drakit.cli.app import run
from drakit.dra.strategies import STRATEGIES
from drakit.kube.client import Kube
from drakit.kube.kinds import CONFIG_MAP, DAEMON_SET, NAMESPACE, NODE, POD, Kind, Object
from drakit.kube.watch import wait_for
from drakit.stack.model import Stack
from drakit.targets.sandbox import SandboxTarget
from tests.faults.conftest import Event, Place

pytestmark = pytest.mark.sandbox

GROUP = "eks.amazonaws.com/nodegroup"
DRIVER = "dra-driver-nvidia-gpu"
SECRET = Kind("v1", "Secret", "secrets")
OURS = {"app.kubernetes.io/managed-by": "drakit"}


@contextlib.contextmanager
def nodes(sandbox, **sizes: int) -> Iterator[None]:
    """Groups of these sizes for the time of the block, also when it fails."""
    sandbox.drakit("scale", *(f"{group}={size}" for group, size in sizes.items()))
    try:
        yield
    finally:
        sandbox.drakit("scale", "--drain", *(f"{group}=0" for group in sizes))


@pytest.fixture
def one_gpu(sandbox) -> Iterator[Any]:
    """The 1.33 sandbox with one node that has one L4."""
    with nodes(sandbox, g6=1):
        yield sandbox


async def left_behind(kube: Kube, api) -> list[str]:
    """What a demo has made and not removed; a namespace that is going is gone, but for Kubernetes' five seconds."""
    found = []
    for kind in (POD, CONFIG_MAP, api.claim, api.claim_template, NAMESPACE):
        objects, _ = await kube.list(kind, labels=OURS)
        found += [f"{kind.name} {o['metadata']['name']}" for o in objects if "deletionTimestamp" not in o["metadata"]]
    namespaces = {strategy.namespace for strategy in STRATEGIES.values()}
    claims, _ = await kube.list(api.claim)
    return found + [f"claim {c['metadata']['name']}" for c in claims if c["metadata"]["namespace"] in namespaces]


async def make_namespace(kube: Kube, name: str) -> None:
    """As a user does it, once that of an earlier demo has gone."""
    await wait_for(kube, NAMESPACE, lambda n: ("", name) not in n, what=f"{name} to go", timeout=60)
    await kube.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


async def remove_namespace(kube: Kube, name: str) -> None:
    await kube.delete(NAMESPACE, name)
    await wait_for(kube, NAMESPACE, lambda n: ("", name) not in n, what=f"{name} to go", timeout=60)


def only(document: dict[str, Any]) -> dict[str, Any]:
    (demo,) = document["result"]["demos"]
    return demo


def commands_in(hint: str) -> list[list[str]]:
    """The drakit commands that a hint says to type."""
    return [command.split()[1:] for command in re.findall(r"`(drakit [^`]+)`", hint)]


# What they prove.


@pytest.mark.parametrize(("group", "profiles"), [("p4d", ["3g.20gb", "2g.10gb", "1g.5gb"])])
def test_all_demos(any_sandbox, group: str, profiles: list[str]) -> None:
    with nodes(any_sandbox, **{"g6": 1, group: 1}):
        any_sandbox.drakit("mig", "set", group, "all-balanced")
        document = any_sandbox.drakit("demo", "all")
    demos = {demo["strategy"]: demo for demo in document["result"]["demos"]}
    assert list(demos) == ["basic", "timeslicing", "mps", "mig"]
    for name, demo in demos.items():
        strategy = STRATEGIES[name]
        assert demo["proved"], demo
        assert all(check["ok"] and check["evidence"] for check in demo["checks"])
        assert demo["gpus"] == 1
        assert len(demo["sharers"]) == strategy.sharers
        assert all(sharer["simulated"] for sharer in demo["sharers"])
        assert {pod["namespace"] for pod in demo["pods"]} == {strategy.namespace}
        timings = demo["timings"]
        assert 0 <= timings["allocated"] <= timings["running"] <= timings["proved"]
    assert len({sharer["uuid"] for sharer in demos["timeslicing"]["sharers"]}) == 1
    assert len({sharer["uuid"] for sharer in demos["mps"]["sharers"]}) == 1
    assert len({sharer["uuid"] for sharer in demos["mig"]["sharers"]}) == 3
    (claim,) = demos["mig"]["claims"]
    assert [device["device"].split("-")[3] for device in claim["devices"]] == [p.replace(".", "") for p in profiles]


def test_the_same_manifests_are_good_for_kubectl(one_gpu, kube, api) -> None:
    manifests = one_gpu.drakit("demo", "timeslicing", "--manifests")["result"]["manifests"]
    kubectl = ["kubectl", "--kubeconfig", str(one_gpu.kubeconfig)]
    text = "\n---\n".join(json.dumps(manifest) for manifest in manifests)
    subprocess.run([*kubectl, "apply", "-f", "-"], input=text, text=True, check=True, capture_output=True)
    wait = ["wait", "pod", "--all", "--for=condition=Ready", "--timeout=30s", "-n", "timeslicing-gpu"]
    subprocess.run([*kubectl, *wait], check=True, capture_output=True)
    subprocess.run([*kubectl, "delete", "namespace", "timeslicing-gpu"], check=True, capture_output=True)


async def test_two_pods_on_one_template_never_share(one_gpu, kube, api) -> None:
    """The fault of the upstream time-slicing example: from a template each pod gets a claim, and a GPU, of its own."""
    config = {
        "apiVersion": "resource.nvidia.com/v1beta1",
        "kind": "GpuConfig",
        "sharing": {"strategy": "TimeSlicing", "timeSlicingConfig": {"interval": "Long"}},
    }
    devices = {
        "requests": [{"name": "gpu", "deviceClassName": "gpu.nvidia.com"}],
        "config": [{"requests": ["gpu"], "opaque": {"driver": "gpu.nvidia.com", "parameters": config}}],
    }
    template = {
        "apiVersion": api.api_version,
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": "timeslicing-gpu", "namespace": "upstream"},
        "spec": {"spec": {"devices": devices}},
    }
    await make_namespace(kube, "upstream")
    await kube.create(api.claim_template, template)
    for name in ("first", "second"):
        await kube.create(
            POD,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": "upstream"},
                "spec": {
                    "containers": [{"name": "c", "image": "busybox", "resources": {"claims": [{"name": "gpu"}]}}],
                    "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "timeslicing-gpu"}],
                    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                },
            },
        )

    def one_waits(pods) -> bool:
        phases = sorted(pod.get("status", {}).get("phase", "") for pod in pods.values())
        return phases == ["Pending", "Running"] and "cannot allocate all claims" in json.dumps(list(pods.values()))

    try:
        await wait_for(kube, POD, one_waits, what="one pod to run, one to wait", timeout=30, namespace="upstream")
    finally:
        await remove_namespace(kube, "upstream")


# What they lack.


def test_without_nodes_the_advice_gives_them(sandbox) -> None:
    refused = sandbox.drakit("demo", "all", status=3)["error"]
    assert refused["code"] == "no-free-device"
    assert "basic, timeslicing and mps need 1 free GPU" in refused["message"]
    assert "mig needs free MIG partitions" in refused["message"]
    assert "an hour" in refused["hint"]
    advised = commands_in(refused["hint"])
    assert [command[0] for command in advised] == ["scale", "mig"]
    for command in advised:
        sandbox.drakit(*command)
    assert all(demo["proved"] for demo in sandbox.drakit("demo", "all")["result"]["demos"])
    sandbox.drakit("scale", *(size.partition("=")[0] + "=0" for size in advised[0][1:]))


def test_an_a100_without_partitions_needs_only_them(sandbox) -> None:
    with nodes(sandbox, p4de=1):
        hint = sandbox.drakit("demo", "mig", status=3)["error"]["hint"]
        assert commands_in(hint) == [["mig", "set", "p4de", "all-balanced"]]
        # --scale does the same, and puts it back.
        assert only(sandbox.drakit("demo", "mig", "--scale"))["proved"]
        assert sandbox.drakit("status")["result"]["summary"] == {"gpus": 8, "migDevices": 0, "allocated": 0, "free": 8}


def test_scale_does_and_undoes_it(sandbox) -> None:
    document = sandbox.drakit("demo", "all", "--scale")
    assert [demo["proved"] for demo in document["result"]["demos"]] == [True] * 4
    assert sandbox.drakit("status")["result"]["summary"]["gpus"] == 0
    assert sandbox.drakit("scale", "g6=0", "p4d=0")["result"]["nodeGroups"] == {
        "g6": {"from": 0, "to": 0, "ready": 0, "min": 0, "max": 8},
        "p4d": {"from": 0, "to": 0, "ready": 0, "min": 0, "max": 2},
    }


async def expensive(_: SandboxTarget, stack: Stack) -> dict[str, float]:
    return dict.fromkeys(stack.node_groups, 1.5)


def test_a_price_is_agreed_to_first(sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SandboxTarget, "node_prices", expensive)
    refused = sandbox.drakit("demo", "basic", "--scale", status=9)["error"]
    assert refused["code"] == "not-agreed"
    assert "$1.50 an hour" in refused["message"]
    assert "`--yes`" in refused["hint"]
    assert sandbox.drakit("status")["result"]["summary"]["gpus"] == 0
    assert only(sandbox.drakit("demo", "basic", "--scale", "--yes"))["proved"]
    assert sandbox.drakit("status")["result"]["summary"]["gpus"] == 0


@pytest.mark.parametrize("answer", [True, False])
def test_a_person_is_asked(sandbox, monkeypatch: pytest.MonkeyPatch, capsys, answer: bool) -> None:
    asked = []

    def confirm(question: str, **_: Any) -> bool:
        asked.append(question)
        return answer

    monkeypatch.chdir(sandbox.folder)
    monkeypatch.setattr(SandboxTarget, "node_prices", expensive)
    monkeypatch.setattr("drakit.cli.demo.is_a_person", lambda: True)
    monkeypatch.setattr("typer.confirm", confirm)
    assert run(["demo", "basic", "--scale"]) == (0 if answer else 9)
    assert asked == ["g6 from 0 to 1 nodes: $1.50 an hour while the demo runs. Go on?"]
    assert ("basic: proved" in capsys.readouterr().out) is answer
    asked.clear()
    with nodes(sandbox, g6=1):  # nothing to pay for
        assert run(["demo", "basic", "--scale"]) == 0
    assert asked == []


async def test_the_device_plugin_is_on_too(one_gpu, kube) -> None:
    (node,) = (await kube.list(NODE, labels={GROUP: "g6"}))[0]
    name = node["metadata"]["name"]

    async def offers(count: str | None) -> None:
        await kube.patch(NODE, name, {"status": {"allocatable": {"nvidia.com/gpu": count}}}, subresource="status")

    await offers("1")
    refused = one_gpu.drakit("demo", "basic", status=3)["error"]
    assert refused["code"] == "device-plugin"
    assert name in refused["message"]
    await offers("0")  # what a kubelet says once the plugin has gone
    assert only(one_gpu.drakit("demo", "basic"))["proved"]
    await offers(None)


@contextlib.asynccontextmanager
async def daemon_set_changed(kube: Kube, change) -> AsyncIterator[None]:
    """The DRA driver's DaemonSet is another for the time of the block."""
    name = f"{DRIVER}-kubelet-plugin"

    async def put(spec: Object) -> None:
        current = await kube.get(DAEMON_SET, name, DRIVER)
        assert current
        current["metadata"].pop("managedFields", None)
        await kube.replace(DAEMON_SET, {**current, "spec": spec})

    before = await kube.get(DAEMON_SET, name, DRIVER)
    assert before
    changed = json.loads(json.dumps(before["spec"]))
    change(changed["template"]["spec"])
    await put(changed)
    try:
        yield
    finally:
        await put(before["spec"])
        await plugins(kube, 1)


async def plugins(kube: Kube, number: int) -> None:
    """Wait until so many of the driver's pods run, and no others."""

    def there(pods) -> bool:
        own = [p for p in pods.values() if "kubelet-plugin" in p["metadata"]["name"]]
        ready = [p for p in own if p.get("status", {}).get("phase") == "Running"]
        return len(own) == len(ready) == number and not any("deletionTimestamp" in p["metadata"] for p in own)

    await wait_for(kube, POD, there, what=f"{number} driver pods", timeout=60, namespace=DRIVER)


async def test_the_strategys_gate_is_off(one_gpu, kube) -> None:
    def turn_off(spec: Object) -> None:
        (container,) = (c for c in spec["containers"] if c["name"] == "gpus")
        (gates,) = (item for item in container["env"] if item["name"] == "FEATURE_GATES")
        gates["value"] = gates["value"].replace("MPSSupport=true", "MPSSupport=false")

    async with daemon_set_changed(kube, turn_off):
        refused = one_gpu.drakit("demo", "mps", status=3)["error"]
        assert refused["code"] == "gate-off"
        assert "MPSSupport" in refused["message"]
        assert "gpu.draDriver.featureGates" in refused["hint"]
        assert "`drakit up`" in refused["hint"]
        assert one_gpu.drakit("demo", "all", status=3)["error"]["code"] == "demo-not-ready"


async def test_without_device_classes_the_advice_brings_them_back(one_gpu, kube, api) -> None:
    await kube.delete(api.device_class, "gpu.nvidia.com")
    refused = one_gpu.drakit("demo", "basic", status=3)["error"]
    assert refused["code"] == "no-device-class"
    assert "gpu.nvidia.com" in refused["message"]
    assert "`drakit up`" in refused["hint"]
    changed = [step["name"] for step in one_gpu.drakit("up")["result"]["steps"] if step["changed"]]
    assert set(changed) - {"configuration"} == {"device-classes"}  # the sizes that `scale` has written
    assert only(one_gpu.drakit("demo", "basic"))["proved"]


# What is not theirs.


async def test_an_object_of_the_same_name_is_not_touched(one_gpu, kube, api) -> None:
    await make_namespace(kube, "gpu-test1")
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "workload", "namespace": "gpu-test1"}}
    await kube.create(CONFIG_MAP, {**foreign, "data": {"mine": "yes"}})
    refused = one_gpu.drakit("demo", "basic", status=3)["error"]
    assert refused["code"] == "foreign-objects"
    assert "ConfigMap gpu-test1/workload" in refused["message"]
    assert await left_behind(kube, api) == []
    kept = await kube.get(CONFIG_MAP, "workload", "gpu-test1")
    assert kept
    assert kept["data"] == {"mine": "yes"}
    # A namespace of somebody else is used as it is, and stays.
    await kube.delete(CONFIG_MAP, "workload", "gpu-test1")
    assert only(one_gpu.drakit("demo", "basic"))["proved"]
    namespace = await kube.get(NAMESPACE, "gpu-test1")
    assert namespace
    assert "deletionTimestamp" not in namespace["metadata"]
    await remove_namespace(kube, "gpu-test1")


async def test_a_namespace_with_foreign_objects_stays(one_gpu, kube, api) -> None:
    one_gpu.drakit("demo", "basic", "--keep")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password", "namespace": "gpu-test1"}}
    await kube.create(SECRET, {**secret, "stringData": {"word": "x"}})

    document = one_gpu.drakit("demo", "basic")

    assert only(document)["proved"]
    (warning,) = document["warnings"]
    assert "Namespace gpu-test1 stays" in warning
    assert "Secret password" in warning
    assert await kube.get(SECRET, "password", "gpu-test1")
    assert await left_behind(kube, api) == ["Namespace gpu-test1"]
    await remove_namespace(kube, "gpu-test1")


async def test_what_was_kept_is_removed_by_the_command_that_is_told(one_gpu, kube, api) -> None:
    demo = only(one_gpu.drakit("demo", "basic", "--keep"))
    assert demo["kept"]
    assert (await kube.list(POD, "gpu-test1"))[0]
    await asyncio.to_thread(subprocess.run, shlex.split(demo["remove"]), check=True, capture_output=True)
    assert await left_behind(kube, api) == []


# What goes wrong.


def waiting(event: Event) -> bool:
    return event["step"] == "timeslicing" and event.get("message", "").startswith("waiting for the claims")


async def test_a_killed_demo_is_taken_up_by_the_next(one_gpu, kube, api) -> None:
    process = Place(one_gpu.folder).start("demo", "timeslicing")
    process.until(waiting)
    process.kill()
    assert await left_behind(kube, api)
    # On a node with one GPU, which the first run's claim has.
    assert only(one_gpu.drakit("demo", "timeslicing"))["proved"]
    assert await left_behind(kube, api) == []


async def test_sizes_of_a_killed_demo_are_put_back_by_the_next(sandbox, kube, api) -> None:
    process = Place(sandbox.folder).start("demo", "timeslicing", "--scale")
    process.until(waiting)
    process.kill()
    assert sandbox.drakit("status")["result"]["summary"]["gpus"] == 1
    assert only(sandbox.drakit("demo", "timeslicing"))["proved"]
    assert sandbox.drakit("status")["result"]["summary"]["gpus"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_demo_leaves_nothing(sandbox, kube, api, number: signal.Signals) -> None:
    process = Place(sandbox.folder).start("demo", "timeslicing", "--scale")
    process.until(waiting)
    process.interrupt(number)
    process.interrupt(number)
    outcome = process.outcome()
    assert outcome.status == 130
    assert await left_behind(kube, api) == []
    await wait_for(kube, NODE, lambda nodes: not nodes, what="nodes to go", timeout=60, labels={GROUP: "g6"})


async def test_a_driver_that_is_away_is_told_in_the_kubelets_words(one_gpu, kube, api) -> None:
    async with without_driver(kube):
        document = one_gpu.drakit("demo", "basic", "--timeout", "3", status=8)
    demo = only(document)
    assert not demo["proved"]
    assert demo["timings"]["running"] is None
    (late,) = (check for check in demo["checks"] if check["name"] == "in-time")
    assert "Failed to prepare dynamic resources" in late["evidence"]
    assert "in-time" in document["error"]["message"]
    assert await left_behind(kube, api) == []


@contextlib.asynccontextmanager
async def without_driver(kube: Kube) -> AsyncIterator[None]:
    """The driver's pods go; what they published stays for half a minute, as a kubelet keeps it."""

    def nowhere(spec: Object) -> None:
        spec["nodeSelector"] = {"drakit.dev/nowhere": "true"}

    async with daemon_set_changed(kube, nowhere):
        await plugins(kube, 0)
        yield


async def test_a_node_that_disappears_ends_the_demo(one_gpu, kube, api) -> None:
    async with without_driver(kube):  # so that its pod waits on the node
        process = Place(one_gpu.folder).start("demo", "basic", "--timeout", "100")
        bound = await wait_for(
            kube, POD, lambda pods: any(p["spec"].get("nodeName") for p in pods.values()), timeout=30,
            what="the demo's pod to be bound", namespace="gpu-test1",
        )  # fmt: skip
        ((_, name),) = bound
        await kube.delete(NODE, bound["gpu-test1", name]["spec"]["nodeName"])
        outcome = process.outcome()
    assert outcome.status == 8
    (gone,) = (check for check in outcome.result["demos"][0]["checks"] if check["name"] == "undisturbed")
    assert "has gone" in gone["evidence"]
    assert await left_behind(kube, api) == []


async def test_one_that_fails_does_not_stop_the_others(sandbox, kube, api) -> None:
    with nodes(sandbox, g6=1, p4d=1):
        sandbox.drakit("mig", "set", "p4d", "all-balanced")
        await make_namespace(kube, "mps-gpu")
        quota = Kind("v1", "ResourceQuota", "resourcequotas")
        metadata = {"name": "no-pods", "namespace": "mps-gpu"}
        await kube.create(
            quota,
            {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": "0"}}},
        )
        document = sandbox.drakit("demo", "all", status=8)
        await remove_namespace(kube, "mps-gpu")
    assert {demo["strategy"]: demo["proved"] for demo in document["result"]["demos"]} == {
        "basic": True,
        "timeslicing": True,
        "mps": False,
        "mig": True,
    }
    assert "mps" in document["error"]["message"]
    assert "quota" in document["error"]["message"]
    assert await left_behind(kube, api) == []
