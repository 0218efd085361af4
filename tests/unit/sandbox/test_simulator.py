"""The simulator, where the order of what it hears matters."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from drakit.dra.mig import CONFIG_LABEL, MANAGER_APP, STATE_LABEL
from drakit.kube.kinds import CONFIG_MAP, NODE, POD, Object, ResourceApi
from drakit.kube.watch import key_of
from drakit.sandbox.layout import Layout
from drakit.sandbox.machines import node_object
from drakit.sandbox.nodegroups import NodeGroup
from drakit.sandbox.simulator import SOURCES, Simulator
from tests.unit.sandbox.fakekube import FakeKube

GROUP = NodeGroup("core", "m5.xlarge", 1, 8, 1)
NAME = "ip-100-64-1-4.us-west-2.compute.internal"


@contextlib.asynccontextmanager
async def reconciling(folder: Path, kube: FakeKube, node: Object) -> AsyncIterator[Simulator]:
    """A simulator that has heard of its node and of nothing else."""
    simulator = Simulator(Layout(folder), kube, ResourceApi("v1beta1"), "v1.33.13", port=1)
    simulator._nodes.objects[key_of(node)] = node
    task = asyncio.create_task(simulator._reconcile())
    try:
        yield simulator
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def hear_of_groups(simulator: Simulator, *groups: NodeGroup) -> None:
    for group in groups:
        definition = group.to_config_map()
        simulator._groups.objects[key_of(definition)] = definition
    simulator._complete("groups")


def node_of(group: NodeGroup) -> Object:
    node = node_object(NAME, group, "v1.33.13", 1, "2026-01-01T00:00:00Z")
    node["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    return node


async def test_a_node_stays_until_its_group_is_known(tmp_path: Path) -> None:
    node = node_of(GROUP)
    kube = FakeKube((NODE, node), (CONFIG_MAP, GROUP.to_config_map()))
    async with reconciling(tmp_path, kube, node) as simulator:
        # Each kind is listed by a request of its own, and they answer in any order.
        for source in SOURCES - {"groups"}:
            simulator._complete(source)
            await asyncio.sleep(0.01)
        assert not simulator._leaving
        hear_of_groups(simulator, GROUP)
        async with asyncio.timeout(5):
            while not simulator.layout.nodes_ready.exists():
                await asyncio.sleep(0.01)
        assert not simulator._leaving
        assert kube.changes == []


async def test_mig_manager_comes_last(tmp_path: Path) -> None:
    """Its pod runs when all else is as it is to be, so nothing else would tell of it."""
    group = NodeGroup("p4d", "p4d.24xlarge", 0, 1, 1)
    node = node_of(group)
    node["metadata"]["labels"][CONFIG_LABEL] = "all-balanced"
    pod = {
        "metadata": {"name": "mig", "namespace": "gpu-operator", "uid": "1", "labels": {"app": MANAGER_APP}},
        "spec": {"nodeName": NAME, "containers": [{"name": "manager"}]},
        "status": {"phase": "Pending"},
    }
    kube = FakeKube((NODE, node), (POD, pod))
    async with reconciling(tmp_path, kube, node) as simulator:
        for source in SOURCES - {"groups"}:
            simulator._complete(source)
        hear_of_groups(simulator, group)
        while simulator._wake.is_set():
            await asyncio.sleep(0.01)

        pod["status"] = {"phase": "Running"}
        simulator._pods.objects[key_of(pod)] = pod
        simulator._pod_changed(pod)

        async with asyncio.timeout(10):
            while (await kube.get(NODE, NAME))["metadata"]["labels"].get(STATE_LABEL) != "success":
                await asyncio.sleep(0.01)
    await simulator.kubelet.close()
