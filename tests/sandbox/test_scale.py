"""`drakit scale` with a stack file of one's own: what is written, which nodes go, and what may stay."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from drakit.kube.client import Kube
from drakit.kube.kinds import NODE, POD, Kind, Object
from drakit.kube.watch import wait_for
from drakit.sandbox import processes
from tests.sandbox.conftest import Sandbox, call
from tests.sandbox.gpupods import SECONDS, claim, pod

pytestmark = pytest.mark.sandbox

BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
FILE = """\
name: sandbox   # the lab's
nodeGroups:
  core: {instanceType: m5.xlarge, min: 1, max: 2, desired: 1}
  g6: {instanceType: g6.4xlarge, max: 2}   # two at most
  'h100':
    max: 1
    instanceType: p5.48xlarge
    mig: all-balanced
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox with that stack file."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "drakit.yaml").write_text(FILE)
    made = Sandbox(folder, "1.33", call(folder, "up"))
    try:
        yield made
        made.drakit("down")
    finally:
        asyncio.run(processes.stop(made.sandbox))


@pytest.fixture
async def kube(lab: Sandbox) -> AsyncIterator[Kube]:
    async with Kube(lab.kubeconfig, field_manager="tests") as client:
        yield client


async def names(kube: Kube, group: str = "g6") -> list[str]:
    found, _ = await kube.list(NODE, labels={"drakit/node-group": group})
    return sorted(node["metadata"]["name"] for node in found)


async def uids(kube: Kube) -> set[str]:
    return {node["metadata"]["uid"] for node in (await kube.list(NODE))[0]}


async def use_a_gpu(kube: Kube, api, name: str, **labels: str) -> str:
    """A claim and a pod that holds it; returns the node that it runs on."""
    await kube.create(api.claim, claim(api, name))
    made = pod(name, name)
    made["metadata"]["labels"] = labels
    await kube.create(POD, made)

    def runs(pods: object) -> bool:
        found = pods.get(("default", name)) if isinstance(pods, dict) else None
        return bool(found) and found["status"].get("phase") == "Running"

    found = await wait_for(kube, POD, runs, what=f"{name} to run", timeout=SECONDS, namespace="default")
    return str(found["default", name]["spec"]["nodeName"])


async def test_the_file_keeps_what_is_not_a_size(lab, kube) -> None:
    result = lab.drakit("scale", "g6=2")["result"]
    assert result["nodeGroups"] == {"g6": {"from": 0, "to": 2, "ready": 2, "min": 0, "max": 2}}
    assert (result["gpus"], result["devices"]) == ({"before": 0, "after": 2}, {"published": 2})
    assert result["remembered"] == str(lab.folder / "drakit.yaml")
    file = lab.folder / "drakit.yaml"
    assert file.read_text() == FILE.replace("max: 2}   # two", "max: 2, desired: 2}   # two")
    # What is so already is written once.
    assert lab.drakit("scale", "g6=2")["result"]["remembered"] is None

    assert lab.drakit("scale", "g6=-1")["result"]["nodeGroups"]["g6"]["to"] == 1
    error = lab.drakit("scale", "g6=+2", status=2)["error"]
    assert error["code"] == "invalid-scale"
    assert "at most 2" in error["message"]
    assert "max: 2, desired: 1}   # two at most" in file.read_text()


async def test_bounds_change_and_nodes_stay(lab, kube) -> None:
    lab.drakit("scale", "g6=1")
    before = await uids(kube)
    result = lab.drakit("scale", "g6=+1", "--min", "1", "--max", "4")["result"]
    assert result["nodeGroups"]["g6"] == {"from": 1, "to": 2, "ready": 2, "min": 1, "max": 4}
    assert "g6: {instanceType: g6.4xlarge, max: 4, desired: 2, min: 1}" in (lab.folder / "drakit.yaml").read_text()
    assert before < await uids(kube)
    before = await uids(kube)
    up = lab.drakit("up")
    assert up["result"]["nodeGroups"]["g6"] == {"desired": 2, "ready": 2}
    assert up["warnings"] == []
    # Terraform knows the new bounds, and nobody has lost a node.
    assert await uids(kube) == before
    assert lab.drakit("scale", "g6=0", status=2)["error"]["code"] == "invalid-scale"


async def test_idle_nodes_go_first_and_claims_in_use_stay(lab, kube, api) -> None:
    lab.drakit("scale", "g6=2", "--min", "0", "--max", "4")
    busy = await use_a_gpu(kube, api, "busy")
    refused = lab.drakit("scale", "g6=0", status=9)["error"]
    assert refused["code"] == "claims-in-use"
    assert refused["details"] == {"claims": ["default/busy of busy"]}
    assert len(await names(kube)) == 2
    lab.drakit("scale", "g6=1")
    assert await names(kube) == [busy]
    (node,) = (await kube.list(NODE, labels={"drakit/node-group": "g6"}))[0]
    assert "unschedulable" not in node["spec"]

    document = lab.drakit("scale", "g6=0", "--drain")
    assert document["warnings"] == ["Evicted, and nobody makes them again: default/busy."]
    assert await names(kube) == []
    await kube.delete(api.claim, "busy", "default")


async def test_a_budget_is_respected(lab, kube, api) -> None:
    lab.drakit("scale", "g6=1", "--min", "0", "--max", "4")
    await use_a_gpu(kube, api, "held", app="held")
    budget: Object = {
        "metadata": {"name": "one", "namespace": "default"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "held"}}},
    }
    await kube.create(BUDGET, {**budget, "apiVersion": BUDGET.api_version, "kind": BUDGET.name})
    error = lab.drakit("scale", "g6=0", "--drain", "--timeout", "2", status=6)["error"]
    assert error["code"] == "not-drained"
    assert "default/held" in error["message"]
    assert "disruption budget" in error["message"]
    # Nothing has changed, and the node takes pods again.
    (node,) = (await kube.list(NODE, labels={"drakit/node-group": "g6"}))[0]
    assert "unschedulable" not in node["spec"]
    assert "desired: 1" in (lab.folder / "drakit.yaml").read_text()

    await kube.delete(BUDGET, "one", "default")
    assert lab.drakit("scale", "g6=0", "--drain")["result"]["devices"] == {"published": 0}
    await kube.delete(api.claim, "held", "default")


async def test_an_h100_comes_partitioned(lab, kube, api) -> None:
    assert lab.drakit("scale", "h100=1")["result"]["devices"] == {"published": 8 * 4}
    assert (
        "    max: 1\n    instanceType: p5.48xlarge\n    mig: all-balanced\n    desired: 1\n"
        in (lab.folder / "drakit.yaml").read_text()
    )
    devices = lab.drakit("status")["result"]["devices"]
    (large, *_) = (device for device in devices if device["profile"] == "3g.40gb")
    assert (large["product"], large["memory"], large["multiprocessors"]) == ("NVIDIA H100 80GB HBM3", "40448Mi", 60)
    lab.drakit("scale", "h100=0")
