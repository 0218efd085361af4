import re

import pytest

from drakit.dra.catalogue import (
    A10G,
    A100_40GB,
    A100_80GB,
    H100,
    H200,
    INSTANCE_TYPES,
    L4,
    L40S,
    Gpu,
    has_nvidia_gpu,
    instance_type,
)
from drakit.errors import ExitCode, UsageError


@pytest.mark.parametrize(
    ("name", "vcpus", "memory", "pods", "gpus", "gpu"),
    [
        ("m5.xlarge", 4, 16, 58, 0, None),
        ("g6.4xlarge", 16, 64, 234, 1, L4),
        ("g6.12xlarge", 48, 192, 234, 4, L4),
        ("g6.16xlarge", 64, 256, 737, 1, L4),
        ("g6e.12xlarge", 48, 384, 292, 4, L40S),
        ("g6e.48xlarge", 192, 1536, 492, 8, L40S),
        ("p4d.24xlarge", 96, 1152, 737, 8, A100_40GB),
        ("p4de.24xlarge", 96, 1152, 737, 8, A100_80GB),
        ("g5.2xlarge", 8, 32, 58, 1, A10G),
        ("g5.24xlarge", 96, 384, 737, 4, A10G),
        ("g5.48xlarge", 192, 768, 345, 8, A10G),
        ("p5.4xlarge", 16, 256, 118, 1, H100),
        ("p5.48xlarge", 192, 2048, 100, 8, H100),
        ("p5e.48xlarge", 192, 2048, 100, 8, H200),
        ("p5en.48xlarge", 192, 2048, 198, 8, H200),
    ],
)
def test_instance_types(name: str, vcpus: int, memory: int, pods: int, gpus: int, gpu: Gpu | None) -> None:
    found = instance_type(name)
    assert (found.name, found.vcpus, found.memory_gib, found.max_pods) == (name, vcpus, memory, pods)
    assert (found.gpus, found.gpu) == (gpus, gpu)


def test_every_size_of_a_family_is_there() -> None:
    sizes = {"xlarge", *(f"{n}xlarge" for n in (2, 4, 8, 12, 16, 24, 48))}
    for family in ("g5", "g6", "g6e"):
        assert {name.partition(".")[2] for name in INSTANCE_TYPES if name.startswith(f"{family}.")} == sizes


# Interfaces of a type, addresses of one: nodeadm/internal/kubelet/instance-info.jsonl of amazon-eks-ami v25.
@pytest.mark.parametrize(
    ("interfaces", "addresses", "names"),
    [
        (3, 10, "m5.large"),
        (2, 50, "p5.48xlarge p5e.48xlarge"),
        (4, 30, "p5.4xlarge"),
        (4, 50, "p5en.48xlarge"),
        (7, 50, "g5.48xlarge"),
        (4, 15, "m5.xlarge m5.2xlarge g5.xlarge g5.2xlarge g6.xlarge g6.2xlarge g6e.xlarge g6e.2xlarge"),
        (8, 30, "g5.4xlarge g5.8xlarge g5.16xlarge g6.4xlarge g6.8xlarge g6.12xlarge g6e.4xlarge g6e.8xlarge"),
        (10, 30, "g6e.12xlarge"),
        (10, 50, "g6e.24xlarge g6e.48xlarge"),
        (15, 50, "g5.12xlarge g5.24xlarge g6.16xlarge g6.24xlarge g6.48xlarge g6e.16xlarge p4d.24xlarge p4de.24xlarge"),
    ],
)
def test_pods_are_limited_by_addresses(interfaces: int, addresses: int, names: str) -> None:
    for name in names.split():
        assert INSTANCE_TYPES[name].max_pods == interfaces * (addresses - 1) + 2


@pytest.mark.parametrize("found", INSTANCE_TYPES.values(), ids=lambda found: found.name)
def test_an_instance_type_is_whole(found: object) -> None:
    known = INSTANCE_TYPES[found.name]  # type: ignore[attr-defined]
    assert (known.gpus > 0) == (known.gpu is not None)
    assert len(set(known.pci_bus_ids)) in (0, known.gpus)
    assert all(re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.0", address) for address in known.pci_bus_ids)


@pytest.mark.parametrize(
    ("gpu", "product", "architecture", "capability", "memory", "multiprocessors", "mig"),
    [
        (L4, "NVIDIA L4", "Ada Lovelace", "8.9.0", "23034Mi", 58, False),
        (L40S, "NVIDIA L40S", "Ada Lovelace", "8.9.0", "46068Mi", 142, False),
        (A100_40GB, "NVIDIA A100-SXM4-40GB", "Ampere", "8.0.0", "40Gi", 108, True),
        (A100_80GB, "NVIDIA A100-SXM4-80GB", "Ampere", "8.0.0", "80Gi", 108, True),
        (A10G, "NVIDIA A10G", "Ampere", "8.6.0", "23028Mi", 80, False),
        (H100, "NVIDIA H100 80GB HBM3", "Hopper", "9.0.0", "81559Mi", 132, True),
        (H200, "NVIDIA H200", "Hopper", "9.0.0", "143771Mi", 132, True),
    ],
)
def test_gpus(
    gpu: Gpu, product: str, architecture: str, capability: str, memory: str, multiprocessors: int, mig: bool
) -> None:
    assert gpu == Gpu(product, "Nvidia", architecture, capability, memory, multiprocessors, mig)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("g6.4xlarg", "g6.4xlarge"),
        ("G6.4XLARGE", "g6.4xlarge"),
        ("p4.24xlarge", "p4d.24xlarge"),
        ("m5.xl", "m5.xlarge"),
    ],
)
def test_an_unknown_type_names_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UsageError, match=f"nearest is {re.escape(nearest)}") as caught:
        instance_type(name)
    assert caught.value.exit_code == ExitCode.USAGE
    assert caught.value.details["nearest"] == nearest


@pytest.mark.parametrize(
    ("name", "gpu"),
    [
        ("g6.xlarge", True), ("m5.xlarge", False),
        # Not in the catalogue: by the family.
        ("p6-b200.48xlarge", True), ("p6e-gb200.36xlarge", True), ("g7e.2xlarge", True), ("gr6f.4xlarge", True),
        ("g4ad.xlarge", False), ("trn2.48xlarge", False), ("inf2.xlarge", False), ("c7gn.large", False),
    ],
)  # fmt: skip
def test_what_has_gpus(name: str, gpu: bool) -> None:
    assert has_nvidia_gpu(name) is gpu


def test_where_a_gpu_is_on_the_bus() -> None:
    assert instance_type("p5.48xlarge").pci_bus_ids[:2] == ("0000:53:00.0", "0000:64:00.0")
    assert instance_type("g5.xlarge").pci_bus_ids == ("0000:00:1e.0",)
    # No source was found.
    assert not instance_type("p5e.48xlarge").pci_bus_ids
