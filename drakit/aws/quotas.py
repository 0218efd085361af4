"""EC2's quotas: how many vCPUs of each family of instances may run at once."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from drakit.aws.session import Aws


class Family(StrEnum):
    """A family of instance types with a vCPU quota of its own; the value is the quota's name."""

    STANDARD = "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"
    G_VT = "Running On-Demand G and VT instances"
    P = "Running On-Demand P instances"


# Service Quotas, service code ec2.
QUOTA_CODES: Mapping[Family, str] = {
    Family.STANDARD: "L-1216C47A",
    Family.G_VT: "L-DB2E81BA",
    Family.P: "L-417A185B",
}
# The letters before the generation: g6e.xlarge is g. Families of other letters have quotas that are not checked.
_LETTERS: Mapping[str, Family] = {
    **dict.fromkeys(("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"), Family.STANDARD),
    **dict.fromkeys(("g", "gr", "vt"), Family.G_VT),
    "p": Family.P,
}
# Not counted against the quotas of On-Demand instances.
_OTHER_LIFE_CYCLES = frozenset({"spot", "capacity-block"})


@dataclass(frozen=True)
class Quota:
    """How many vCPUs of a family may run, and how many do. `in_use` leaves the stack's own nodes out."""

    family: Family
    vcpus: float
    in_use: int

    @property
    def code(self) -> str:
        """Its code under Service Quotas."""
        return QUOTA_CODES[self.family]


def family_of(instance_type: str) -> Family | None:
    """The family whose quota counts for an instance type, None where drakit does not know it."""
    match = re.match(r"([a-z]+)[0-9]", instance_type)
    return _LETTERS.get(match[1]) if match else None


async def quota_vcpus(aws: Aws, family: Family) -> float:
    """The quota of the account in the region, or the region's default where the account has none of its own.

    Raises:
        ClusterError: it cannot be asked.
    """
    code = QUOTA_CODES[family]
    answer = await aws.call_if_any("service-quotas", "get_service_quota", ServiceCode="ec2", QuotaCode=code)
    if answer is None:
        answer = await aws.call("service-quotas", "get_aws_default_service_quota", ServiceCode="ec2", QuotaCode=code)
    return float(answer["Quota"]["Value"])


async def vcpus_in_use(aws: Aws, *, without_cluster: str) -> Mapping[Family, int]:
    """The vCPUs of the account's On-Demand instances in the region, those of that cluster's nodes left out.

    Raises:
        ClusterError: EC2 cannot be asked.
    """
    running = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    used = dict.fromkeys(Family, 0)
    for reservation in await aws.collect("ec2", "describe_instances", "Reservations", Filters=running):
        for instance in reservation.get("Instances", []):
            tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
            family = family_of(instance.get("InstanceType", ""))
            if (
                family is None
                or instance.get("InstanceLifecycle") in _OTHER_LIFE_CYCLES
                or tags.get("eks:cluster-name") == without_cluster
            ):
                continue
            cpu = instance.get("CpuOptions", {})
            used[family] += int(cpu.get("CoreCount", 0)) * int(cpu.get("ThreadsPerCore", 1))
    return used
