"""Before Terraform destroys: what it does not know and would wait for.

That is what the cluster's controllers made, and what was being made when a Terraform was killed: no state has it.

The AWS provider goes on for 15 to 20 minutes to delete a subnet or to detach an internet gateway that a load balancer
uses, and for 5 to delete a VPC that has a security group: hashicorp/terraform-provider-aws, internal/service/ec2.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from drakit.aws.leftovers.found import Found
from drakit.aws.leftovers.kinds import Keep, Kind, kinds
from drakit.aws.leftovers.scope import Scope
from drakit.aws.leftovers.sweep import Removed, _Sweep
from drakit.aws.session import Aws
from drakit.engine.events import Report

CLEARED = (
    "EKS node group", "EKS cluster", "NAT gateway", "load balancer", "target group", "VPC endpoint",
    "network interface", "security group", "internet gateway", "subnet", "route table",
)  # fmt: skip
"""What holds on to a VPC or its subnets."""
OF_EKS = "aws:eks:cluster-name"
"""The tag of the security group that EKS makes for a cluster, and removes with it."""


async def clear(aws: Aws, scope: Scope, known: Collection[str], report: Report, timeout: float) -> tuple[Removed, ...]:
    """Remove what is the stack's, uses its network, and is in no state of Terraform's.

    Args:
        known: ids of what Terraform has in its state, which is left to it.
        report: told what is removed, refused and waited for.
        timeout: seconds.

    Raises:
        ClusterError: AWS does not accept the credentials.
    """
    run = _Clearing(aws, scope, [kind for kind in kinds(Keep()) if kind.name in CLEARED], report, known=known)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await run.until_nothing_goes_on()
    there = {each.key for found in run.own.values() for each in found}
    gone = Counter(kind for kind, which in run.met if (kind, which) not in there)
    return tuple(Removed(kind, count) for kind, count in gone.items())


@dataclass
class _Clearing(_Sweep):
    known: Collection[str] = ()

    async def _look(self, wanted: Sequence[Kind]) -> None:
        before = dict(self.met)
        await super()._look(wanted)
        self.own = {kind: tuple(each for each in found if self._is_wanted(each)) for kind, found in self.own.items()}
        self.met = before | {each.key: None for found in self.own.values() for each in found}

    def _is_wanted(self, found: Found) -> bool:
        # One in use goes with what uses it. A node that has gone may leave those of its pods.
        if found.kind == "network interface" and found.going:
            return False
        # A node group's id is Terraform's own: CLUSTER:NAME.
        return not {found.id, f"{found.cluster}:{found.id}"} & set(self.known) and OF_EKS not in found.tags
