"""What a command may ask of a target. No command knows which target it works on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from drakit.aws.findings import Finding
from drakit.dra.evidence import Check
from drakit.engine.events import Report
from drakit.engine.workspace import Workspace
from drakit.kube.client import Kube
from drakit.stack.model import Stack
from drakit.terraform import Terraform
from drakit.tools import FoundTool, Tool

if TYPE_CHECKING:
    from drakit.aws.costs import Cost

NODE_GROUP_LABEL = "drakit/node-group"
"""The label of every node that says which of the stack's node groups it is of. EKS's own may end in digits."""


@dataclass(frozen=True)
class GroupSize:
    """A node group's size as the target has it."""

    desired: int
    instance_type: str


@dataclass(frozen=True)
class Health:
    """Whether the target's control plane runs; when not, in one sentence and, line by line, what does not."""

    running: bool
    summary: str = ""
    problems: tuple[str, ...] = ()


class Target(Protocol):
    """A place where a stack runs."""

    name: str
    blueprint: str
    """The built-in blueprint's name; its variables are rendered from `templates/tfvars/<blueprint>.tfvars.j2`."""

    costs_money: bool
    """Whether what is made there is paid for by the hour."""

    def tools(self, stack: Stack) -> Sequence[Tool]:
        """The tools that this target needs beside Terraform and Helm."""
        ...

    def terraform_options(self) -> Mapping[str, Any]:
        """What `drakit.terraform.Terraform` is given beside its folders."""
        ...

    def client_variables(self) -> Sequence[str]:
        """Environment variables that clients of the cluster need, Helm among them; a name ending in * is a prefix."""
        ...

    async def variables(self, stack: Stack, workspace: Workspace, tools: Mapping[str, FoundTool]) -> Mapping[str, Any]:
        """What the blueprint's template reads beside `stack`."""
        ...

    async def preflight(self, stack: Stack) -> Sequence[Finding]:
        """What stands in the way of the stack, found before anything is changed."""
        ...

    async def access(self, stack: Stack, workspace: Workspace, report: Report) -> bool:
        """Make sure that the kubeconfig is there and right; returns whether it had to be written.

        Raises:
            ClusterError: there is no cluster.
        """
        ...

    def files(self, stack: Stack) -> Mapping[str, str]:
        """Terraform files that the stack needs beside the blueprint's, by name."""
        ...

    async def plan_checks(self, stack: Stack, terraform: Terraform, plan: Path) -> Sequence[Check]:
        """Whether Terraform's saved plan says what the stack file says where that matters most."""
        ...

    async def unlock(self, terraform: Terraform) -> None:
        """Lift what protects the stack from being destroyed; `down` has been confirmed."""
        ...

    def check(self, stack: Stack, workspace: Workspace) -> None:
        """Refuse, before anything is changed, what this target cannot do with the stack as it is.

        Raises:
            PreflightError: saying what stands in the way.
        """
        ...

    def drifted(self, workspace: Workspace) -> Sequence[str]:
        """Resources, by address without index, whose real things have gone in a way that Terraform cannot see."""
        ...

    def health(self, workspace: Workspace) -> Health:
        """Whether the control plane runs; asks the place, never remembers."""
        ...

    async def abandon(self, workspace: Workspace) -> None:
        """Stop what a failed or interrupted apply left half started."""
        ...

    async def settled(self, workspace: Workspace, timeout: float) -> None:
        """Wait until what the nodes report is news, not what they reported before a restart.

        Raises:
            TimedOut: after `timeout` seconds.
        """
        ...

    async def group_sizes(self, kube: Kube) -> Mapping[str, GroupSize]:
        """The node groups that exist."""
        ...

    async def scale(self, kube: Kube, sizes: Mapping[str, int], timeout: float) -> None:
        """Set the sizes of node groups; returns when the place has accepted them, within `timeout` seconds."""
        ...

    async def cost(self, stack: Stack, sizes: Mapping[str, int]) -> "Cost":
        """What the stack costs an hour with its node groups at `sizes`, by item."""
        ...

    def hourly_cost(self, instance_types: Sequence[str]) -> float:
        """What nodes of these types cost, in US dollars an hour."""
        ...

    async def sweep(self, workspace: Workspace) -> Sequence[str]:
        """Remove what Terraform did not, and return what is still there: nothing, when all is well."""
        ...
