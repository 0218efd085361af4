"""The simulator, when it starts beside nodes that were there before."""

import asyncio
from pathlib import Path

from drakit.kube.kinds import CONFIG_MAP, NODE, ResourceApi
from drakit.sandbox.layout import Layout
from drakit.sandbox.machines import node_object
from drakit.sandbox.nodegroups import NodeGroup
from drakit.sandbox.simulator import SOURCES, Simulator
from tests.unit.sandbox.fakekube import FakeKube

GROUP = NodeGroup("core", "m5.xlarge", 1, 8, 1)
NAME = "ip-100-64-1-4.us-west-2.compute.internal"


async def test_a_node_stays_until_its_group_is_known(tmp_path: Path) -> None:
    node = node_object(NAME, GROUP, "v1.33.13", 1, "2026-01-01T00:00:00Z")
    node["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    kube = FakeKube((NODE, node), (CONFIG_MAP, GROUP.to_config_map()))
    simulator = Simulator(Layout(tmp_path), kube, ResourceApi("v1beta1"), "v1.33.13", port=1)
    reconciling = asyncio.create_task(simulator._reconcile())
    try:
        # Each kind is listed by a request of its own, and they answer in any order.
        simulator._nodes.objects["", NAME] = node
        for source in SOURCES - {"groups"}:
            simulator._complete(source)
            await asyncio.sleep(0.01)
        assert not simulator._leaving
        (definition,) = (await kube.list(CONFIG_MAP))[0]
        simulator._groups.objects["kube-system", definition["metadata"]["name"]] = definition
        simulator._complete("groups")
        async with asyncio.timeout(5):
            while not simulator.layout.nodes_ready.exists():
                await asyncio.sleep(0.01)
        assert not simulator._leaving
        assert kube.changes == []
    finally:
        reconciling.cancel()
        await asyncio.gather(reconciling, return_exceptions=True)
