"""The EC2 instance types and NVIDIA GPUs that drakit knows by heart."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from drakit.errors import UsageError


@dataclass(frozen=True)
class Gpu:
    """A GPU model, with the attributes and the capacity that the NVIDIA DRA driver publishes for it.

    `memory` is a Kubernetes quantity, `cuda_compute_capability` a version, `multiprocessors` those of the whole GPU;
    `mig`: whether it can be partitioned.
    """

    product_name: str
    brand: str
    architecture: str
    cuda_compute_capability: str
    memory: str
    multiprocessors: int
    mig: bool = False


@dataclass(frozen=True)
class InstanceType:
    """An EC2 instance type. `max_pods` is what a node with the VPC CNI plugin takes, without prefix delegation.

    `pci_bus_ids` has a PCI address for each GPU, in the order of their minor numbers; empty where no source was found.
    """

    name: str
    vcpus: int
    memory_gib: int
    max_pods: int
    gpus: int = 0
    gpu: Gpu | None = None
    pci_bus_ids: tuple[str, ...] = ()


# Families with NVIDIA GPUs; g4ad has AMD's. EC2 instance type naming conventions.
_NVIDIA_FAMILY = re.compile(r"p[3-9][a-z0-9-]*|g[4-9](?!ad)[a-z]*|gr[6-9][a-z]*")

# The driver publishes NVML's total memory, which is nvidia-smi's too: 580 on L4 and L40S, 550 to 580 on A10G.
L4 = Gpu("NVIDIA L4", "Nvidia", "Ada Lovelace", "8.9.0", "23034Mi", 58)
L40S = Gpu("NVIDIA L40S", "Nvidia", "Ada Lovelace", "8.9.0", "46068Mi", 142)
A10G = Gpu("NVIDIA A10G", "Nvidia", "Ampere", "8.6.0", "23028Mi", 80)
# The whole memory: 85899345920 bytes on the larger one, seen in NVIDIA/k8s-dra-driver-gpu issues 35 and 719.
A100_40GB = Gpu("NVIDIA A100-SXM4-40GB", "Nvidia", "Ampere", "8.0.0", "40Gi", 108, mig=True)
A100_80GB = Gpu("NVIDIA A100-SXM4-80GB", "Nvidia", "Ampere", "8.0.0", "80Gi", 108, mig=True)
# Read through NVML from one of each, driver 580.159.04: 85520809984 and 150754820096 bytes.
H100 = Gpu("NVIDIA H100 80GB HBM3", "Nvidia", "Hopper", "9.0.0", "81559Mi", 132, mig=True)
H200 = Gpu("NVIDIA H200", "Nvidia", "Hopper", "9.0.0", "143771Mi", 132, mig=True)


def _bus_ids(*ends: str) -> tuple[str, ...]:
    return tuple(f"0000:{end}.0" for end in ends)


# p4d, p4de and g5.48xlarge: NCCL topologies of aws-ofi-nccl. The others: nvidia-smi on such an instance.
_P4 = _bus_ids("10:1c", "10:1d", "20:1c", "20:1d", "90:1c", "90:1d", "a0:1c", "a0:1d")
_P5 = _bus_ids("53:00", "64:00", "75:00", "86:00", "97:00", "a8:00", "b9:00", "ca:00")
_P5EN = _bus_ids("59:00", "5a:00", "72:00", "73:00", "8b:00", "8c:00", "a4:00", "a5:00")
_G5, _G5_FOUR = _bus_ids("00:1e"), _bus_ids("00:1b", "00:1c", "00:1d", "00:1e")
_G5_EIGHT = _bus_ids("00:16", "00:17", "00:18", "00:19", "00:1a", "00:1b", "00:1c", "00:1d")

# vCPUs, memory and GPUs: EC2 DescribeInstanceTypes. Pods: interfaces x (addresses of one - 1) + 2, with the numbers of
# instance-info.jsonl of awslabs/amazon-eks-ami v25.
INSTANCE_TYPES: Mapping[str, InstanceType] = MappingProxyType({
    known.name: known
    for known in (
        InstanceType("m5.large", 2, 8, 29),
        InstanceType("m5.xlarge", 4, 16, 58),
        InstanceType("m5.2xlarge", 8, 32, 58),
        InstanceType("g5.xlarge", 4, 16, 58, 1, A10G, _G5),
        InstanceType("g5.2xlarge", 8, 32, 58, 1, A10G, _G5),
        InstanceType("g5.4xlarge", 16, 64, 234, 1, A10G, _G5),
        InstanceType("g5.8xlarge", 32, 128, 234, 1, A10G, _G5),
        InstanceType("g5.12xlarge", 48, 192, 737, 4, A10G, _G5_FOUR),
        InstanceType("g5.16xlarge", 64, 256, 234, 1, A10G, _G5),
        InstanceType("g5.24xlarge", 96, 384, 737, 4, A10G, _G5_FOUR),
        InstanceType("g5.48xlarge", 192, 768, 345, 8, A10G, _G5_EIGHT),
        InstanceType("g6.xlarge", 4, 16, 58, 1, L4),
        InstanceType("g6.2xlarge", 8, 32, 58, 1, L4),
        InstanceType("g6.4xlarge", 16, 64, 234, 1, L4),
        InstanceType("g6.8xlarge", 32, 128, 234, 1, L4),
        InstanceType("g6.12xlarge", 48, 192, 234, 4, L4),
        InstanceType("g6.16xlarge", 64, 256, 737, 1, L4),
        InstanceType("g6.24xlarge", 96, 384, 737, 4, L4),
        InstanceType("g6.48xlarge", 192, 768, 737, 8, L4),
        InstanceType("g6e.xlarge", 4, 32, 58, 1, L40S),
        InstanceType("g6e.2xlarge", 8, 64, 58, 1, L40S),
        InstanceType("g6e.4xlarge", 16, 128, 234, 1, L40S),
        InstanceType("g6e.8xlarge", 32, 256, 234, 1, L40S),
        InstanceType("g6e.12xlarge", 48, 384, 292, 4, L40S),
        InstanceType("g6e.16xlarge", 64, 512, 737, 1, L40S),
        InstanceType("g6e.24xlarge", 96, 768, 492, 4, L40S),
        InstanceType("g6e.48xlarge", 192, 1536, 492, 8, L40S),
        InstanceType("p4d.24xlarge", 96, 1152, 737, 8, A100_40GB, _P4),
        InstanceType("p4de.24xlarge", 96, 1152, 737, 8, A100_80GB, _P4),
        InstanceType("p5.4xlarge", 16, 256, 118, 1, H100),
        InstanceType("p5.48xlarge", 192, 2048, 100, 8, H100, _P5),
        InstanceType("p5e.48xlarge", 192, 2048, 100, 8, H200),
        InstanceType("p5en.48xlarge", 192, 2048, 198, 8, H200, _P5EN),
    )
})  # fmt: skip


def instance_type(name: str) -> InstanceType:
    """The instance type called `name`.

    Raises:
        UsageError: the catalogue does not have it; the message names the nearest.
    """
    if name not in INSTANCE_TYPES:
        nearest = nearest_instance_type(name)
        raise UsageError(
            f"{name!r} is not an instance type that drakit knows; the nearest is {nearest}.",
            hint=f"It knows {', '.join(INSTANCE_TYPES)}.",
            code="unknown-instance-type",
            details={"instanceType": name, "nearest": nearest},
        )
    return INSTANCE_TYPES[name]


def has_nvidia_gpu(name: str) -> bool:
    """Whether an instance type has NVIDIA GPUs; one that the catalogue does not have, by its family."""
    if known := INSTANCE_TYPES.get(name):
        return known.gpu is not None
    return _NVIDIA_FAMILY.fullmatch(name.partition(".")[0]) is not None


def nearest_instance_type(name: str) -> str:
    """The instance type of the catalogue whose name is most like `name`."""
    return difflib.get_close_matches(name.lower(), INSTANCE_TYPES, n=1, cutoff=0)[0]
