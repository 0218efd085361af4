"""The EC2 instance types and NVIDIA GPUs that drakit knows by heart."""

import difflib
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

    `pci_bus_ids` has a PCI address for each GPU, in the order of their minor numbers; empty where they are not known.
    """

    name: str
    vcpus: int
    memory_gib: int
    max_pods: int
    gpus: int = 0
    gpu: Gpu | None = None
    pci_bus_ids: tuple[str, ...] = ()


# Memory of L4 and L40S: total memory that nvidia-smi reports (driver 580), which is what the DRA driver publishes.
L4 = Gpu("NVIDIA L4", "Nvidia", "Ada Lovelace", "8.9.0", "23034Mi", 58)
L40S = Gpu("NVIDIA L40S", "Nvidia", "Ada Lovelace", "8.9.0", "46068Mi", 142)
# The whole memory: 85899345920 bytes on the larger one, seen in NVIDIA/k8s-dra-driver-gpu issues 35 and 719.
A100_40GB = Gpu("NVIDIA A100-SXM4-40GB", "Nvidia", "Ampere", "8.0.0", "40Gi", 108, mig=True)
A100_80GB = Gpu("NVIDIA A100-SXM4-80GB", "Nvidia", "Ampere", "8.0.0", "80Gi", 108, mig=True)

# The first address was read on a p4d; the others follow the known layout and are not verified.
_P4_BUS_IDS = (
    "0000:10:1c.0", "0000:10:1d.0", "0000:20:1c.0", "0000:20:1d.0",
    "0000:90:1c.0", "0000:90:1d.0", "0000:a0:1c.0", "0000:a0:1d.0",
)  # fmt: skip

# vCPUs, memory and GPUs: EC2 DescribeInstanceTypes. Pods: interfaces x (addresses of one - 1) + 2, with the numbers of
# instance-info.jsonl of awslabs/amazon-eks-ami v25.
INSTANCE_TYPES: Mapping[str, InstanceType] = MappingProxyType({
    known.name: known
    for known in (
        InstanceType("m5.large", 2, 8, 29),
        InstanceType("m5.xlarge", 4, 16, 58),
        InstanceType("m5.2xlarge", 8, 32, 58),
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
        InstanceType("p4d.24xlarge", 96, 1152, 737, 8, A100_40GB, _P4_BUS_IDS),
        InstanceType("p4de.24xlarge", 96, 1152, 737, 8, A100_80GB, _P4_BUS_IDS),
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


def nearest_instance_type(name: str) -> str:
    """The instance type of the catalogue whose name is most like `name`."""
    return difflib.get_close_matches(name.lower(), INSTANCE_TYPES, n=1, cutoff=0)[0]
