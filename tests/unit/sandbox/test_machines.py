import re

import pytest

from drakit.dra.catalogue import INSTANCE_TYPES, L4, instance_type
from drakit.sandbox.machines import conditions, gpus_of, node_name, node_object
from drakit.sandbox.nodegroups import NodeGroup

NOW = "2026-11-23T12:00:00Z"
TAINT = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
GROUP = NodeGroup("g6", "g6.4xlarge", 0, 2, 1, labels={"team": "ml"}, taints=(TAINT,))
NAME = "ip-100-64-12-34.us-west-2.compute.internal"


def test_names_are_free_and_the_same_each_time() -> None:
    used: list[str] = []
    for _ in range(200):
        used.append(node_name("g6", used))
    assert len(set(used)) == 200
    assert node_name("g6", used[1:]) == used[0] == node_name("g6", ())
    assert node_name("core", ()) != used[0]
    for name in used:
        match = re.fullmatch(r"ip-100-64-(\d+)-(\d+)\.us-west-2\.compute\.internal", name)
        assert match
        # The upper half of 100.64.0.0/16 is for pods.
        assert 0 <= int(match[1]) < 128
        assert 4 <= int(match[2]) < 252


def test_the_gpus_of_a_node() -> None:
    (gpu,) = gpus_of(NAME, instance_type("g6.4xlarge"))
    assert (gpu.minor, gpu.model) == (0, L4)
    assert re.fullmatch(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", gpu.uuid)
    assert gpus_of(NAME, instance_type("g6.4xlarge")) == (gpu,)
    assert gpus_of("another", instance_type("g6.4xlarge"))[0].uuid != gpu.uuid
    assert gpus_of(NAME, instance_type("m5.xlarge")) == ()


@pytest.mark.parametrize("kind", INSTANCE_TYPES.values(), ids=lambda kind: kind.name)
def test_no_two_gpus_of_a_node_are_the_same(kind: object) -> None:
    known = INSTANCE_TYPES[kind.name]  # type: ignore[attr-defined]
    gpus = gpus_of(NAME, known)
    assert [gpu.minor for gpu in gpus] == list(range(known.gpus))
    for values in ({gpu.uuid for gpu in gpus}, {gpu.pci_bus_id for gpu in gpus}):
        assert len(values) == known.gpus
    assert all(re.fullmatch(r"0000:[0-9a-f]{2}:[0-9a-f]{2}\.0", gpu.pci_bus_id) for gpu in gpus)


def test_a_node() -> None:
    node = node_object(NAME, GROUP, "v1.33.13", 10250, NOW)
    metadata, status = node["metadata"], node["status"]
    assert metadata["name"] == NAME
    assert (
        metadata["labels"].items()
        >= {
            "kubernetes.io/hostname": NAME,
            "node.kubernetes.io/instance-type": "g6.4xlarge",
            "topology.kubernetes.io/region": "us-west-2",
            "eks.amazonaws.com/nodegroup": "g6",
            "drakit.dev/simulated": "true",
            "team": "ml",
        }.items()
    )
    assert node["spec"]["taints"] == [TAINT]
    assert re.fullmatch(r"aws:///us-west-2[ab]/i-[0-9a-f]{17}", node["spec"]["providerID"])
    assert metadata["labels"]["topology.kubernetes.io/zone"] in node["spec"]["providerID"]
    assert {"type": "InternalIP", "address": "100.64.12.34"} in status["addresses"]
    assert status["daemonEndpoints"]["kubeletEndpoint"]["Port"] == 10250
    assert status["nodeInfo"]["kubeletVersion"] == "v1.33.13"
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", status["nodeInfo"]["systemUUID"])
    assert node == node_object(NAME, GROUP, "v1.33.13", 10250, NOW)


# What EKS reserves on these types.
@pytest.mark.parametrize(
    ("kind", "cpu", "allocatable_cpu", "allocatable_memory_ki", "pods"),
    [
        ("m5.xlarge", "4", "3920m", 16 * 2**20 - (11 * 58 + 355) * 1024, "58"),
        ("g6.4xlarge", "16", "15890m", 64 * 2**20 - (11 * 234 + 355) * 1024, "234"),
        ("p4d.24xlarge", "96", "95690m", 1152 * 2**20 - (11 * 737 + 355) * 1024, "737"),
    ],
)
def test_what_a_node_has_and_gives(
    kind: str, cpu: str, allocatable_cpu: str, allocatable_memory_ki: int, pods: str
) -> None:
    status = node_object(NAME, NodeGroup("g", kind, 0, 1, 1), "v1.33.13", 1, NOW)["status"]
    capacity, allocatable = status["capacity"], status["allocatable"]
    assert (capacity["cpu"], capacity["pods"]) == (cpu, pods)
    assert allocatable["cpu"] == allocatable_cpu
    assert allocatable["memory"] == f"{allocatable_memory_ki}Ki"
    assert capacity.keys() == allocatable.keys()
    assert "nvidia.com/gpu" not in capacity


def test_a_healthy_node() -> None:
    found = {c["type"]: c for c in conditions("2026-11-23T12:05:00Z", since=NOW)}
    assert {kind: c["status"] for kind, c in found.items()} == {
        "MemoryPressure": "False",
        "DiskPressure": "False",
        "PIDPressure": "False",
        "Ready": "True",
    }
    assert found["Ready"]["lastTransitionTime"] == NOW < found["Ready"]["lastHeartbeatTime"]
