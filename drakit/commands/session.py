"""What every command starts from: the stack, its folder, its target, and somewhere to send events."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from drakit.engine.events import Emit
from drakit.engine.journal import Journal
from drakit.engine.lock import lock_holder, locked, stack_lock
from drakit.engine.workspace import Workspace
from drakit.errors import ClusterError, UsageError
from drakit.kube.client import Kube
from drakit.kube.kinds import ResourceApi
from drakit.stack.load import load_stack
from drakit.stack.model import Stack
from drakit.targets.base import Health, Target
from drakit.targets.choose import target_of

REHEARSAL_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAREHEARSAL0000000", "AWS_SECRET_ACCESS_KEY": "rehearsal"}
"""Nobody's: the emulated AWS refuses whatever could be a real key."""

DEFAULT_TIMEOUT = 120.0
AWS_TIMEOUT = 1200.0
"""Seconds for each wait, unless `--timeout` says otherwise; AWS takes minutes to bring up a node."""


@dataclass(frozen=True)
class Session:
    """A command's surroundings. `file` is None for the built-in stack; `timeout` is in seconds, for each wait."""

    stack: Stack
    file: Path | None
    workspace: Workspace
    emit: Emit
    timeout: float = DEFAULT_TIMEOUT
    rehearse: bool = False

    @functools.cached_property
    def target(self) -> Target:
        """The stack's target."""
        return target_of(self.stack, REHEARSAL_CREDENTIALS if self.rehearse else None)

    def require_up(self) -> None:
        """Go on only with a cluster that runs.

        Raises:
            ClusterError: the stack is not up, or its control plane has stopped.
            Locked: so it is, because another run is about to change that.
        """
        health = self.target.health(self.workspace)
        if not health.running:
            if (holder := lock_holder(self.workspace.lock)) is not None:
                raise locked(self.workspace.lock, holder)
            raise not_running(health) if self.workspace.kubeconfig.exists() else not_up(self.stack)

    @contextmanager
    def mutate(self, command: str) -> Iterator[Journal]:
        """Hold the stack's lock and keep a journal for the time of the block.

        Raises:
            Locked: another run works on the stack.
            PreflightError: the stack's folder cannot be made.
        """
        self.workspace.create()
        with stack_lock(self.workspace.lock, command):
            yield Journal(self.workspace.journal, command)

    def connect(self) -> Kube:
        """A connection to the stack's cluster.

        Raises:
            ClusterError: the stack is not up.
        """
        if not self.workspace.kubeconfig.exists():
            raise not_up(self.stack)
        return Kube(self.workspace.kubeconfig)


def open_session(file: Path | None, emit: Emit, timeout: float | None = None, *, rehearse: bool = False) -> Session:
    """The session for a stack file, or for the one (or none) in the current folder.

    Args:
        rehearse: against the emulated AWS, with a state of its own, and drakit's stand-ins where the file names no
            charts; without a file, the eks target's stack.

    Raises:
        UsageError: the file is missing or invalid, or its target is not one that can be rehearsed.
    """
    loaded = load_stack(file, Path.cwd())
    stack, name = loaded.stack, loaded.stack.name
    if rehearse:
        if loaded.file is None:
            stack = Stack(target="eks")
        if stack.target != "eks":
            raise UsageError(
                f"The target {stack.target} costs nothing, and there is nothing to rehearse.",
                hint="`--rehearse` is for stacks with `target: eks`; leave it out.",
                code="nothing-to-rehearse",
            )
        if "charts" not in stack.model_fields_set:
            stack = stack.model_copy(update={"charts": "builtin"})
        name = f"{stack.name}-rehearsal"
    workspace = Workspace(loaded.root, name)
    patience = AWS_TIMEOUT if stack.target == "eks" and not rehearse else DEFAULT_TIMEOUT
    return Session(stack, loaded.file, workspace, emit, timeout or patience, rehearse)


async def resource_api(kube: Kube) -> ResourceApi:
    """The version of resource.k8s.io that a cluster serves.

    Raises:
        ClusterError: none that drakit speaks.
    """
    api = await kube.resource_api()
    if api is None:
        raise ClusterError("The cluster has no Dynamic Resource Allocation.", code="no-resource-api")
    return api


def not_up(stack: Stack) -> ClusterError:
    """The error for a command that needs a cluster when there is none."""
    return ClusterError(f"The stack {stack.name} is not up.", hint="`drakit up` starts it.", code="not-up")


def not_running(health: Health) -> ClusterError:
    """The error for a cluster whose control plane has stopped, or a part of it."""
    return ClusterError(health.summary, hint="`drakit up` heals it.", code="not-running")
