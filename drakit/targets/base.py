"""What a command may ask of a target. No command knows which target it works on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from drakit.aws.findings import Finding
from drakit.dra.evidence import Check
from drakit.engine.events import Report
from drakit.engine.workspace import Workspace
from drakit.kube.client import Kube
from drakit.kube.kinds import Object
from drakit.results import GroupReservation, Kept, ScheduledSize
from drakit.stack.model import Reservation, Stack
from drakit.terraform import Terraform
from drakit.tools import FoundTool, Tool

if TYPE_CHECKING:
    from drakit.aws.costs import Cost
    from drakit.aws.leftovers import Keep, Leftover

NODE_GROUP_LABEL = "drakit/node-group"
"""The label of every node that says which of the stack's node groups it is of. EKS's own may end in digits."""


def group_of(node: Object) -> str | None:
    """The node group of the stack that a node belongs to."""
    labels: dict[str, str] = node["metadata"].get("labels", {})
    return labels.get(NODE_GROUP_LABEL)


@dataclass(frozen=True)
class GroupSize:
    """A node group as the target has it: its size, and what its nodes are."""

    desired: int
    instance_type: str
    min: int = 0
    max: int = 1000
    reservation: Reservation | None = None


@dataclass(frozen=True)
class SizeChange:
    """The sizes to give a node group; None leaves one as it is."""

    desired: int | None = None
    min: int | None = None
    max: int | None = None


@dataclass(frozen=True)
class Trouble:
    """Why nodes of a group do not come.

    Args:
        id: tells it from others; the same refusal of a later try is another trouble.
        code: drakit's, such as aws-insufficient-capacity.
        final: whether waiting on is the user's decision, not drakit's; otherwise it may pass.
    """

    group: str
    id: str
    code: str
    message: str
    remedy: str = ""
    final: bool = True


@dataclass(frozen=True)
class Reserved:
    """A capacity reservation that a group can use.

    Args:
        starts: when it does (UTC), None for one that is active.
        notes: what is worth knowing about it.
    """

    reservation: Reservation
    starts: datetime | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Health:
    """Whether the target's control plane runs; when not, in one sentence and, line by line, what does not."""

    running: bool
    summary: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Standing:
    """What there is of a stack, as the place itself has it.

    Args:
        where: the place, in words: "us-west-2, account 123456789012".
        goes: what `down` removes.
        kept: what it leaves.
        cluster: whether the stack's own cluster is there and can be asked.
        nodes: how many each node group is to have.
        owners: ids that only the Terraform state of whoever made the stack has. None: its name alone tells the stack.
        hourly: what all of it costs, in US dollars an hour.
    """

    where: str
    goes: "tuple[Leftover, ...]" = ()
    kept: tuple[Kept, ...] = ()
    cluster: bool = False
    nodes: Mapping[str, int] = field(default_factory=dict)
    owners: frozenset[str] | None = None
    hourly: float = 0.0

    @property
    def anything(self) -> bool:
        """Whether there is anything that goes; what could not be asked for does not count."""
        return any(each.checked for each in self.goes)


@dataclass(frozen=True)
class Swept:
    """What a sweep has removed, by kind, and what is still there."""

    removed: Mapping[str, int]
    left: "tuple[Leftover, ...]"


class Target(Protocol):
    """A place where a stack runs."""

    name: str
    blueprint: str
    """The built-in blueprint's name; its variables are rendered from `templates/tfvars/<blueprint>.tfvars.j2`."""

    costs_money: bool
    """Whether what is made there is paid for by the hour."""

    leaves_behind: bool
    """Whether what controllers in the cluster make, load balancers and volumes, outlives the cluster."""

    def tools(self, stack: Stack) -> Sequence[Tool]:
        """The tools that this target needs beside Terraform and Helm, or in place of the one of the same name."""
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

    async def unlock(self, terraform: Terraform, keep: "Keep") -> None:
        """Lift what protects the stack from being destroyed, and take out of the state what is kept; agreed to."""
        ...

    async def kept_back(self, stack: Stack) -> Mapping[str, str]:
        """What `down` keeps when asked although Terraform makes it: of what is there the address, and the id."""
        ...

    def check(self, stack: Stack, workspace: Workspace) -> None:
        """Refuse, before anything is changed, what this target cannot do with the stack as it is.

        Raises:
            PreflightError: saying what stands in the way.
        """
        ...

    async def require_here(self, arns: Collection[str]) -> None:
        """Refuse to go on where what Terraform's state has is in another place than the stack now names.

        Args:
            arns: the AWS names of what is in the state.

        Raises:
            PreflightError: both places are told.
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

    async def running(self, kube: Kube) -> Mapping[str, GroupSize]:
        """What is paid for: every node group, also one that the stack file lacks, `desired` being the machines that
        run or are being started, whether they are Nodes by now or not.
        """
        ...

    async def scale(
        self,
        kube: Kube,
        changes: Mapping[str, SizeChange],
        timeout: float,
        *,
        leaving: Sequence[Object] = (),
        staying: Sequence[Object] = (),
    ) -> None:
        """Change the sizes of node groups; returns when the place has accepted them, within `timeout` seconds.

        Args:
            leaving: the Nodes that are to go where a group gets smaller, cordoned already. Without them the place
                chooses.
            staying: the Nodes that are to stay there: before one of these goes a machine that is no Node yet.
        """
        ...

    async def troubles(self, groups: Collection[str]) -> Sequence[Trouble]:
        """What keeps the nodes of these groups from coming now, as far as the place knows."""
        ...

    async def reserved(self, stack: Stack, group: str, id: str, nodes: int, *, at_start: bool) -> Reserved:
        """A group's capacity reservation, checked for `nodes` nodes beside the stack as it is.

        Args:
            at_start: whether the nodes are to come when it begins, rather than now.

        Raises:
            PreflightError: it cannot be used, with a code for each reason.
        """
        ...

    async def reservations(self, stack: Stack) -> Sequence[GroupReservation]:
        """The capacity reservations that the stack's groups run in, as they are now."""
        ...

    async def schedule(self, group: str, desired: int, at: datetime) -> None:
        """Let the place scale a group at a time (UTC); a later word replaces an earlier one."""
        ...

    async def unschedule(self, groups: Collection[str]) -> Sequence[ScheduledSize]:
        """Take back what `schedule` was told of these groups; returns what that was."""
        ...

    async def scheduled(self) -> Sequence[ScheduledSize]:
        """What the place is going to do with the sizes of the stack's groups, the earliest first."""
        ...

    async def cost(self, stack: Stack, sizes: Mapping[str, int]) -> "Cost":
        """What the stack costs an hour with its node groups at `sizes`, by item."""
        ...

    async def node_prices(self, stack: Stack) -> Mapping[str, float]:
        """What one more node of each group costs, in US dollars an hour; infinity where a price is not known."""
        ...

    async def standing(self, workspace: Workspace, keep: "Keep") -> Standing:
        """What there is of the stack, in this folder's or any other hands.

        Raises:
            ClusterError: the place cannot be asked.
        """
        ...

    async def empty(self, timeout: float) -> int:
        """Set the size of every node group to zero, whatever the stack file says; returns how many had nodes."""
        ...

    async def clear(self, known: Collection[str], report: Report, timeout: float) -> Mapping[str, int]:
        """Remove what Terraform would wait for in vain, of what it does not know; returns how many, by kind.

        Args:
            known: ids of what is in Terraform's state.
        """
        ...

    async def sweep(self, workspace: Workspace, keep: "Keep", report: Report, timeout: float) -> Swept:
        """Remove what Terraform did not, within `timeout` seconds.

        Raises:
            ClusterError: the place cannot be asked.
        """
        ...

    async def leftovers(self, workspace: Workspace, keep: "Keep") -> "tuple[Leftover, ...]":
        """What is still there, asked of the place anew: nothing, when all is well.

        Raises:
            ClusterError: the place cannot be asked.
        """
        ...

    async def kept(self, keep: "Keep") -> tuple[Kept, ...]:
        """What `down` leaves on purpose, as it is now.

        Raises:
            ClusterError: the place cannot be asked.
        """
        ...

    async def stacks(self) -> Sequence[str]:
        """The names of all stacks that the place has."""
        ...
