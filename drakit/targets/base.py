"""What a command may ask of a target. No command knows which target it works on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from drakit.engine.workspace import Workspace
from drakit.kube.client import Kube
from drakit.stack.model import Stack
from drakit.tools import FoundTool, Tool


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

    def tools(self, stack: Stack) -> Sequence[Tool]:
        """The tools that this target needs beside Terraform and Helm."""
        ...

    def variables(self, stack: Stack, workspace: Workspace, tools: Mapping[str, FoundTool]) -> Mapping[str, Any]:
        """What the blueprint's template reads beside `stack`."""
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

    async def scale(self, kube: Kube, sizes: Mapping[str, int]) -> None:
        """Set the sizes of node groups; returns when the place has accepted them."""
        ...

    def hourly_cost(self, instance_types: Sequence[str]) -> float:
        """What nodes of these types cost, in US dollars an hour."""
        ...

    async def sweep(self, workspace: Workspace) -> Sequence[str]:
        """Remove what Terraform did not, and return what is still there: nothing, when all is well."""
        ...
