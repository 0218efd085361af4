"""Amazon EKS: the jark blueprint applied to an AWS account, its kubeconfig, its node groups, its prices."""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from drakit.aws.clusters import Sizes, find_cluster, nodegroups, update_sizes, wait_for_update, was_created
from drakit.aws.costs import Cost, Nodes, hourly_cost
from drakit.aws.findings import Finding
from drakit.aws.kubeconfig import write_kubeconfig
from drakit.aws.preflight import preflight
from drakit.aws.prices import Prices
from drakit.aws.pricetable import INSTANCES
from drakit.aws.reservations import find_reservation
from drakit.aws.retold import retold
from drakit.aws.session import Aws
from drakit.aws.versions import Support, eks_versions
from drakit.dra.evidence import Check
from drakit.engine.events import Report
from drakit.engine.workspace import Workspace
from drakit.errors import ClusterError
from drakit.kube.client import Kube
from drakit.stack.model import Stack
from drakit.targets.base import GroupSize, Health
from drakit.targets.jark_plan import plan_checks
from drakit.targets.jark_variables import jark_variables
from drakit.terraform import Terraform
from drakit.tools import FoundTool, Tool
from drakit.tools.cache import cache_folder

PLUGIN_FOLDER = "DRAKIT_TF_PLUGIN_DIR"
"""Where Terraform's providers lie, in the layout of a filesystem mirror; without it they come from the registry."""
CLUSTER = "aws_eks_cluster.this"
PROTECTION = "terraform_data.deletion_protection[0]"
"""What keeps every plan from destroying the cluster: see blueprints/jark/protection.tf."""
ROOT_VOLUME_GIB = 100
"""The blueprint's root volume of each node."""


class EksTarget:
    """See `drakit.targets.base.Target`.

    Args:
        environment: variables that whoever uses the kubeconfig needs; no secrets.
    """

    name = "eks"
    blueprint = "jark"
    costs_money = True

    def __init__(self, stack: Stack, environment: Mapping[str, str] | None = None) -> None:
        self._stack = stack
        self._environment = dict(environment or {})
        self._aws = Aws(stack.aws.region, stack.aws.profile)

    def tools(self, stack: Stack) -> Sequence[Tool]:
        return []

    def terraform_options(self) -> Mapping[str, Any]:
        folder = os.environ.get(PLUGIN_FOLDER)
        profile = {"AWS_PROFILE": self._stack.aws.profile} if self._stack.aws.profile else {}
        return {
            "plugin_dir": Path(folder) if folder else None,
            "inherit_aws": True,
            "env": profile,
            "explain": partial(retold, region=self._stack.aws.region),
            "whole": self._whole,
        }

    def client_variables(self) -> Sequence[str]:
        return ("AWS_*",)

    async def variables(self, stack: Stack, workspace: Workspace, tools: Mapping[str, FoundTool]) -> Mapping[str, Any]:
        wanted = [group.reservation.id for group in stack.node_groups.values() if group.reservation]
        found = [await find_reservation(self._aws, each) for each in dict.fromkeys(wanted)]
        return jark_variables(stack, reservations=[each for each in found if each])

    def files(self, stack: Stack) -> Mapping[str, str]:
        if stack.aws.state_bucket is None:
            return {}
        backend = {
            "bucket": stack.aws.state_bucket,
            "key": f"drakit/{stack.name}/terraform.tfstate",
            "region": stack.aws.region,
            "encrypt": True,
            # S3's own lock: no DynamoDB table.
            "use_lockfile": True,
            # An endpoint of one's own has no host for each bucket.
            "use_path_style": bool(self._aws.endpoint),
        }
        return {"backend.tf.json": json.dumps({"terraform": {"backend": {"s3": backend}}}, indent=2) + "\n"}

    async def plan_checks(self, stack: Stack, terraform: Terraform, plan: Path) -> Sequence[Check]:
        return plan_checks(stack, await terraform.show(plan))

    async def unlock(self, terraform: Terraform) -> None:
        await terraform.forget(PROTECTION)

    def check(self, stack: Stack, workspace: Workspace) -> None:
        """Everything that stands in the way is AWS's to tell: see `preflight`."""

    async def preflight(self, stack: Stack) -> Sequence[Finding]:
        return await preflight(stack, self._aws)

    async def access(self, stack: Stack, workspace: Workspace, report: Report) -> bool:
        report("asking EKS for the cluster")
        cluster = await find_cluster(self._aws, stack.name)
        if cluster is None:
            raise ClusterError(
                f"There is no EKS cluster {stack.name} in {stack.aws.region}.",
                hint="`drakit up` makes it.",
                code="not-up",
            )
        before = workspace.kubeconfig.read_bytes() if workspace.kubeconfig.exists() else None
        write_kubeconfig(
            workspace.kubeconfig,
            cluster,
            region=stack.aws.region,
            profile=stack.aws.profile,
            environment=self._environment,
        )
        return workspace.kubeconfig.read_bytes() != before

    def drifted(self, workspace: Workspace) -> Sequence[str]:
        return []  # Terraform asks AWS

    def health(self, workspace: Workspace) -> Health:
        # EKS keeps its control planes running; whether there is one is what the kubeconfig stands for.
        return Health(workspace.kubeconfig.exists(), f"The cluster {self._stack.name} has no kubeconfig here.")

    async def abandon(self, workspace: Workspace) -> None:
        """Nothing is half started: Terraform's state has what was made."""

    async def settled(self, workspace: Workspace, timeout: float) -> None:
        """What the nodes report is always news."""

    async def group_sizes(self, kube: Kube) -> Mapping[str, GroupSize]:
        groups = await nodegroups(self._aws, self._stack.name)
        definitions = self._stack.node_groups
        return {
            each.group: GroupSize(each.desired, (*each.instance_types, definitions[each.group].instance_type)[0])
            for each in groups
            if each.group in definitions
        }

    async def scale(self, kube: Kube, sizes: Mapping[str, int], timeout: float) -> None:
        names = {each.group: each.name for each in await nodegroups(self._aws, self._stack.name)}
        await asyncio.gather(*(self._scale(names[name], desired, timeout) for name, desired in sizes.items()))

    async def _whole(self, address: str) -> bool:
        # EKS goes on making a cluster whose `up` was interrupted; to make it anew would take twice as long.
        return address == CLUSTER and await was_created(self._aws, self._stack.name)

    async def _scale(self, nodegroup: str, desired: int, timeout: float) -> None:
        update = await update_sizes(self._aws, self._stack.name, nodegroup, Sizes(desired=desired))
        await wait_for_update(self._aws, self._stack.name, update, timeout=timeout, nodegroup=nodegroup)

    def hourly_cost(self, instance_types: Sequence[str]) -> float:
        return sum(INSTANCES.get(name, 0.0) for name in instance_types)

    async def cost(self, stack: Stack, sizes: Mapping[str, int]) -> Cost:
        versions = await eks_versions(self._aws)
        version = versions.find(stack.kubernetes_version)
        nodes = [
            Nodes(name, group.instance_type, sizes[name], prepaid=_prepaid(stack, name))
            for name, group in stack.node_groups.items()
            if sizes.get(name)
        ]
        return await hourly_cost(
            Prices(self._aws, cache_folder()),
            nodes,
            support=version.support if version else Support.STANDARD,
            nat_gateways=1,
            volume_gib=ROOT_VOLUME_GIB * sum(each.count for each in nodes),
        )

    async def sweep(self, workspace: Workspace) -> Sequence[str]:
        cluster = await find_cluster(self._aws, self._stack.name)
        ours = cluster is not None and cluster.stack == self._stack.name
        return [f"EKS cluster {self._stack.name} in {self._stack.aws.region}"] if ours else []


def _prepaid(stack: Stack, name: str) -> bool:
    reservation = stack.node_groups[name].reservation
    return reservation is not None and reservation.type == "capacity-block"
