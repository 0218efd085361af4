import re

import pytest

from drakit.dra.catalogue import A100_40GB, A100_80GB, INSTANCE_TYPES, L4, L40S, Gpu, instance_type
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
    ],
)
def test_instance_types(name: str, vcpus: int, memory: int, pods: int, gpus: int, gpu: Gpu | None) -> None:
    found = instance_type(name)
    assert (found.name, found.vcpus, found.memory_gib, found.max_pods) == (name, vcpus, memory, pods)
    assert (found.gpus, found.gpu) == (gpus, gpu)


def test_every_size_of_a_family_is_there() -> None:
    sizes = {"xlarge", *(f"{n}xlarge" for n in (2, 4, 8, 12, 16, 24, 48))}
    for family in ("g6", "g6e"):
        assert {name.partition(".")[2] for name in INSTANCE_TYPES if name.startswith(f"{family}.")} == sizes


@pytest.mark.parametrize("found", INSTANCE_TYPES.values(), ids=lambda found: found.name)
def test_an_instance_type_is_whole(found: object) -> None:
    known = INSTANCE_TYPES[found.name]  # type: ignore[attr-defined]
    assert (known.gpus > 0) == (known.gpu is not None)
    assert len(set(known.pci_bus_ids)) in (0, known.gpus)
    assert all(re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.0", address) for address in known.pci_bus_ids)


@pytest.mark.parametrize(
    ("gpu", "product", "architecture", "capability", "memory", "mig"),
    [
        (L4, "NVIDIA L4", "Ada Lovelace", "8.9.0", "23034Mi", False),
        (L40S, "NVIDIA L40S", "Ada Lovelace", "8.9.0", "46068Mi", False),
        (A100_40GB, "NVIDIA A100-SXM4-40GB", "Ampere", "8.0.0", "40Gi", True),
        (A100_80GB, "NVIDIA A100-SXM4-80GB", "Ampere", "8.0.0", "80Gi", True),
    ],
)
def test_gpus(gpu: Gpu, product: str, architecture: str, capability: str, memory: str, mig: bool) -> None:
    assert gpu == Gpu(product, "Nvidia", architecture, capability, memory, mig)


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
