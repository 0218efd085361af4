"""Node objects as EKS's kubelet registers them, and their GPUs."""

import hashlib
import zlib
from collections.abc import Container, Mapping

from drakit.dra.catalogue import InstanceType, instance_type
from drakit.dra.hardware import PhysicalGpu
from drakit.kube.kinds import Object
from drakit.sandbox.nodegroups import NODE_GROUP_LABEL, NodeGroup

REGION, ZONES = "us-west-2", ("us-west-2a", "us-west-2b")
NODE_LABEL = "drakit.dev/simulated"
OS_IMAGE = "Amazon Linux 2023.9.20251110 (drakit sandbox)"
KERNEL = "6.12.55-74.119.amzn2023.x86_64"
CONTAINER_RUNTIME = "containerd://2.1.4"
DISK = "104779756Ki"  # the 100 GiB root volume of the JARK node groups, as a kubelet reports it


def node_name(group: str, used: Container[str]) -> str:
    """A free name for a new node of `group`, as EKS makes it from the node's address in 100.64.0.0/16."""
    ordinal = 0
    while True:
        digest = zlib.crc32(f"{group}/{ordinal}".encode())
        name = f"ip-100-64-{digest % 128}-{4 + digest // 128 % 248}.{REGION}.compute.internal"
        if name not in used:
            return name
        ordinal += 1


def gpus_of(node: str, kind: InstanceType) -> tuple[PhysicalGpu, ...]:
    """The GPUs of the node called `node`, in the order of their minor numbers, MIG mode off.

    They are the same each time the node of that name comes back.
    """
    if kind.gpu is None:
        return ()
    return tuple(
        PhysicalGpu(minor, _uuid(f"{node}/{minor}"), kind.gpu, _pci_bus_id(kind, minor)) for minor in range(kind.gpus)
    )


def node_object(name: str, group: NodeGroup, kubernetes: str, kubelet_port: int, now: str) -> Object:
    """The Node that a kubelet of `group` registers, Ready.

    Args:
        kubernetes: the kubelet's version, "v1.33.13".
        kubelet_port: where the simulated kubelet's API listens, on loopback.
        now: the time, RFC 3339.
    """
    kind = instance_type(group.instance_type)
    zone = ZONES[zlib.crc32(name.encode()) % len(ZONES)]
    address = name.removeprefix("ip-").partition(".")[0].replace("-", ".")
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/os": "linux",
                "kubernetes.io/hostname": name,
                "node.kubernetes.io/instance-type": kind.name,
                "topology.kubernetes.io/region": REGION,
                "topology.kubernetes.io/zone": zone,
                NODE_GROUP_LABEL: group.name,
                "eks.amazonaws.com/capacityType": "ON_DEMAND",
                NODE_LABEL: "true",
                **group.labels,
            },
        },
        "spec": {
            "providerID": f"aws:///{zone}/i-{hashlib.sha256(name.encode()).hexdigest()[:17]}",
            "taints": [dict(taint) for taint in group.taints],
        },
        "status": {
            "capacity": _capacity(kind),
            "allocatable": _allocatable(kind),
            "conditions": conditions(now, since=now),
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "InternalDNS", "address": name},
                {"type": "Hostname", "address": name},
                # Where the simulated kubelet is reached: the API server asks for this type alone.
                {"type": "ExternalDNS", "address": "localhost"},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
            "nodeInfo": {
                "architecture": "amd64",
                "operatingSystem": "linux",
                "kernelVersion": KERNEL,
                "osImage": OS_IMAGE,
                "containerRuntimeVersion": CONTAINER_RUNTIME,
                "kubeletVersion": kubernetes,
                "kubeProxyVersion": "",
                "machineID": hashlib.sha256(f"machine/{name}".encode()).hexdigest()[:32],
                "systemUUID": _uuid(f"system/{name}").removeprefix("GPU-"),
                "bootID": _uuid(f"boot/{name}").removeprefix("GPU-"),
            },
        },
    }


def conditions(now: str, *, since: str) -> list[Mapping[str, str]]:
    """The conditions of a healthy node."""
    healthy = (
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    )
    return [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": now,
            "lastTransitionTime": since,
        }
        for kind, status, reason, message in healthy
    ]


def _capacity(kind: InstanceType) -> Mapping[str, str]:
    return {
        "cpu": str(kind.vcpus),
        "memory": f"{kind.memory_gib * 1024 * 1024}Ki",
        "pods": str(kind.max_pods),
        "ephemeral-storage": DISK,
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
    }


def _allocatable(kind: InstanceType) -> Mapping[str, str]:
    # What nodeadm reserves: 6 %, 1 %, 0.5 % (twice), then 0.25 % of each core; 11 MiB a pod and 255 MiB; the
    # kubelet's own eviction threshold of 100 MiB.
    shares = [60, 10, 5, 5] + [2.5] * max(kind.vcpus - 4, 0)
    cpu = kind.vcpus * 1000 - int(sum(shares[: kind.vcpus]))
    memory = kind.memory_gib * 1024 * 1024 - (11 * kind.max_pods + 255 + 100) * 1024
    return {**_capacity(kind), "cpu": f"{cpu}m", "memory": f"{memory}Ki", "ephemeral-storage": "95491281146"}


def _pci_bus_id(kind: InstanceType, minor: int) -> str:
    if minor < len(kind.pci_bus_ids):
        return kind.pci_bus_ids[minor]
    return f"0000:{0x31 + 2 * minor:02x}:00.0"


def _uuid(seed: str) -> str:
    digest = hashlib.sha256(seed.encode()).hexdigest()
    return f"GPU-{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
