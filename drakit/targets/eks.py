"""Amazon EKS: the jark blueprint applied to an AWS account, its kubeconfig, its node groups, its prices."""

import asyncio
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from drakit.aws.autoscaling import (
    Launch,
    find_launch,
    keep_unbalanced,
    running_instances,
    schedule_size,
    scheduled_actions,
    terminate_node,
    unschedule_size,
)
from drakit.aws.clusters import (
    Nodegroup,
    find_cluster,
    nodegroups,
    scaling_activities,
    update_sizes,
    wait_for_update,
    was_created,
)
from drakit.aws.costs import Cost, Nodes, hourly_cost, hourly_price_of_nodes
from drakit.aws.errors import hint_of
from drakit.aws.findings import Finding, refuse_errors
from drakit.aws.kubeconfig import write_kubeconfig
from drakit.aws.leftovers import Keep, Leftover
from drakit.aws.preflight import preflight
from drakit.aws.prices import Prices
from drakit.aws.reservations import (
    CapacityReservation,
    block_moments,
    elsewhere,
    find_reservation,
    reservation_for_scale,
)
from drakit.aws.retold import retold
from drakit.aws.session import Aws
from drakit.aws.versions import Support, eks_versions
from drakit.aws.zones import subnet_zones, zones
from drakit.dra.evidence import Check
from drakit.engine.events import Report
from drakit.engine.workspace import Workspace
from drakit.errors import ClusterError
from drakit.kube.client import Kube
from drakit.kube.kinds import Object
from drakit.results import GroupReservation, Kept, ScheduledSize
from drakit.stack.model import Reservation, Stack
from drakit.targets.base import (
    GroupSize,
    Health,
    Reserved,
    SizeChange,
    Standing,
    Swept,
    Trouble,
    group_of,
)
from drakit.targets.blueprints import check_blueprint
from drakit.targets.eks_place import require_here
from drakit.targets.eks_teardown import Teardown, kept_logs
from drakit.targets.jark_plan import plan_checks
from drakit.targets.jark_variables import jark_variables
from drakit.terraform import Terraform
from drakit.tools import TERRAFORM_FOR_EKS, FoundTool, Tool
from drakit.tools.cache import cache_folder

PLUGIN_FOLDER = "DRAKIT_TF_PLUGIN_DIR"
"""Where Terraform's providers lie, in the layout of a filesystem mirror; without it they come from the registry."""
OWN_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN",
)  # fmt: skip
_CLUSTER = re.compile(r"(.*\.)?aws_eks_cluster\.[^.]+")
SCHEDULED = "drakit scale --at-start"
"""The name of drakit's scheduled action in an Auto Scaling group; there is one at most."""
LAUNCH_ISSUES = frozenset({"AsgInstanceLaunchFailures", "InsufficientFreeAddresses"})
"""Issues of a node group that repeat what its Auto Scaling group's activities say."""
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
    leaves_behind = True

    def __init__(self, stack: Stack, environment: Mapping[str, str] | None = None) -> None:
        self._stack = stack
        self._environment = dict(environment or {})
        self._aws = Aws(stack.aws.region, stack.aws.profile)
        self._teardown = Teardown(self._aws, stack)
        self._launches: dict[str, Launch] = {}

    def tools(self, stack: Stack) -> Sequence[Tool]:
        return [TERRAFORM_FOR_EKS]

    def terraform_options(self) -> Mapping[str, Any]:
        folder = os.environ.get(PLUGIN_FOLDER)
        # As boto3 has it: a profile that is named goes before keys in the environment. To the provider those are first.
        profile = self._stack.aws.profile
        environment = {**dict.fromkeys(OWN_CREDENTIALS, ""), "AWS_PROFILE": profile} if profile else {}
        return {
            "plugin_dir": Path(folder) if folder else None,
            "inherit_aws": True,
            "env": environment,
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

    async def unlock(self, terraform: Terraform, keep: Keep) -> None:
        await self._teardown.unlock(terraform, keep)

    async def kept_back(self, stack: Stack) -> Mapping[str, str]:
        # A blueprint of one's own may have no log group, or call it otherwise.
        return await kept_logs(self._aws, stack) if stack.blueprint == self.blueprint else {}

    def check(self, stack: Stack, workspace: Workspace) -> None:
        # The rest of what stands in the way is AWS's to tell: see `preflight`.
        check_blueprint(stack, workspace.root)

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

    async def require_here(self, arns: Collection[str]) -> None:
        await require_here(self._aws, self._stack, arns)

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
        found = await self._groups(self._stack.node_groups)
        return dict(zip(found, await asyncio.gather(*(self._size(each) for each in found.values())), strict=True))

    async def running(self, kube: Kube) -> Mapping[str, GroupSize]:
        async def one(group: Nodegroup) -> GroupSize:
            size, there = await asyncio.gather(
                self._size(group), running_instances(self._aws, group.autoscaling_groups)
            )
            return replace(size, desired=len(there))

        groups = await nodegroups(self._aws, self._stack.name)
        sizes = await asyncio.gather(*(one(each) for each in groups))
        return {each.group: size for each, size in zip(groups, sizes, strict=True)}

    async def scale(
        self,
        kube: Kube,
        changes: Mapping[str, SizeChange],
        timeout: float,
        *,
        leaving: Sequence[Object] = (),
        staying: Sequence[Object] = (),
    ) -> None:
        groups = await self._groups(changes)

        def instances(nodes: Sequence[Object], group: str) -> list[str]:
            return [instance_of(node) for node in nodes if group_of(node) == group]

        await asyncio.gather(
            *(
                self._scale(groups[name], change, instances(leaving, name), instances(staying, name), timeout)
                for name, change in changes.items()
            )
        )

    async def troubles(self, groups: Collection[str]) -> Sequence[Trouble]:
        found = await asyncio.gather(*(self._troubles(each) for each in (await self._groups(groups)).values()))
        return [trouble for troubles in found for trouble in troubles]

    async def reserved(self, stack: Stack, group: str, id: str, nodes: int, *, at_start: bool) -> Reserved:
        aws, name = self._aws, stack.name
        found, identity, groups, own, usable = await asyncio.gather(
            find_reservation(aws, id), aws.identity(), self._groups([group]), subnet_zones(aws, name), zones(aws)
        )
        reservation = stack.node_groups[group].reservation
        there = reservation is not None and reservation.id == id and group in groups
        findings = reservation_for_scale(
            id,
            found,
            group_name=group,
            group=stack.node_groups[group],
            nodes=nodes,
            running=min(groups[group].desired, found.used) if there and found else 0,
            account=identity.account,
            region=stack.aws.region,
            elsewhere=await elsewhere(aws, id) if found is None else None,
            subnet_zones=own,
            zones=usable,
            at_start=at_start,
        )
        refuse_errors(findings)
        assert found is not None
        return Reserved(
            Reservation.model_validate({"id": id, "type": found.kind.stack_type}),
            found.start if found.starts_later else None,
            tuple(finding.message for finding in findings),
        )

    async def reservations(self, stack: Stack) -> Sequence[GroupReservation]:
        wanted = {name: each.reservation for name, each in stack.node_groups.items() if each.reservation}
        found = await asyncio.gather(*(find_reservation(self._aws, each.id) for each in wanted.values()))
        return [
            _group_reservation(name, each, there) for (name, each), there in zip(wanted.items(), found, strict=True)
        ]

    async def schedule(self, group: str, desired: int, at: datetime) -> None:
        nodegroup = (await self._groups([group]))[group]
        for name in nodegroup.autoscaling_groups:
            await schedule_size(self._aws, name, SCHEDULED, desired, at)

    async def unschedule(self, groups: Collection[str]) -> Sequence[ScheduledSize]:
        found = await self._groups(groups)
        own = [each for each in await self._scheduled(found.values()) if each.name == SCHEDULED]
        places = [name for each in own for name in found[each.group].autoscaling_groups]
        await asyncio.gather(*(unschedule_size(self._aws, name, SCHEDULED) for name in places))
        return own

    async def scheduled(self) -> Sequence[ScheduledSize]:
        return await self._scheduled(await nodegroups(self._aws, self._stack.name))

    async def _scheduled(self, groups: Iterable[Nodegroup]) -> Sequence[ScheduledSize]:
        places = [(each.group, name) for each in groups for name in each.autoscaling_groups]
        found = await asyncio.gather(*(scheduled_actions(self._aws, name) for _, name in places))
        actions = [
            ScheduledSize(group, action.name, action.start, action.desired)
            for (group, _), each in zip(places, found, strict=True)
            for action in each
        ]
        return sorted(actions, key=lambda action: action.at)

    async def _groups(self, names: Collection[str]) -> dict[str, Nodegroup]:
        groups = await nodegroups(self._aws, self._stack.name)
        return {each.group: each for each in groups if each.group in names}

    async def _whole(self, address: str) -> bool:
        # EKS goes on making a cluster whose `up` was interrupted; to make it anew would take twice as long.
        return bool(_CLUSTER.fullmatch(address)) and await was_created(self._aws, self._stack.name)

    async def _size(self, group: Nodegroup) -> GroupSize:
        # A group whose launch template says the instance type has none of its own.
        version = group.launch_template
        if version and version not in self._launches:
            self._launches[version] = await find_launch(self._aws, version)
        launch, stack_file = self._launches.get(version, Launch()), self._stack.node_groups.get(group.group)
        types = (*group.instance_types, launch.instance_type or (stack_file.instance_type if stack_file else ""))
        reserved = {"id": launch.reservation, "type": "capacity-block" if launch.block else "odcr"}
        reservation = Reservation.model_validate(reserved) if launch.reservation else None
        return GroupSize(group.desired, types[0], group.min, group.max, reservation)

    async def _scale(
        self, group: Nodegroup, change: SizeChange, leaving: list[str], staying: Collection[str], timeout: float
    ) -> None:
        if staying and change.desired is not None and change.desired < group.desired:
            # Auto Scaling would choose among all of them, also those in use.
            running = await running_instances(self._aws, group.autoscaling_groups)
            others = [each for each in running if each not in staying and each not in leaving]
            leaving = [each for each in leaving if each in running]
            leaving += others[: max(len(running) - change.desired - len(leaving), 0)]
        if leaving:
            # Auto Scaling refuses to go below the minimum. Which instances go can be said to it alone.
            if change.min is not None and change.min < group.min:
                await self._update(group, SizeChange(min=change.min), timeout)
            await asyncio.gather(*(keep_unbalanced(self._aws, each) for each in group.autoscaling_groups))
            await asyncio.gather(*(terminate_node(self._aws, each) for each in leaving))
        await self._update(group, change, timeout)

    async def _update(self, group: Nodegroup, change: SizeChange, timeout: float) -> None:
        name = group.name
        update = await update_sizes(
            self._aws, self._stack.name, name, desired=change.desired, min=change.min, max=change.max
        )
        await wait_for_update(self._aws, self._stack.name, update, timeout=timeout, nodegroup=name)

    async def _troubles(self, group: Nodegroup) -> list[Trouble]:
        found = [
            Trouble(group.group, f"{issue.code} {issue.message}", issue.kind or "aws-refused", f"EKS: {issue.message}")
            for issue in group.issues
            # What Auto Scaling says itself, newer and once for each try, is below.
            if issue.code not in LAUNCH_ISSUES
        ]
        newest = await asyncio.gather(*(scaling_activities(self._aws, n, limit=1) for n in group.autoscaling_groups))
        found += [
            Trouble(group.group, activity.id, activity.kind, f"Auto Scaling: {activity.message}")
            for activities in newest
            for activity in activities
            if activity.kind
        ]
        return [replace(each, remedy=hint_of(each.code)) for each in found]

    async def node_prices(self, stack: Stack) -> Mapping[str, float]:
        return await hourly_price_of_nodes(
            Prices(self._aws, cache_folder()),
            [Nodes(name, group.instance_type, 1, _prepaid(stack, name)) for name, group in stack.node_groups.items()],
            ROOT_VOLUME_GIB,
        )

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

    async def standing(self, workspace: Workspace, keep: Keep) -> Standing:
        return await self._teardown.standing(keep)

    async def empty(self, timeout: float) -> int:
        return await self._teardown.empty(timeout)

    async def clear(self, known: Collection[str], report: Report, timeout: float) -> Mapping[str, int]:
        return await self._teardown.clear(known, report, timeout)

    async def sweep(self, workspace: Workspace, keep: Keep, report: Report, timeout: float) -> Swept:
        return await self._teardown.sweep(keep, report, timeout)

    async def leftovers(self, workspace: Workspace, keep: Keep) -> tuple[Leftover, ...]:
        return await self._teardown.leftovers(keep)

    async def kept(self, keep: Keep) -> tuple[Kept, ...]:
        return await self._teardown.kept(keep)

    async def stacks(self) -> Sequence[str]:
        return await self._teardown.stacks()


def instance_of(node: Object) -> str:
    """The id of the EC2 instance that a Node is: the end of its providerID, aws:///us-west-2a/i-0123456789abcdef0."""
    return str(node["spec"].get("providerID", "")).rpartition("/")[2]


def _group_reservation(group: str, named: Reservation, found: CapacityReservation | None) -> GroupReservation:
    if found is None:
        return GroupReservation(group, named.id, named.type, "unknown")
    moments = block_moments(found)
    drain = moments.drain if moments else None
    return GroupReservation(group, found.id, found.kind.stack_type, found.state, found.start, drain, found.end)


def _prepaid(stack: Stack, name: str) -> bool:
    reservation = stack.node_groups[name].reservation
    return reservation is not None and reservation.type == "capacity-block"
