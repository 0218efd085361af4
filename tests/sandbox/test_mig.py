"""MIG on simulated nodes: MIG manager's labels, the driver's restart, `drakit mig set`."""

import os
import signal
from collections import Counter

import pytest

from drakit.dra.devices import devices_of
from drakit.kube.kinds import NODE, POD
from drakit.kube.watch import wait_for
from drakit.sandbox import processes
from drakit.sandbox.components import NODES
from tests.sandbox.gpupods import claim, pod, remove, running, until

pytestmark = pytest.mark.sandbox

CONFIG, STATE = "nvidia.com/mig.config", "nvidia.com/mig.config.state"
DRIVER_NAMESPACE = "dra-driver-nvidia-gpu"


@pytest.fixture
def p4d(sandbox):
    with sandbox.nodes(p4d=1):
        yield sandbox


async def published(kube, api) -> Counter:
    slices, _ = await kube.list(api.slice)
    return Counter(device.profile or device.type for device in devices_of(slices))


async def publishes(kube, api, **wanted: int) -> None:
    profiles = Counter({name.replace("_", ".").removeprefix("p"): count for name, count in wanted.items()})
    await wait_for(
        kube,
        api.slice,
        lambda slices: Counter(d.profile or d.type for d in devices_of(slices.values())) == profiles,
        what=f"{dict(profiles)} to be published",
        timeout=120,
    )


async def node_of(kube, group: str = "p4d"):
    nodes, _ = await kube.list(NODE, labels={"eks.amazonaws.com/nodegroup": group})
    return nodes[0]


async def set_label(kube, config: str) -> str:
    """As a user of kubectl does it; returns the state that comes of it."""
    name = (await node_of(kube))["metadata"]["name"]
    await state_of(kube, name)
    await kube.patch(NODE, name, {"metadata": {"labels": {CONFIG: config, STATE: None}}})
    return await state_of(kube, name)


async def state_of(kube, name: str) -> str:
    found = await wait_for(
        kube,
        NODE,
        lambda nodes: nodes["", name]["metadata"]["labels"].get(STATE) in ("success", "failed"),
        what="MIG manager",
        timeout=120,
    )
    return found["", name]["metadata"]["labels"][STATE]


async def restart_driver(kube) -> None:
    name = (await node_of(kube))["metadata"]["name"]
    pods, _ = await kube.list(POD, DRIVER_NAMESPACE)
    (plugin,) = (p for p in pods if p["spec"].get("nodeName") == name)
    await kube.delete(POD, plugin["metadata"]["name"], DRIVER_NAMESPACE)


async def test_mig_set_partitions_a_group(p4d, kube, api):
    document = p4d.drakit("mig", "set", "p4d", "all-balanced")
    (node,) = document["result"]["nodes"]
    assert node["changed"]
    assert node["devices"] == {"3g.20gb": 8, "2g.10gb": 8, "1g.5gb": 16}
    labels = (await node_of(kube))["metadata"]["labels"]
    assert (labels[CONFIG], labels[STATE]) == ("all-balanced", "success")
    assert await published(kube, api) == {"3g.20gb": 8, "2g.10gb": 8, "1g.5gb": 16}
    devices = p4d.drakit("status")["result"]["devices"]
    assert len({device["uuid"] for device in devices}) == 32
    assert len({device["parent"] for device in devices}) == 8
    # Again: nothing to do.
    assert not p4d.drakit("mig", "set", "p4d", "all-balanced")["result"]["nodes"][0]["changed"]
    assert p4d.drakit("mig", "set", "p4d", "all-disabled")["result"]["nodes"][0]["devices"] == {"gpu": 8}


async def test_slices_change_only_when_the_driver_restarts(p4d, kube, api):
    assert await set_label(kube, "all-1g.5gb") == "success"
    assert await published(kube, api) == {"gpu": 8}
    (problem,) = p4d.drakit("status")["result"]["problems"]
    assert "`drakit mig set p4d all-1g.5gb` restarts it" in problem
    await restart_driver(kube)
    await publishes(kube, api, p1g_5gb=56)
    assert p4d.drakit("status")["result"]["problems"] == []
    # MIG mode without instances: nothing to publish.
    assert await set_label(kube, "all-enabled") == "success"
    await restart_driver(kube)
    await publishes(kube, api)


async def test_a_layout_outlives_the_simulator(p4d, kube, api):
    p4d.drakit("mig", "set", "p4d", "all-2g.10gb")
    before = {device["uuid"] for device in p4d.drakit("status")["result"]["devices"]}
    os.kill(processes.running(p4d.sandbox)[NODES].pid, signal.SIGKILL)
    p4d.drakit("up")
    assert {device["uuid"] for device in p4d.drakit("status")["result"]["devices"]} == before
    assert len(before) == 24


async def test_a_configuration_of_the_other_memory_size_fails(p4d, kube, api):
    assert await set_label(kube, "all-1g.20gb") == "failed"
    await restart_driver(kube)
    assert await published(kube, api) == {"gpu": 8}
    error = p4d.drakit("mig", "set", "p4d", "all-1g.20gb", status=2)["error"]
    assert error["code"] == "unknown-mig-config"
    assert "'all-1g.10gb'" in error["message"]


async def test_gpus_in_use_are_not_partitioned(p4d, kube, api):
    try:
        await kube.create(api.claim, claim(api, "held"))
        await kube.create(POD, pod("holder", "held"))
        await until(kube, "holder", running)
        error = p4d.drakit("mig", "set", "p4d", "all-balanced", status=3)["error"]
        assert error["code"] == "devices-allocated"
        assert "default/held (pods holder)" in error["message"]
        assert await set_label(kube, "all-balanced") == "failed"
    finally:
        await remove(kube, api, "holder", "held")
    assert p4d.drakit("mig", "set", "p4d", "all-balanced")["result"]["nodes"][0]["changed"]


async def test_a_group_of_the_stack_file_comes_partitioned(sandbox, kube, api):
    file = sandbox.folder / "partitioned.yaml"
    file.write_text(
        'name: sandbox\nkubernetesVersion: "1.33"\nnodeGroups:\n  core: {instanceType: m5.xlarge, min: 1, max: 8}\n'
        "  p4de: {instanceType: p4de.24xlarge, max: 1, mig: all-balanced}\n"
    )
    sandbox.drakit("up", "-f", str(file))
    try:
        result = sandbox.drakit("scale", "-f", str(file), "p4de=1")["result"]
        assert result["devices"]["published"] == 32
        assert await published(kube, api) == {"3g.40gb": 8, "2g.20gb": 8, "1g.10gb": 16}
        sandbox.drakit("scale", "-f", str(file), "p4de=0")
    finally:
        sandbox.drakit("up")


def test_groups_that_cannot(sandbox):
    assert sandbox.drakit("mig", "set", "g6", "all-balanced", status=2)["error"]["code"] == "no-mig"
    assert sandbox.drakit("mig", "set", "nosuch", "all-balanced", status=2)["error"]["code"] == "unknown-group"
    error = sandbox.drakit("mig", "set", "p4d", "all-balanced", status=3)["error"]
    assert error["code"] == "group-empty"
    assert "drakit scale p4d=1" in error["hint"]
