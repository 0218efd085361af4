"""The sandbox: a control plane on this machine, nodes simulated, nothing paid for."""

import asyncio
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drakit.aws.findings import Finding
from drakit.dra.catalogue import instance_type
from drakit.dra.evidence import Check
from drakit.engine.events import Report
from drakit.engine.workspace import Workspace
from drakit.errors import PreflightError, TimedOut
from drakit.kube.client import Kube
from drakit.kube.kinds import Object
from drakit.results import GroupReservation, Kept, ScheduledSize
from drakit.sandbox import components, nodegroups, processes
from drakit.sandbox.layout import Layout
from drakit.stack.model import Stack
from drakit.targets.base import (
    GroupSize,
    Health,
    Reserved,
    SizeChange,
    Standing,
    Swept,
    Trouble,
)
from drakit.targets.groups import definition
from drakit.terraform import Terraform
from drakit.tools import FoundTool, Tool
from drakit.tools import controlplane as controlplane_tool

if TYPE_CHECKING:
    from drakit.aws.costs import Cost
    from drakit.aws.leftovers import Keep, Leftover

CONTROL_PLANE, NODE_GROUP = "terraform_data.control_plane", "terraform_data.node_group"


class SandboxTarget:
    """See `drakit.targets.base.Target`."""

    name = "sandbox"
    blueprint = "sandbox"
    costs_money = False
    leaves_behind = False

    def tools(self, stack: Stack) -> Sequence[Tool]:
        return [controlplane_tool(stack.kubernetes_version)]

    def terraform_options(self) -> Mapping[str, Any]:
        return {}

    def client_variables(self) -> Sequence[str]:
        return ()

    async def preflight(self, stack: Stack) -> Sequence[Finding]:
        return ()

    def files(self, stack: Stack) -> Mapping[str, str]:
        return {}

    async def plan_checks(self, stack: Stack, terraform: Terraform, plan: Path) -> Sequence[Check]:
        return ()

    async def unlock(self, terraform: Terraform, keep: "Keep") -> None:
        """Nothing protects a sandbox."""

    async def access(self, stack: Stack, workspace: Workspace, report: Report) -> bool:
        return False  # the control plane writes its kubeconfig when it starts

    async def variables(self, stack: Stack, workspace: Workspace, tools: Mapping[str, FoundTool]) -> Mapping[str, Any]:
        return {
            "node_groups": {
                name: definition(name, group, gpu=instance_type(group.instance_type).gpu is not None)
                for name, group in stack.node_groups.items()
            },
            "sandbox_folder": str(workspace.sandbox),
            "kubeconfig": str(workspace.kubeconfig),
            "control_plane_binary": str(tools[controlplane_tool(stack.kubernetes_version).name].path),
            "python": sys.executable,
        }

    def check(self, stack: Stack, workspace: Workspace) -> None:
        layout = Layout(workspace.sandbox)
        made = layout.version.read_text().strip() if layout.version.exists() else stack.kubernetes_version
        if made != stack.kubernetes_version:
            raise PreflightError(
                f"The sandbox {stack.name} runs Kubernetes {made} and cannot become {stack.kubernetes_version}.",
                hint="`drakit down`, then `drakit up`, makes it anew; what is in the cluster is lost.",
                code="kubernetes-version-fixed",
            )

    async def require_here(self, arns: Collection[str]) -> None:
        """A sandbox is where its folder is."""

    async def kept_back(self, stack: Stack) -> Mapping[str, str]:
        return {}

    def drifted(self, workspace: Workspace) -> Sequence[str]:
        if self.health(workspace).running:
            return []
        # Node groups live in the cluster, and go with its data.
        return [CONTROL_PLANE] if Layout(workspace.sandbox).has_data() else [CONTROL_PLANE, NODE_GROUP]

    def health(self, workspace: Workspace) -> Health:
        running = processes.running(workspace.sandbox)
        missing = [name for name in components.COMPONENTS if name not in running]
        if len(missing) == len(components.COMPONENTS):
            return Health(False, "The sandbox does not run.")
        layout = Layout(workspace.sandbox)
        if not (layout.ca.exists() and layout.has_data()):
            return Health(False, f"The sandbox's files are gone from {workspace.sandbox}; what runs cannot be used.")
        problems = [f"{name} has ended; its log: {layout.log(name)}" for name in missing]
        if not workspace.kubeconfig.exists():
            problems.append(f"The kubeconfig {workspace.kubeconfig} is gone.")
        summary = f"{', '.join(missing)} {'has' if len(missing) == 1 else 'have'} ended."
        return Health(not problems, summary if missing else "The sandbox's kubeconfig is gone.", tuple(problems))

    async def abandon(self, workspace: Workspace) -> None:
        if not self.health(workspace).running:
            await components.stop(Layout(workspace.sandbox))

    async def settled(self, workspace: Workspace, timeout: float) -> None:
        ready = Layout(workspace.sandbox).nodes_ready
        try:
            async with asyncio.timeout(timeout):
                while not ready.exists():
                    await asyncio.sleep(0.03)
        except TimeoutError as error:
            raise TimedOut(
                f"Waited {timeout:.0f} s for the node simulator to start; it did not.",
                hint=f"Its log: {Layout(workspace.sandbox).log(components.NODES)}",
            ) from error

    async def group_sizes(self, kube: Kube) -> Mapping[str, GroupSize]:
        groups = await nodegroups.read_groups(kube)
        return {
            name: GroupSize(group.desired, group.instance_type, group.min, group.max) for name, group in groups.items()
        }

    async def running(self, kube: Kube) -> Mapping[str, GroupSize]:
        return {}

    async def cost(self, stack: Stack, sizes: Mapping[str, int]) -> "Cost":
        from drakit.aws.costs import Cost

        return Cost(())

    async def scale(
        self,
        kube: Kube,
        changes: Mapping[str, SizeChange],
        timeout: float,
        *,
        leaving: Sequence[Object] = (),
        staying: Sequence[Object] = (),
    ) -> None:
        # Cordoned nodes are the first that a group lets go, and there is no machine that is not a Node.
        groups = await nodegroups.read_groups(kube)
        for name, change in changes.items():
            await nodegroups.scale_group(kube, groups[name], change.desired, min=change.min, max=change.max)

    async def troubles(self, groups: Collection[str]) -> Sequence[Trouble]:
        return []  # simulated machines never lack

    async def reserved(self, stack: Stack, group: str, id: str, nodes: int, *, at_start: bool) -> Reserved:
        raise PreflightError(
            "A sandbox has no capacity reservations: they are AWS's.",
            hint="`--rehearse` tries one with a stack of `target: eks`.",
            code="reservation-not-found",
        )

    async def reservations(self, stack: Stack) -> Sequence[GroupReservation]:
        return []

    async def schedule(self, group: str, desired: int, at: datetime) -> None:
        raise AssertionError("only a reservation has a start to wait for")

    async def unschedule(self, groups: Collection[str]) -> Sequence[ScheduledSize]:
        return []

    async def scheduled(self) -> Sequence[ScheduledSize]:
        return []

    async def node_prices(self, stack: Stack) -> Mapping[str, float]:
        return dict.fromkeys(stack.node_groups, 0.0)

    async def standing(self, workspace: Workspace, keep: "Keep") -> Standing:
        return Standing("this machine", goes=_processes(workspace))

    async def empty(self, timeout: float) -> int:
        return 0  # its nodes go with their process

    async def clear(self, known: Collection[str], report: Report, timeout: float) -> Mapping[str, int]:
        return {}  # Terraform knows all of it

    async def sweep(self, workspace: Workspace, keep: "Keep", report: Report, timeout: float) -> Swept:
        await components.purge(Layout(workspace.sandbox))
        return Swept({}, _processes(workspace))

    async def leftovers(self, workspace: Workspace, keep: "Keep") -> "tuple[Leftover, ...]":
        return _processes(workspace)

    async def kept(self, keep: "Keep") -> tuple[Kept, ...]:
        return ()

    async def stacks(self) -> Sequence[str]:
        return ()  # they lie in folders, not in a place


def _processes(workspace: Workspace) -> "tuple[Leftover, ...]":
    there = processes.running(workspace.sandbox)
    if not there:
        return ()
    from drakit.aws.leftovers import Leftover

    return tuple(
        Leftover(
            kind="process", id=f"{each.pid} ({each.name})", region="", remove=f"kill {each.pid}", why="", hourly=None
        )
        for each in there.values()
    )
