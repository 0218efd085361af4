"""What a plan's resources are about, for a summary that a person can read."""

from collections import Counter
from collections.abc import Iterable, Mapping

from drakit.terraform.events import PlannedChange

SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "network": (
        "aws_vpc", "aws_subnet", "aws_route", "aws_internet_gateway", "aws_nat_gateway", "aws_eip",
        "aws_default_security_group", "aws_security_group", "aws_flow_log",
    ),
    "add-ons": ("aws_eks_addon", "aws_eks_pod_identity"),
    "nodes": ("aws_eks_node_group", "aws_launch_template", "aws_placement_group"),
    "access": ("aws_iam", "aws_eks_access"),
    "cluster": ("aws_eks_cluster", "aws_kms", "aws_cloudwatch_log_group"),
}  # fmt: skip
"""Prefixes of resource types, by subject; what has none of them is bookkeeping."""

OTHER = "bookkeeping"


def subject_of(address: str) -> str:
    """The subject of a resource."""
    kind = address.partition("[")[0].split(".")[-2]
    return next((name for name, prefixes in SUBJECTS.items() if kind.startswith(prefixes)), OTHER)


def by_subject(changes: Iterable[PlannedChange]) -> dict[str, Counter[str]]:
    """How many resources of each subject are created, changed and so on, in the order of `SUBJECTS`."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in (*SUBJECTS, OTHER)}
    for change in changes:
        counts[subject_of(change.address)][change.action] += 1
    return {name: found for name, found in counts.items() if found}
