"""Simulated nodes and the simulated driver, seen through the real API."""

import pytest

from drakit.kube.kinds import LEASE, NODE, POD
from drakit.kube.watch import wait_for

pytestmark = pytest.mark.sandbox


async def test_a_gpu_node_is_shaped_as_on_eks(sandbox, kube, api):
    with sandbox.nodes(g6=1):
        nodes, _ = await kube.list(NODE, labels={"eks.amazonaws.com/nodegroup": "g6"})
        slices, _ = await kube.list(api.slice)
        leases, _ = await kube.list(LEASE, "kube-node-lease")
    (node,) = nodes
    labels, name = node["metadata"]["labels"], node["metadata"]["name"]
    assert labels["node.kubernetes.io/instance-type"] == "g6.4xlarge"
    assert labels["nvidia.com/gpu.present"] == "true"
    assert node["spec"]["taints"] == [{"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}]
    assert node["status"]["capacity"]["cpu"] == "16"
    assert node["status"]["capacity"]["pods"] == "234"
    assert name in {lease["metadata"]["name"] for lease in leases}
    (obj,) = slices
    assert obj["metadata"]["name"].startswith(f"00000-gpu.nvidia.com-{name[:20]}")
    assert obj["metadata"]["ownerReferences"][0]["name"] == name
    spec = obj["spec"]
    assert spec["pool"] == {"name": name, "generation": 1, "resourceSliceCount": 1}
    (device,) = spec["devices"]
    attributes = device["basic"]["attributes"]
    assert device["name"] == "gpu-0"
    assert attributes["productName"] == {"string": "NVIDIA L4"}
    assert attributes["driverVersion"] == {"version": "580.126.9"}
    assert device["basic"]["capacity"] == {"memory": {"value": "23034Mi"}}


async def test_v1_has_its_devices_one_level_up(any_sandbox):
    with any_sandbox.nodes(g6=1):
        result = any_sandbox.drakit("status")["result"]
    (device,) = result["devices"]
    assert (device["name"], device["type"], device["product"]) == ("gpu-0", "gpu", "NVIDIA L4")
    assert device["memory"] == "23034Mi"


async def test_scaling_counts_nodes_and_devices(sandbox, kube, api):
    result = sandbox.drakit("scale", "g6=2", "p4d=1")["result"]
    assert result["nodeGroups"]["g6"] == {"from": 0, "to": 2, "ready": 2, "min": 0, "max": 8}
    assert result["devices"]["published"] == 2 + 8
    result = sandbox.drakit("scale", "g6=1", "p4d=0")["result"]
    assert result["nodeGroups"] == {
        "g6": {"from": 2, "to": 1, "ready": 1, "min": 0, "max": 8},
        "p4d": {"from": 1, "to": 0, "ready": 0, "min": 0, "max": 2},
    }
    assert result["devices"]["published"] == 1
    result = sandbox.drakit("scale", "g6=0")["result"]
    assert result["devices"]["published"] == 0
    assert (await kube.list(NODE, labels={"nvidia.com/gpu.present": "true"}))[0] == []
    await wait_for(
        kube, POD, lambda pods: not pods, what="the driver's pods to go", timeout=20, namespace="dra-driver-nvidia-gpu"
    )


async def test_scaling_down_lets_go_of_an_idle_node_first(sandbox, kube, api):
    with sandbox.nodes(g6=2):
        demo = sandbox.drakit("demo", "basic", "--keep")["result"]["demos"][0]
        busy = demo["pods"][0]["node"]
        sandbox.drakit("scale", "g6=1")
        nodes, _ = await kube.list(NODE, labels={"eks.amazonaws.com/nodegroup": "g6"})
        status = sandbox.drakit("status")["result"]
    assert [node["metadata"]["name"] for node in nodes] == [busy]
    (device,) = status["devices"]
    assert device["allocatedTo"] == [
        {"namespace": "gpu-test1", "claim": demo["claims"][0]["name"], "pods": ["gpu-pod"]}
    ]
    assert status["summary"] == {"gpus": 1, "migDevices": 0, "allocated": 1, "free": 0}


async def test_a_node_that_is_deleted_by_hand_comes_back(sandbox, kube):
    with sandbox.nodes(g6=1):
        (node,) = (await kube.list(NODE, labels={"eks.amazonaws.com/nodegroup": "g6"}))[0]
        await kube.delete(NODE, node["metadata"]["name"])
        await wait_for(
            kube,
            NODE,
            lambda nodes: any(n["metadata"]["uid"] != node["metadata"]["uid"] for n in nodes.values()),
            what="the node to come back",
            timeout=20,
            labels={"eks.amazonaws.com/nodegroup": "g6"},
        )
